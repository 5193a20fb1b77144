"""Verdicts on a folder too large for one machine: portions of its files on the workers of a Dask scheduler, in order.

Workers read the files at the paths that they have here, so the folder must be mounted at the same place; the detector
is sent to them.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from adlib.files import as_path
from adlib.inspection.inputs import Source
from adlib.inspection.inspector import Inspector, Verdict
from adlib_book.ledger.cluster import Job, hand_out, share

if TYPE_CHECKING:
    from distributed import Client

PORTION = 32  # files of one job

Listed = Source | Verdict


def score_on(
    client: Client, model: str | Path, listed: Iterable[Listed], maps: bool = True
) -> Iterator[Verdict]:
    """Verdicts from the workers of a scheduler, in the order of the files, each file once.

    A portion whose worker died is computed again by another.

    Args:
        client: see `adlib_book.ledger.cluster.connect`.
        model: the file that `Inspector.save` wrote.
        listed: from `adlib.inspection.inputs.expand`; read lazily.
        maps: whether verdicts bring their maps along, 256 KiB each at 256 pixels.

    Raises:
        ConnectionError: the scheduler is gone.
    """
    data = as_path(model).read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:16]
    weights = share(client, data, digest)
    portions = enumerate(iter(functools.partial(_next, iter(listed)), ()))
    # Equal keys mean equal results to a scheduler, and others may score other files with this detector at this moment.
    call = secrets.token_hex(8)
    jobs = (Job(f"{call}-{n}", "score", (weights, digest, portion, maps)) for n, portion in portions)
    waiting: dict[int, tuple[Verdict, ...]] = {}  # portions that are ahead of their turn
    turn = 0
    for job, outcome in hand_out(client, score_portion, jobs):
        if isinstance(outcome, BaseException):
            raise outcome
        waiting[int(job.key.rpartition("-")[2])] = outcome
        while turn in waiting:
            yield from waiting.pop(turn)
            turn += 1


def _next(listed: Iterator[Listed]) -> tuple[Listed, ...]:
    return tuple(islice(listed, PORTION))


def score_portion(model: bytes, digest: str, listed: tuple[Listed, ...], maps: bool) -> tuple[Verdict, ...]:
    """Verdicts on some files, computed where this is called.

    Args:
        model: content of a file that `Inspector.save` wrote. digest: names it.
        listed: the files. maps: whether verdicts keep their maps.

    Returns:
        A verdict per file, in order.
    """
    verdicts = _inspector(model, digest).score(listed)
    if maps:
        return tuple(verdicts)
    return tuple(replace(verdict, map=None) for verdict in verdicts)


_LOADED: dict[str, Inspector] = {}


def _inspector(model: bytes, digest: str) -> Inspector:
    """The detector of a worker, read once."""
    if digest not in _LOADED:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "part.safetensors"
            path.write_bytes(model)
            _LOADED[digest] = Inspector.load(path)
    return _LOADED[digest]
