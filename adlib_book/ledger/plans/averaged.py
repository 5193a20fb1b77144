"""The networks of chapters 1 and 2 with averaged weights."""

from __future__ import annotations

from adlib_book.ledger.plans.chapter1 import SURFACES
from adlib_book.ledger.plans.chapter2 import ALL_SURFACES
from adlib_book.ledger.plans.task import Task, grid


def averaged() -> list[Task]:
    """The networks of chapters 1 and 2 with averaged weights and full precision, one seed after the other.

    GANomaly's test sets are chapter 1's: a pool of 9 % of anomalies is missing from them, except on texture/glass.
    """
    tasks: list[Task] = []
    for seed in (0, 1, 2):
        tasks += [
            *grid(detector=["ganomaly"], reserve=[0.09], dataset=SURFACES, seed=[seed]),
            *grid(detector=["ganomaly"], dataset=["texture/glass"], seed=[seed]),
            *grid(detector=["dagan", "unet", "skip_ganomaly"], dataset=ALL_SURFACES, seed=[seed]),
        ]
    return tasks
