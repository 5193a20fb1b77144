"""What the workers of tests/test_sweep.py compute: a module of its own, quick to import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from adlib_book.ledger import cluster


def note(key: str, folder: str, seconds: float = 0.0) -> dict:
    """Leaves a mark that it began, takes its time, gives a record."""
    (Path(folder) / f"{key}.{os.getpid()}").write_text("")
    time.sleep(seconds)
    return {"id": key, "worker": os.getpid()}


def fail_at_b(key: str) -> dict:
    """Gives a record, but not for "b"."""
    if key == "b":
        raise ArithmeticError("b is upside down")
    return {"id": key}


def tiny(key: str) -> dict:
    """The least a job can do."""
    return {"id": key}


def jobs(function, keys, *arguments):
    """One job of that function per key."""
    return (cluster.Job(key, function.__name__, (key, *arguments)) for key in keys)


def not_a_number_at_b(key: str) -> dict:
    """Gives a record, with a curve that the ledger refuses for "b"."""
    return {"id": key, "curves": {"loss": [1.0, float("nan") if key == "b" else 0.5]}}
