"""Handing jobs to Dask, on this machine or on a cluster: each result is recorded once, also when workers die.

A job is a key and the arguments of one function. Equal jobs have equal keys, so a scheduler that two sweeps
share computes each once; and a ledger takes each id once, so that two schedulers, a repeated sweep or a client
that was killed and called again record nothing twice either. Only as many jobs are in flight as keep the workers busy,
and a finished one is released at once: ten thousand need no more memory than ten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

    from adlib_book.ledger.results import Ledger

AHEAD = 2  # jobs in flight per worker thread: one computed, one on its way
_COUNT_AGAIN = 5.0  # seconds between two looks at how many workers there are
PATIENCE = 20  # seconds in which a scheduler has to answer
_LIVES = 10  # a job is abandoned after so many deaths of the workers that ran it


@dataclass(frozen=True)
class Job:
    """One call of the function.

    Args:
        key: equal for equal jobs; also the id of the record that the job will give.
        label: what the dashboard groups by, e.g. the detector's name.
        arguments: what the function is called with; futures among them arrive as their results.
    """

    key: str
    label: str
    arguments: tuple[Any, ...]


@contextmanager
def connect(scheduler: str | None = None, workers: int = 1) -> Iterator[Client]:
    """A client of a running scheduler, or of a cluster made for this call alone.

    Args:
        scheduler: address such as "tcp://10.0.0.1:8786"; None starts worker processes on this machine.
        workers: how many of them, each with one thread, as torch processes with more slow each other down.

    Raises:
        ValueError: Dask is not installed.
        OSError: no scheduler answers at that address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ValueError(
            f"sweeps over several processes or machines need Dask ({error}): in a checkout, pip install '.[sweep]'"
        ) from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OSError(
                f"no Dask scheduler answers at {scheduler!r} ({error}). Expected an address such as "
                "tcp://host:8786; start one with: dask scheduler"
            ) from error
        with client:
            yield client
        return
    idle = {"OMP_WAIT_POLICY": "passive"}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": _LIVES}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0", env=idle
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def dashboard(client: Client) -> str:
    """Where a browser shows what the workers are doing; a sentence where there is no dashboard."""
    return client.dashboard_link or "no dashboard (it needs the package bokeh)"


def share(client: Client, data: Any, key: str) -> Future:
    """Data as an argument of jobs, sent once however many use them.

    They are sent as part of the task graph instead of by Dask's `scatter`: when the one worker that holds them dies,
    the scheduler sends them again.

    Args:
        data: anything that can be pickled.
        key: names the content; for a data split, its fingerprint.
    """
    import pickle
    import warnings

    packed = pickle.dumps(data, protocol=5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # as meant: see above
        return client.submit(pickle.loads, packed, key=f"data-{key}")


def hand_out(
    client: Client, function: Callable[..., Any], jobs: Iterable[Job]
) -> Iterator[tuple[Job, Any | BaseException]]:
    """Have every job computed, as workers become free.

    Args:
        client: from `connect`.
        function: importable by the workers; called once per job, and again if its worker died.
        jobs: read lazily, only as far ahead as keeps the workers busy.

    Yields:
        Each job with its result, or with the exception that it ended in, in the order in which they finish.

    Raises:
        ConnectionError: the scheduler is gone.
    """
    from distributed import as_completed

    jobs = iter(jobs)
    flying: dict[Any, tuple[Job, Any]] = {}
    pool = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    room = _Room(client)

    def fill() -> None:
        for job in islice(jobs, max(0, room.size() - len(flying))):
            future = client.submit(function, *job.arguments, key=f"{job.label}-{job.key}", pure=True)
            flying[future.key] = job, future
            pool.add(future)

    fill()
    while flying:
        future, result = next(pool)
        if future.cancelled():
            raise ConnectionError(
                f"the Dask scheduler {client.scheduler.address if client.scheduler else ''} is gone. What was "
                "finished has been recorded; call again to go on."
            )
        job, _ = flying.pop(future.key)
        yield job, future.exception() if future.status == "error" else result
        del future, result
        fill()


def collect(
    client: Client, function: Callable[..., dict[str, Any]], jobs: Iterable[Job], ledger: Ledger
) -> Iterator[tuple[Job, dict[str, Any] | BaseException]]:
    """Have every job computed that the ledger does not hold, and append its record once.

    Args:
        client: from `connect`.
        function: gives a record whose "id" is the job's key.
        jobs: see `hand_out`; one that another sweep has recorded meanwhile is passed over.
        ledger: where the records go.

    Yields:
        Each job that was recorded here with its record, or with the exception it ended in.
    """
    waiting = (job for job in jobs if job.key not in ledger.refreshed())
    for job, outcome in hand_out(client, function, waiting):
        try:
            new = isinstance(outcome, BaseException) or ledger.add(outcome)
        except ValueError as error:  # a record that the ledger refuses is that job's failure, not the others'
            outcome, new = error, True
        if new:
            yield job, outcome


class _Room:
    """How many jobs may be in flight, by the number of workers, which is asked for every few seconds."""

    def __init__(self, client: Client):
        self._client, self._threads, self._asked = client, 1, float("-inf")

    def size(self) -> int:
        if time.monotonic() - self._asked > _COUNT_AGAIN:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._asked = time.monotonic()
        return AHEAD * self._threads
