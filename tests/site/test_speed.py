"""The page "Speed": what is said of goals follows from the numbers, and every measured row stands in a table."""

from __future__ import annotations

import json
from pathlib import Path

from adlib.detectors import detector_titles
from adlib_book.site import speed
from adlib_book.site.speed import GROUPS, Row

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"ours": 50.0, "theirs": 100.0, "ratio": 2.0, "low": 1.9, "high": 2.2, "turns": 9}


def made_page(tmp_path, rows, beside_other_work=()) -> str:
    """The page that is made of some rows."""
    about = {"machine": {"processor": "x", "cores": 2, "instructions": "AVX2"}, "on": "2026-11-28"}
    (tmp_path / "results").mkdir()
    for beside, some in ((False, rows), (True, dict(beside_other_work))):
        noted = {name: row.as_json() | about for name, row in some.items()}
        speed.path(tmp_path, beside).write_text(json.dumps(noted))
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\n<!-- verdict -->\n")
    speed.write_page(page, tmp_path)
    return page.read_text()


def test_a_goal_is_a_ratio_or_milliseconds():
    assert Row("a", "b", goal=2.0).with_numbers(NUMBERS).reached
    assert Row("a", "b", goal=2.1).with_numbers(NUMBERS).reached is False
    assert Row("a", "b", goal_ms=49).with_numbers(NUMBERS).reached is False
    assert Row("a", "b").with_numbers(NUMBERS).reached is None
    assert Row("a", "b", goal=2.0).not_measured("no card").reached is None


def test_what_is_missed_or_not_measured_is_said_first(tmp_path):
    rows = {
        "score/a": Row("quick", "peer", goal=2.0).with_numbers(NUMBERS),
        "score/b": Row("slow", "peer", goal=3.0).with_numbers(
            NUMBERS, {"aten::conv": 0.75, "aten::add": 0.1}
        ),
        "step": Row("half", "peer", goal=3.0).not_measured("no such arithmetic"),
    }
    text = made_page(tmp_path, rows, {"score/a": rows["score/a"].with_numbers(NUMBERS | {"ratio": 1.7})})
    assert "**Of 2 goals with a number 1 are reached.** 1 rows could not be measured here." in text
    assert "* slow: 2, wanted 3" in text
    assert "* slow: `aten::conv` 75%, `aten::add` 10%." in text
    assert "| quick | peer | 2 | 50.0 ms | 100 ms | **2** | 1.9 to 2.2 | 1.7 |" in text
    assert "| 1.9 to 2.2 |  |" in text, "not measured beside other work"
    assert "on: x, 2 cores, AVX2; nothing else ran on it." in text
    assert "not measured: no such arithmetic" in text


def test_a_detector_and_a_point_that_nobody_measured_say_so(tmp_path):
    seen = Row("GANomaly").with_numbers({"step": 1234.0, "one": 8.25, "memory": 512.0})
    rows = {"detector/ganomaly": seen, "detector/vae": Row("VAE").not_measured("no time")}
    text = made_page(tmp_path, rows)
    assert "| GANomaly | 1,234 |  | 8.25 |  | 512 |  |" in text
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    titles = detector_titles()
    assert lines[f"| {titles['vae']}"].startswith(f"| {titles['vae']} | not measured: no time |")
    assert lines[f"| {titles['cae']}"].startswith(f"| {titles['cae']} | not measured | ")
    assert lines["| width 32"].startswith("| width 32 | not measured | ")
    assert "**Of 0 goals" in text


def test_a_goal_may_be_megabytes_and_a_miss_has_its_reason(tmp_path, monkeypatch):
    monkeypatch.setitem(speed.WHY, "memory", "Torch itself takes most of it.")
    rows = {"memory/other": Row("Training", "peer", goal_mb=40, unit="MB").with_numbers(NUMBERS)}
    text = made_page(tmp_path, rows)
    assert "* Training: 50 MB, wanted 40 MB. Torch itself takes most of it." in text
    assert "| Training | peer | 40 MB | 50.0 MB | 100 MB | 2 | 1.9 to 2.2 |" in text


def test_every_row_that_was_measured_has_a_table():
    names = [word for words in GROUPS.values() for word in words]
    names += [name for table in speed.tables().values() for name in table.titles]
    assert all(name.startswith(tuple(names)) for name in speed.rows(ROOT))
