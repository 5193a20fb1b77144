"""Comparing many detectors over many data sets by their ranks (Demšar, JMLR 7, 2006).

AUROCs of different data sets have different scales: a hundredth on an easy set is more than a tenth on a hard one.
Ranks have one scale. Within each set the best detector has rank 1; ties share the mean of their ranks.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats


def ranks(values: pd.DataFrame) -> pd.DataFrame:
    """Rank of each detector on each data set, 1 = the largest value.

    Args:
        values: one row per data set, one column per detector, larger = better, without gaps.

    Returns:
        The same shape, in float: ties share the mean of their ranks.

    Raises:
        ValueError: fewer than two detectors, no set, or a missing value, whose place it names.
    """
    if values.shape[1] < 2 or not len(values):
        raise ValueError(
            f"the table has {len(values)} data sets and {values.shape[1]} detectors; ranks need at least one set "
            "and two detectors."
        )
    if values.isna().to_numpy().any():
        row, column = np.argwhere(values.isna().to_numpy())[0]
        raise ValueError(
            f"no value of {values.columns[column]!r} on {values.index[row]!r}; ranks compare on the same sets: "
            "leave the detector out, or the set."
        )
    return values.rank(axis=1, ascending=False, method="average")


def friedman(values: pd.DataFrame) -> tuple[float, float]:
    """Friedman's test of "all detectors are equally good".

    Args:
        values: as for `ranks`, with at least three detectors.

    Returns:
        (chi-squared statistic, p): a small p says that some differ, not which.

    Raises:
        ValueError: as `ranks`; fewer than three detectors.
    """
    if ranks(values).shape[1] < 3:
        raise ValueError(
            "Friedman's test compares three detectors or more; compare two by their differences."
        )
    statistic, p = stats.friedmanchisquare(*values.to_numpy(float).T)
    return float(statistic), float(p)


def critical_difference(detectors: int, sets: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference: mean ranks further apart than this differ at level alpha, all pairs at once.

    CD = q_alpha * sqrt(k (k + 1) / (6 N)) for k detectors on N sets; q_alpha is the studentised range over sqrt(2)
    (Demšar 2006, Table 5a).

    Args:
        detectors: k, at least 2.
        sets: N, at least 1.
        alpha: between 0 and 1.

    Raises:
        ValueError: a number outside these bounds.
    """
    if detectors < 2 or sets < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"detectors={detectors}, sets={sets}, alpha={alpha}; expected at least 2, at least 1, and a level "
            "between 0 and 1."
        )
    q = stats.studentized_range.ppf(1 - alpha, detectors, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(detectors * (detectors + 1) / (6 * sets)))


def mean_ranks(values: pd.DataFrame, level: float = 0.95, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean rank of each detector, with the interval that other sets of the same kind might have given.

    Args:
        values: as for `ranks`.
        level: of the percentile interval, from drawing sets with replacement.
        draws: how often.
        seed: of the draws.

    Returns:
        Columns "mean", "low", "high", one row per detector, the best first.

    Raises:
        ValueError: as `ranks`.
    """
    table = ranks(values)
    chosen = np.random.default_rng(seed).integers(0, len(table), (draws, len(table)))
    means = table.to_numpy()[chosen].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    result = pd.DataFrame({"mean": table.mean(), "low": low, "high": high}, index=table.columns)
    return result.sort_values("mean", kind="stable")
