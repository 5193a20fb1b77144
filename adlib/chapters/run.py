"""Executing a chapter with papermill: one at a time, cached by everything its numbers depend on.

What a run leaves, below `_build/executed/<profile>/`: the executed notebook `<chapter>.ipynb` and its
record `<chapter>.json` (metrics, seconds, parameters, provenance). The record is written last, so that a
run that was interrupted is never taken for a finished one.
"""

from __future__ import annotations

import ast
import copy
import datetime
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from .. import environment
from ..errors import ChapterError, unknown_name
from ..files import locked, write_atomic
from .provenance import provenance, reported
from .watch import Watch

PROFILES = ("smoke", "book", "paper")
# Longest time for one cell, in seconds: far above the budget, so that only what hangs is stopped.
CELL_TIMEOUT = {"smoke": 600, "book": 3600, "paper": 7 * 24 * 3600}


class KernelDied(ChapterError):
    """The kernel died or never came up: a fault of the machine until shown otherwise, so worth another try."""


@dataclass(frozen=True)
class Workspace:
    """Where chapters are read and where their runs are written.

    Args:
        root: a checkout: holds `notebooks/`, `baselines/`, `results/`, `requirements.lock`.
    """

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """The checkout this package runs from.

        Raises:
            ChapterError: the package was installed as a wheel, which holds no chapters.
        """
        root = environment.project_root()
        if root is None:
            raise ChapterError(
                "the chapters are in the checkout, and adlib runs from an installed wheel. "
                "Clone the repository and run the command there."
            )
        return cls(root)

    @property
    def build(self) -> Path:
        """The folder for everything that a run makes."""
        return self.root / "_build"

    def chapters(self) -> dict[str, Path]:
        """Chapter name -> its notebook, in reading order."""
        return {path.stem: path for path in sorted((self.root / "notebooks").glob("*.ipynb"))}

    def chapter(self, name: str) -> Path:
        """The notebook of a chapter, by its full name or by an unambiguous beginning such as "01".

        Raises:
            ValueError: no chapter, or more than one, has that name.
        """
        known = self.chapters()
        found = [name] if name in known else [each for each in known if each.startswith(name)]
        if not found:
            raise unknown_name("chapter", name, known)
        if len(found) > 1:
            raise ValueError(f"chapter {name!r} is ambiguous: {', '.join(found)}. Give more of the name.")
        return known[found[0]]

    def executed(self, name: str, profile: str) -> tuple[Path, Path]:
        """Where the executed notebook and its record lie."""
        folder = self.build / "executed" / profile
        return folder / f"{name}.ipynb", folder / f"{name}.json"


def declared_parameters(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Names and defaults in the one cell tagged `parameters`.

    Raises:
        ValueError: there is not exactly one such cell, or it holds more than plain assignments of literals.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{len(cells)} cells are tagged 'parameters'; expected exactly one.")
    declared: dict[str, Any] = {}
    for statement in ast.parse(cells[0].source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                pass
            case _:
                raise ValueError(
                    f"line {statement.lineno} of the parameters cell is no plain assignment: name = literal."
                )
        try:
            declared[name] = ast.literal_eval(value)
        except ValueError as error:
            raise ValueError(
                f"the default of parameter {name!r} is no literal; papermill needs one."
            ) from error
    return declared


def checked_parameters(declared: Mapping[str, Any], profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run: what the notebook declares, with the given values in place of the defaults.

    papermill itself only warns about a name that the notebook does not declare, and goes on with the default.

    Raises:
        ValueError: unknown profile, or two; undeclared name, or a value of another type than the default.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    if given.get("profile", profile) != profile:
        raise ValueError(
            f"parameter 'profile' is {given['profile']!r}, but the run's profile is {profile!r}; "
            f"use --profile {given['profile']} instead."
        )
    wanted = {**given, "profile": profile}
    for name, value in wanted.items():
        if name not in declared:
            raise unknown_name("parameter", name, declared)
        default = declared[name]
        fits = (
            default is None or type(value) is type(default) or (type(default) is float and type(value) is int)
        )
        if not fits:
            raise ValueError(
                f"parameter {name!r} is {value!r} ({type(value).__name__}); "
                f"expected {type(default).__name__}, like its default {default!r}."
            )
    return {**declared, **wanted}


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

    Where only its prose has changed since, the copy is given the new prose.

    Args:
        name: chapter, e.g. "01_ganomaly_distances" or "01".
        profile: "smoke", "book" or "paper".
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
    notebook = nbformat.read(source, as_version=4)
    declared = declared_parameters(notebook)
    values = checked_parameters(declared, profile, parameters or {})
    changed = {key: value for key, value in values.items() if value != declared[key]}
    executed, record_path = workspace.executed(source.stem, profile)
    key = cache_key(notebook, values, workspace)
    if not force and (record := _finished(executed, record_path, key)):
        return _with_new_prose(notebook, executed, record_path, record)
    with one_at_a_time(workspace):
        environment.look_again()  # while we waited, sources and notebook may have been edited
        notebook = nbformat.read(source, as_version=4)
        key = cache_key(notebook, values, workspace)
        if not force and (record := _finished(executed, record_path, key)):  # by the command we waited for
            return _with_new_prose(notebook, executed, record_path, record)
        record_path.unlink(missing_ok=True)
        started = datetime.datetime.now(datetime.UTC)
        clock = time.perf_counter()
        with Watch(limit) as watch:
            text = _execute(source, profile, changed, workspace, watch)
        began = environment.source_hash(), _code(notebook)
        environment.look_again()
        if (environment.source_hash(), _code(nbformat.read(source, as_version=4))) != began:
            raise ChapterError(
                f"chapter {source.stem}: the package or the chapter's code was edited while it ran, so nobody could "
                "say what its numbers were made by. Run it again."
            )
        record = _record(source.stem, profile, values, key, text, watch)
        record["seconds"] = round(time.perf_counter() - clock, 2)
        record["started_at"] = started.isoformat(timespec="seconds")
        record["id"] = f"{source.stem}.{profile}.{started:%Y%m%dT%H%M%S}.{key[:6]}"
        write_atomic(executed, text)
        write_atomic(record_path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def cache_key(notebook: nbformat.NotebookNode, parameters: Mapping[str, Any], workspace: Workspace) -> str:
    """Hash of everything that the numbers of a run depend on.

    The notebook's code, the parameters, the sources of adlib, the lock, the installed versions, threads, vector
    instructions and accelerator, the ledger in `results/`, and what lies under ADLIB_DATA. (jupyter-cache looks at
    the notebook's cells alone and keeps old numbers after the package has changed.) Prose is not in it: see
    `with_prose_of`.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256()
    hardware = environment.hardware()
    place = [hardware.get(name) for name in ("threads", "instructions", "accelerator")]
    told = [_code(notebook), dict(parameters), environment.versions(), place]
    digest.update(json.dumps(told, sort_keys=True).encode())
    digest.update(environment.source_hash().encode())
    for path in [workspace.root / "requirements.lock", *sorted((workspace.root / "results").glob("*.jsonl"))]:
        if path.is_file():
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    for line in data_listing():
        digest.update(line.encode())
    return digest.hexdigest()


def _code(notebook: nbformat.NotebookNode) -> list[list[Any]]:
    """Source and tags of every code cell."""
    return [
        [cell.source, cell.metadata.get("tags", [])] for cell in notebook.cells if cell.cell_type == "code"
    ]


def data_listing() -> Iterator[str]:
    """Path, size and time of every file under ADLIB_DATA; hashing the pixels takes longer than a chapter."""
    folder = os.environ.get("ADLIB_DATA")
    if not folder:
        return
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            status = path.stat()
            yield f"\0{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}"


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
    """The record, its executed notebook written anew if the chapter's prose is another by now."""
    old = nbformat.read(executed, as_version=4)
    new = with_prose_of(notebook, old)
    told, wanted = (
        [(cell.source, cell.get("id"), cell.metadata.get("mystnb")) for cell in each.cells]
        for each in (old, new)
    )
    if told == wanted:
        return record
    text = nbformat.writes(new)
    places = [place for place, cell in enumerate(new.cells) if cell.cell_type == "code"]
    cells = [{**told, "cell": place} for told, place in zip(record["cells"], places)]
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


def _execute(
    source: Path, profile: str, changed: Mapping[str, Any], workspace: Workspace, watch: Watch
) -> str:
    """Run the notebook in a folder of its own and return the executed notebook's text."""
    import papermill
    from nbclient.exceptions import CellTimeoutError

    # A chapter may write files; they must not land in the checkout, nor meet those of another run.
    folder = workspace.build / "work" / f"{source.stem}.{profile}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output = folder / source.name
    try:
        with _kernel(workspace) as kernel:
            papermill.execute_notebook(
                str(source),
                str(output),
                parameters=dict(changed),
                kernel_name=kernel,
                language="python",
                cwd=str(folder),
                progress_bar=sys.stderr.isatty(),
                execution_timeout=CELL_TIMEOUT[profile],
            )
    except papermill.PapermillExecutionError as error:
        raise ChapterError(
            f"chapter {source.stem} ({profile}) failed in cell {error.cell_index}: "
            f"{error.ename}: {error.evalue}\n"
            f"{error.source}\nThe notebook up to there, with the traceback: {output}"
        ) from error
    except (CellTimeoutError, RuntimeError) as error:
        what = f"chapter {source.stem} ({profile}) was stopped"
        where = f"The notebook up to there: {output}"
        if watch.expired:
            raise ChapterError(f"{what} at its limit of {watch.limit:.0f} s. {where}") from error
        if isinstance(error, CellTimeoutError):
            raise ChapterError(f"{what}: {type(error).__name__}: {str(error)[:400]}\n{where}") from error
        raise KernelDied(f"{what}: {type(error).__name__}: {str(error)[:400]}\n{where}") from error
    return output.read_text()


@contextmanager
def _kernel(workspace: Workspace) -> Iterator[str]:
    """A kernel that is this very interpreter, importing this checkout, whatever kernels the machine knows."""
    name, paths = "adlib", workspace.build / "jupyter"
    python_path = [str(Path(environment.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    spec = {
        # Errors only: a kernel on the same machine warns about unencrypted sockets at every start.
        "argv": [
            *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "--IPKernelApp.log_level=40",
        ],
        "display_name": "adlib",
        "language": "python",
        "env": {
            "OMP_WAIT_POLICY": "passive",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        },
    }
    write_atomic(paths / "kernels" / name / "kernel.json", json.dumps(spec))
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(paths), before]))
    try:
        yield name
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


@contextmanager
def one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Chapters of one checkout run in turn: side by side, two torch processes slow each other down.

    Waits while another command runs one, or builds the pages.
    """
    with locked(workspace.build / "running.lock"):
        yield


def _record(
    name: str, profile: str, parameters: dict[str, Any], key: str, text: str, watch: Watch
) -> dict[str, Any]:
    """What is known of a run from its executed notebook, and from who watched it."""
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
