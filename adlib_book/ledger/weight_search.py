"""The dual discriminator's search for loss weights: what is searched, and how the candidates are ranked.

Kim et al. 2020 try every combination of 0.5, 1.0 and 1.5 for six weights in which the four weights of normal images
together are "more than twice" the two of anomalies, because the ABC loss is the largest of the six. They report 314
candidates; the rule as it is written leaves 315 (414 with "at least twice", 729 without a rule). What their search
was scored by is not written. Here it is `validation_auroc`: labelled anomalies and normal images that are neither
trained on nor tested. Training itself is run as the plan "chapter3_weights".
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from adlib_book import published

NORMAL_WEIGHTS = ("reconstruction", "adversarial", "patch", "latent")
ANOMALY_WEIGHTS = ("abc", "anomaly_adversarial")
VALUES = (0.5, 1.0, 1.5)
PUBLISHED: dict[str, float] = published.kim_weights().to_dict()  # Table 2
RULES = ("more than twice", "at least twice", "none")


def candidates(rule: str = "more than twice") -> list[dict[str, float]]:
    """Every combination of weights that the rule leaves, in a fixed order.

    Args:
        rule: "more than twice" (315 candidates), "at least twice" (414) or "none" (729).

    Raises:
        ValueError: another rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(map(repr, RULES))}.")
    names, chosen = NORMAL_WEIGHTS + ANOMALY_WEIGHTS, []
    for values in itertools.product(VALUES, repeat=len(names)):
        weights = dict(zip(names, values))
        normal, anomaly = (sum(weights[n] for n in group) for group in (NORMAL_WEIGHTS, ANOMALY_WEIGHTS))
        if rule == "none" or normal > 2 * anomaly or (rule == "at least twice" and normal == 2 * anomaly):
            chosen.append(weights)
    return chosen


def draw(count: int, seed: int = 0) -> list[dict[str, float]]:
    """The published weights, and `count` - 1 other candidates of the stated rule, drawn at random without repetition.

    Args:
        count: 1 to 315; 315 is the whole search.
        seed: a larger draw with the same seed begins with the smaller one.

    Raises:
        ValueError: a count out of range.
    """
    others = [weights for weights in candidates() if weights != PUBLISHED]
    if not 1 <= count <= len(others) + 1:
        raise ValueError(f"count is {count}; the rule leaves 1 to {len(others) + 1} candidates.")
    order = np.random.default_rng(seed).permutation(len(others))[: count - 1]
    return [dict(PUBLISHED), *(others[number] for number in order)]


def ranking(table: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a ledger, best first by the mean of `validation_auroc` over sets and seeds.

    Args:
        table: rows of the dual discriminator from `adlib_book.ledger.results.load("chapter3_weights")`.

    Returns:
        One row per candidate: its six weights, runs, validation_auroc, image_auroc (nothing is chosen by it),
        published (whether it is Table 2's). The index is the rank, from 1.

    Raises:
        ValueError: no row has a validation_auroc.
    """
    names = [*NORMAL_WEIGHTS, *ANOMALY_WEIGHTS]
    needed = [*(f"config/{name}" for name in names), "metrics/validation_auroc", "metrics/image_auroc"]
    if not len(table) or not set(needed) <= set(table.columns):
        raise ValueError(
            "no row has weights and a validation_auroc; run `adlib sweep chapter3_weights` first."
        )
    short = table[needed].dropna().rename(columns=lambda column: column.split("/")[1])
    grouped = short.groupby(names, as_index=False).agg(
        runs=("image_auroc", "size"),
        validation_auroc=("validation_auroc", "mean"),
        image_auroc=("image_auroc", "mean"),
    )
    grouped["published"] = (grouped[names] == pd.Series(PUBLISHED)[names]).all(axis=1)
    ranked = grouped.sort_values("validation_auroc", ascending=False, ignore_index=True)
    ranked.index = pd.RangeIndex(1, len(ranked) + 1, name="rank")
    return ranked
