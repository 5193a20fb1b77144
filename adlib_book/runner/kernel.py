"""Executing a notebook with papermill in a kernel that is this very interpreter."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adlib import environment
from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.runner.watch import Watch
from adlib_book.runner.workspace import Workspace

# Of every kernel: chapters run side by side, and sums of floating-point numbers depend on the number of threads.
THREADS = 1
# Longest time for one cell, in seconds: far above the budget, so that only what hangs is stopped.
CELL_TIMEOUT = {"smoke": 600, "live": 3600, "paper": 7 * 24 * 3600}


class KernelDied(ChapterError):
    """The kernel or the process that started it died, or never came up: a fault of the machine, worth another try."""


def execute(
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
        with _kernel(workspace.build / "jupyter" / folder.name) as kernel:
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


def import_path() -> str:
    """PYTHONPATH of a process that imports the packages of this process."""
    packages = str(Path(environment.__file__).parent.parent)
    return os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH", "")]))


@contextmanager
def _kernel(place: Path) -> Iterator[str]:
    """The name of a kernel that is this very interpreter, importing this checkout, whatever kernels the machine knows.

    Args:
        place: where it is described, for this run alone.
    """
    spec = {
        # Errors only: a kernel on the same machine warns about unencrypted sockets at every start.
        "argv": [
            *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "--IPKernelApp.log_level=40",
        ],
        "display_name": "adlib",
        "language": "python",
        "env": {
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS)),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONPATH": import_path(),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        },
    }
    write_atomic(place / "kernels" / "adlib" / "kernel.json", json.dumps(spec))
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(place), before]))
    try:
        yield "adlib"
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before
