"""Many experiments, one after another, each recorded once.

A task that the ledger already holds is skipped, so a sweep that was stopped goes on when it is called again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from adlib import results
from adlib.data import load
from adlib.detectors import make_detector
from adlib.environment import git_commit
from adlib.errors import unknown_name
from adlib.experiment import identify, run_experiment


@dataclass(frozen=True)
class Task:
    """One experiment: detector x data x seed, with changes to either's settings."""

    detector: str
    dataset: str
    size: int = 64
    seed: int = 0
    profile: str = "book"
    contamination: float = 0.0
    reserve: float | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def grid(**axes: Iterable[Any]) -> Iterator[Task]:
    """Every combination of the given values of Task's fields, the last axis turning fastest."""
    for values in itertools.product(*axes.values()):
        yield Task(**dict(zip(axes, values)))


SURFACES = (
    "elpv/mono",
    "elpv/poly",
    "mvtec/bottle",
    "mvtec/pill",
    "mvtec/screw",
    "mvtec/transistor",
    "magnetic_tile",
    "texture/wood",
)


def chapter1() -> list[Task]:
    """The long runs behind chapter 1: GANomaly, clean and contaminated, its variants, and two trivial baselines.

    Contaminating anomalies come from a pool of 9 % of the training size that is missing from the test set in
    every row, so that all levels are tested on the same images.
    """
    common = {"reserve": [0.09], "seed": [0, 1, 2], "dataset": SURFACES}
    trivial = grid(detector=["pca", "mean_intensity"], contamination=[0.0, 0.03, 0.06, 0.09], **common)
    clean = grid(detector=["ganomaly"], contamination=[0.0], **common)
    mixed = grid(detector=["ganomaly"], contamination=[0.09, 0.03, 0.06], **common)
    variants = grid(
        detector=["ganomaly"],
        reserve=[0.09],
        changes=[{"variant": name} for name in ("paper", "official", "tang_literal")],
        seed=[0, 1, 2],
        dataset=["elpv/mono", "mvtec/bottle", "mvtec/transistor"],
    )
    return [*trivial, *clean, *mixed, *variants]


def chapter1_gap() -> list[Task]:
    """Where does the paper's higher D1 come from? A committee of checkpoints, four times the steps, the full width."""
    objects = ("mvtec/bottle", "mvtec/transistor", "mvtec/pill")
    common = {"detector": ["ganomaly"], "reserve": [0.09]}
    usual = grid(seed=[0, 1, 2], dataset=objects, changes=[{"checkpoints": 16}], **common)
    longer = grid(seed=[0, 1, 2], changes=[{"steps": 4000}], dataset=objects[:2], **common)
    wider = grid(seed=[0], changes=[{"width": 64}], dataset=objects[:2], **common)
    return [*usual, *longer, *wider]


def chapter2() -> list[Task]:
    """The comparison behind the chapter on DAGAN, on whole test sets, one seed after the other."""
    detectors = ["pca", "mean_intensity", "unet", "dagan", "skip_ganomaly", "ganomaly"]
    return list(grid(seed=[0, 1, 2], dataset=[*SURFACES, "texture/glass"], detector=detectors))


PLANS = {"chapter1": chapter1, "chapter1_gap": chapter1_gap, "chapter2": chapter2}


def sweep(
    tasks: Iterable[Task], ledger: str | Path, device: str = "auto", shard: tuple[int, int] = (0, 1)
) -> int:
    """Run every task that the ledger does not hold yet, appending a record after each.

    Args:
        tasks: what to run, in this order.
        ledger: JSON-lines file to read and to append to.
        device: as in `make_detector`.
        shard: (k, n) runs every n-th task beginning with number k, for n processes side by side.

    Returns:
        How many tasks were run.
    """
    ledger, console, tasks = Path(ledger), Console(), list(tasks)[shard[0] :: shard[1]]
    done = {record["id"] for record in results.read(ledger)} if ledger.is_file() else set()
    ran = 0
    for number, task in enumerate(tasks, start=1):
        split = load(
            task.dataset,
            size=task.size,
            seed=task.seed,
            contamination=task.contamination,
            reserve=task.reserve,
        )
        detector = make_detector(
            task.detector, split.image_shape, task.profile, task.seed, device, **task.changes
        )
        notes = {"profile": task.profile}
        if identify(detector, split, **notes)["id"] in done:
            continue
        record = run_experiment(detector, split, progress="quiet", **notes)
        results.append(record, ledger)
        done.add(record["id"])
        ran += 1
        console.print(
            f"{number}/{len(tasks)} {task.detector} {task.dataset} seed {task.seed} "
            f"contamination {task.contamination:.2f}: image AUROC {record['metrics']['image_auroc']:.3f} "
            f"in {record['seconds']['total']:.0f} s",
            soft_wrap=True,
        )
    return ran


def run_plan(name: str, shard: str = "0/1", device: str = "auto") -> int:
    """Run a named plan into `<name>.jsonl` of the ledger.

    Args:
        name: one of PLANS.
        shard: "k/n", see `sweep`.
        device: as in `make_detector`.

    Returns:
        How many tasks were run.

    Raises:
        ValueError: an unknown plan, a shard that is not of the form k/n with 0 <= k < n, or code that is not
            committed.
    """
    if name not in PLANS:
        raise unknown_name("plan", name, PLANS)
    if git_commit().endswith("+dirty"):
        raise ValueError(
            "the package has changes that are not committed: a record must name code that can be checked out. "
            "Commit first, or call adlib.sweep.sweep with a ledger of your own."
        )
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise ValueError(f"shard is {shard!r}; expected k/n with 0 <= k < n, for instance 0/2.")
    ledger = results.ledger_folder() / f"{name}.jsonl"
    return sweep(PLANS[name](), ledger, device, (int(number), int(count)))
