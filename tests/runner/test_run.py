"""The runner: executes once, caches by what numbers depend on, refuses what it does not know."""

from __future__ import annotations

import json
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from tiny_checkout import CELLS, write_notebook

from adlib import environment
from adlib.errors import ChapterError
from adlib_book.reading import report
from adlib_book.runner import inputs, run
from adlib_book.runner.inputs import cache_key
from adlib_book.runner.parameters import checked_parameters, declared_parameters
from adlib_book.runner.provenance import reported
from adlib_book.runner.run import run_chapter


def notebook_of(workspace):
    return nbformat.read(workspace.chapter("01"), as_version=4)


def test_a_chapter_is_executed_recorded_and_then_taken_from_the_cache(workspace):
    record = run_chapter("01", "smoke", {"seed": 2}, workspace=workspace)
    executed, record_path = workspace.executed("01_tiny", "smoke")

    assert record["metrics"] == {"score/D1": {"value": 2.5, "limits": [0, None]}}
    assert record["parameters"] == {"profile": "smoke", "seed": 2, "rate": 0.5}
    assert record["seconds"] > 0
    assert [each["cell"] for each in record["cells"]]
    assert {"adlib", "commit", "device", "versions", "hardware", "started_at", "key"} <= record.keys()
    assert json.loads(record_path.read_text()) == record
    printed = str(nbformat.read(executed, as_version=4).cells)
    assert f"{sys.executable} smoke" in printed, "the kernel must be this interpreter"
    assert not (workspace.root / "notebooks" / "made_by_the_chapter.txt").exists()

    before = executed.stat().st_mtime_ns
    assert run_chapter("01_tiny", "smoke", {"seed": 2}, workspace=workspace) == record
    assert executed.stat().st_mtime_ns == before, "nothing has changed, so nothing is executed"

    executed.write_text(executed.read_text()[:-200])
    assert run._finished(executed, record_path, record["key"]) is None, (
        "a torn notebook is not a finished one"
    )


def test_a_failing_cell_is_named_and_leaves_no_record(workspace):
    cells = [*CELLS[:2], new_code_cell("raise ArithmeticError('the loss is upside down')")]
    write_notebook(workspace.chapter("01"), cells)
    with pytest.raises(ChapterError, match=r"(?s)01_tiny.*ArithmeticError: the loss is upside down.*work"):
        run_chapter("01", workspace=workspace)
    assert not workspace.executed("01_tiny", "smoke")[1].exists()


def test_an_interrupted_run_leaves_no_record_and_the_next_one_starts_afresh(workspace, monkeypatch):
    executed, record_path = workspace.executed("01_tiny", "smoke")
    executed.parent.mkdir(parents=True)
    record_path.write_text('{"key": "of an older run"}')

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_chapter("01", workspace=workspace)
    assert not record_path.exists()


def test_a_full_disk_leaves_no_record(workspace, monkeypatch):
    def full(path, data):
        raise OSError(28, f"could not write {path}: No space left on device")

    text = nbformat.writes(notebook_of(workspace))
    monkeypatch.setattr(run, "execute", lambda *_: text)
    monkeypatch.setattr(run, "write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        run_chapter("01", workspace=workspace)
    assert not workspace.executed("01_tiny", "smoke")[1].exists()


@pytest.mark.parametrize(
    ("profile", "given", "message"),
    [
        ("smoke", {"sed": 1}, "unknown parameter 'sed'. Did you mean 'seed'"),
        ("smok", {}, "unknown profile 'smok'. Did you mean 'smoke'"),
        ("smoke", {"seed": "one"}, r"parameter 'seed' is 'one' \(str\); expected int"),
        ("smoke", {"seed": True}, r"expected int"),
        ("smoke", {"profile": "live"}, "use --profile live instead"),
    ],
)
def test_what_the_notebook_does_not_declare_is_refused(workspace, profile, given, message):
    with pytest.raises(ValueError, match=message):
        run_chapter("01", profile, given, workspace=workspace)
    assert not (workspace.build / "executed").exists(), "refused before anything is executed"


def test_a_whole_number_will_do_for_a_real_one():
    assert checked_parameters({"profile": "live", "rate": 0.5}, "live", {"rate": 1})["rate"] == 1


OWN_FOLDER = """\
from pathlib import Path
from adlib_book.reading import report
report("files", len([path for path in Path(folder).rglob("*") if path.is_file()]), limits=(0, None))
"""


@pytest.fixture
def own_folder(workspace, tmp_path, monkeypatch):
    """A chapter that counts the files of a reader's folder, and that folder, in the working directory and home."""
    parameters = new_code_cell('profile = "live"\nfolder = ""', metadata={"tags": ["parameters"]})
    write_notebook(workspace.chapter("01"), [CELLS[0], parameters, new_code_cell(OWN_FOLDER)])
    folder = tmp_path / "home" / "parts"
    (folder / "good").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"an image")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    return folder


def test_a_chapter_on_a_reader_s_folder_is_executed_anew_when_the_folder_has_changed(workspace, own_folder):
    first = run_chapter("01", "smoke", {"folder": "parts"}, workspace=workspace)
    assert first["metrics"]["files"]["value"] == 1
    (own_folder / "good" / "b.png").write_bytes(b"another image")
    second = run_chapter("01", "smoke", {"folder": "parts"}, workspace=workspace)
    assert second["metrics"]["files"]["value"] == 2
    assert run_chapter("01", "smoke", {"folder": "~/parts"}, workspace=workspace) == second, "the same folder"


@pytest.mark.parametrize("given", ["parts", "./parts", "../home/parts", "~/parts", "parts/"])
def test_a_path_means_what_it_means_in_the_shell(own_folder, given):
    values = checked_parameters({"profile": "live", "folder": ""}, "live", {"folder": given})
    assert values["folder"] == str(own_folder)


def test_no_folder_stays_no_folder(own_folder):
    assert checked_parameters({"profile": "live", "folder": ""}, "live", {})["folder"] == ""


def test_a_folder_that_is_not_there_is_named_before_anything_is_executed(workspace, own_folder):
    message = rf"'folder' is 'part', but there is no {own_folder.parent}/part\. .*relative to"
    with pytest.raises(ValueError, match=message):
        run_chapter("01", "smoke", {"folder": "part"}, workspace=workspace)
    assert not workspace.build.exists()


def test_only_the_parameter_for_a_path_is_taken_for_one(own_folder):
    values = checked_parameters({"profile": "live", "dataset": ""}, "live", {"dataset": "parts"})
    assert values["dataset"] == "parts"


def test_an_unknown_chapter_is_refused_with_the_nearest_name(workspace):
    with pytest.raises(ValueError, match=r"unknown chapter '01_tinny'. Did you mean '01_tiny'"):
        run_chapter("01_tinny", workspace=workspace)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os", "no plain assignment"),
        ("seed = 1 + 1", "no literal"),
        ("a = b = 1", "no plain assignment"),
    ],
)
def test_a_parameters_cell_holds_literals_only(source, message):
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    with pytest.raises(ValueError, match=message):
        declared_parameters(nbformat.v4.new_notebook(cells=[cell]))


def test_there_is_exactly_one_parameters_cell():
    with pytest.raises(ValueError, match="0 cells are tagged"):
        declared_parameters(nbformat.v4.new_notebook(cells=[new_markdown_cell("x")]))


def test_annotated_parameters_are_read():
    cell = new_code_cell("seed: int = 3\ncells = ['a']", metadata={"tags": ["parameters"]})
    assert declared_parameters(nbformat.v4.new_notebook(cells=[cell])) == {"seed": 3, "cells": ["a"]}


def test_the_cache_key_changes_with_everything_that_can_move_a_number(workspace, monkeypatch, tmp_path):
    notebook = notebook_of(workspace)
    keys = [cache_key(notebook, {"seed": 0}, workspace)]
    assert cache_key(notebook, {"seed": 0}, workspace) == keys[0]

    keys.append(cache_key(notebook, {"seed": 1}, workspace))
    (workspace.root / "requirements.lock").write_text("nothing==2\n")
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    (workspace.root / "results").mkdir()
    (workspace.root / "results" / "runs.jsonl").write_text("{}\n")
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    data = tmp_path / "data"
    data.mkdir()
    (data / "mnist.npz").write_bytes(b"0")
    monkeypatch.setenv("ADLIB_DATA", str(data))
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    (data / "mnist.npz").write_bytes(b"01")
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    monkeypatch.setattr(inputs, "code_hash", lambda: "another")
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    notebook.cells[2].source += "\n# changed"
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    hardware = environment.hardware() | {"instructions": "others"}
    monkeypatch.setattr(environment, "hardware", lambda: hardware)
    keys.append(cache_key(notebook, {"seed": 0}, workspace))
    for name in inputs.SWITCHES:
        monkeypatch.setenv(name, "default")
        keys.append(cache_key(notebook, {"seed": 0}, workspace))
    hardware["instructions"] = "of the process that was started so"
    assert cache_key(notebook, {"seed": 0}, workspace) == keys[-1], (
        "the same, in whichever process it is asked"
    )
    assert len(set(keys)) == len(keys)
    hardware["threads"] += 1
    assert cache_key(notebook, {"seed": 0}, workspace) == keys[-1], "of this process; kernels have one"


def test_new_prose_is_taken_over_without_a_new_run(workspace):
    notebook = notebook_of(workspace)
    notebook.cells[-1].metadata["mystnb"] = {"image": {"alt": "words"}}
    nbformat.write(notebook, workspace.chapter("01"))
    first = run_chapter("01", "smoke", {"seed": 2}, workspace=workspace)
    executed, _ = workspace.executed("01_tiny", "smoke")
    before = nbformat.read(executed, as_version=4)
    del notebook.cells[-1].metadata["mystnb"]
    notebook.cells[0].source = "# A tiny chapter, explained better"
    notebook.cells.insert(1, new_markdown_cell("And at more length."))
    nbformat.write(notebook, workspace.chapter("01"))
    assert "mystnb" in before.cells[-1].metadata

    second = run_chapter("01", "smoke", {"seed": 2}, workspace=workspace)
    after = nbformat.read(executed, as_version=4)
    assert [cell.source for cell in after.cells[:2]] == [cell.source for cell in notebook.cells[:2]]
    for kind in ("outputs", "source", "execution_count"):
        code = [[c[kind] for c in each.cells if c.cell_type == "code"] for each in (before, after)]
        assert code[0] == code[1], kind
    assert "mystnb" not in after.cells[-1].metadata
    assert second["id"] == first["id"], "it is the same run"
    assert [each["cell"] - 1 for each in second["cells"]] == [each["cell"] for each in first["cells"]]
    assert run_chapter("01", "smoke", {"seed": 2}, workspace=workspace) == second


def test_outputs_do_not_change_the_cache_key(workspace):
    notebook = notebook_of(workspace)
    before = cache_key(notebook, {}, workspace)
    notebook.cells[2].execution_count = 7
    assert cache_key(notebook, {}, workspace) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", None, [1, 2]])
def test_only_finite_numbers_are_reported(value):
    with pytest.raises(ValueError, match="metric 'auroc' is"):
        report("auroc", value)


def test_a_number_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"metric 'auroc' is 1.2, outside \(0.0, 1.0\); give limits="):
        report("auroc", 1.2)
    report("ratio", 1.2, limits=(0, None))


def test_outside_a_kernel_reporting_is_silent(capsys):
    report("auroc", 0.5)
    assert capsys.readouterr().out == ""


def test_one_name_is_reported_once():
    metadata = {"adlib": {"name": "auroc", "value": 1.0, "limits": [0, 1]}}
    output = nbformat.v4.new_output("display_data", data={}, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("", outputs=[output, output])])
    with pytest.raises(ValueError, match="'auroc' is reported twice"):
        reported(notebook)
