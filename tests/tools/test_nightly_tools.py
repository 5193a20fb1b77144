"""What the nightly workflow calls beside the nights themselves: a branch for the history, and issues."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import data_branch
import issues

from adlib import results
from adlib.chapters.night import Night, Outcome


def git(folder, *arguments):
    return subprocess.run(
        ["git", *data_branch.AUTHOR, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def clones(tmp_path):
    """Two clones of one repository."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    for name in ("one", "two"):
        git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), name)
    return tmp_path / "one", tmp_path / "two"


def a_night(root: Path, identity: str, folder: str = "history") -> None:
    results.append({"id": identity}, root / "_build" / folder / "book.jsonl")


def ids(root: Path) -> list[str]:
    return [record["id"] for record in results.read(root / "_build" / "history" / "book.jsonl")]


def test_the_history_lives_on_a_branch_and_each_line_once(clones):
    one, two = clones
    assert data_branch.fetch(one) == 0, "there is no branch yet"
    a_night(one, "a")
    a_night(one, "b", "collected/night-02/history")
    assert data_branch.publish(one) == 2
    assert data_branch.publish(one) == 0

    assert data_branch.fetch(two) == 2
    a_night(two, "c")
    assert data_branch.publish(two) == 1
    assert data_branch.fetch(one) == 2
    assert sorted(ids(one)) == ["a", "b", "c"]
    assert git(one, "branch", "--list").strip() == "", "the checkout itself is not touched"
    assert git(two, "log", "--oneline", "FETCH_HEAD").count("\n") == 1


def test_a_push_that_comes_too_late_is_repeated(clones, monkeypatch):
    one, two = clones
    a_night(one, "a")
    a_night(two, "b")
    merge, raced = data_branch.merge, []

    def slow(sources, target):
        if not raced:
            raced.append(True)
            data_branch.publish(two)
        return merge(sources, target)

    monkeypatch.setattr(data_branch, "merge", slow)
    assert data_branch.publish(one) == 1
    data_branch.fetch(two)
    assert sorted(ids(two)) == ["a", "b"]


class Gh:
    """Stands for GitHub: remembers the open issues."""

    def __init__(self):
        self.open: dict[int, str] = {}
        self.bodies: list[str] = []

    def __call__(self, what, how, *rest):
        told = dict(zip(rest[::2], rest[1::2]))
        if (what, how) == ("issue", "list"):
            return json.dumps([{"number": n, "title": t} for n, t in self.open.items()])
        if (what, how) == ("issue", "create"):
            self.open[len(self.bodies) + 7] = told["--title"]
            self.bodies.append(told["--body"])
        if (what, how) == ("issue", "close"):
            del self.open[int(rest[0])]
        return ""


def test_one_issue_per_failing_chapter_closed_when_it_heals():
    gh = Gh()
    bad = Outcome("01_x", "numbers", deviations=["auroc: 0.5 is outside [0.8, 0.9]"])
    good = Outcome("02_y", "passed")
    assert issues.settle([bad, good], gh, "run 1") == ["opened: Nightly: 01_x wants looking at"]
    assert "auroc: 0.5 is outside" in gh.bodies[0]
    assert issues.settle([bad, good], gh) == [], "the second night opens no second issue"
    assert issues.settle([Outcome("01_x", "passed"), good], gh) == [
        "closed 7: Nightly: 01_x wants looking at"
    ]
    assert not gh.open


def test_a_chapter_whose_machine_sent_nothing_has_an_issue_too():
    found = issues.missing([Outcome("01_x", "passed")], ["01_x", "02_y"])
    assert [each.chapter for each in found] == ["02_y"]
    gh = Gh()
    assert issues.settle(found, gh) == ["opened: Nightly: 02_y wants looking at"]
    assert "No report came back" in gh.bodies[0]


def test_nights_of_other_machines_come_before_this_ones(tmp_path):
    for place in ("nightly/book", "collected/night-01/nightly/book"):
        (tmp_path / place).mkdir(parents=True)
        Night(place, "book", "c", ["01_x"]).save(tmp_path / place)
    assert [night.id for night in issues.nights(tmp_path)] == ["collected/night-01/nightly/book"]
