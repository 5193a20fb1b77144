"""A night executes afresh, retries infrastructure faults only, goes on after a kill, and reports."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from tiny_checkout import CELLS, write_notebook

from adlib import environment
from adlib.errors import ChapterError
from adlib_book.ledger import results
from adlib_book.nightly import bands, history, report, schedule
from adlib_book.nightly import night as nights
from adlib_book.nightly.record import Night, Outcome
from adlib_book.runner import parallel, run
from adlib_book.runner.kernel import KernelDied
from adlib_book.runner.run import run_chapter

PACKAGE = Path(environment.__file__).parent


@pytest.fixture
def quiet(workspace):
    """A night in the miniature checkout, whose lock names nothing."""

    def call(*names, **how):
        how = {"profile": "smoke", "workers": 1, "say": lambda text: None, "workspace": workspace} | how
        return nights.nightly(names, **how)

    return call


@pytest.fixture
def scripted(workspace, monkeypatch):
    """Chapters that are not executed: each call takes the next line of its script, a value or an error."""
    scripts: dict[str, list] = {}
    calls: list[str] = []

    def fake(name, profile, parameters, *, force, limit, workspace):
        calls.append(name)
        step = scripts[name].pop(0) if scripts.get(name) else 0.5
        if isinstance(step, BaseException):
            raise step
        return a_record(name, step, len(calls))

    for name in ("01_tiny", "02_tiny", "03_tiny"):
        write_notebook(workspace.root / "notebooks" / f"{name}.ipynb", CELLS)
        bands.update(workspace.root, a_record(name, 0.5, 0), "first")
    monkeypatch.setattr(parallel, "run_chapter", fake)
    return scripts, calls


def a_record(name, value, number):
    return {
        "id": f"{name}.smoke.{number}",
        "chapter": name,
        "profile": "smoke",
        "metrics": {"score": {"value": value, "tolerance": 0.1}},
        "cells": [{"cell": 1, "seconds": 1.0, "peak_mb": 100.0}],
        "peak_mb": 100.0,
        "seconds": 2.0,
        "started_at": f"2026-01-01T00:{number:02}:00+00:00",
        "adlib": "0",
        "commit": "0",
        "device": "cpu",
        "hardware": {"processor": "p"},
        "versions": {"torch": "2.14.1"},
    }


def folder(workspace) -> Path:
    return workspace.build / "nightly" / "smoke"


def test_a_night_from_end_to_end_takes_nothing_from_a_stale_cache(workspace, quiet):
    """Before it lies an executed copy with the right key and a wrong number."""
    write_notebook(workspace.chapter("01"), CELLS[:3])
    record = run_chapter("01", workspace=workspace)
    bands.update(workspace.root, record, "first")
    forged = record | {"metrics": {"score/D1": {"value": 0.99, "tolerance": 0.1}}}
    workspace.executed("01_tiny", "smoke")[1].write_text(json.dumps(forged))
    assert run_chapter("01", workspace=workspace) == forged, "the cache is fooled"

    night = quiet()
    assert (night.exit_code, night.finished) == (0, True)
    outcome = night.outcomes["01_tiny"]
    assert outcome.outcome == "passed"
    assert outcome.record["metrics"]["score/D1"]["value"] == 0.5
    assert run_chapter("01", workspace=workspace) == outcome.record, "and the cache is mended"
    assert outcome.record["peak_mb"] > 20
    assert any(cell["peak_mb"] for cell in outcome.record["cells"])

    suites = ElementTree.parse(folder(workspace) / "junit.xml").getroot()
    assert [case.get("name") for case in suites.iter("testcase")][3:] == ["executes", "score/D1"]
    assert not list(suites.iter("failure"))
    text = (folder(workspace) / "report.html").read_text()
    for part in ("every chapter passed", "01_tiny", " MB", "slowest cells"):
        assert part in text

    table = pd.read_json(history.path(workspace, "smoke"), lines=True)
    assert table["metrics"][0] == {"score/D1": 0.5}
    assert {"commit", "adlib", "device", "hardware", "versions", "seconds", "night"} <= set(table.columns)


def test_a_kernel_that_died_is_tried_again(workspace, quiet, tmp_path):
    mark = tmp_path / "died"
    cell = f"""import os, pathlib
if not (mark := pathlib.Path({str(mark)!r})).exists():
    mark.touch()
    os.kill(os.getpid(), 9)"""
    write_notebook(workspace.chapter("01"), [*CELLS[:2], new_code_cell(cell), *CELLS[2:3]])
    outcome = quiet().outcomes["01_tiny"]
    assert outcome.attempts == 2
    assert outcome.record["metrics"]["score/D1"]["value"] == 0.5


def test_a_run_beyond_its_limit_is_stopped_and_not_tried_again(workspace, quiet):
    write_notebook(workspace.chapter("01"), [*CELLS[:2], new_code_cell("import time; time.sleep(600)")])
    (workspace.root / "notebooks" / "schedule.toml").write_text("[01_tiny]\nminutes = 0.06\n")
    night = quiet()
    assert night.outcomes["01_tiny"].attempts == 1
    assert "at its limit of 4 s" in night.outcomes["01_tiny"].message
    assert night.exit_code == 3


@pytest.mark.parametrize(
    ("script", "outcome", "attempts", "code"),
    [
        ([0.55], "passed", 1, 0),
        ([0.9], "numbers", 1, 1),
        ([ChapterError("cell 3: ArithmeticError")], "failed", 1, 3),
        ([KernelDied("gone"), 0.5], "passed", 2, 0),
        ([KernelDied("gone"), 0.9], "numbers", 2, 1),
        ([KernelDied("gone")] * 3, "infrastructure", 3, 4),
        ([OSError(28, "No space left on device")], "infrastructure", 1, 4),
        ([SyntaxError("invalid syntax")], "failed", 1, 3),
    ],
)
def test_only_infrastructure_faults_are_retried_and_the_exit_code_says_which(
    workspace, quiet, scripted, script, outcome, attempts, code
):
    scripted[0]["02_tiny"] = script
    night = quiet()
    failed = night.outcomes["02_tiny"]
    assert (failed.outcome, failed.attempts, night.exit_code) == (outcome, attempts, code)
    assert [night.outcomes[name].outcome for name in ("01_tiny", "03_tiny")] == ["passed"] * 2
    suites = ElementTree.parse(folder(workspace) / "junit.xml").getroot()
    faults = len(list(suites.iter("failure"))) + len(list(suites.iter("error")))
    assert faults == (outcome != "passed")
    assert [each["outcome"] for each in history.runs(workspace, "smoke")].count(outcome) >= 1


@pytest.mark.parametrize("verdict", ["no band yet", "no longer reported", "drifts"])
def test_a_number_fails_the_night_not_only_outside_its_band(workspace, quiet, scripted, verdict):
    path = bands.baseline_path(workspace.root, "02_tiny", "smoke")
    if verdict == "no band yet":
        path.unlink()
    elif verdict == "no longer reported":
        entries = bands.load(path)
        path.write_text(json.dumps(entries | {"other": entries["score"]}))
    else:
        ledger = results.Ledger(history.path(workspace, "smoke"))
        for second in range(12):
            record = a_record("02_tiny", 0.56 - second / 200, 0) | {"id": str(second)}
            ledger.add(
                history.line(
                    record | {"started_at": f"2026-01-01T00:00:{second:02}+00:00"},
                    f"night {second}",
                    "passed",
                )
            )
    night = quiet()
    assert night.exit_code == 1
    assert {name for name, each in night.outcomes.items() if each.outcome == "numbers"} == {"02_tiny"}


def test_a_night_that_was_killed_goes_on_without_repeating(workspace, quiet, scripted):
    scripts, calls = scripted
    scripts["02_tiny"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        quiet()
    assert calls == ["01_tiny", "02_tiny"]
    night = quiet()
    assert calls == ["01_tiny", "02_tiny", "02_tiny", "03_tiny"]
    assert night.finished
    assert len(history.runs(workspace, "smoke")) == 3
    quiet()
    assert len(calls) == 7, "a night that has ended is over: the next one begins anew"


def test_a_night_killed_before_it_has_saved_an_outcome_has_one_line_of_history_for_it(
    workspace, quiet, scripted, monkeypatch
):
    save = Night.save

    def killed(night, folder):
        if "02_tiny" in night.outcomes:
            raise KeyboardInterrupt
        save(night, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Night, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            quiet()
    night = quiet()
    assert scripted[1] == ["01_tiny", "02_tiny", "02_tiny", "03_tiny"]
    lines = history.runs(workspace, "smoke")
    assert [line["chapter"] for line in lines] == ["01_tiny", "02_tiny", "03_tiny"]
    assert {line["night"] for line in lines} == {night.id}


@pytest.fixture
def first_ends_last(workspace, scripted, monkeypatch):
    """Three chapters at once, of which the first ends after the outcomes of the others have been saved."""
    scripts, calls = scripted

    def fake(crew, name, profile, *, force, limit, workspace):
        end = time.monotonic() + 60
        while name == "01_tiny" and len(Night.read(folder(workspace) / "night.json").outcomes) < 2:
            assert time.monotonic() < end, "the other chapters are not executed meanwhile"
            time.sleep(0.05)
        return parallel.run_chapter(name, profile, None, force=force, limit=limit, workspace=workspace)

    monkeypatch.setattr(parallel.Crew, "run_chapter", fake)
    return scripts, calls


def test_chapters_at_once_are_saved_as_they_end_and_reported_in_reading_order(quiet, first_ends_last):
    lines = []
    night = quiet(workers=3, say=lines.append)
    assert first_ends_last[1][-1] == "01_tiny"
    names = ["01_tiny", "02_tiny", "03_tiny"]
    assert list(night.outcomes) == [line.partition(":")[0] for line in lines[1:-1]] == names
    assert lines[0] == "3 chapters, 3 at a time"


def test_an_interrupted_night_repeats_no_chapter_that_ended_while_an_earlier_one_ran(quiet, first_ends_last):
    scripts, calls = first_ends_last
    scripts["01_tiny"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        quiet(workers=3)
    assert sorted(calls) == ["01_tiny", "02_tiny", "03_tiny"]
    lines = []
    assert quiet(workers=3, say=lines.append).finished
    assert calls[3:] == ["01_tiny"]
    assert [line.partition(",")[0] for line in lines[:2]] == [
        f"0{n}_tiny: finished before the interruption" for n in (2, 3)
    ]


def test_a_broken_baseline_fails_its_chapter_and_no_other(workspace, quiet, scripted):
    bands.baseline_path(workspace.root, "02_tiny", "smoke").write_text("{")
    night = quiet()
    outcomes = {name: outcome.outcome for name, outcome in night.outcomes.items()}
    assert outcomes == {"01_tiny": "passed", "02_tiny": "failed", "03_tiny": "passed"}
    assert night.exit_code == 3


def test_no_older_report_is_taken_for_that_of_a_night_that_was_killed(workspace, quiet, scripted):
    quiet()
    scripted[0]["02_tiny"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        quiet()
    suites = ElementTree.parse(folder(workspace) / "junit.xml").getroot()
    names = [each.get("name") for each in suites.iter("testsuite")]
    assert names == ["environment", "trajectories", "together", "01_tiny"]
    assert "not finished, 1 of 3 chapters so far" in (folder(workspace) / "report.html").read_text()


def test_a_night_by_name_leaves_an_interrupted_one_alone(workspace, quiet, scripted):
    scripts, calls = scripted
    scripts["02_tiny"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        quiet()
    quiet("03")
    quiet()
    assert calls == ["01_tiny", "02_tiny", "03_tiny", "02_tiny", "03_tiny"]


def test_a_chapter_edited_while_it_runs_has_no_numbers(workspace, quiet):
    """The kernel goes on with the old code, and the record would name the new."""
    path = workspace.chapter("01")
    edit = f"import pathlib\npath = pathlib.Path({str(path)!r})\n"
    edit += "path.write_text(path.read_text().replace('0.5', '0.6'))"
    write_notebook(path, [*CELLS[:3], new_code_cell(edit)])
    outcome = quiet().outcomes["01_tiny"]
    assert outcome.outcome == "failed"
    assert "edited while it ran" in outcome.message
    assert not workspace.executed("01_tiny", "smoke")[1].is_file()


WHY = [
    "other code",
    "another chapter text",
    "another lock",
    "too old",
    "--fresh",
    "a torn file",
    "other chapters",
]


@pytest.mark.parametrize("why", WHY)
def test_a_night_does_not_go_on_where_it_must_not(workspace, quiet, scripted, monkeypatch, why):
    scripts, calls = scripted
    scripts["02_tiny"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        quiet()
    if why == "other code":
        monkeypatch.setattr(nights, "code_hash", lambda: "another")
    elif why == "another chapter text":
        write_notebook(workspace.chapter("03_tiny"), [*CELLS, new_code_cell("1 + 1")])
    elif why == "another lock":
        (workspace.root / "requirements.lock").write_text("not-here==2\n")
    elif why == "too old":
        path = folder(workspace) / "night.json"
        path.write_text(path.read_text().replace(Night.read(path).id[:8], "20260101"))
    elif why == "a torn file":
        path = folder(workspace) / "night.json"
        path.write_text(path.read_text()[:-30])
    names = ("01", "03") if why == "other chapters" else ()
    quiet(*names, fresh=why == "--fresh")
    assert calls[2] == "01_tiny"


@pytest.mark.parametrize("wrong", [{"profile": "lve"}, {"tier": "nightli"}])
@pytest.mark.parametrize("names", [(), ("01",)])
def test_a_night_that_cannot_begin_leaves_nothing(workspace, quiet, scripted, wrong, names):
    with pytest.raises(ValueError, match=r"Did you mean '(live|nightly)'"):
        quiet(*names, **wrong)
    assert not scripted[1]
    assert not workspace.build.exists()


def test_two_nights_at_once_are_refused(workspace, quiet, scripted):
    with nights._exclusive(folder(workspace)), pytest.raises(ChapterError, match="another night is running"):
        quiet()


# ---------------------------------------------------------------- broken on purpose
LOSS_CHAPTER = """\
import torch
from adlib_book.reading import report
from adlib.losses import contextual_loss

torch.manual_seed(seed)
image = torch.rand(4, 1, 8, 8)
drawn = torch.zeros_like(image, requires_grad=True)
for _ in range(30):
    (slope,) = torch.autograd.grad(contextual_loss(image, drawn), drawn)
    drawn = (drawn - 5.0 * slope).detach().requires_grad_()
report("error", (drawn - image).abs().mean().detach(), limits=(0, None))
"""


def test_a_broken_loss_is_caught(workspace, quiet, monkeypatch, tmp_path):
    """The package is copied, the sign of one loss is turned round, and the kernel imports the copy."""
    title = new_markdown_cell("# A tiny chapter")
    write_notebook(workspace.chapter("01"), [title, CELLS[1], new_code_cell(LOSS_CHAPTER)])
    entry = {"value": 0.0, "tolerance": 0.1, "source": "by hand", "reason": "30 steps suffice"}
    path = bands.baseline_path(workspace.root, "01_tiny", "smoke")
    path.parent.mkdir()
    path.write_text(json.dumps({"error": entry}))
    copy = tmp_path / "copy" / "adlib"
    for package in ("adlib", "adlib_book"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE.parent / package, copy.parent / package, ignore=ignored)
    monkeypatch.setattr(environment, "__file__", str(copy / "environment.py"))
    names = {"seed": 0}
    exec(LOSS_CHAPTER, names)
    assert (names["drawn"] - names["image"]).abs().mean() < 0.1, "unbroken, it would pass"

    with open(copy / "losses.py", "a") as file:
        file.write("\n_whole = contextual_loss\ndef contextual_loss(*images):\n    return -_whole(*images)\n")
    night = quiet()
    assert night.exit_code == 1
    assert "error: " in night.outcomes["01_tiny"].deviations[0]
    assert "is outside [-0.1, 0.1]" in night.outcomes["01_tiny"].deviations[0]


def test_a_detector_off_its_trajectory_is_named(workspace, quiet, scripted, monkeypatch):
    assert quiet().trajectories == []
    sentence = "pca: averaged/map/mean: number 1 is 0.2 instead of 0.1 (1 of 4 differ)"
    monkeypatch.setattr(nights, "check_trajectories", lambda root: [sentence])
    lines = []
    night = quiet(say=lines.append)
    assert (night.trajectories, night.exit_code) == ([sentence], 1)
    assert f"NOT AS RECORDED  {sentence}" in lines
    for name in ("report.html", "junit.xml"):
        assert sentence in (folder(workspace) / name).read_text()


def test_a_changed_dependency_is_caught(workspace, quiet, scripted, monkeypatch):
    installed = environment.versions()["numpy"]
    (workspace.root / "requirements.lock").write_text(
        f"numpy=={installed}\nnot-here==1 ; sys_platform == 'x'\n"
    )
    assert quiet().exit_code == 0
    (workspace.root / "requirements.lock").write_text("numpy==1.0.0\n")
    night = quiet()
    assert night.environment == [f"numpy is {installed}, requirements.lock says 1.0.0"]
    assert night.exit_code == 1
    assert "numpy is" in (folder(workspace) / "report.html").read_text()

    real = parallel.run_chapter
    upgraded = lambda *a, **k: real(*a, **k) | {"versions": {"torch": "2.15.0"}}  # noqa: E731
    monkeypatch.setattr(parallel, "run_chapter", upgraded)
    assert quiet().outcomes["01_tiny"].changes == ["torch 2.14.1 -> 2.15.0"]


def test_a_dependency_that_breaks_a_chapter_is_named_that_night_and_the_next(
    workspace, quiet, scripted, monkeypatch
):
    here = {"device": "cpu", "hardware": {"processor": "p"}, "adlib": "0", "commit": "0"}
    monkeypatch.setattr(nights, "provenance", lambda: here | {"versions": {"torch": "2.15.0"}})
    quiet()
    scripted[0]["01_tiny"] = [ChapterError("cell 3: ArithmeticError")]
    assert quiet().outcomes["01_tiny"].changes == ["torch 2.14.1 -> 2.15.0"]
    (line,) = [each for each in history.runs(workspace, "smoke") if each["outcome"] == "failed"]
    assert line["versions"] == {"torch": "2.15.0"}, "and the next night compares with it"


# ---------------------------------------------------------------- the table and the reports
def test_tiers_and_limits_stand_in_one_table(workspace, scripted):
    (workspace.root / "notebooks" / "schedule.toml").write_text(
        '[default]\nminutes = 7\n[02_tiny]\ntier = "weekly"\n[03_tiny]\ntier = "manual"\nminutes = 90\n'
    )
    assert schedule.schedule(workspace)["02_tiny"] == schedule.Slot("weekly", 7)
    assert schedule.chapters_of(workspace, "nightly") == ["01_tiny"]
    assert schedule.chapters_of(workspace, "weekly") == ["01_tiny", "02_tiny"]
    assert len(schedule.chapters_of(workspace, "manual")) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[04_tiny]\n", "unknown chapter in schedule.toml '04_tiny'"),
        ('[01_tiny]\ntier = "night"\n', "Did you mean 'nightly'"),
        ("[01_tiny]\nminute = 3\n", "Did you mean 'minutes'"),
        ("[01_tiny]\nminutes = 0\n", "expected more than 0"),
    ],
)
def test_a_mistake_in_the_table_is_named(workspace, scripted, text, message):
    (workspace.root / "notebooks" / "schedule.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        schedule.schedule(workspace)


def test_the_real_table_is_right():
    schedule.schedule(run.Workspace.here())


def test_a_coloured_traceback_fits_into_the_reports():
    night = Night("n", "live", "c", ["01"])
    night.outcomes["01"] = Outcome("01", "failed", message="\x1b[31mline & <one>\x1b[0m\nline two")
    case = next(ElementTree.fromstring(report.junit(night)).iter("failure"))
    assert case.get("message") == "[31mline & <one>[0m"
    assert "line &amp; &lt;one&gt;" in report.page(night)
