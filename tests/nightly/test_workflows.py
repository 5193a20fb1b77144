"""The workflows call make targets that exist, hold no logic, and pass actionlint."""

from __future__ import annotations

import re

import pytest
import yaml

from adlib_book.nightly import workflows
from adlib_book.nightly.night import ATTEMPTS
from adlib_book.nightly.schedule import schedule
from adlib_book.runner.workspace import Workspace

ROOT = workflows.ROOT
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PHONY = (ROOT / "Makefile").read_text().replace("\\\n", " ")


def steps(path):
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        yield from job["steps"]


def test_there_is_one_for_each_occasion():
    assert {path.stem for path in FILES} == {"pull_request", "nightly", "weekly", "release"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_is_a_make_target_or_an_action_at_a_version(path):
    for step in steps(path):
        if "run" in step:
            called = re.fullmatch(r"make ([a-z]+)", step["run"])
            assert called, f"{step['run']!r}: logic belongs into the Makefile, not into YAML"
            assert called[1] in TARGETS
        else:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), step


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_job_has_a_time_limit_and_no_more_rights_than_it_needs(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all(0 < job["timeout-minutes"] <= 360 for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", ["nightly", "weekly"])
def test_each_chapter_has_a_machine_with_time_enough_that_is_missed_if_it_stays_silent(name):
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]
    chapters = "needs.chapters.outputs.chapters"
    longest = ATTEMPTS * max(slot.minutes for slot in schedule(Workspace(ROOT)).values())
    nights = {
        key: job for key, job in jobs.items() if "make nightly" in [step.get("run") for step in job["steps"]]
    }
    for job in nights.values():
        assert job["strategy"] == {
            "fail-fast": False,
            "matrix": {"chapter": f"${{{{ fromJSON({chapters}) }}}}"},
        }
        assert job["timeout-minutes"] > longest
    assert {"chapters", *nights} == set(jobs["tell"]["needs"])
    (step,) = [each for each in jobs["tell"]["steps"] if each.get("run") == "make issues"]
    expected = [value for key, value in step["env"].items() if key.startswith("EXPECTED")]
    assert len(expected) == len(nights)
    assert all(chapters in each for each in expected)


def test_every_target_is_phony():
    (line,) = re.findall(r"^\.PHONY:(.*)$", PHONY, re.MULTILINE)
    assert set(line.split()) == TARGETS


def test_actionlint_finds_nothing():
    assert workflows.complaints(ROOT / ".github" / "workflows") == []


def test_actionlint_would_find_something(tmp_path):
    (tmp_path / "bad.yml").write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    step: []\n")
    (complaint, *_) = workflows.complaints(tmp_path)
    assert complaint.startswith("bad.yml:3:3: ")
