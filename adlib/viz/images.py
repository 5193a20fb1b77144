"""Images, reconstructions and anomaly maps, side by side on one scale."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from adlib.viz._parts import as_array, as_pictures, book_figure, check_same_length, short_number, show_picture
from adlib.viz.style import ANOMALOUS, INK, MAP_COLOURS, NORMAL, OUTLINE, STAMP_HEIGHT


@book_figure
def image_gallery(images: ArrayLike, title: str = "") -> Figure:
    """Images side by side in one row, as they are.

    Args:
        images: uint8, shape (N, C, H, W), C = 1 or 3; six to ten are readable.
        title: one line above the row: the finding, not the file names.

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: not of this shape, or no image.
    """
    pictures = as_pictures(images, "images")
    figure, axes = _image_axes(len(pictures), [""], [])
    for axis, picture in zip(axes[0], pictures):
        show_picture(axis, picture)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


@book_figure
def image_rows(rows: Mapping[str, ArrayLike]) -> Figure:
    """Groups of images, one named row each; a row with fewer images than the longest ends early.

    Args:
        rows: name of the row -> uint8, shape (N, C, H, W), C = 1 or 3; six to twelve are readable.

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: not of this shape, or no row.
    """
    if not rows:
        raise ValueError("there is no row; expected at least one name with its images.")
    pictures = {name: as_pictures(images, name) for name, images in rows.items()}
    figure, axes = _image_axes(max(map(len, pictures.values())), list(pictures), [])
    for row, batch in zip(axes, pictures.values()):
        for axis, picture in zip(row, batch):
            show_picture(axis, picture)
    return figure


@book_figure
def reconstruction_grid(
    images: ArrayLike,
    reconstructions: ArrayLike,
    kinds: Sequence[str] | None = None,
    scores: ArrayLike | None = None,
) -> Figure:
    """Image, reconstruction and their difference, one column per image; the differences share one scale.

    Args:
        images: uint8, shape (N, C, H, W), C = 1 or 3; six to ten are readable.
        reconstructions: uint8, shape (N, C, H, W).
        kinds: N names, "good" for normal images; shown above the columns.
        scores: anomaly scores, shape (N,), shown below the kinds.

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: shapes differ.
    """
    pictures, redrawn = as_pictures(images, "images"), as_pictures(reconstructions, "reconstructions")
    check_same_length(images=pictures, reconstructions=redrawn, kinds=kinds, scores=scores)
    if pictures.shape != redrawn.shape:
        raise ValueError(
            f"images are {pictures.shape[1:]} and reconstructions {redrawn.shape[1:]} (height, width, ...); "
            "expected the same. Reconstruct these very images."
        )
    difference = np.abs(pictures.astype(float) - redrawn.astype(float))
    difference = difference.mean(axis=3) if difference.ndim == 4 else difference
    # A percentile instead of the maximum: one very bright pixel would make all other differences look black.
    scale = float(np.percentile(difference, 99.5) or difference.max() or 1.0)
    figure, axes = _image_axes(
        len(pictures), ["image", "reconstruction", "difference"], _headers(kinds, scores)
    )
    for column in range(len(pictures)):
        show_picture(axes[0][column], pictures[column])
        show_picture(axes[1][column], redrawn[column])
        coloured = axes[2][column].imshow(difference[column], cmap=MAP_COLOURS, vmin=0, vmax=scale)
    figure.colorbar(coloured, ax=axes[2], label="grey levels", pad=0.01, aspect=8)
    return figure


@book_figure
def anomaly_map_grid(
    images: ArrayLike,
    maps: ArrayLike,
    scale: float,
    masks: ArrayLike | None = None,
    kinds: Sequence[str] | None = None,
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

    Returns:
        The figure.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ, or scale is not a positive number.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {scale}; expected a positive number. Pass detector.map_scale.")
    pictures, maps = as_pictures(images, "images"), as_array(maps)
    check_same_length(images=pictures, maps=maps, masks=masks, kinds=kinds)
    figure, axes = _image_axes(len(pictures), ["image", "anomaly map"], _headers(kinds))
    for column, (picture, anomaly_map) in enumerate(zip(pictures, maps)):
        show_picture(axes[0][column], picture)
        coloured = axes[1][column].imshow(anomaly_map, cmap=MAP_COLOURS, vmin=0, vmax=scale)
        if masks is not None and as_array(masks)[column].any():
            for row in axes:
                _outline(row[column], as_array(masks)[column])
    bar = figure.colorbar(
        coloured,
        ax=axes[1],
        pad=0.01,
        aspect=8,
        ticks=[0, scale],
        extend="max" if maps.max() > scale else "neither",
    )
    bar.ax.set_yticklabels(["0", short_number(scale)])
    bar.set_label("scale from\nvalidation\nnormals", fontsize=9)
    return figure


def _image_axes(columns: int, rows: list[str], headers: list[tuple[str, str]]) -> tuple[Figure, NDArray[Any]]:
    """Bare axes for a grid of images, the rows named at the left and the columns above."""
    side = min(1.25, 6.9 / columns)
    size = (side * columns + 2.1, (side + 0.04) * len(rows) + 0.45 + STAMP_HEIGHT)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="compressed")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, name in zip(axes[:, 0], rows):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    for axis, (text, colour) in zip(axes[0], headers):
        axis.set_title(text, color=colour, fontsize=9, fontweight="normal", loc="center")
    return figure, axes


def _headers(kinds: Sequence[str] | None, scores: ArrayLike | None = None) -> list[tuple[str, str]]:
    """Text and colour above each column: kind and score, where they are given."""
    numbers = None if scores is None else [short_number(value) for value in as_array(scores)]
    if kinds is None:
        return [(text, INK) for text in numbers or []]
    names = [textwrap.fill(str(kind).replace("_", " "), 11, max_lines=2, placeholder="…") for kind in kinds]
    texts = names if numbers is None else [f"{name}\n{number}" for name, number in zip(names, numbers)]
    return [(text, NORMAL if kind == "good" else ANOMALOUS) for text, kind in zip(texts, kinds)]


def _outline(axis: Axes, mask: NDArray[np.bool_]) -> None:
    framed = np.pad(mask.astype(float), 1)  # so that a defect at the border gets a closed line
    rows, columns = np.arange(framed.shape[0]) - 1, np.arange(framed.shape[1]) - 1
    axis.contour(columns, rows, framed, levels=[0.5], colors=OUTLINE, linewidths=1.2)
