"""Docstrings written as plain text survive reStructuredText."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
from plain_docstrings import escape, plain


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mean |x - y| over pixels", r"mean \|x - y\| over pixels"),
        ("the name x_ ends oddly", r"the name x\_ ends oddly"),
        ("snake_case stays", "snake_case stays"),
        ("with a *sum* of 2 * x", r"with a *sum* of 2 \* x"),
        ("code `a|b*` stays", "code `a|b*` stays"),
        ("test/<kind>/*.png", r"test/<kind>/\*.png"),
    ],
)
def test_special_characters_are_made_plain(line, expected):
    assert escape(line) == expected


def test_columns_become_a_literal_block():
    assert plain(["a.png      normal", "bb.png     other"])[:3] == ["::", "", "    a.png      normal"]


def test_indented_columns_do_too_with_lines_that_go_on():
    lines = ["    auroc      the last weights,", "               else the first", "    f1         best"]
    assert plain(lines)[:-1] == ["::", "", *("    " + line for line in lines)]


def test_settings_become_a_list():
    lines = ["steps: how many.", "patience: when to stop,", "    or None."]
    assert plain(lines)[:3] == ["- **steps**: how many.", "- **patience**: when to stop,", "  or None."]


def test_sections_are_left_to_napoleon():
    lines = ["Args:", "    x: |x|, shape (B,).", "", "Source: a paper."]
    assert plain(lines) == ["Args:", r"    x: \|x\|, shape (B,).", "", "Source: a paper.", ""]
