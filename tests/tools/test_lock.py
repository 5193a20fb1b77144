"""The lock holds what pip brings on every system, with a marker where it is not needed everywhere, and hashes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import lock

RELEASES = [
    {
        "name": "Torch",
        "version": "2",
        "requires_dist": ['cuda-bits==1; platform_system == "Linux"', "typing_x"],
    },
    {"name": "cuda-bits", "version": "1", "requires_dist": []},
    {"name": "typing-x", "version": "3"},
]
MAC = 'mac-bits>=1; platform_system == "Darwin"'


def test_what_is_needed_where():
    where, missing = lock.reach(["torch>=1"], RELEASES)
    assert not missing
    assert lock.marker(where["cuda-bits"]) == 'sys_platform == "linux"'
    assert lock.marker(where["torch"]) == lock.marker(where["typing-x"]) == ""


def test_what_only_another_system_or_python_needs_is_missed():
    roots = ["torch", MAC, 'late>=2; python_version >= "3.13"', 'windows; sys_platform == "win32"']
    _, missing = lock.reach(roots, RELEASES)
    assert sorted(missing) == ["late>=2", "mac-bits>=1"]


def test_extras_bring_their_own_and_no_more():
    releases = [
        {"name": "a", "requires_dist": ['b; extra == "fast"', 'c; extra == "other"']},
        {"name": "b"},
    ]
    where, missing = lock.reach(["a[fast]"], releases)
    assert set(where) == {"a", "b"}
    assert not missing


def test_a_marker_says_system_and_python():
    both = frozenset({("darwin", "3.12"), ("darwin", "3.13")})
    assert lock.marker(both) == (
        'sys_platform == "darwin" and (python_version == "3.12" or python_version == "3.13")'
    )
    assert lock.marker(frozenset({("linux", "3.12"), ("darwin", "3.12")})) == 'python_version == "3.12"'
    with pytest.raises(ValueError, match="no simple marker"):
        lock.marker(frozenset({("darwin", "3.12"), ("linux", "3.11")}))


def test_the_lock_can_be_read_back():
    where = dict.fromkeys(("torch", "typing-x"), lock.EVERYWHERE)
    where["cuda-bits"] = frozenset(place for place in lock.EVERYWHERE if place[0] == "linux")
    listed = {"Torch": ["aa", "bb"], "typing-x": ["cc"], "cuda-bits": ["dd"]}
    text = lock.lock_text(RELEASES, where, listed, "3.11")
    assert text.endswith(
        'cuda-bits==1 ; sys_platform == "linux" \\\n    --hash=sha256:dd\n'
        "Torch==2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\ntyping-x==3 \\\n    --hash=sha256:cc\n"
    )
    assert lock.pins(text) == {"cuda-bits": "1", "Torch": "2", "typing-x": "3"}


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("torch-2.14.1-cp311-cp311-win_amd64.whl", "torch", "2.14.1"),
        ("Sphinx-7.4.7.tar.gz", "sphinx", "7.4.7"),
        ("jupyter_book-1.0.4.post1-py3-none-any.whl", "jupyter-book", "1.0.4.post1"),
        ("torch-2.14.1.tar.gz", "torchvision", None),
        ("torch_geometric-2.0-py3-none-any.whl", "torch", None),
        ("torch-2.14.1-py3-none-any.whl.metadata", "torch", None),
    ],
)
def test_the_version_in_a_file_s_name(filename, name, version):
    assert lock.version_of(filename, name) == version
