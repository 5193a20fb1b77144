"""Detectors that compare features of a network of photographs, place by place, on every surface."""

from __future__ import annotations

from adlib_book.ledger.plans.chapter2 import ALL_SURFACES
from adlib_book.ledger.plans.task import Task, grid


def patches() -> list[Task]:
    """Memory and Gaussians of patches on the tests of the other detectors, and on the same images at 256 pixels.

    One setting for all surfaces, chosen before any run. PCA at 256 pixels says what the larger images alone are worth.
    """
    tasks: list[Task] = []
    for seed in (0, 1, 2):
        both = ["patch_memory", "patch_gaussian"]
        tasks += [
            *grid(detector=both, dataset=ALL_SURFACES, seed=[seed]),
            *grid(detector=[*both, "pca"], size=[256], dataset=ALL_SURFACES, seed=[seed]),
        ]
    return tasks
