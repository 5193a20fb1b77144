"""Many experiments, each recorded once: one after another here, or on Dask workers.

A task that the ledger already holds is skipped, so a sweep that was stopped goes on when it is called again. With
workers, data travel from here by their fingerprint: a worker needs this package, and no data of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from adlib.data import Split, load
from adlib.detectors import make_detector
from adlib.detectors.registry import PROFILES, detector_class
from adlib.environment import git_commit, project_root, source_hash
from adlib.errors import SweepError, unknown_name
from adlib.experiment import identify, run_experiment
from adlib_book.ledger import cluster, results
from adlib_book.ledger.plans import PLANS, Task


def sweep(
    tasks: Iterable[Task],
    ledger: str | Path,
    device: str = "auto",
    shard: tuple[int, int] = (0, 1),
    *,
    scheduler: str | None = None,
    workers: int = 0,
) -> int:
    """Run every task that the ledger does not hold yet, appending a record after each.

    Args:
        tasks: what to run, in this order.
        ledger: JSON-lines file to read and to append to.
        device: as in `make_detector`.
        shard: (k, n) runs every n-th task beginning with number k, for n processes side by side.
        scheduler: address of a Dask scheduler whose workers shall run them, e.g. "tcp://10.0.0.1:8786".
        workers: without a scheduler: how many processes to start here; 0 runs the tasks in this process.

    Returns:
        How many tasks were run and recorded.

    Raises:
        SweepError: tasks failed; the message names each. The others were run all the same.
        ValueError: both a scheduler and workers, fewer than 0 workers, or Dask is not installed.
        OSError: no scheduler answers, or the ledger cannot be written.
    """
    if workers < 0 or (scheduler is not None and workers):
        raise ValueError(
            f"scheduler {scheduler!r} with {workers} workers; expected the address of a scheduler, which has its "
            "own workers, or a number of processes to start here (0 for none)."
        )
    book, tasks = results.Ledger(ledger), list(tasks)[shard[0] :: shard[1]]
    jobs = [(task_id(task), task) for task in tasks]
    waiting = {key: task for key, task in jobs if key not in book.refreshed()}
    report = _Report(total=len(tasks), waiting=waiting)
    if scheduler is None and not workers:
        return report.follow(_in_turn(waiting, book, device))
    with cluster.connect(scheduler, workers) as client:
        report.say(f"{len(waiting)} of {len(tasks)} tasks to run; dashboard: {cluster.dashboard(client)}")
        report.lanes = max(1, sum(client.nthreads().values()))
        failed: list[tuple[str, Exception]] = []
        done = cluster.collect(client, perform, _jobs(client, waiting, device, failed), book)
        return report.follow(itertools.chain(((job.key, outcome) for job, outcome in done), failed))


def task_id(task: Task) -> str:
    """The id that the record of a task will have: known before any data are read.

    Raises:
        ValueError: unknown detector, profile or setting.
    """
    kind = detector_class(task.detector)
    if task.profile not in PROFILES:
        raise unknown_name("profile", task.profile, PROFILES)
    config = getattr(kind.Config, task.profile)()
    for change in task.changes:
        if not hasattr(config, change):
            raise unknown_name(f"setting of {task.detector}", change, vars(config))
    return identify(
        detector=task.detector,
        config=replace(config, **task.changes),
        seed=task.split.seed,
        dataset=task.dataset,
        size=task.size,
        split=task.split,
        options=task.data,
        profile=task.profile,
    )["id"]


_ONE_AT_A_TIME = threading.Lock()


def perform(task: Task, split: Split, device: str, asked_by: tuple[str, str] | None = None) -> dict[str, Any]:
    """Run one task. On a worker with several threads tasks take turns: torch's random state belongs to a process.

    Args:
        task: what to run.
        split: its data.
        device: as in `make_detector`.
        asked_by: source hash and commit of the package that asks, on a worker; None in the asking process.

    Returns:
        The record.

    Raises:
        RuntimeError: this worker has another version of the package.
    """
    if asked_by is not None and asked_by[0] != source_hash():
        raise RuntimeError(
            f"this worker has adlib {source_hash()}, the sweep runs {asked_by[0]}: their records must not mix. "
            "Install the sweep's version there and start the worker again."
        )
    with _ONE_AT_A_TIME:
        detector = make_detector(
            task.detector, split.image_shape, task.profile, task.split.seed, device, **task.changes
        )
        record = run_experiment(detector, split, progress="quiet", profile=task.profile)
    if asked_by is not None:
        record["commit"] = asked_by[1]  # a worker may run from a wheel, which knows no commit
    return record


def run_plan(
    name: str, shard: str = "0/1", device: str = "auto", *, scheduler: str | None = None, workers: int = 0
) -> int:
    """Run a named plan into `<name>.jsonl` of the ledger.

    Args:
        name: one of PLANS.
        shard: "k/n", see `sweep`.
        device: as in `make_detector`.
        scheduler, workers: see `sweep`.

    Returns:
        How many tasks were run.

    Raises:
        ValueError: an unknown plan, a shard that is not of the form k/n with 0 <= k < n, code that is not
            committed, or no checkout whose ledger could grow.
    """
    if name not in PLANS:
        raise unknown_name("plan", name, PLANS)
    if project_root() is None:
        raise ValueError(
            "this is an installed package, and the ledger grows in the results/ of a checkout: in one, "
            "pip install -e '.[sweep]', or call adlib_book.ledger.sweep.sweep with a ledger of your own."
        )
    if git_commit().endswith("+dirty"):
        raise ValueError(
            "adlib/ or notebooks/ have changes that are not committed: a record must name code that can be checked "
            "out. Commit first, or call adlib_book.ledger.sweep.sweep with a ledger of your own."
        )
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise ValueError(f"shard is {shard!r}; expected k/n with 0 <= k < n, for instance 0/2.")
    ledger = results.ledger_folder() / f"{name}.jsonl"
    cut = int(number), int(count)
    return sweep(PLANS[name](), ledger, device, cut, scheduler=scheduler, workers=workers)


def _load_arguments(task: Task) -> dict[str, Any]:
    """What `load` is called with."""
    return {"name": task.dataset, "size": task.size, **vars(task.split), **task.data}


def _in_turn(
    waiting: dict[str, Task], book: results.Ledger, device: str
) -> Iterator[tuple[str, dict[str, Any] | Exception]]:
    """Run tasks in this process, passing over what another one has recorded meanwhile."""
    for key, task in waiting.items():
        if key in book.refreshed():
            continue
        try:
            record = perform(task, load(**_load_arguments(task)), device)
        except Exception as error:
            yield key, error
            continue
        try:
            added = book.add(record)
        except (
            ValueError
        ) as error:  # a record that the ledger refuses is that task's failure, not the others'
            yield key, error
            continue
        if added:
            yield key, record


def _jobs(
    client: Any, waiting: dict[str, Task], device: str, failed: list[tuple[str, Exception]]
) -> Iterator[cluster.Job]:
    """Tasks as jobs; the data of each are read here just before it starts, and sent once while they are in use.

    A task whose data cannot be read goes into `failed`, and the others go on.
    """
    sent: OrderedDict[str, Any] = OrderedDict()
    for key, task in waiting.items():
        asked = hashlib.sha256(repr(_load_arguments(task)).encode()).hexdigest()[:12]
        if asked not in sent:
            try:
                split = load(**_load_arguments(task))
            except Exception as error:
                failed.append((key, error))
                continue
            sent[asked] = cluster.share(client, split, f"{split.fingerprint}-{asked}")
        sent.move_to_end(asked)
        while len(sent) > 4:  # jobs in flight keep theirs alive without us
            sent.popitem(last=False)
        yield cluster.Job(key, task.detector, (task, sent[asked], device, (source_hash(), git_commit())))


class _Report:
    """Prints a line per record, with the time left, and counts."""

    def __init__(self, total: int, waiting: dict[str, Task]):
        self.total, self.waiting, self.lanes = total, dict(waiting), 1
        self._seconds: dict[str, list[float]] = {}
        self._console, self._start = Console(), time.monotonic()

    def say(self, text: str) -> None:
        """Print one line, however wide the terminal."""
        self._console.print(text, soft_wrap=True, highlight=False)

    def follow(self, outcomes: Iterable[tuple[str, dict[str, Any] | BaseException]]) -> int:
        """Report every outcome.

        Raises:
            SweepError: naming the tasks that failed.
        """
        recorded, failed = 0, []
        for key, outcome in outcomes:
            task = self.waiting.pop(key)
            what = f"{task.detector} {task.dataset} seed {task.split.seed} contamination {task.split.contamination:.2f}"
            if isinstance(outcome, BaseException):
                failed.append(f"{what}: {type(outcome).__name__}: {outcome}")
                self.say(f"FAILED {failed[-1]}")
                continue
            recorded += 1
            seconds, auroc = outcome["seconds"]["total"], outcome["metrics"]["image_auroc"]
            self._seconds.setdefault(task.detector, []).append(seconds)
            self.say(
                f"{self.total - len(self.waiting)}/{self.total} {what}: image AUROC {auroc:.3f} "
                f"in {seconds:.0f} s{self._left()}"
            )
        if failed:
            raise SweepError(
                f"{len(failed)} tasks failed, {recorded} were recorded; call again to repeat the failed ones.\n"
                + "\n".join(failed)
            )
        return recorded

    def _left(self) -> str:
        """Time left, as ", about 12 min left": the mean seconds of each detector so far, over the workers."""
        if not self.waiting:
            return ""
        means = {name: sum(seen) / len(seen) for name, seen in self._seconds.items()}
        usual = sum(means.values()) / len(means)
        left = sum(means.get(task.detector, usual) for task in self.waiting.values())
        spent = sum(map(sum, self._seconds.values()))
        pace = max((time.monotonic() - self._start) / spent, 1 / self.lanes) if spent else 1 / self.lanes
        minutes = left * pace / 60
        text = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{max(1, round(minutes))} min"
        return f", about {text} left"
