"""Chapter 1: GANomaly, clean and contaminated, and where the paper's higher numbers come from."""

from __future__ import annotations

from typing import Any

from adlib_book.ledger.plans.task import Task, grid, last_weights

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


@last_weights
def chapter1() -> list[Task]:
    """The long runs behind chapter 1: GANomaly, clean and contaminated, its variants, and two trivial baselines.

    Contaminating anomalies come from a pool of 9 % of the training size that is missing from the test set in
    every row, so that all levels are tested on the same images.
    """
    common: dict[str, Any] = {"reserve": [0.09], "seed": [0, 1, 2], "dataset": SURFACES}
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


@last_weights
def chapter1_gap() -> list[Task]:
    """Where does the paper's higher D1 come from? A committee of checkpoints, four times the steps, the full width."""
    objects = ("mvtec/bottle", "mvtec/transistor", "mvtec/pill")
    common: dict[str, Any] = {"detector": ["ganomaly"], "reserve": [0.09]}
    usual = grid(seed=[0, 1, 2], dataset=objects, changes=[{"checkpoints": 16}], **common)
    longer = grid(seed=[0, 1, 2], changes=[{"steps": 4000}], dataset=objects[:2], **common)
    wider = grid(seed=[0], changes=[{"width": 64}], dataset=objects[:2], **common)
    return [*usual, *longer, *wider]


def chapter1_areas() -> list[Task]:
    """Does the area of the defects decide between the distances? The same boards with defects of four areas.

    One training serves all four: it sees normal boards only, those of `texture/wood` as usual.
    """
    areas = {"defect_area": (0.004, 0.015, 0.06, 0.15)}
    return list(grid(seed=[0, 1, 2], dataset=["texture/wood"], data=[areas], detector=["pca", "ganomaly"]))
