"""What the nightly workflow calls beside the nights themselves: a branch for the history, and issues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adlib_book.ledger import results
from adlib_book.nightly import history_branch, issues
from adlib_book.nightly.record import Night, Outcome


def git(folder, *arguments):
    return subprocess.run(
        ["git", *history_branch.AUTHOR, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def clones(tmp_path):
    """Two clones of one repository."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    for name in ("one", "two"):
        git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), name)
    return tmp_path / "one", tmp_path / "two"


def a_night(root: Path, identity: str, folder: str = "history") -> None:
    results.append({"id": identity}, root / "_build" / folder / "live.jsonl")


def ids(root: Path) -> list[str]:
    return [record["id"] for record in results.read(root / "_build" / "history" / "live.jsonl")]


def test_the_history_lives_on_a_branch_and_each_line_once(clones):
    one, two = clones
    assert history_branch.fetch(one) == 0, "there is no branch yet"
    a_night(one, "a")
    a_night(one, "b", "collected/night-02/history")
    assert history_branch.publish(one) == 2
    assert history_branch.publish(one) == 0

    assert history_branch.fetch(two) == 2
    a_night(two, "c")
    assert history_branch.publish(two) == 1
    assert history_branch.fetch(one) == 2
    assert sorted(ids(one)) == ["a", "b", "c"]
    assert git(one, "branch", "--list").strip() == "", "the checkout itself is not touched"
    assert git(two, "log", "--oneline", "FETCH_HEAD").count("\n") == 1


def test_a_push_that_comes_too_late_is_repeated(clones, monkeypatch):
    one, two = clones
    a_night(one, "a")
    a_night(two, "b")
    merge, raced = history_branch.merge, []

    def slow(sources, target):
        if not raced:
            raced.append(True)
            history_branch.publish(two)
        return merge(sources, target)

    monkeypatch.setattr(history_branch, "merge", slow)
    assert history_branch.publish(one) == 1
    history_branch.fetch(two)
    assert sorted(ids(two)) == ["a", "b"]


class Gh:
    """Stands for GitHub: remembers the open issues."""

    def __init__(self):
        self.open: dict[int, str] = {}
        self.bodies: list[str] = []

    def __call__(self, what, how, *rest):
        options = dict(zip(rest[::2], rest[1::2]))
        if (what, how) == ("issue", "list"):
            return json.dumps([{"number": n, "title": t} for n, t in self.open.items()])
        if (what, how) == ("issue", "create"):
            self.open[len(self.bodies) + 7] = options["--title"]
            self.bodies.append(options["--body"])
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


def test_a_chapter_on_two_machines_has_one_issue_about_the_worse():
    gh = Gh()
    numbers, failed, good = (Outcome("01_x", each, message=each) for each in ("numbers", "failed", "passed"))
    assert issues.settle([numbers, failed], gh) == ["opened: Nightly: 01_x wants looking at"]
    assert "failed" in gh.bodies[0]
    for both in ([failed, good], [good, numbers]):
        assert issues.settle(both, gh) == [], "on one machine it still is not as it should be"
    assert issues.settle([good, good], gh) == ["closed 7: Nightly: 01_x wants looking at"]


def test_a_chapter_of_two_machines_is_missing_until_both_have_sent_it():
    outcomes = [Outcome("01_x", "passed"), Outcome("02_y", "passed"), Outcome("02_y", "passed")]
    missing = issues.missing(outcomes, ["01_x", "02_y", "01_x", "02_y"])
    assert [each.chapter for each in missing] == ["01_x"]
    assert issues.settle([*outcomes, *missing], Gh()) == ["opened: Nightly: 01_x wants looking at"]


def test_a_chapter_whose_machine_sent_nothing_has_an_issue_too():
    silent = issues.missing([Outcome("01_x", "passed")], ["01_x", "02_y"])
    assert [each.chapter for each in silent] == ["02_y"]
    gh = Gh()
    assert issues.settle(silent, gh) == ["opened: Nightly: 02_y wants looking at"]
    assert "No report came back" in gh.bodies[0]


@pytest.mark.parametrize(
    ("gpu", "printed"), [('["01_x"]', "opened: Nightly: 01_x wants looking at"), ("", "no issue was opened")]
)
def test_the_tool_is_told_which_chapters_to_expect(tmp_path, gpu, printed):
    """A copy of the tool in a checkout with one night, and a `gh` that knows no issue."""
    folder = tmp_path / "_build" / "collected" / "night-01_x" / "nightly" / "live"
    folder.mkdir(parents=True)
    Night("n", "live", "c", ["01_x"], outcomes={"01_x": Outcome("01_x", "passed")}).save(folder)
    (tmp_path / "gh").write_text("#!/bin/sh\necho '[]'\n")
    (tmp_path / "gh").chmod(0o755)
    tool = tmp_path / "adlib_book" / "nightly" / "issues.py"
    tool.parent.mkdir(parents=True)
    tool.write_text(Path(issues.__file__).read_text())
    path = f"{tmp_path}:{os.environ['PATH']}"
    expected = {"EXPECTED": '["01_x"]', "EXPECTED_GPU": gpu}
    output = subprocess.check_output(
        [sys.executable, str(tool)], env={**os.environ, **expected, "PATH": path}, text=True
    )
    assert printed in output


def test_nights_of_other_machines_come_before_this_ones(tmp_path):
    for place in ("nightly/book", "collected/night-01/nightly/book"):
        (tmp_path / place).mkdir(parents=True)
        Night(place, "live", "c", ["01_x"]).save(tmp_path / place)
    assert [night.id for night in issues.nights(tmp_path)] == ["collected/night-01/nightly/book"]
