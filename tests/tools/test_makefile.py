"""`make help` says of each target what it does, and `make clean` takes nothing that cannot be made again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


def make(target, folder):
    command = ["make", "-f", str(MAKEFILE), target]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_help_names_every_target_and_no_line_leans_on_the_one_above(tmp_path):
    listed = dict(re.findall(r"^  make ([a-z]+) +(.+)$", make("help", tmp_path), re.MULTILINE))
    assert set(listed) == set(re.findall(r"^([a-z]+):", MAKEFILE.read_text(), re.MULTILINE))
    assert not [words for words in listed.values() if "the same" in words]


def test_clean_keeps_the_nights(tmp_path):
    make("clean", tmp_path)
    night = tmp_path / "_build" / "history" / "live.jsonl"
    for path in (
        night,
        tmp_path / "_build" / "executed" / "book" / "01.json",
        tmp_path / "_build" / ".hidden",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    make("clean", tmp_path)
    assert [path for path in (tmp_path / "_build").rglob("*") if path.is_file()] == [night]
