"""Every figure of the book, in one style; every function takes data, none takes a detector.

Figures are white cards (readable on a dark page too), 6 to 9 inches wide, in the colour-blind-safe palette
of Okabe and Ito: blue is normal, vermilion is anomalous, grey is a reference. Each function returns a
matplotlib Figure that pyplot has already forgotten: a notebook shows it once, as the value of a cell, and
nothing piles up.
"""

from __future__ import annotations

import ast
import base64
import functools
import inspect
import io
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray
from pandas.io.formats.style import Styler
from PIL import Image

from adlib import metrics
from adlib.errors import unknown_name

NORMAL, ANOMALOUS = "#0072B2", "#D55E00"
REFERENCE, INK, FAINT = "#767676", "#222222", "#D9D9D9"
RIGHT, WRONG = "#DCEBF5", "#FBE3D5"  # grounds of right and wrong verdicts
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OUTLINE = "#00E5FF"  # of a mask: legible on grey images and on every colour of the map scale
MAP_COLOURS = "inferno"
STAMP_HEIGHT = 0.24  # inches kept free at the foot of every figure, see `stamp`

STYLE = {
    "figure.dpi": 144,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8C8C8C",
    "xtick.color": "#4D4D4D",
    "ytick.color": "#4D4D4D",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#E6E6E6",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "image.interpolation": "nearest",
}

P = ParamSpec("P")


def use_style() -> Any:
    """The style of the book as a context, for a figure drawn by hand: `with use_style(): ...`.

    Returns:
        A context manager that sets matplotlib's parameters and restores them at its end.
    """
    return plt.rc_context(STYLE)


def stamp(figure: Figure, text: str) -> Figure:
    """Write where a figure comes from in small grey letters at its foot.

    Args:
        figure: a figure of this module; a stamp already there is replaced.
        text: one line, for instance "elpv/mono · ganomaly · seed 0 · adlib 1a2b3c".

    Returns:
        The same figure.
    """
    for old in [t for t in figure.texts if t.get_gid() == "stamp"]:
        old.remove()
    foot = 0.05 / figure.get_figheight()
    figure.text(0.995, foot, text, ha="right", va="bottom", fontsize=7.5, color=REFERENCE, gid="stamp")
    return figure


def _figure(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of the book, settle the layout once, and let pyplot forget the figure."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with use_style():
            figure = draw(*args, **kwargs)
            engine = figure.get_layout_engine()
            if engine is not None:
                foot = STAMP_HEIGHT / figure.get_figheight()
                engine.set(rect=(0.0, foot, 1.0, 1.0 - foot))
            figure.draw_without_rendering()  # ticks are made at the first draw, in the style of that moment
            figure.set_layout_engine("none")
        plt.close(figure)
        return figure

    return styled


# ------------------------------------------------------------------------------------------------ small parts


def _array(values: ArrayLike) -> NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _same_length(**what: Any) -> None:
    lengths = {name: len(values) for name, values in what.items() if values is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"lengths differ: {told}; expected one entry each. Cut them with the same index.")


def _columns(frame: pd.DataFrame, *names: str) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise ValueError(
            f"no column {missing[0]!r} among {', '.join(map(str, frame.columns))}; expected it. Rename one."
        )
    if frame.empty:
        raise ValueError(
            "the frame holds no run; expected at least one row. Is the ledger, or the filter, empty?"
        )


def _panels(count: int, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """One axis per panel, two beside each other for two or four, else three; height in inches per row."""
    if count < 1:
        raise ValueError("nothing to draw: 0 panels; expected at least one entry.")
    across = {1: 1, 2: 2, 4: 2}.get(count, 3)
    down = math.ceil(count / across)
    size = (6.0 if count == 1 else 8.6, height * down + 0.35 + STAMP_HEIGHT)
    figure, axes = plt.subplots(
        down, across, figsize=size, squeeze=False, layout="constrained", sharey=share_y
    )
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def _outer_labels(axes: list[Axes], x: str = "", y: str = "") -> None:
    """Label an axis where no panel stands below it, or left of it."""
    across = axes[0].get_subplotspec().get_gridspec().ncols
    for place, axis in enumerate(axes):
        axis.set_xlabel(x if place + across >= len(axes) else "")
        axis.set_ylabel(y if place % across == 0 else "")


def _number(value: float) -> str:
    """Three significant digits, no exponent for large scores."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _colours(names: Iterable[str]) -> dict[str, str]:
    series = iter(SERIES * 4)
    return {name: REFERENCE if name.lower().startswith("pca") else next(series) for name in names}


def _spread(values: ArrayLike) -> float:
    """Sample SD; no bar (0) for a single run, whose spread is not known."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _offsets(count: int) -> NDArray[np.float64]:
    """Positions around 0, one apart, so that error bars at one level do not cover each other."""
    return np.arange(count) - (count - 1) / 2


def _auroc_limits(values: Iterable[float]) -> tuple[float, float]:
    values = [v for v in values if np.isfinite(v)]
    low, high = min(values), max(values)
    low = 0.5 if 0.5 < low < 0.65 else low  # chance belongs on the axis when it is near
    return max(0.0, low - 0.03), min(1.02, high + 0.05)


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
    place = -1.0
    for text in sorted(heights, key=heights.get):
        place = max(heights[text], place + gap)
        axis.annotate(
            text, (x, place), xycoords=("data", "axes fraction"), xytext=(10, 0), textcoords="offset points",
            color=ends[text][1], va="center", fontsize=9.5, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


# -------------------------------------------------------------------------------------------- images and maps


@_figure
def reconstruction_grid(
    images: ArrayLike,
    reconstructions: ArrayLike,
    kinds: Sequence[str] | None = None,
    scores: ArrayLike | None = None,
    scale: float | None = None,
) -> Figure:
    """Image, reconstruction and their difference, one column per image; the differences share one scale.

    Args:
        images: uint8, shape (N, C, H, W), C = 1 or 3; six to ten are readable.
        reconstructions: uint8, shape (N, C, H, W).
        kinds: N names, "good" for normal images; shown above the columns.
        scores: anomaly scores, shape (N,), shown below the kinds.
        scale: grey levels (0 to 255) at the end of the colour scale; default: the largest difference.

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: shapes differ.
    """
    pictures, again = _pictures(images, "images"), _pictures(reconstructions, "reconstructions")
    _same_length(images=pictures, reconstructions=again, kinds=kinds, scores=scores)
    if pictures.shape != again.shape:
        raise ValueError(
            f"images are {pictures.shape[1:]} and reconstructions {again.shape[1:]} (height, width, ...); "
            "expected the same. Reconstruct these very images."
        )
    difference = np.abs(pictures.astype(float) - again.astype(float))
    difference = difference.mean(axis=3) if difference.ndim == 4 else difference
    scale = float(scale or difference.max() or 1.0)
    figure, axes = _image_axes(
        len(pictures), ["image", "reconstruction", "difference"], _headers(kinds, scores)
    )
    for column in range(len(pictures)):
        _show(axes[0][column], pictures[column])
        _show(axes[1][column], again[column])
        shown = axes[2][column].imshow(difference[column], cmap=MAP_COLOURS, vmin=0, vmax=scale)
    figure.colorbar(
        shown, ax=axes[2], label="grey levels", pad=0.01, aspect=8, extend=_extend(difference, scale)
    )
    return figure


@_figure
def image_gallery(images: ArrayLike, kinds: Sequence[str] | None = None, title: str = "") -> Figure:
    """Images side by side in one row, as they are.

    Args:
        images: uint8, shape (N, C, H, W), C = 1 or 3; six to ten are readable.
        kinds: N names, "good" for normal images; shown above the columns.
        title: one line above the row: the finding, not the file names.

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ.
    """
    pictures = _pictures(images, "images")
    _same_length(images=pictures, kinds=kinds)
    figure, axes = _image_axes(len(pictures), [""], _headers(kinds, None))
    for axis, picture in zip(axes[0], pictures):
        _show(axis, picture)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


@_figure
def anomaly_map_grid(
    images: ArrayLike,
    maps: ArrayLike,
    scale: float,
    masks: ArrayLike | None = None,
    kinds: Sequence[str] | None = None,
    scores: ArrayLike | None = None,
) -> Figure:
    """Images above their anomaly maps, all maps on one colour scale; outlines mark the true defects.

    One scale for all: with a scale per image every normal image shows a hot spot.

    Args:
        images: uint8, shape (N, C, H, W), C = 1 or 3.
        maps: shape (N, H, W), larger = more anomalous.
        scale: value at the end of the colour scale, > 0: `detector.map_scale`, the 99.9th percentile of the
            map pixels of validation-normal images.
        masks: bool, shape (N, H, W), True = defective pixel.
        kinds: N names, "good" for normal images.
        scores: anomaly scores, shape (N,).

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ, or scale is not a positive number.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {scale}; expected a positive number. Pass detector.map_scale.")
    pictures, maps = _pictures(images, "images"), _array(maps)
    _same_length(images=pictures, maps=maps, masks=masks, kinds=kinds, scores=scores)
    figure, axes = _image_axes(len(pictures), ["image", "anomaly map"], _headers(kinds, scores))
    for column, (picture, anomaly_map) in enumerate(zip(pictures, maps)):
        _show(axes[0][column], picture)
        shown = axes[1][column].imshow(anomaly_map, cmap=MAP_COLOURS, vmin=0, vmax=scale)
        if masks is not None and _array(masks)[column].any():
            for row in axes:
                _outline(row[column], _array(masks)[column])
    bar = figure.colorbar(
        shown, ax=axes[1], pad=0.01, aspect=8, extend=_extend(maps, scale), ticks=[0, scale]
    )
    bar.ax.set_yticklabels(["0", _number(scale)])
    bar.set_label("scale from\nvalidation\nnormals", fontsize=9)
    return figure


def _pictures(images: ArrayLike, what: str) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) as (N, H, W) or (N, H, W, 3), the way matplotlib draws them."""
    array = _array(images)
    if array.dtype != np.uint8:
        raise TypeError(f"{what} hold {array.dtype}; expected uint8. Convert with adlib.data.to_uint8.")
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ValueError(f"{what} have shape {array.shape}; expected (N, C, H, W) with N > 0 and C = 1 or 3.")
    return array[:, 0] if array.shape[1] == 1 else np.moveaxis(array, 1, 3)


def _image_axes(columns: int, rows: list[str], headers: list[tuple[str, str]]) -> tuple[Figure, NDArray[Any]]:
    """Bare axes for a grid of images, the rows named at the left and the columns above."""
    side = min(1.25, 6.9 / columns)
    size = (side * columns + 2.1, (side + 0.04) * len(rows) + 0.45 + STAMP_HEIGHT)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="compressed")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, name in zip(axes[:, 0], rows):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    for axis, (text, colour) in zip(axes[0], headers):
        axis.set_title(text, color=colour, fontsize=9, fontweight="normal", loc="center")
    return figure, axes


def _headers(kinds: Sequence[str] | None, scores: ArrayLike | None) -> list[tuple[str, str]]:
    """Text and colour above each column: kind and score, as far as they are known."""
    numbers = None if scores is None else [_number(value) for value in _array(scores)]
    if kinds is None:
        return [(text, INK) for text in numbers or []]
    names = [textwrap.fill(str(kind).replace("_", " "), 11, max_lines=2, placeholder="…") for kind in kinds]
    texts = names if numbers is None else [f"{name}\n{number}" for name, number in zip(names, numbers)]
    return [(text, NORMAL if kind == "good" else ANOMALOUS) for text, kind in zip(texts, kinds)]


def _show(axis: Axes, picture: NDArray[np.uint8]) -> None:
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255)


def _outline(axis: Axes, mask: NDArray[np.bool_]) -> None:
    framed = np.pad(mask.astype(float), 1)  # so that a defect at the border gets a closed line
    rows, columns = np.arange(framed.shape[0]) - 1, np.arange(framed.shape[1]) - 1
    axis.contour(columns, rows, framed, levels=[0.5], colors=OUTLINE, linewidths=1.2)


def _extend(values: NDArray[Any], scale: float) -> str:
    return "max" if values.max() > scale else "neither"


# ----------------------------------------------------------------------------------------------------- scores


@_figure
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
    truth = _array(labels).astype(bool)
    figure, axes = _panels(len(scores), height=2.5)
    for axis, (name, values) in zip(axes, scores.items()):
        values = _array(values).astype(float)
        axis.set_title(f"{name}   AUROC {metrics.image_auroc(truth, values):.3f}")
        threshold = (thresholds or {}).get(name)
        _histogram(axis, values, truth, threshold)
    _class_key(axes[0], truth)
    _outer_labels(axes, x="anomaly score", y="% of its class")
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
        late = threshold > low + 0.6 * (high - low)  # then the name stands left of its line, below the key
        axis.annotate(
            "threshold", (threshold, 0.68 if late else 0.98), xycoords=axis.get_xaxis_transform(),
            xytext=(-3 if late else 3, 0), textcoords="offset points", rotation=90, va="top",
            ha="right" if late else "left", fontsize=9,
        )  # fmt: skip


def _score_range(values: NDArray[Any], threshold: float | None) -> tuple[float, float]:
    """Where a histogram begins and ends; it stops short of a few giants that would squeeze the rest."""
    low, high = values.min(), values.max()
    most = np.quantile(values, 0.99, method="lower")  # an image, never a point between the giant and the rest
    high = most if high - low > 1.5 * (most - low) > 0 else high
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


@_figure
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
    for name in sorted(areas, key=areas.get):  # the best on top
        curve = metrics.roc_curve(*curves[name])
        axis.plot(curve.fpr, curve.tpr, color=colours[name], label=name, zorder=2, clip_on=False)
    for line, name in enumerate(sorted(areas, key=areas.get, reverse=True)):
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


# --------------------------------------------------------------------------------------------------- training


@_figure
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
    figure, axes = _panels(len(losses), height=1.9)
    for axis, (name, values) in zip(axes, losses.items()):
        values = pd.Series(_array(values).astype(float))
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
    _outer_labels(axes, x="step")
    return figure


@_figure
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
    steps, error = _array(steps), _array(validation_error)
    _same_length(steps=steps, validation_error=error, **test_auroc)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.4, 5.4), sharex=True, height_ratios=(1, 2.1), layout="constrained"
    )
    chosen = int(np.argmin(error))
    above.plot(steps, error, color=INK)
    above.plot(steps[chosen], error[chosen], "o", color=INK, markersize=8)
    above.set_title("seen while training: reconstruction error on validation-normal images")
    for axis in (above, below):
        axis.axvline(steps[chosen], color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    ends = {}
    for colour, (name, values) in zip(SERIES, test_auroc.items()):
        values = _array(values)
        best = int(np.argmax(values))
        below.plot(steps, values, color=colour)
        below.plot(steps[chosen], values[chosen], "o", color=colour, markersize=8)
        below.plot(steps[-1], values[-1], "s", color=colour, markersize=8)
        below.plot(steps[best], values[best], "*", color=colour, markersize=16, markeredgecolor="white")
        text = f"{name}  ■ {values[-1]:.3f}  ● {values[chosen]:.3f}  ★ {values[best]:.3f}"
        ends[text] = (values[-1], colour)
    below.set_title("not seen: AUROC on the test set      ■ last   ● lowest validation error   ★ oracle")
    below.set(xlabel="step", ylim=_auroc_limits([v for values in test_auroc.values() for v in values]))
    below.margins(x=0.01)
    _label_ends(below, steps[-1], ends)
    return figure


# ------------------------------------------------------------------------------------------ many runs at once


@_figure
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
    _columns(frame, "dataset", "contamination", "auroc")
    figure, axes = _panels(frame["dataset"].nunique(), height=2.5, share_y=True)
    values = pd.concat([frame["auroc"]] + ([] if reference is None else [reference["auroc"]]))
    axes[0].set_ylim(_auroc_limits(values))  # before the names are placed: they are placed on this scale
    scores = list(dict.fromkeys(frame["score"])) if "score" in frame else ["ours"]
    colours = dict(zip(scores, SERIES))
    for axis, (name, runs) in zip(axes, frame.groupby("dataset", sort=False)):
        axis.set_title(name)
        ends = {}
        if reference is not None and (same := reference[reference["dataset"] == name]).size:
            ends["PCA"] = (_mean_and_spread(axis, same, REFERENCE, 0.0), REFERENCE)
        for offset, score in zip(_offsets(len(scores)), scores):
            own = runs[runs["score"] == score] if "score" in runs else runs
            if len(own):
                ends[score] = (_mean_and_spread(axis, own, colours[score], 0.0035 * offset), colours[score])
        levels = sorted(runs["contamination"].unique())
        axis.set_xticks(levels, [f"{100 * level:g}" for level in levels])
        if axis is axes[0] or len(axes) <= 3:
            _label_ends(axis, max(levels), ends, gap=0.1)
    _outer_labels(axes, x="anomalies in training, %", y="image AUROC")
    return figure


def _mean_and_spread(axis: Axes, runs: pd.DataFrame, colour: str, shift: float) -> float:
    """Draw runs, mean and SD over contamination levels; the mean at the last level is returned."""
    groups = runs.groupby("contamination")["auroc"]
    mean, spread = groups.mean(), groups.std().fillna(0.0)
    axis.plot(runs["contamination"] + shift, runs["auroc"], ".", color=colour, alpha=0.35, markersize=6)
    axis.errorbar(mean.index + shift, mean, yerr=spread, color=colour, capsize=3, marker="o", markersize=5)
    return float(mean.iloc[-1])


@_figure
def paper_beside_ours(
    paper: Mapping[str, float],
    ours: Mapping[str, ArrayLike],
    baseline: Mapping[str, ArrayLike] | None = None,
    *,
    metric: str = "image AUROC",
    baseline_name: str = "PCA",
) -> Figure:
    """One line per data set: the paper's printed value, ours over seeds, and the trivial baseline.

    Args:
        paper: row name -> printed value; rows without one are shown without a mark.
        ours: row name -> one value per seed (or a single value); gives the rows and their order.
        baseline: row name -> one value per seed (or a single value).
        metric: what the axis measures.
        baseline_name: what the baseline is called.

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
        if baseline and name in baseline:
            value = np.mean(_array(baseline[name]))
            axis.plot(value, y, "|", color=REFERENCE, markersize=15, markeredgewidth=3, label=baseline_name)
        values = np.atleast_1d(_array(ours[name])).astype(float)
        axis.errorbar(
            values.mean(), y, xerr=_spread(values), fmt="o", color=NORMAL, markersize=7, capsize=3,
            elinewidth=2, label="ours, mean ± SD over seeds",
        )  # fmt: skip
        if name in paper:
            axis.plot(paper[name], y, "D", color=INK, markerfacecolor="none", markersize=8,
                      markeredgewidth=1.8, label="paper")  # fmt: skip
    axis.set_yticks(list(rows.values()), list(rows))
    axis.set_ylim(-0.6, len(ours) - 0.4)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    _chance_line(axis)
    axis.set_xlabel(metric)
    found = {text: handle for handle, text in zip(*axis.get_legend_handles_labels())}
    texts = sorted(found, key=["paper", "ours, mean ± SD over seeds", baseline_name].index)
    figure.legend(
        [found[text] for text in texts],
        texts,
        handlelength=1.2,
        loc="outside upper center",
        ncols=3,
        labelcolor="linecolor",
    )
    return figure


@_figure
def leak_figure(leaks: pd.DataFrame) -> Figure:
    """What each leak of an evaluation is worth: its gain over the leak-free protocol, one panel per metric.

    Bars are means, whiskers one sample SD, dots single runs; the largest mean stands on top.

    Args:
        leaks: one row per run and leak, columns "leak" (name), "metric" (for instance "AUROC", "F1"), "delta"
            (leaking value minus leak-free value of the same run).

    Returns:
        The figure.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    _columns(leaks, "leak", "metric", "delta")
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


def score_table(
    frame: pd.DataFrame,
    *,
    rows: str,
    columns: str,
    value: str = "auroc",
    printed: pd.DataFrame | None = None,
    caption: str = "",
) -> Styler:
    """Mean ± SD over runs, three decimals; bold only what is better by more than the spread.

    A cell is bold when it is the best of its row and leads the second best by more than the larger of their
    SDs. A single run has no spread of its own; where neither of the two has one, nothing is bold. Printed
    values of papers stand beside and never compete: their spread is not known.

    Args:
        frame: one row per run; further columns are ignored.
        rows: column of the frame that names the rows of the table, for instance "dataset".
        columns: column that names its columns, for instance "score".
        value: column with the metric, larger = better.
        printed: values to show in front, indexed like the rows, one column each (for instance "paper, D1").
        caption: one sentence with the finding.

    Returns:
        A pandas Styler: HTML in a notebook and in the built book; `.data` holds the texts.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    _columns(frame, rows, columns, value)
    names = frame[columns].drop_duplicates()
    groups = frame.groupby([rows, columns], sort=False)[value]
    mean = groups.mean().unstack(columns).reindex(index=frame[rows].drop_duplicates(), columns=names)
    spread = groups.std().unstack(columns).reindex_like(mean)
    texts = pd.DataFrame(
        {name: [_mean_text(m, s) for m, s in zip(mean[name], spread[name])] for name in names},
        index=mean.index,
    )
    bold = _clearly_best(mean, spread)
    if printed is not None:
        extra = printed.reindex(mean.index)
        texts = pd.concat([extra.map(lambda v: _mean_text(v, math.nan)), texts], axis=1)
        bold = bold.reindex(columns=texts.columns, fill_value=False)
    texts.index.name = texts.columns.name = None
    css = bold.map(lambda best: "font-weight: bold" if best else "")
    styler = texts.style.apply(
        lambda shown: css.set_axis(shown.index).set_axis(shown.columns, axis=1), axis=None
    )
    below = [{"selector": "caption", "props": "caption-side: bottom; text-align: left"}]
    # the class gives it the look of every other table, in a notebook and in light and dark pages
    return styler.set_caption(caption).set_table_styles(below).set_table_attributes('class="dataframe"')


def _clearly_best(mean: pd.DataFrame, spread: pd.DataFrame) -> pd.DataFrame:
    """True where a cell leads its row by more than the larger SD of the two leaders, same shape as mean."""
    best = pd.DataFrame(False, index=mean.index, columns=mean.columns)
    for row in range(len(mean)):
        values, deviations = mean.iloc[row].to_numpy(float), spread.iloc[row].to_numpy(float)
        ranked = np.argsort(np.where(np.isnan(values), -np.inf, values))[::-1][:2]
        if len(ranked) < 2 or np.isnan(values[ranked]).any() or np.isnan(deviations[ranked]).all():
            continue
        if values[ranked[0]] - values[ranked[1]] > np.nanmax(deviations[ranked]):
            best.iloc[row, ranked[0]] = True
    return best


def _mean_text(mean: float, spread: float) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


# ----------------------------------------------------------------------------------------- one threshold more


@_figure
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
    truth, values = _array(labels).astype(bool), _array(scores).astype(float)
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
    note = "" if learnt is None else "  (learnt)" if threshold == learnt else f"  (learnt: {_number(learnt)})"
    title = f"threshold {_number(threshold)}{note}   F1 {counts['f1']:.3f}"
    figure.text(0.012, 1 - 0.09 / height, title, va="top", fontweight="bold")
    if images is not None:
        _closest_calls(figure, _pictures(images, "images"), truth, values, threshold)
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
            _show(axis, pictures[index])
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color=ANOMALOUS if truth[index] else NORMAL, linewidth=3)


def threshold_explorer(
    labels: ArrayLike,
    scores: ArrayLike,
    images: ArrayLike | None = None,
    *,
    threshold: float,
    positions: int = 23,
    name: str = "anomaly score",
) -> ipywidgets.Widget:
    """A slider over thresholds that needs no kernel: it turns over small pictures drawn beforehand.

    Slider and pictures are linked in the browser, so the object works in a notebook and on a static page
    alike. It opens at the learnt threshold; neighbouring positions differ by an equal share of the images.
    Where widgets are not shown at all (PDF, GitHub), `threshold_figure` draws one position as a plain figure.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), larger = more anomalous.
        images: as in `threshold_figure`.
        threshold: the one learnt from validation-normal images.
        positions: number of thresholds, >= 3.
        name: name of the score.

    Returns:
        A widget.

    Raises:
        ValueError: as for `metrics.confusion`, or positions < 3.
    """
    if positions < 3:
        raise ValueError(f"positions is {positions}; expected at least 3. 23 make a smooth slider.")
    cuts, start = _slider_positions(_array(scores).astype(float), float(threshold), positions)
    pictures = []
    for cut in cuts:
        figure = threshold_figure(labels, scores, cut, learnt=threshold, images=images, name=name)
        pictures.append(_picture_tag(_small_png(figure), _in_words(labels, scores, cut)))
    slider = ipywidgets.IntSlider(
        value=start, min=0, max=positions - 1, readout=False,
        layout=ipywidgets.Layout(width="100%", max_width="840px"),
    )  # fmt: skip
    if hasattr(ipywidgets, "Stack"):
        shown = ipywidgets.Stack([ipywidgets.HTML(picture) for picture in pictures], selected_index=start)
        ipywidgets.jslink((slider, "value"), (shown, "selected_index"))
    else:  # ipywidgets 7 (Colab) has no Stack, but there a kernel always runs
        shown = ipywidgets.HTML(pictures[start])
        slider.observe(lambda change: setattr(shown, "value", pictures[change["new"]]), names="value")
    # a description of the slider would be black on a dark page; this grey is legible on both
    hint = "Threshold: further left finds more, further right alarms less"
    title = ipywidgets.HTML(f'<span style="color:#808080">{hint}</span>')
    return ipywidgets.VBox([title, slider, shown])


def _slider_positions(scores: NDArray[Any], learnt: float, positions: int) -> tuple[list[float], int]:
    """Thresholds at equal steps in the number of images above them, one of them learnt, and its place."""
    cuts = np.quantile(scores, np.linspace(0, 1, positions))
    cuts[0] = np.nextafter(cuts[0], -np.inf)  # the lowest position declares everything anomalous
    start = int(np.abs(cuts - learnt).argmin())
    cuts[start] = learnt
    return [float(cut) for cut in cuts], start


def _in_words(labels: ArrayLike, scores: ArrayLike, threshold: float) -> str:
    counts = metrics.confusion(_array(labels), _array(scores) > threshold)
    return (
        f"Threshold {_number(threshold)}: {counts['tp']} of {counts['tp'] + counts['fn']} anomalies found, "
        f"{counts['fp']} of {counts['fp'] + counts['tn']} normal images refused, F1 {counts['f1']:.3f}."
    )


def _small_png(figure: Figure) -> bytes:
    """The figure as a PNG of 48 colours, small enough to carry two dozen of them in a page."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=100)
    picture = Image.open(raw).convert("RGB")
    found = picture.quantize(28, method=Image.Quantize.MEDIANCUT).getpalette()[: 3 * 28]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*_style_colours(), *found])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _style_colours() -> list[int]:
    """Colours and tints of the style, as R, G, B in a row; median cut alone gives them up for photographs."""
    tints = [(colour, share) for colour in (INK, NORMAL, ANOMALOUS) for share in (1.0, 0.75, 0.5, 0.35, 0.15)]
    solid = [("white", 1.0), (RIGHT, 1.0), (WRONG, 1.0), (REFERENCE, 1.0), (FAINT, 1.0)]
    blends = [share * np.array(to_rgb(colour)) + 1 - share for colour, share in tints + solid]
    return [round(255 * part) for blend in blends for part in blend]


def _picture_tag(png: bytes, alt: str) -> str:
    source = base64.b64encode(png).decode()
    return f'<img alt="{alt}" style="max-width:100%;height:auto" src="data:image/png;base64,{source}">'


# ------------------------------------------------------------------------------------------------ source code


def show_source(obj: Any, *, only: str | Iterable[str] | None = None, docstring: bool = False) -> Markdown:
    """The real source of a function or class of the package, as a highlighted block: the lines that run.

    Args:
        obj: a function, method or class.
        only: name(s) of methods or fields of a class; the rest becomes "...".
        docstring: keep the docstrings; without them the equation and the code stand closer together.

    Returns:
        Markdown: the value of a cell, or for `IPython.display.display`.

    Raises:
        ValueError: only names something that the class does not have, or obj is not a class.
    """
    node, lines = _parsed(obj)
    dropped = set() if docstring else _docstring_lines(node, lines)

    def text(first: int, last: int) -> list[str]:
        return [lines[number - 1] for number in range(first, last + 1) if number not in dropped]

    shown = text(1, len(lines)) if only is None else _chosen_members(node, only, text)
    block = "\n".join(shown).strip("\n")
    return Markdown(f"```python\n{block}\n```\n\n*{obj.__module__}, line {inspect.getsourcelines(obj)[1]}*")


def _parsed(obj: Any) -> tuple[ast.stmt, list[str]]:
    source = textwrap.dedent(inspect.getsource(obj))
    return ast.parse(source).body[0], source.splitlines()


def _docstring_lines(node: ast.AST, lines: list[str]) -> set[int]:
    """Line numbers of all docstrings below a node, each with the blank line after it."""
    found: set[int] = set()
    for scope in ast.walk(node):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        first = scope.body[0]
        if ast.get_docstring(scope) is None or len(scope.body) == 1:  # alone in its body it has to stay
            continue
        end = first.end_lineno
        found.update(range(first.lineno, end + 1 + (not lines[end].strip())))
    return found


def _chosen_members(
    node: ast.stmt, only: str | Iterable[str], text: Callable[[int, int], list[str]]
) -> list[str]:
    """The head of a class and the members asked for, "..." for each run of members left out."""
    if not isinstance(node, ast.ClassDef):
        raise ValueError(f"only={only!r} was given for {node.name!r}, which is not a class. Leave only out.")
    wanted = {only} if isinstance(only, str) else set(only)
    members = {_member_name(child): child for child in node.body}
    for name in sorted(wanted - set(members)):
        raise unknown_name(f"member of {node.name}", name, [m for m in members if m])
    has_docstring = ast.get_docstring(node) is not None
    shown = text(1, node.body[0].end_lineno if has_docstring else _first_line(node.body[0]) - 1)
    gap = False
    for child in node.body[has_docstring:]:
        if _member_name(child) not in wanted:
            gap = True
            continue
        if gap:
            shown += ["    ..."]
        shown += ["", *text(_first_line(child), child.end_lineno)]
        gap = False
    return shown + ["    ..."] * gap


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _member_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        return getattr(target, "id", None)
    return getattr(node, "name", None)
