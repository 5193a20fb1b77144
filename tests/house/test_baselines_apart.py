"""A baseline never changes together with the code that changed it, unless the commit says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LATEST = 200  # commits


def silent_changes(log: str) -> list[str]:
    """Commits that touch baselines and the package and do not name the baselines.

    Args:
        log: of `git log --name-only --format=%x00%h %B`.
    """
    found = []
    for commit in log.split("\0")[1:]:
        text = commit.strip()
        lines = text.splitlines()
        files = [line for line in lines if line.startswith(("baselines/", "adlib/"))]
        message = "\n".join(line for line in lines if line not in files)
        numbers = any(line.startswith("baselines/") and line.endswith(".json") for line in files)
        code = any(line.startswith("adlib/") and line.endswith(".py") for line in files)
        if numbers and code and "baseline" not in message.lower():
            found.append(lines[0])
    return found


def test_numbers_and_code_change_apart_or_say_so():
    command = ["git", "log", f"-{LATEST}", "--name-only", "--no-merges", "--format=%x00%h %B"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("not a git checkout")
    found = silent_changes(result.stdout)
    assert not found, "commit the code first, then the baselines, or name them in the message:\n" + "\n".join(
        found
    )


def test_the_check_itself_finds_what_is_silent():
    log = "\0a1 Faster loss\n\nadlib/losses.py\nbaselines/01.book.json\n"
    log += "\0b2 Faster loss; baselines of chapter 1 with it\n\nadlib/losses.py\nbaselines/01.book.json\n"
    log += "\0c3 Numbers\n\nbaselines/01.book.json\n\0d4 Words\n\nadlib/losses.py\nbaselines/README.md\n"
    assert silent_changes(log) == ["a1 Faster loss"]
