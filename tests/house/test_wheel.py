"""What is inside the distribution that people install."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("adlib_book-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_it_holds_the_package_and_the_ledger(wheel):
    names = set(wheel.namelist())
    assert {
        "adlib/__init__.py",
        "adlib/py.typed",
        "adlib_book/cli.py",
        "adlib/inspection/report.html",
    } <= names
    assert {f"adlib_book/_results/{path.name}" for path in (ROOT / "results").glob("*.jsonl")} <= names


def test_it_holds_the_printed_tables(wheel):
    tables = [path.name for path in (ROOT / "adlib_book" / "published").glob("*.csv")]
    assert tables
    assert {f"adlib_book/published/{name}" for name in tables} <= set(wheel.namelist())


def test_it_holds_nothing_else(wheel):
    allowed = ("adlib/", "adlib_book/", "adlib_book-")
    assert all(name.startswith(allowed) and "__pycache__" not in name for name in wheel.namelist())


def test_it_holds_both_licences(wheel):
    names = {Path(name).name for name in wheel.namelist()}
    assert {"LICENSE", "LICENSE-TEXT"} <= names
