"""Several detectors side by side: on the same images, over seeds, along training and along an axis of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from adlib.viz._parts import (
    as_array,
    as_pictures,
    book_figure,
    check_columns,
    check_same_length,
    outer_labels,
    panels,
    series_colours,
    show_picture,
)
from adlib.viz.images import _headers, _image_axes, _outline
from adlib.viz.runs import _auroc_limits, _chance_line, _label_ends
from adlib.viz.style import ANOMALOUS, MAP_COLOURS, NORMAL, REFERENCE, RIGHT, STAMP_HEIGHT


@book_figure
def detectors_on_images(
    images: ArrayLike,
    reconstructions: Mapping[str, ArrayLike],
    maps: Mapping[str, tuple[ArrayLike, float]],
    masks: ArrayLike | None = None,
    kinds: Sequence[str] | None = None,
    verdicts: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Images above what each detector makes of them: reconstructions, then anomaly maps, defects outlined.

    Maps of different detectors have different scales, so each is divided by its detector's `map_scale`: 1 is the
    99.9th percentile of the validation-normal pixels, and all maps share the colours from 0 to 1.5.

    Args:
        images: uint8, (N, C, H, W), C = 1 or 3.
        reconstructions: detector name -> uint8, (N, C, H, W); may be empty.
        maps: detector name -> (maps (N, H, W), map scale > 0); may be empty.
        masks: bool, (N, H, W), True = defective pixel.
        kinds: N names, "good" for normal images.
        verdicts: detector name -> bool (N,), True = declared anomalous; written on its maps as "refused" or "passed".

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ, or a scale is not positive.
    """
    pictures = as_pictures(images, "images")
    redrawn = {name: as_pictures(values, name) for name, values in reconstructions.items()}
    scaled = {name: as_array(values) / _positive(scale, name) for name, (values, scale) in maps.items()}
    check_same_length(
        images=pictures, masks=masks, kinds=kinds, **redrawn, **{f"{k} map": v for k, v in scaled.items()},
        **{f"{name} verdicts": values for name, values in (verdicts or {}).items()},
    )  # fmt: skip
    rows = ["image", *redrawn, *(f"map of\n{name}" for name in scaled)]
    figure, axes = _image_axes(len(pictures), rows, _headers(kinds))
    for row, batch in zip(axes, [pictures, *redrawn.values()]):
        for axis, picture in zip(row, batch):
            show_picture(axis, picture)
    map_axes = axes[1 + len(redrawn) :]
    for row, own in zip(map_axes, scaled.values()):
        for axis, values in zip(row, own):
            coloured = axis.imshow(values, cmap=MAP_COLOURS, vmin=0, vmax=1.5)
    for row, name in zip(map_axes, scaled):
        for axis, refused in zip(row, as_array((verdicts or {}).get(name, []))):
            _write_verdict(axis, bool(refused))
    for column, mask in enumerate(as_array(masks) if masks is not None else []):
        if mask.any():
            for row in [axes[0], *map_axes]:
                _outline(row[column], mask)
    if scaled:
        bar = figure.colorbar(coloured, ax=map_axes, pad=0.01, aspect=12, ticks=[0, 1], extend="max")
        bar.set_label("1 = top of the\nvalidation-normals", fontsize=9)
    return figure


def _write_verdict(axis: Axes, refused: bool) -> None:
    word, colour = ("refused", ANOMALOUS) if refused else ("passed", NORMAL)
    box = {"facecolor": colour, "edgecolor": "none", "pad": 2.5}
    axis.text(0.5, 0.05, word, color="white", ha="center", transform=axis.transAxes, bbox=box)


def _positive(scale: float, name: str) -> float:
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(
            f"the map scale of {name} is {scale}; expected a positive number: detector.map_scale."
        )
    return float(scale)


@book_figure
def study_curves(
    frame: pd.DataFrame, x: str, line: str = "detector", reference: str | None = None, x_label: str = ""
) -> Figure:
    """AUROC along one axis of a study, one panel per data set: mean over seeds, band of one sample SD.

    Args:
        frame: one row per run, columns "dataset", "auroc", and those named by x and line. x doubles from level
            to level (1, 2, 4 ...), and is drawn on a logarithmic axis.
        x: column with the axis of the study.
        line: column that names the lines.
        reference: the line to draw in grey, for instance "PCA".
        x_label: in words, with the unit.

    Returns:
        The figure.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, "dataset", "auroc", x, line)
    figure, axes = panels(frame["dataset"].nunique(), height=2.6, share_y=True)
    axes[0].set_ylim(_auroc_limits(frame["auroc"]))
    names = [name for name in dict.fromkeys(frame[line]) if name != reference]
    colours = series_colours(names) | ({reference: REFERENCE} if reference else {})
    for axis, (dataset, runs) in zip(axes, frame.groupby("dataset", sort=False)):
        axis.set_title(dataset)
        ends = {}
        for name, line_runs in runs.groupby(line, sort=False):
            groups = line_runs.groupby(x)["auroc"]
            mean, spread = groups.mean(), groups.std().fillna(0.0)
            axis.plot(mean.index, mean, color=colours[name], marker="o", markersize=4)
            axis.fill_between(mean.index, mean - spread, mean + spread, color=colours[name], alpha=0.15, lw=0)
            ends[str(name)] = (float(mean.iloc[-1]), colours[name])
        axis.set_xscale("log", base=2)
        levels = sorted(runs[x].unique())
        axis.xaxis.set_major_locator(FixedLocator(levels))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticklabels([f"{level:g}" for level in levels])
        _label_ends(axis, max(levels), ends, gap=0.1)
    outer_labels(axes, x=x_label or x, y="image AUROC")
    return figure


@book_figure
def seed_spread(frame: pd.DataFrame, line: str = "detector") -> Figure:
    """One dot per run, one row per data set and detector: how far seeds alone move the AUROC.

    Args:
        frame: one row per run, columns "dataset", "auroc" and the one named by line.
        line: column that names the rows within a data set, and their colour.

    Returns:
        The figure; each row ends with its range in words.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, "dataset", "auroc", line)
    groups = list(frame.groupby(["dataset", line], sort=False))
    colours = series_colours(frame[line])
    size = (8.0, 1.0 + 0.36 * len(groups) + STAMP_HEIGHT)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    for y, ((_, name), runs) in zip(range(len(groups))[::-1], groups):
        values, colour = runs["auroc"], colours[name]
        axis.plot([values.min(), values.max()], [y, y], color=colour, linewidth=5, alpha=0.2)
        axis.plot(values, np.full(len(values), y), "o", color=colour, alpha=0.75, markersize=6)
        text = f"range {values.max() - values.min():.3f}"
        axis.text(1.01, y, text, transform=axis.get_yaxis_transform(), color=colour, va="center", fontsize=9)
    labels = [f"{dataset} · {name}" for (dataset, name), _ in groups]
    axis.set_yticks(range(len(groups))[::-1], labels)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlim(*_auroc_limits(frame["auroc"]))
    _chance_line(axis)
    axis.set_xlabel("image AUROC, one dot per seed")
    return figure


@book_figure
def seed_lines(
    series: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], x_label: str = "share of the training, %"
) -> Figure:
    """A grid of small panels: detectors across, quantities down, one thin line per seed, logarithmic.

    Args:
        series: quantity -> detector -> one series per seed (values > 0, lengths may differ).
        x_label: what runs along the axis from 0 to 100.

    Returns:
        The figure; panels of one row share their scale, so that detectors can be compared.

    Raises:
        ValueError: there is nothing to draw.
    """
    detectors = list(dict.fromkeys(name for group in series.values() for name in group))
    if not detectors:
        raise ValueError("nothing to draw: expected at least one quantity of one detector.")
    figure, axes = plt.subplots(
        len(series), len(detectors), figsize=(8.6, 1.9 * len(series) + 0.4 + STAMP_HEIGHT), squeeze=False,
        sharex=True, sharey="row", layout="constrained",
    )  # fmt: skip
    for row, (quantity, group) in zip(axes, series.items()):
        row[0].set_ylabel(quantity)
        for axis, (name, colour) in zip(row, series_colours(detectors).items()):
            for values in group.get(name, []):
                axis.plot(np.linspace(0, 100, len(values)), values, color=colour, linewidth=1.1, alpha=0.75)
            axis.set_yscale("log")
            if name not in group:
                axis.text(0.5, 0.5, "has none", transform=axis.transAxes, ha="center", color=REFERENCE)
    for axis, name in zip(axes[0], detectors):
        axis.set_title(name)
    for axis in axes[-1]:
        axis.set_xlabel(x_label)
    return figure


@book_figure
def speed_figure(frame: pd.DataFrame) -> Figure:
    """AUROC against images per second, one disc per detector; its area grows with the number of parameters.

    Args:
        frame: one row per detector, columns "detector", "auroc", "images_per_second" (> 0, drawn logarithmically),
            "parameters" and "labels" (bool: it was trained on labelled anomalies).

    Returns:
        The figure.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, "detector", "auroc", "images_per_second", "parameters", "labels")
    figure, axis = plt.subplots(figsize=(8.0, 4.2), layout="constrained")
    for with_labels, colour, name in (
        (False, NORMAL, "trained on normal images only"),
        (True, ANOMALOUS, "on labelled anomalies too"),
    ):
        rows = frame[frame["labels"].astype(bool) == with_labels]
        if rows.empty:
            continue
        area = 25 + 400 * np.sqrt(rows["parameters"].astype(float) / 1e6)
        axis.scatter(
            rows["images_per_second"],
            rows["auroc"],
            area,
            color=colour,
            alpha=0.45,
            edgecolor=colour,
            label=name,
        )
    height = frame["auroc"].max() - frame["auroc"].min() or 1.0
    for row in frame.itertuples():
        reach = np.sqrt(25 + 400 * np.sqrt(row.parameters / 1e6)) / 2 + 3
        decades = np.log10(frame["images_per_second"] / row.images_per_second)
        beside = decades.between(0, 0.8, "neither") & ((frame["auroc"] - row.auroc).abs() < 0.05 * height)
        side = -1 if beside.any() else 1  # on the left where the name would run into the next disc
        axis.annotate(
            row.detector, (row.images_per_second, row.auroc), (side * reach, 0), textcoords="offset points",
            va="center", ha="left" if side > 0 else "right", fontsize=9,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.margins(x=0.22)
    axis.set_ylim(*_auroc_limits(frame["auroc"]))
    axis.set(xlabel="images per second", ylabel="image AUROC")
    axis.set_title("larger: more weights", loc="right", fontsize=9, fontweight="normal", color=REFERENCE)
    above: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0.0, 1.0),
        "ncols": 2,
        "borderaxespad": 0.2,
    }
    handles: Any = axis.legend(**above).legend_handles
    for mark in handles:
        mark.set_sizes([60])
    return figure


@book_figure
def rank_figure(ranks: pd.DataFrame, critical: float) -> Figure:
    """Ranks over data sets: a faint dot per set, a disc for the mean, and the reach of the critical difference.

    Args:
        ranks: one row per data set, one column per detector, 1 = best, from ranking.ranks of the ledger.
        critical: mean ranks that differ by no more are not significantly different: ranking.critical_difference.

    Returns:
        The figure, the best mean rank on top; detectors within the critical difference of it have a blue ground.

    Raises:
        ValueError: the table is empty, or critical is not positive.
    """
    if ranks.empty or not critical > 0:
        raise ValueError(
            f"{len(ranks)} data sets and a critical difference of {critical}; expected at least one set and a "
            "positive number: adlib_book.ledger.ranking makes both."
        )
    mean = ranks.mean().sort_values(kind="stable")
    figure, axis = plt.subplots(figsize=(8.0, 1.2 + 0.33 * len(mean) + STAMP_HEIGHT), layout="constrained")
    reach = mean.iloc[0] + critical
    axis.axvspan(mean.iloc[0], reach, color=RIGHT, zorder=0, lw=0)
    for y, name in zip(range(len(mean))[::-1], mean.index):
        places, near = ranks[name].value_counts(), mean[name] <= reach
        axis.axhline(y, color="#EFEFEF", linewidth=1, zorder=0)
        axis.scatter(places.index, np.full(len(places), y), 14 * places, color=REFERENCE, alpha=0.45, lw=0)
        axis.plot(mean[name], y, "o", color=NORMAL if near else ANOMALOUS, markersize=9)
        axis.text(
            1.01, y, f"{mean[name]:.1f}", transform=axis.get_yaxis_transform(), va="center", fontsize=9.5
        )
    axis.set_yticks(range(len(mean))[::-1], mean.index)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlim(0.5, ranks.shape[1] + 0.5)
    axis.set_ylim(-0.7, len(mean) - 0.3)
    axis.set_xlabel("rank, 1 = best")
    axis.set_title(
        f"blue ground: within {critical:.1f} ranks of the best, not told apart", fontweight="normal"
    )
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.12)
    return figure


@book_figure
def auroc_heatmap(table: pd.DataFrame) -> Figure:
    """AUROC of every detector on every data set: blue above chance, vermilion below, the number in each cell.

    Args:
        table: one row per detector, one column per data set, 0 to 1; a gap stays white.

    Returns:
        The figure.

    Raises:
        ValueError: the table is empty or holds a value outside 0 to 1.
    """
    if table.empty or not table.stack().dropna().between(0, 1).all():
        raise ValueError(
            f"a table of {table.shape[0]} x {table.shape[1]} AUROCs; expected at least one value, and all between "
            "0 and 1."
        )
    figure, axis = plt.subplots(
        figsize=(2.1 + 0.66 * table.shape[1], 1.2 + 0.31 * len(table) + STAMP_HEIGHT), layout="constrained"
    )
    colours = LinearSegmentedColormap.from_list("chance", [ANOMALOUS, "#FFFFFF", NORMAL])
    sns.heatmap(
        table, vmin=0, vmax=1, cmap=colours, annot=True, fmt=".2f", annot_kws={"fontsize": 8.5}, ax=axis,
        linewidths=1, cbar_kws={"label": "image AUROC", "ticks": [0, 0.5, 1], "aspect": 30, "pad": 0.01},
    )  # fmt: skip
    names = [str(name).replace("/", "/\n").replace("_", "\n") for name in table.columns]
    axis.set_xticks(np.arange(len(names)) + 0.5, names, rotation=0, fontsize=8.5)
    axis.tick_params(length=0)
    axis.set(xlabel="", ylabel="")
    axis.xaxis.tick_top()
    axis.tick_params(axis="y", rotation=0)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.12)
    return figure


@book_figure
def found_and_missed(
    images: ArrayLike,
    maps: Mapping[str, tuple[ArrayLike, float]],
    verdicts: Mapping[str, ArrayLike],
    masks: ArrayLike | None = None,
    kinds: Sequence[str] | None = None,
) -> Figure:
    """The same defects before several detectors: each map, and whether the verdict was "defective".

    Args:
        images: uint8, (N, C, H, W), C = 1 or 3; twelve are readable.
        maps: detector name -> (maps (N, H, W), map scale > 0), drawn as in `detectors_on_images`.
        verdicts: detector name -> bool (N,), declared defective; the same names as maps, in the order of the rows.
        masks: bool, (N, H, W), True = defective pixel.
        kinds: N names.

    Returns:
        The figure: a missed defect is struck out and pale; each row is named with its count.

    Raises:
        TypeError: pixels are not uint8. ValueError: names or lengths differ, or a scale is not positive.
    """
    if set(maps) != set(verdicts):
        raise ValueError(
            f"maps of {sorted(maps)} and verdicts of {sorted(verdicts)}; expected the same detectors."
        )
    pictures = as_pictures(images, "images")
    declared = {name: as_array(values).astype(bool) for name, values in verdicts.items()}
    scaled = {name: as_array(maps[name][0]) / _positive(maps[name][1], name) for name in declared}
    check_same_length(
        images=pictures, masks=masks, kinds=kinds, **declared, **{f"{k} map": v for k, v in scaled.items()}
    )
    rows = ["image", *(f"{name}\n{values.sum()} of {len(values)}" for name, values in declared.items())]
    figure, axes = _image_axes(len(pictures), rows, _headers(kinds))
    for axis, picture in zip(axes[0], pictures):
        show_picture(axis, picture)
    for row, name in zip(axes[1:], declared):
        for axis, values, detected in zip(row, scaled[name], declared[name]):
            axis.imshow(values, cmap=MAP_COLOURS, vmin=0, vmax=1.5, alpha=1.0 if detected else 0.35)
            if not detected:
                axis.plot([0, 1], [0, 1], transform=axis.transAxes, color=ANOMALOUS, linewidth=2)
    for column, mask in enumerate(as_array(masks) if masks is not None else []):
        if mask.any():
            _outline(axes[0][column], mask)
    return figure
