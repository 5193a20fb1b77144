"""The page "Speed": what is said of goals follows from the numbers, and every measured row stands in a table."""

from __future__ import annotations

import json
from pathlib import Path

from adlib_book.site import speed
from adlib_book.site.speed import GROUPS, Row

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"ours": 50.0, "theirs": 100.0, "ratio": 2.0, "low": 1.9, "high": 2.2, "turns": 9}


def test_a_goal_is_a_ratio_or_milliseconds():
    assert Row("a", "b", goal=2.0).with_numbers(NUMBERS).reached
    assert Row("a", "b", goal=2.1).with_numbers(NUMBERS).reached is False
    assert Row("a", "b", goal_ms=49).with_numbers(NUMBERS).reached is False
    assert Row("a", "b").with_numbers(NUMBERS).reached is None
    assert Row("a", "b", goal=2.0).not_measured("no card").reached is None


def test_what_is_missed_or_not_measured_is_said_first(tmp_path):
    about = {
        "machine": {"processor": "x", "cores": 2, "instructions": "AVX2"},
        "on": "2026-11-28",
    }
    rows = {
        "score/a": Row("quick", "peer", goal=2.0).with_numbers(NUMBERS),
        "score/b": Row("slow", "peer", goal=3.0).with_numbers(
            NUMBERS, {"aten::conv": 0.75, "aten::add": 0.1}
        ),
        "step": Row("half", "peer", goal=3.0).not_measured("no such arithmetic"),
    }
    (tmp_path / "results").mkdir()
    speed.path(tmp_path).write_text(json.dumps({name: row.as_json() | about for name, row in rows.items()}))
    busy = {"score/a": rows["score/a"].with_numbers(NUMBERS | {"ratio": 1.7}).as_json() | about}
    speed.path(tmp_path, beside=True).write_text(json.dumps(busy))
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\n<!-- verdict -->\n")
    speed.write_page(page, tmp_path)
    text = page.read_text()
    assert "**Of 2 goals with a number 1 are reached.** 1 rows could not be measured here." in text
    assert "* slow: 2, wanted 3" in text
    assert "* slow: `aten::conv` 75%, `aten::add` 10%." in text
    assert "| quick | peer | 2 | 50.0 ms | 100 ms | **2** | 1.9 to 2.2 | 1.7 |" in text
    assert "| 1.9 to 2.2 |  |" in text, "not measured beside other work"
    assert "on: x, 2 cores, AVX2; nothing else ran on it." in text
    assert "not measured: no such arithmetic" in text


def test_every_row_that_was_measured_has_a_table():
    names = [word for words in GROUPS.values() for word in words]
    assert all(name.startswith(tuple(names)) for name in speed.rows(ROOT))
