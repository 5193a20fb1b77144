"""Executing a chapter, cached by everything its numbers depend on.

What a run leaves, below `_build/executed/<profile>/`: the executed notebook `<chapter>.ipynb` and its
record `<chapter>.json` (metrics, seconds, parameters, provenance). The record is written last, so that a
run that was interrupted is never taken for a finished one.
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from adlib import environment
from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.runner.inputs import cache_key, code_cells, code_hash
from adlib_book.runner.kernel import execute
from adlib_book.runner.parameters import checked_parameters, declared_parameters
from adlib_book.runner.provenance import provenance, reported
from adlib_book.runner.watch import Watch
from adlib_book.runner.workspace import Workspace, chapter_lock


def run_chapter(
    name: str,
    profile: str = "smoke",
    parameters: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    limit: float | None = None,
    workspace: Workspace | None = None,
) -> dict[str, Any]:
    """Execute a chapter, unless an executed copy made from exactly the same things is there.

    Where only its prose has changed since, the copy is given the new prose. While another command executes the same
    chapter in the same profile, this one waits.

    Args:
        name: chapter, e.g. "01_ganomaly_distances" or "01".
        profile: "smoke", "live" or "paper".
        parameters: values for other parameters that the notebook declares.
        force: execute even if nothing has changed.
        limit: seconds after which the whole run is stopped; by default each cell has its own, generous limit.
        workspace: another checkout than this one.

    Returns:
        The record of the run, as in `<chapter>.json`: metrics, seconds and memory per cell, provenance.

    Raises:
        ValueError: unknown chapter, profile or parameter, or a value of the wrong type.
        KernelDied: the kernel died or did not start.
        ChapterError: a cell failed or hung, or the run took longer than its limit; the message names the cell
            and the notebook with the outputs up to there.
    """
    workspace = workspace or Workspace.here()
    source = workspace.chapter(name)
    _read(source, profile, parameters)  # mistakes are refused at once, not after waiting for another command
    with chapter_lock(workspace, source.stem, profile):
        environment.clear_cached_sources()  # sources and notebook may have been edited meanwhile
        notebook, values = _read(source, profile, parameters)
        key = cache_key(notebook, values, workspace)
        executed, record_path = workspace.executed(source.stem, profile)
        if not force and (record := _finished(executed, record_path, key)):
            return _with_new_prose(notebook, executed, record_path, record)
        record_path.unlink(missing_ok=True)
        text, record = _execute(source, notebook, values, key, limit, workspace)
        write_atomic(executed, text)
        write_atomic(record_path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def _read(
    source: Path, profile: str, given: Mapping[str, Any] | None
) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
    """A chapter's notebook, and all parameters of a run."""
    notebook = nbformat.read(source, as_version=4)
    return notebook, checked_parameters(declared_parameters(notebook), profile, given or {})


def _execute(
    source: Path,
    notebook: nbformat.NotebookNode,
    values: dict[str, Any],
    key: str,
    limit: float | None,
    workspace: Workspace,
) -> tuple[str, dict[str, Any]]:
    """Run the notebook: the text of the executed copy, and the record."""
    declared, profile = declared_parameters(notebook), values["profile"]
    changed = {name: value for name, value in values.items() if value != declared[name]}
    before = code_hash(), code_cells(notebook)
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    with Watch(limit) as watch:
        text = execute(source, profile, changed, workspace, watch)
    environment.clear_cached_sources()
    if (code_hash(), code_cells(nbformat.read(source, as_version=4))) != before:
        raise ChapterError(
            f"chapter {source.stem}: the packages or the chapter's code were edited while it ran, so its numbers "
            "belong to neither version. Run it again."
        )
    record = _record(source.stem, profile, values, key, text, watch)
    record["seconds"] = round(time.perf_counter() - clock, 2)
    record["started_at"] = started.isoformat(timespec="seconds")
    record["id"] = f"{source.stem}.{profile}.{started:%Y%m%dT%H%M%S}.{key[:6]}"
    return text, record


def _finished(executed: Path, record_path: Path, key: str) -> dict[str, Any] | None:
    """The record of a finished run with this key, or None."""
    try:
        record = json.loads(record_path.read_text())
        same = record["key"] == key and record["notebook_sha256"] == _sha256(executed.read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return record if same else None


def _with_new_prose(
    notebook: nbformat.NotebookNode, executed: Path, record_path: Path, record: dict[str, Any]
) -> dict[str, Any]:
    """The record of a finished run, whose executed copy is given the chapter's new prose if that has changed."""
    old = nbformat.read(executed, as_version=4)
    new = with_prose_of(notebook, old)
    before, after = (
        [(cell.source, cell.get("id"), cell.metadata.get("mystnb")) for cell in each.cells]
        for each in (old, new)
    )
    if before == after:
        return record
    text = nbformat.writes(new)
    places = [place for place, cell in enumerate(new.cells) if cell.cell_type == "code"]
    cells = [{**cell, "cell": place} for cell, place in zip(record["cells"], places)]
    record = {**record, "cells": cells, "notebook_sha256": _sha256(text.encode())}
    record_path.unlink()
    write_atomic(executed, text)
    write_atomic(record_path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def with_prose_of(notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook with the prose, the order and the metadata of its source.

    Args:
        notebook: the source; its code cells are those that were executed, in the same order.
        executed: the executed copy; a cell of injected parameters stays behind the declared ones.
    """
    done = iter([cell for cell in executed.cells if cell.cell_type == "code"])
    cells = []
    for cell in copy.deepcopy(notebook.cells):
        if cell.cell_type == "code":
            run = next(done)
            if "injected-parameters" in run.metadata.get("tags", []):
                cells.append(run)
                run = next(done)
            cell.outputs, cell.execution_count = run.outputs, run.execution_count
            made = {key: run.metadata[key] for key in ("execution", "papermill") if key in run.metadata}
            cell.metadata = nbformat.from_dict({**made, **cell.metadata})
        cells.append(cell)
    page = copy.deepcopy(executed)
    page.cells = cells
    return page


def _record(
    name: str, profile: str, parameters: dict[str, Any], key: str, text: str, watch: Watch
) -> dict[str, Any]:
    """What the executed notebook and the watch say of a run."""
    notebook = nbformat.reads(text, as_version=4)
    cells = [
        {"cell": index, **watch.cell(cell.metadata.get("papermill", {}))}
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]
    return {
        "chapter": name,
        "profile": profile,
        "parameters": parameters,
        "metrics": reported(notebook),
        "cells": cells,
        "peak_mb": watch.peak(),
        "key": key,
        "notebook_sha256": _sha256(text.encode()),
        **provenance(),
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
