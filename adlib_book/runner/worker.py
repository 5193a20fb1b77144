"""The process in which `adlib_book.runner.parallel` executes a chapter: python -m adlib_book.runner.worker TASK

TASK is JSON. The answer, a pickled record or error, goes to standard output; everything that is printed goes to
standard error. The end of standard input means that the parent has stopped or died: then the chapter is interrupted.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import Workspace

PATIENCE = 20  # seconds for an interrupted chapter to shut down its kernel


def main() -> None:
    """Execute the chapter and answer."""
    task = json.loads(sys.argv[1])
    workspace = Workspace(Path(task.pop("root")), task.pop("folder"))
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Set anew: a command in the background of a shell, and so this process, ignores the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    finished = threading.Event()
    threading.Thread(target=_end_with_parent, args=(finished, threading.get_ident()), daemon=True).start()
    result: dict[str, Any] | Exception
    try:
        result = run_chapter(**task, workspace=workspace)
    except Exception as error:
        result = _picklable(error)
    finished.set()
    with answer:
        pickle.dump(result, answer)


def _end_with_parent(finished: threading.Event, main_thread: int) -> None:
    os.read(0, 1)
    if not finished.is_set():
        signal.pthread_kill(main_thread, signal.SIGINT)
        if not finished.wait(PATIENCE):
            os._exit(1)  # the kernel ends when it sees that its parent is gone


def _picklable(error: Exception) -> Exception:
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
