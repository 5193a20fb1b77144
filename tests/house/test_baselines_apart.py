"""A baseline never changes together with the code that changed it, unless the commit says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def silent_changes(log: str) -> list[str]:
    """Commits that touch baselines and the package and do not name the baselines.

    Args:
        log: of `git log --name-only --format=%x00%h %B`.
    """
    silent = []
    for commit in log.split("\0")[1:]:
        text = commit.strip()
        lines = text.splitlines()
        files = [line for line in lines if line.startswith(("baselines/", "adlib/"))]
        message = "\n".join(line for line in lines if line not in files)
        numbers = any(line.startswith("baselines/") and line.endswith(".json") for line in files)
        code = any(line.startswith("adlib/") and line.endswith(".py") for line in files)
        if numbers and code and "baseline" not in message.lower():
            silent.append(lines[0])
    return silent


def latest_change(root: Path) -> str | None:
    """Log of the latest commit, or of all that it brings where it is a merge; None where git does not know."""
    command = ["git", "log", "HEAD^1..HEAD", "--name-only", "--no-merges", "--format=%x00%h %B"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return None if result.returncode else result.stdout


def test_numbers_and_code_change_apart_or_say_so():
    log = latest_change(ROOT)
    if log is None:
        pytest.skip("not a git checkout, or one of a single commit")
    silent = silent_changes(log)
    assert not silent, (
        "commit the code first, then the baselines, or name them in the message:\n" + "\n".join(silent)
    )


def test_the_check_itself_finds_what_is_silent():
    log = "\0a1 Faster loss\n\nadlib/losses.py\nbaselines/01.live.json\n"
    log += "\0b2 Faster loss; baselines of chapter 1 with it\n\nadlib/losses.py\nbaselines/01.live.json\n"
    log += "\0c3 Numbers\n\nbaselines/01.live.json\n\0d4 Words\n\nadlib/losses.py\nbaselines/README.md\n"
    assert silent_changes(log) == ["a1 Faster loss"]


def test_only_the_change_at_hand_is_judged(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    def commit(message, *files):
        for name in files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(message)
        git("add", *files)
        git("commit", "-m", message)

    git("init", "-b", "main")
    commit("Begin", "README.md")
    commit("Slip", "adlib/losses.py", "baselines/01.live.json")
    assert [text.partition(" ")[2] for text in silent_changes(latest_change(tmp_path))] == ["Slip"]
    commit("Words", "README.md")
    assert silent_changes(latest_change(tmp_path)) == []
    git("checkout", "-b", "branch")
    commit("Another slip", "adlib/losses.py", "baselines/01.live.json")
    commit("More words", "CHANGELOG.md")
    git("checkout", "main")
    git("merge", "--no-ff", "-m", "Merge", "branch")
    assert [text.partition(" ")[2] for text in silent_changes(latest_change(tmp_path))] == ["Another slip"]
