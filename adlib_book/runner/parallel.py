"""Several chapters at once: as many as there are cores, each in a process of its own, its kernel with one thread.

Processes, not threads: papermill changes the environment of its process, a kernel is found among the children of its
process, and one that is killed takes no other chapter along. Results come in reading order. A chapter that fails does
not stop the others.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import nbformat

from adlib.errors import ChapterError
from adlib_book.runner.kernel import KernelDied, import_path
from adlib_book.runner.parameters import checked_parameters, declared_parameters
from adlib_book.runner.run import run_chapter
from adlib_book.runner.terminal import say
from adlib_book.runner.workspace import Workspace

# Bytes per chapter: in the live profile kernels take up to 2 GB, the process that starts one half a gigabyte.
MEMORY = 3e9
Result = TypeVar("Result")


def workers_for(chapters: int, workers: int | None = None) -> int:
    """How many chapters to execute at once: one per core that this process may use, MEMORY bytes free for each.

    Args:
        chapters: how many are to be executed.
        workers: instead of what cores and memory suggest.

    Raises:
        ValueError: fewer than one worker.
    """
    import psutil

    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more.")
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(cores, int(psutil.virtual_memory().available // MEMORY))
    return max(1, min(workers, chapters))


class Crew:
    """Executes chapters in several processes at once, or one after the other in this process.

    When the `with` block is left early, by Ctrl-C or an error, running chapters are stopped and leave no record. The
    processes notice the end of this one, however it ends, by their standard input.

    Args:
        workers: chapters at once; with 1 there are no further processes.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def map(
        self, work: Callable[[str], Result], names: Sequence[str]
    ) -> Iterator[tuple[str, Result | Exception]]:
        """Call a function that runs chapters with each name.

        Args:
            work: called with a name, for several names at once; it uses `run_chapter` of this object.
            names: in the order in which work begins.

        Yields:
            Name, and what the call returned or raised; in the order of the names.
        """
        if self.workers == 1:
            for name in names:
                yield name, _attempted(work, name)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(_attempted, work, name) for name in names]
            try:
                for name, future in zip(names, futures):
                    yield name, future.result()
            finally:  # after the last result this does nothing
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()

    def run_chapter(
        self,
        name: str,
        profile: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        force: bool = False,
        limit: float | None = None,
        workspace: Workspace,
    ) -> dict[str, Any]:
        """As `adlib_book.runner.run.run_chapter`; an error of the process in which it ran is a KernelDied."""
        if self.workers == 1:
            return run_chapter(name, profile, parameters, force=force, limit=limit, workspace=workspace)
        task = {"name": name, "profile": profile, "parameters": dict(parameters or {}), "force": force}
        log = workspace.build / "work" / f"{workspace.chapter(name).stem}.{profile}.log"
        answer = self._answer(
            task | {"limit": limit, "root": str(workspace.root), "folder": workspace.folder}, log
        )
        if self._stopped:
            raise KeyboardInterrupt
        if not answer:
            raise KernelDied(
                f"the process that executed chapter {name} ({profile}) died. What it said: {log}"
            )
        result = pickle.loads(answer)
        if isinstance(result, Exception):
            raise result
        return result

    def _answer(self, task: Mapping[str, Any], log: Path) -> bytes:
        """What a process of `adlib_book.runner.worker` writes before it ends."""
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "adlib_book.runner.worker", json.dumps(task)]
        with self._lock, open(log, "wb") as file:
            if self._stopped:
                return b""
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # nothing is written to it: its end tells the process to stop
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONPATH": import_path()},
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops the others in order
            )
            self._processes.add(process)
        assert process.stdout is not None, "a pipe, as asked for above"
        with process:
            answer = process.stdout.read()
        with self._lock:
            self._processes.remove(process)
        return answer

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                if process.stdin is not None:
                    process.stdin.close()


def _attempted(work: Callable[[str], Result], name: str) -> Result | Exception:
    try:
        return work(name)
    except Exception as error:
        return error


def run_chapters(
    names: Iterable[str],
    profile: str = "smoke",
    parameters: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    workspace: Workspace | None = None,
    workers: int | None = None,
) -> Iterator[tuple[str, dict[str, Any] | Exception]]:
    """Execute chapters, several at once; all of them, even if some fail.

    Args:
        names: chapters.
        profile: "smoke", "live" or "paper".
        parameters: values for other parameters; every one of the notebooks has to declare them.
        force: execute even if nothing has changed.
        workspace: another checkout than this one.
        workers: chapters at once; by default as many as cores and memory allow, see `workers_for`.

    Returns:
        An iterator over name and record, or the error that the chapter ended in; in the order of the names.

    Raises:
        ValueError: unknown chapter, profile or parameter, or a value of the wrong type; nothing is executed.
    """
    workspace = workspace or Workspace.here()
    chapters = [workspace.chapter(name) for name in names]
    for chapter in chapters:
        declared = declared_parameters(nbformat.read(chapter, as_version=4))
        checked_parameters(declared, profile, parameters or {})
    count = workers_for(len(chapters), workers)

    def results() -> Iterator[tuple[str, dict[str, Any] | Exception]]:
        with Crew(count) as crew:
            yield from crew.map(
                lambda name: crew.run_chapter(name, profile, parameters, force=force, workspace=workspace),
                [chapter.stem for chapter in chapters],
            )

    return results()


def run_all(
    names: Iterable[str],
    profile: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    workspace: Workspace,
    workers: int | None = None,
) -> Iterator[dict[str, Any]]:
    """As `run_chapters`, with a line on stderr for each chapter.

    Yields:
        The records of the chapters that were executed, in the order of the names.

    Raises:
        ValueError: as from `run_chapters`.
        ChapterError: after the last chapter, naming all that failed. Where only one was to be executed its own error
            is raised.
    """
    names, failures = list(names), {}
    workers = workers_for(len(names), workers)
    if len(names) > 1:
        say(f"{len(names)} chapters ({profile}), {workers} at a time")
    for name, result in run_chapters(
        names, profile, parameters, force=force, workspace=workspace, workers=workers
    ):
        if isinstance(result, Exception):
            failures[name] = result
            say(f"{name} FAILED: {str(result).partition(chr(10))[0]}")
        else:
            say(f"{result['id']}: {result['seconds']:.0f} s, {len(result['metrics'])} numbers")
            yield result
    if failures and len(names) == 1:
        raise failures.popitem()[1]
    if failures:
        reports = "\n\n".join(f"{name}: {error}" for name, error in failures.items())
        raise ChapterError(
            f"{len(failures)} of {len(names)} chapters failed: {', '.join(failures)}\n\n{reports}"
        )
