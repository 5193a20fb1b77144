"""Tables made from ledger rows, against loops over the rows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from adlib_book.ledger import results

RANDOM = np.random.default_rng(0)
RUNS = pd.DataFrame(
    [
        {"dataset": name, "detector": detector, "seed": seed, "image_size": 64, "adlib": "b" if seed else "a"}
        for name in ("wood", "bottle")
        for detector in ("pca", "dagan")
        for seed in range(3 if detector == "dagan" else 1)
        for _ in range(1 + (seed == 1))  # a seed that was run twice
    ]
).sample(frac=1, random_state=0, ignore_index=True)
RUNS["auroc"] = RANDOM.random(len(RUNS))


def test_values_of_a_set_stay_in_the_order_of_the_runs():
    dagan = RUNS[RUNS["detector"] == "dagan"]
    values = results.per_set(dagan)
    assert list(values) == list(dict.fromkeys(dagan["dataset"]))
    for name, own in values.items():
        slow = [row["auroc"] for _, row in dagan.iterrows() if row["dataset"] == name]
        assert own.tolist() == slow


def test_the_range_over_seeds_compares_means_of_seeds_and_needs_two():
    ranges = results.seed_range(RUNS, "auroc", ["detector", "dataset"])
    assert len(ranges) == 4
    for (detector, dataset), value in ranges.items():
        means = []
        for seed in range(3):
            own = [
                row["auroc"]
                for _, row in RUNS.iterrows()
                if (row["detector"], row["dataset"], row["seed"]) == (detector, dataset, seed)
            ]
            means += [sum(own) / len(own)] if own else []
        assert math.isnan(value) if len(means) < 2 else math.isclose(value, max(means) - min(means))
    assert ranges["dagan"].notna().all()


def test_the_origin_of_a_figure_names_sizes_seeds_and_sources():
    assert results.origin("chapter9", RUNS) == "ledger chapter9 · 64 px · seeds 0 to 2 · adlib a, b"
    two = RUNS[RUNS["seed"] != 1].assign(image_size=lambda t: np.where(t["seed"], 128, 64))
    assert results.origin("x", two) == "ledger x · 64 and 128 px · seeds 0, 2 · adlib a, b"
    assert results.origin("x", RUNS[RUNS["seed"] == 0]) == "ledger x · 64 px · seed 0 · adlib a"
