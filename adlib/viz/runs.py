"""Runs: how one went while training, and what many of them say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from adlib.viz._parts import (
    as_array,
    book_figure,
    check_columns,
    check_same_length,
    outer_labels,
    panels,
    series_colours,
)
from adlib.viz.style import ANOMALOUS, FAINT, INK, NORMAL, REFERENCE, STAMP_HEIGHT

PAPER, OURS, BASELINE = "paper", "ours, mean ± SD over seeds", "PCA"  # marks of paper_beside_ours


@book_figure
def loss_curves(losses: Mapping[str, Sequence[float]], smooth: int | None = None) -> Figure:
    """One panel per loss: every step pale, a moving mean dark; log axis where the mean spans a factor of 20.

    Args:
        losses: loss name -> one value per step, lengths may differ.
        smooth: steps averaged by the moving mean, >= 1; default: a fiftieth of the run.

    Returns:
        The figure.

    Raises:
        ValueError: a loss has no values, or smooth < 1.
    """
    if smooth is not None and smooth < 1:
        raise ValueError(f"smooth is {smooth}; expected a number of steps >= 1 (1 = no smoothing).")
    figure, axes = panels(len(losses), height=1.9)
    for axis, (name, values) in zip(axes, losses.items()):
        values = pd.Series(as_array(values).astype(float))
        if values.empty:
            raise ValueError(f"loss {name!r} has no values; expected one per step. Draw it after fit().")
        window = smooth or max(1, len(values) // 50)
        mean = values.rolling(window, center=True, min_periods=1).mean()
        steps = np.arange(1, len(values) + 1)
        axis.plot(steps, values, color=FAINT, linewidth=0.7)
        axis.plot(steps, mean, color=NORMAL)
        if values.min() > 0 and mean.max() > 20 * mean.min():
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(name)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    outer_labels(axes, x="step")
    return figure


@book_figure
def checkpoint_curve(
    steps: Sequence[int], validation_error: Sequence[float], test_auroc: Mapping[str, Sequence[float]]
) -> Figure:
    """What can be seen while training (validation error) above what cannot (test AUROC), and three choices.

    Marked are the last checkpoint, the one with the lowest validation-normal error, and per score the best on
    the test set: the oracle, which published code often saves as its model.

    Args:
        steps: K training steps, rising.
        validation_error: K reconstruction errors of validation-normal images, >= 0.
        test_auroc: score name -> K test AUROCs in [0, 1].

    Returns:
        The figure.

    Raises:
        ValueError: lengths differ.
    """
    at, error = as_array(steps), as_array(validation_error)
    check_same_length(steps=at, validation_error=error, **test_auroc)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.4, 5.4), sharex=True, height_ratios=(1, 2.1), layout="constrained"
    )
    chosen = int(np.argmin(error))
    above.plot(at, error, color=INK)
    above.plot(at[chosen], error[chosen], "o", color=INK, markersize=8)
    above.set_title("seen while training: reconstruction error on validation-normal images")
    for axis in (above, below):
        axis.axvline(at[chosen], color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    ends = {}
    for name, colour in series_colours(test_auroc).items():
        values = as_array(test_auroc[name])
        best = int(np.argmax(values))
        below.plot(at, values, color=colour)
        below.plot(at[chosen], values[chosen], "o", color=colour, markersize=8)
        below.plot(at[-1], values[-1], "s", color=colour, markersize=8)
        below.plot(at[best], values[best], "*", color=colour, markersize=16, markeredgecolor="white")
        text = f"{name}  ■ {values[-1]:.3f}  ● {values[chosen]:.3f}  ★ {values[best]:.3f}"
        ends[text] = (values[-1], colour)
    below.set_title("not seen: AUROC on the test set      ■ last   ● lowest validation error   ★ oracle")
    below.set(xlabel="step", ylim=_auroc_limits([v for values in test_auroc.values() for v in values]))
    below.margins(x=0.01)
    _label_ends(below, at[-1], ends)
    return figure


@book_figure
def contamination_figure(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """AUROC against the share of anomalies among the training images, one panel per data set.

    Dots are single runs; the line is their mean, bars are one sample SD over seeds.

    Args:
        frame: one row per run, columns "dataset", "contamination" (share, 0.03 = 3 %), "auroc", optionally
            "score" (one line each).
        reference: the same columns without "score", for a baseline such as PCA; drawn in grey.

    Returns:
        The figure.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, "dataset", "contamination", "auroc")
    figure, axes = panels(frame["dataset"].nunique(), height=2.5, share_y=True)
    values = pd.concat([frame["auroc"]] + ([] if reference is None else [reference["auroc"]]))
    axes[0].set_ylim(_auroc_limits(values))  # first, because _label_ends places names on this scale
    scores = list(dict.fromkeys(frame["score"])) if "score" in frame else ["ours"]
    colours = series_colours(scores)
    for axis, (name, runs) in zip(axes, frame.groupby("dataset", sort=False)):
        axis.set_title(name)
        ends = {}
        if reference is not None and (baseline := reference[reference["dataset"] == name]).size:
            ends["PCA"] = (_mean_and_spread(axis, baseline, REFERENCE, 0.0), REFERENCE)
        for offset, score in zip(_offsets(len(scores)), scores):
            of_score = runs[runs["score"] == score] if "score" in runs else runs
            if len(of_score):
                mean = _mean_and_spread(axis, of_score, colours[score], 0.0035 * offset)
                ends[score] = (mean, colours[score])
        levels = sorted(runs["contamination"].unique())
        axis.set_xticks(levels, [f"{100 * level:g}" for level in levels])
        if axis is axes[0] or len(axes) <= 3:
            _label_ends(axis, max(levels), ends, gap=0.1)
    outer_labels(axes, x="anomalies in training, %", y="image AUROC")
    return figure


def _mean_and_spread(axis: Axes, runs: pd.DataFrame, colour: str, shift: float) -> float:
    """Draw runs, mean and SD over contamination levels; the mean at the last level is returned."""
    groups = runs.groupby("contamination")["auroc"]
    mean, spread = groups.mean(), groups.std().fillna(0.0)
    axis.plot(runs["contamination"] + shift, runs["auroc"], ".", color=colour, alpha=0.35, markersize=6)
    axis.errorbar(mean.index + shift, mean, yerr=spread, color=colour, capsize=3, marker="o", markersize=5)
    return float(mean.iloc[-1])


@book_figure
def paper_beside_ours(
    paper: Mapping[str, float],
    ours: Mapping[str, ArrayLike],
    baseline: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """One line per data set: the paper's printed AUROC, ours over seeds, and PCA as the trivial baseline.

    Args:
        paper: row name -> printed value; rows without one are shown without a mark.
        ours: row name -> one value per seed (or a single value); gives the rows and their order.
        baseline: row name -> one value per seed (or a single value).

    Returns:
        The figure.

    Raises:
        ValueError: ours is empty.
    """
    if not ours:
        raise ValueError("ours holds no row; expected one per data set. Is the ledger empty?")
    figure, axis = plt.subplots(figsize=(8.0, 1.35 + 0.36 * len(ours) + STAMP_HEIGHT), layout="constrained")
    rows = {name: len(ours) - 1 - line for line, name in enumerate(ours)}
    for name, y in rows.items():
        axis.axhline(y, color="#EFEFEF", linewidth=1, zorder=0)
        _compared_values(axis, y, paper.get(name), ours[name], (baseline or {}).get(name))
    axis.set_yticks(list(rows.values()), list(rows))
    axis.set_ylim(-0.6, len(ours) - 0.4)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    _chance_line(axis)
    axis.set_xlabel("image AUROC")
    handles = {text: handle for handle, text in zip(*axis.get_legend_handles_labels())}
    handles = {text: handles[text] for text in (PAPER, OURS, BASELINE) if text in handles}
    figure.legend(
        list(handles.values()),
        list(handles),
        handlelength=1.2,
        labelcolor="linecolor",
        loc="outside upper center",
        ncols=3,
    )
    return figure


def _compared_values(
    axis: Axes, y: float, paper: float | None, ours: ArrayLike, baseline: ArrayLike | None
) -> None:
    """The marks of one row, each under its name in the legend."""
    if baseline is not None:
        value = np.mean(as_array(baseline))
        axis.plot(value, y, "|", color=REFERENCE, markersize=15, markeredgewidth=3, label=BASELINE)
    values = np.atleast_1d(as_array(ours)).astype(float)
    axis.errorbar(
        values.mean(), y, xerr=_spread(values), fmt="o", color=NORMAL, markersize=7, capsize=3,
        elinewidth=2, label=OURS,
    )  # fmt: skip
    if paper is not None:
        axis.plot(paper, y, "D", color=INK, markerfacecolor="none", markersize=8, markeredgewidth=1.8,
                  label=PAPER)  # fmt: skip


@book_figure
def leak_figure(leaks: pd.DataFrame) -> Figure:
    """The effect of each leak of an evaluation: its gain over the leak-free protocol, one panel per metric.

    Bars are means, whiskers one sample SD, dots single runs; the largest mean stands on top.

    Args:
        leaks: one row per run and leak, columns "leak" (name), "metric" (for instance "AUROC", "F1"), "delta"
            (leaking value minus leak-free value of the same run).

    Returns:
        The figure.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(leaks, "leak", "metric", "delta")
    groups = list(leaks.groupby("metric", sort=False))
    counts = [group["leak"].nunique() for _, group in groups]
    figure, axes = plt.subplots(
        len(groups), 1, figsize=(8.0, 0.62 * len(groups) + 0.46 * sum(counts) + STAMP_HEIGHT + 0.2),
        height_ratios=counts, squeeze=False, layout="constrained", sharex=True,
    )  # fmt: skip
    for axis, (metric, group) in zip(axes[:, 0], groups):
        _leak_bars(axis, {name: runs["delta"] for name, runs in group.groupby("leak")})
        axis.set_title(f"gain in {metric}")
    axes[-1, 0].set_xlabel("leaking protocol minus leak-free protocol, same run")
    return figure


def _leak_bars(axis: Axes, deltas: Mapping[str, pd.Series]) -> None:
    order = sorted(deltas, key=lambda name: deltas[name].mean())
    for y, name in enumerate(order):
        delta = deltas[name]
        colour = ANOMALOUS if delta.mean() > 0 else REFERENCE
        axis.barh(y, delta.mean(), height=0.6, color=colour, alpha=0.35)
        axis.errorbar(delta.mean(), y, xerr=_spread(delta), color=colour, capsize=3)
        axis.plot(delta, np.full(len(delta), y), ".", color=colour, markersize=5)
    gains = {name: f"{deltas[name].mean():+.3f}".replace("-", "−") for name in order}
    axis.set_yticks(range(len(order)), [f"{name}   {gain}" for name, gain in gains.items()])
    axis.tick_params(axis="y", length=0)
    axis.axvline(0, color=INK, linewidth=1)
    axis.spines["left"].set_visible(False)


def _spread(values: NDArray[np.float64]) -> float:
    """Sample SD; no bar (0) for a single run, whose spread is not known."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _offsets(count: int) -> NDArray[np.float64]:
    """Positions around 0, one apart, so that error bars at one level do not cover each other."""
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def _auroc_limits(values: Iterable[float]) -> tuple[float, float]:
    values = [v for v in values if np.isfinite(v)]
    low, high = min(values), max(values)
    low = 0.5 if 0.5 < low < 0.65 else low  # show chance when it is near
    return max(0.0, low - 0.03), min(1.012, high + 0.05)  # below 1.05: no tick above 1


def _chance_line(axis: Axes) -> None:
    low, high = axis.get_xlim()
    if low < 0.55:
        axis.set_xlim(min(low, 0.48), high)
        axis.axvline(0.5, color=REFERENCE, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        axis.text(
            0.5, 1.0, " chance", transform=axis.get_xaxis_transform(), fontsize=9, color=REFERENCE, va="top"
        )


def _label_ends(axis: Axes, x: float, ends: Mapping[str, tuple[float, str]], gap: float = 0.07) -> None:
    """Name lines at their right ends, moved apart where names would overlap (gap: share of the axis)."""
    low, high = axis.get_ylim()
    heights = {text: (y - low) / (high - low) for text, (y, _) in ends.items()}
    names = sorted(heights, key=heights.__getitem__)
    places: list[float] = []
    for text in names:
        places.append(max(heights[text], places[-1] + gap) if places else heights[text])
    top = 1 - gap / 2
    for number in reversed(range(len(places))):  # then down, where the top name would leave the axis
        places[number] = min(places[number], top)
        top = places[number] - gap
    for text, place in zip(names, places):
        axis.annotate(
            text, (x, place), xycoords=("data", "axes fraction"), xytext=(10, 0), textcoords="offset points",
            color=ends[text][1], va="center", fontsize=9.5, fontweight="bold", annotation_clip=False,
        )  # fmt: skip
