"""What the numbers of a chapter depend on: listed room by room, so that touching anything else re-executes nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from adlib import environment
from adlib_book.runner.kernel import THREADS
from adlib_book.runner.workspace import Workspace

# Below adlib_book/, what notebooks import and what that imports (a test follows the imports). All of adlib/ counts.
READ_BY_CHAPTERS = (
    "__init__.py",
    "reading.py",
    "ledger/__init__.py",
    "ledger/cost.py",
    "ledger/ranking.py",
    "ledger/results.py",
    "ledger/weight_search.py",
    "published",
)
# Variables that make torch's libraries compute as on another processor.
SWITCHES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR")


def code_hash() -> str:
    """First 12 hex digits of the SHA-256 of every source file that a chapter's numbers and figures depend on.

    Read once in a process: see `adlib.environment.clear_cached_sources`.
    """
    package = Path(environment.__file__).resolve().parent
    book = Path(__file__).resolve().parent.parent
    hashes = (
        environment.hash_of(package, environment.COMPUTING + environment.DRAWING),
        environment.hash_of(book, READ_BY_CHAPTERS),
    )
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]


def cache_key(notebook: nbformat.NotebookNode, parameters: Mapping[str, Any], workspace: Workspace) -> str:
    """Hash of everything that the numbers of a run depend on.

    The notebook's code, the parameters, the sources that chapters read (`code_hash`), the lock, the installed versions,
    the kernel's threads, vector instructions and accelerator, the ledger in `results/`, and the files under ADLIB_DATA
    and below any folder that a parameter names. (jupyter-cache compares the notebook's cells alone, and so returns old
    numbers after the package has changed.) Prose is left out: see `adlib_book.runner.run.with_prose_of`.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256()
    hardware = environment.hardware()
    # A kernel obeys the variables of now; `hardware` says what this process was started as.
    instructions, *others = (os.environ.get(name) for name in SWITCHES)
    machine = [THREADS, instructions or hardware["instructions"], hardware.get("accelerator"), *others]
    identity = [code_cells(notebook), dict(parameters), environment.versions(), machine]
    digest.update(json.dumps(identity, sort_keys=True).encode())
    digest.update(code_hash().encode())
    for path in [workspace.root / "requirements.lock", *sorted((workspace.root / "results").glob("*.jsonl"))]:
        if path.is_file():
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    for line in data_listing(parameters):
        digest.update(line.encode())
    return digest.hexdigest()


def code_cells(notebook: nbformat.NotebookNode) -> list[list[Any]]:
    """Source and tags of every code cell."""
    return [
        [cell.source, cell.metadata.get("tags", [])] for cell in notebook.cells if cell.cell_type == "code"
    ]


def data_listing(parameters: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Path, size and times of every data file; hashing the pixels would take longer than a chapter.

    Besides the time of the last change of content there is that of the last change of the file itself: a copy or an
    unpacked archive brings the former along, and another file of the same size would pass for the old one.

    Args:
        parameters: of a run; where one of them names a file or a folder, such as a reader's own, it is listed too.

    Yields:
        A line per file under ADLIB_DATA, then per file at those places.
    """
    texts = [value for value in (parameters or {}).values() if isinstance(value, str) and value]
    for place in filter(None, [os.environ.get("ADLIB_DATA"), *texts]):
        root = Path(os.path.expanduser(place))
        for path in [root] if root.is_file() else _files(root):
            try:
                status = path.stat()
            except FileNotFoundError:  # a link that leads nowhere
                status = path.lstat()
            yield f"\0{path.relative_to(root)} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _files(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))
