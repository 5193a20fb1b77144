"""What comes with us: licences are listed and may be used together, and nothing is asked of the network unasked."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import licences  # noqa: E402


def test_the_list_of_licences_is_that_of_the_lock_and_of_the_packages():
    rows, versions = licences.read(), licences.locked()
    assert [*rows] == sorted(versions, key=str.lower), "make licences"
    as_locked = {each.name: each.version for each in distributions()}
    moved = {
        name: said
        for name, version in versions.items()
        if as_locked.get(name) == version and (said := licences.licence_of(name)) != rows[name]["licence"]
    }
    assert not moved, "make licences, and look at what changed"


def test_a_licence_that_asks_more_than_to_be_named_has_a_note():
    silent = [
        name
        for name, row in licences.read().items()
        if not licences.is_permissive(row["licence"]) and not row["note"]
    ]
    assert not silent


@pytest.mark.parametrize(
    ("licence", "answer"),
    [
        ("MIT AND Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-2.0-only", False),
        ("BSD License; GNU General Public License (GPL)", False),
        ("", False),
    ],
)
def test_which_licences_ask_no_more_than_to_be_named(licence, answer):
    assert licences.is_permissive(licence) is answer


@pytest.mark.slow
def test_importing_us_asks_nobody():
    program = "import socket\ndef refuse(*_): raise AssertionError('asks the network')\n"
    program += "socket.getaddrinfo = socket.socket.connect = refuse\n"
    program += "import adlib, adlib.viz, adlib.inspection, adlib_book.cli, adlib_book.reading"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_test_that_asks_somebody_outside_fails():
    with pytest.raises(AssertionError, match="asks example\\.org"):
        socket.create_connection(("example.org", 80), timeout=1)
