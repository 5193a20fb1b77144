"""How wide a band has to be: a model of where the same run lands on another processor.

A training in float32 is chaotic: the last digit of one sum, which depends on the processor, decides where it ends. So
the same chapter is run several times with its default seed, each time with other arithmetic
(`adlib_book.nightly.measure`), and a band is the interval in which one more such run falls.

The model, for numbers i of one kind, each from n runs with standard deviation s_i: runs scatter around the number's own
mean with variance sigma_i^2, and the variances of one kind scatter around a common one, s_0^2 d_0 / sigma_i^2 being
chi-squared with d_0 degrees of freedom (Smyth 2004, Linear models and empirical Bayes methods, section 3). Few runs of
many numbers then say how far one of them can move: with s~_i^2 = (d_0 s_0^2 + (n - 1) s_i^2) / (d_0 + n - 1), one more
run lies within

    mean_i +- t(1 - alpha / 2, d_0 + n - 1) s~_i sqrt(1 + 1 / n)

with probability 1 - alpha. With N numbers, 1 - alpha = (1 - ALARMS)^(1 / N): a sound night raises a false alarm about
once in 1 / ALARMS nights, and less often as numbers of one chapter move together.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

ALARMS = 0.01  # share of sound nights in which any number leaves its band
SAME = 1e-6  # relative: numbers that differ by less do not depend on the arithmetic

TOGETHER = 0.001  # share of sound nights in which the numbers seem to have moved together
FEWEST = 3  # chapters with measured numbers below which that is not asked

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Spread:
    """Where one more run of a number lands.

    Args:
        mean: of the runs, in the unit of the number.
        sd: standard deviation under the model, s~.
        half: half-width of the band around `mean`.
        runs: n.
    """

    mean: float
    sd: float
    half: float
    runs: int


def spreads(
    values: Mapping[Key, Sequence[float]],
    smallest: float,
    alarms: float = ALARMS,
    scales: Mapping[Key, float] | None = None,
) -> dict[Key, Spread]:
    """The spread of every number, those of one kind pooled.

    Two kinds are told apart: numbers that no arithmetic moves (PCA, a picture, a count), and all others. A number at
    the end of its range in all runs, like an AUROC of 1, may be of either kind and is taken for the second.

    Args:
        values: number -> its value in each run; at least three runs, not the same number for all.
        smallest: least half-width, relative to the number's size.
        alarms: share of sound nights with a false alarm, over all numbers.
        scales: number -> what its standard deviation is divided by before it is pooled, so that scores from 0 to 1
            and ratios of several can be pooled; see `scale`. By default 1 for all.

    Raises:
        ValueError: a number has fewer than three runs.
    """
    from scipy.stats import t

    if few := [f"{key}: {len(runs)}" for key, runs in values.items() if len(runs) < 3]:
        raise ValueError(f"numbers with too few runs, {', '.join(few)}; expected three or more of each.")
    scales = dict.fromkeys(values, 1.0) | dict(scales or {})
    sds = {key: float(np.std(runs, ddof=1)) / scales[key] for key, runs in values.items()}
    moved = [key for key, runs in values.items() if moves(runs)]
    own = {key: len(values[key]) - 1 for key in moved}  # degrees of freedom
    dof, variance = (
        prior([sds[key] for key in moved], [own[key] for key in moved]) if moved else (math.inf, 0.0)
    )
    chance = 1 - (1 - alarms) ** (1 / len(values))
    result = {}
    for key, runs in values.items():
        count = len(runs)
        mean = math.fsum(runs) / count
        sd = half = 0.0
        if key in own:
            sd = _moderated(sds[key], own[key], dof, variance) * scales[key]
            half = float(t.ppf(1 - chance / 2, min(dof + own[key], 1e6))) * math.sqrt(1 + 1 / count) * sd
        result[key] = Spread(mean, sd, max(half, smallest * max(abs(mean), smallest)), count)
    return result


def left_out(
    values: Mapping[Key, Mapping[str, float]],
    smallest: float,
    widest: float,
    scales: Mapping[Key, float] | None = None,
) -> dict[str, tuple[int, list[Key]]]:
    """What the bands are worth: each kind of run is held against the bands that all the others give.

    Args:
        values: number -> kind of run -> its value.
        smallest, scales: as in `spreads`.
        widest: half-width, in the number's scale, above which a band is not held.

    Returns:
        Kind of run -> how many of its numbers the others hold, and those of them that lie outside. A number is asked
        where three or more others are there.
    """
    scales = dict.fromkeys(values, 1.0) | dict(scales or {})
    result = {}
    for kind in dict.fromkeys(kind for runs in values.values() for kind in runs):
        others = {
            key: [value for name, value in runs.items() if name != kind] for key, runs in values.items()
        }
        others = {key: runs for key, runs in others.items() if len(runs) >= 3}
        if not others:
            continue
        held = {
            key: each
            for key, each in spreads(others, smallest, scales=scales).items()
            if kind in values[key] and each.half <= widest * scales[key]
        }
        outside = [key for key, each in held.items() if abs(values[key][kind] - each.mean) > each.half]
        result[kind] = len(held), outside
    return result


def scale(runs: Sequence[float], limits: Sequence[float | None] | None) -> float:
    """What a number's spread is measured in: the length of its range, or, where that has no end, its mean size."""
    least, most = limits or (None, None)
    if least is not None and most is not None:
        return most - least
    return abs(math.fsum(runs) / len(runs)) or 1.0


def moves(runs: Sequence[float]) -> bool:
    """Whether a number depends on the arithmetic, or may: it is 0 or 1 in all runs."""
    size = max(map(abs, runs))
    return max(runs) - min(runs) > SAME * size or {*runs} in ({0.0}, {1.0})


def _moderated(sd: float, own: int, dof: float, variance: float) -> float:
    """The root of the mean of a number's own variance and that of its kind, weighted by degrees of freedom."""
    if math.isinf(dof):
        return math.sqrt(variance)
    return math.sqrt((dof * variance + own * sd**2) / (dof + own))


def prior(sds: Sequence[float], own: int | Sequence[int]) -> tuple[float, float]:
    """Degrees of freedom d_0 and variance s_0^2 that variances of one kind have in common (Smyth 2004, section 6.2).

    Args:
        sds: standard deviations of different numbers; those of 0 are taken for a hundredth of the median.
        own: degrees of freedom of each, or one number for all.

    Returns:
        d_0, infinite if the variances scatter no more than chance makes them, and 0 for a single number; s_0^2.
    """
    from scipy.special import digamma, polygamma

    squares = np.square(sds)
    squares = np.maximum(squares, 1e-4 * (np.median(squares[squares > 0]) if squares.any() else 1e-12))
    halves = np.broadcast_to(np.asarray(own) / 2, squares.shape)
    logs = np.log(squares) - digamma(halves) + np.log(halves)
    mean = float(logs.mean())
    if len(logs) < 2:
        return 0.0, 0.0
    excess = float(logs.var(ddof=1)) - float(polygamma(1, halves).mean())
    if excess <= 0:
        return math.inf, float(squares.mean())
    dof = 2 * _inverse_trigamma(excess)
    return dof, math.exp(mean + float(digamma(dof / 2)) - math.log(dof / 2))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return math.exp(brentq(lambda log: math.log(polygamma(1, math.exp(log))) - math.log(value), -15, 15))


def moved_together(
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]],
    entries: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[str]:
    """Whether numbers have moved more than processors make them, though each may be inside its band.

    Every number is a distance from its baseline in standard deviations; those of a chapter are averaged as squares,
    since they come from the same networks and are counted as one. The sum over chapters is held against chi-squared.

    Args:
        metrics: chapter -> metric -> entry with "value", of one night.
        entries: chapter -> metric -> baseline; those without "measured" or with an "sd" of 0 are passed over.

    Returns:
        One sentence, or none if all is well or fewer than FEWEST chapters have measured numbers.
    """
    from scipy.stats import chi2

    squares = {}
    for chapter, numbers in metrics.items():
        own = [
            (number["value"] - entry["value"]) ** 2 / (entry["sd"] ** 2 * (1 + 1 / len(entry["measured"])))
            for metric, number in numbers.items()
            if (entry := entries.get(chapter, {}).get(metric)) and entry.get("sd") and entry.get("measured")
        ]
        if own:
            squares[chapter] = math.fsum(own) / len(own)
    count, total = len(squares), math.fsum(squares.values())
    if count < FEWEST or (chance := float(chi2.sf(total, count))) >= TOGETHER:
        return []
    most = ", ".join(sorted(squares, key=squares.__getitem__, reverse=True)[:3])
    return [
        f"the numbers of {count} chapters lie {math.sqrt(total / count):.2f} standard deviations from their baselines "
        f"(root mean square; 1 on another processor, so far once in {1 / max(chance, 1e-9):,.0f} nights); "
        f"most in {most}"
    ]
