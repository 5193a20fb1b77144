"""Scores of one test set: histograms, ROC curves, and the verdicts that a threshold gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from adlib import metrics
from adlib.viz._parts import (
    as_array,
    as_pictures,
    book_figure,
    outer_labels,
    panels,
    series_colours,
    short_number,
    show_picture,
)
from adlib.viz.style import ANOMALOUS, FAINT, INK, NORMAL, REFERENCE, RIGHT, WRONG


@book_figure
def score_histograms(
    scores: Mapping[str, ArrayLike], labels: ArrayLike, thresholds: Mapping[str, float] | None = None
) -> Figure:
    """How well each score separates: one panel per score, normal against anomalous, threshold and AUROC.

    Each class is scaled to 100 %, so that a rare class is as visible as a frequent one. Where a few images
    score far beyond the rest, they are counted in the last bar and the panel says how many.

    Args:
        scores: score name -> values, shape (N,), larger = more anomalous.
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        thresholds: score name -> threshold learnt from validation-normal images; names may be missing.

    Returns:
        The figure.

    Raises:
        ValueError: as for `metrics.image_auroc`.
    """
    truth = as_array(labels).astype(bool)
    figure, axes = panels(len(scores), height=2.5)
    for axis, (name, values) in zip(axes, scores.items()):
        values = as_array(values).astype(float)
        axis.set_title(f"{name}   AUROC {metrics.image_auroc(truth, values):.3f}")
        threshold = (thresholds or {}).get(name)
        _histogram(axis, values, truth, threshold)
    _class_key(axes[0], truth)
    outer_labels(axes, x="anomaly score", y="% of its class")
    return figure


def _histogram(axis: Axes, values: NDArray[Any], truth: NDArray[np.bool_], threshold: float | None) -> None:
    low, high = _score_range(values, threshold)
    bins = np.linspace(low, high, 36)
    for of_class, colour in ((truth, ANOMALOUS), (~truth, NORMAL)):
        sns.histplot(
            x=values[of_class].clip(max=high), bins=bins, stat="percent", ax=axis,
            element="step", color=colour, alpha=0.35, linewidth=1.4,
        )  # fmt: skip
    axis.set_ylim(0, axis.get_ylim()[1] * 1.25)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_locator(MaxNLocator(6))
    if beyond := int((values > high).sum()):
        axis.text(
            1.0, 0.4, f"{beyond} beyond →", transform=axis.transAxes, ha="right", fontsize=9, color=REFERENCE
        )
    if threshold is not None:
        axis.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        at_right = threshold > low + 0.6 * (high - low)  # then its name is left of the line, below the key
        axis.annotate(
            "threshold", (threshold, 0.68 if at_right else 0.98), xycoords=axis.get_xaxis_transform(),
            xytext=(-3 if at_right else 3, 0), textcoords="offset points", rotation=90, va="top",
            ha="right" if at_right else "left", fontsize=9,
        )  # fmt: skip


def _score_range(values: NDArray[Any], threshold: float | None) -> tuple[float, float]:
    """Range of a histogram; it ends at the 99th percentile where a few outliers would squeeze the rest."""
    low, high = values.min(), values.max()
    # "lower" gives the score of an image: interpolated, it could lie far out between the bulk and an outlier.
    bulk = np.quantile(values, 0.99, method="lower")
    high = bulk if high - low > 1.5 * (bulk - low) > 0 else high
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _class_key(axis: Axes, truth: NDArray[np.bool_]) -> None:
    """The two classes named in their colours, in the upper right corner, where scores are rare."""
    entries = ((f"normal ({int((~truth).sum())})", NORMAL), (f"anomalous ({int(truth.sum())})", ANOMALOUS))
    for line, (text, colour) in enumerate(entries):
        axis.text(
            0.99, 0.97 - 0.13 * line, text, transform=axis.transAxes, ha="right", va="top", color=colour,
            fontsize=10, fontweight="bold", bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1},
        )  # fmt: skip


@book_figure
def roc_figure(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """ROC curves on one axis, named in order of their AUROC, with the diagonal of chance.

    Args:
        curves: name -> (labels (N,), scores (N,)); N may differ. A name that starts with "PCA" (or "pca") is
            drawn in grey, as a reference.

    Returns:
        The figure.

    Raises:
        ValueError: as for `metrics.image_auroc`.
    """
    figure, axis = plt.subplots(figsize=(7.0, 5.2), layout="constrained")
    areas = {name: metrics.image_auroc(*curve) for name, curve in curves.items()}
    colours = _colours(curves)
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1.4, zorder=0)
    axis.text(0.27, 0.245, "chance", color=REFERENCE, fontsize=9, rotation=45, ha="center", va="center",
              rotation_mode="anchor", transform_rotates_text=True)  # fmt: skip
    for name in sorted(areas, key=areas.__getitem__):  # the best on top
        curve = metrics.roc_curve(*curves[name])
        axis.plot(curve.fpr, curve.tpr, color=colours[name], label=name, zorder=2, clip_on=False)
    for line, name in enumerate(sorted(areas, key=areas.__getitem__, reverse=True)):
        y = 0.07 + 0.072 * (len(areas) - 1 - line)
        axis.plot([0.60, 0.645], [y, y], color=colours[name], linewidth=3)
        axis.text(0.67, y, f"{areas[name]:.3f}", color=colours[name], va="center")
        axis.text(0.805, y, name, color=colours[name], va="center", fontweight="bold")
    axis.text(0.67, 0.07 + 0.072 * len(areas), "AUROC", va="center", fontsize=9, color=REFERENCE)
    axis.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axis.set(
        xlabel="false-positive rate: normal images refused", ylabel="true-positive rate: anomalies found"
    )
    return figure


def _colours(names: Iterable[str]) -> dict[str, str]:
    references = {name: REFERENCE for name in names if name.lower().startswith("pca")}
    return series_colours(name for name in names if name not in references) | references


@book_figure
def threshold_figure(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    *,
    learnt: float | None = None,
    images: ArrayLike | None = None,
    name: str = "anomaly score",
) -> Figure:
    """What one threshold does: histogram, counts, point on the ROC curve, F1; optionally the closest calls.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), larger = more anomalous; an image is declared anomalous if its score > threshold.
        threshold: where to cut, in the unit of the scores.
        learnt: the threshold learnt from validation-normal images, marked for comparison.
        images: uint8, shape (N, C, H, W); the eight with scores closest to the threshold are shown.
        name: name of the score.

    Returns:
        The figure.

    Raises:
        ValueError: as for `metrics.confusion`.
    """
    truth, values = as_array(labels).astype(bool), as_array(scores).astype(float)
    counts = metrics.confusion(truth, values > threshold)
    height, foot = (2.9, 0.72) if images is None else (4.1, 1.92)  # inches
    figure = plt.figure(figsize=(8.4, height))
    place = {"left": 0.065, "right": 0.985, "bottom": foot / height, "top": 1 - 0.45 / height, "wspace": 0.28}
    histogram, table, roc = figure.subplots(1, 3, width_ratios=(1.7, 1.25, 1), gridspec_kw=place)
    _histogram(histogram, values, truth, None)
    histogram.axvline(np.clip(threshold, *histogram.get_xlim()), color=INK, linewidth=2)
    if learnt is not None:
        histogram.axvline(
            np.clip(learnt, *histogram.get_xlim()),
            color=REFERENCE,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            zorder=0,
        )
    _class_key(histogram, truth)
    histogram.set(xlabel=name, ylabel="% of its class")
    _confusion_cells(table, counts)
    _roc_point(roc, truth, values, counts)
    note = ""
    if learnt is not None:
        note = "  (learnt)" if threshold == learnt else f"  (learnt: {short_number(learnt)})"
    title = f"threshold {short_number(threshold)}{note}   F1 {counts['f1']:.3f}"
    figure.text(0.012, 1 - 0.09 / height, title, va="top", fontweight="bold")
    if images is not None:
        _closest_calls(figure, as_pictures(images, "images"), truth, values, threshold)
    return figure


def _roc_point(
    axis: Axes, truth: NDArray[np.bool_], values: NDArray[Any], counts: Mapping[str, float]
) -> None:
    curve = metrics.roc_curve(truth, values)
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
    axis.plot(curve.fpr, curve.tpr, color=INK, linewidth=1.5)
    axis.plot(counts["fpr"], counts["tpr"], "o", color=ANOMALOUS, markersize=9, clip_on=False)
    axis.set(xticks=[0, 1], yticks=[0, 1])
    axis.set_xlabel("false-positive rate", fontsize=9, labelpad=-7)
    axis.set_ylabel("true-positive rate", fontsize=9, labelpad=-4)


def _confusion_cells(axis: Axes, counts: Mapping[str, float]) -> None:
    """Four counts as a two-by-two field; right verdicts on blue ground, wrong ones on orange."""
    cells = {
        (0, 1): ("tp", "found"),
        (1, 1): ("fn", "missed"),
        (0, 0): ("fp", "false alarms"),
        (1, 0): ("tn", "passed"),
    }
    for (column, row), (key, word) in cells.items():
        ground = RIGHT if key in ("tp", "tn") else WRONG
        axis.add_patch(Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, color=ground, linewidth=0))
        axis.text(column + 0.5, row + 0.58, str(counts[key]), ha="center", va="center", fontsize=17)
        axis.text(column + 0.5, row + 0.22, word, ha="center", va="center", fontsize=9)
    axis.set(xlim=(0, 2), ylim=(0, 2), xticks=[0.5, 1.5], yticks=[0.5, 1.5])
    axis.set_xticklabels(["above", "below"])
    axis.set_yticklabels(["normal", "anomalous"], rotation=90, va="center")
    for tick, colour in zip(axis.get_yticklabels(), (NORMAL, ANOMALOUS)):
        tick.set_color(colour)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _closest_calls(
    figure: Figure, pictures: NDArray[Any], truth: NDArray[np.bool_], values: NDArray[Any], threshold: float
) -> None:
    """The images with scores closest to the threshold, in order of score, framed in their true colour."""
    height = figure.get_figheight()
    order = np.argsort(values, kind="stable")
    below, above = order[values[order] <= threshold][-4:], order[values[order] > threshold][:4]
    for chosen, start, text in ((below, 0.015, "just below"), (above, 0.525, "just above")):
        figure.text(start, 1.16 / height, text, fontsize=9, va="bottom")
        for place, index in enumerate(chosen):
            axis = figure.add_axes((start + 0.115 * place, 0.28 / height, 0.105, 0.84 / height))
            show_picture(axis, pictures[index])
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color=ANOMALOUS if truth[index] else NORMAL, linewidth=3)
