"""What several modules of figures share: the decorator of every figure, checks, axes, pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from adlib.viz.style import SERIES, STAMP_HEIGHT, settle, use_style

P = ParamSpec("P")


def book_figure(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of the book, fix the layout, and close the figure, so that a notebook shows it once."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with use_style():
            figure = draw(*args, **kwargs)
            settle(figure)
        plt.close(figure)
        return figure

    return styled


def as_array(values: ArrayLike) -> NDArray[Any]:
    """Any array as NumPy's; a tensor is detached and fetched from its device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def check_same_length(**what: Any) -> None:
    """Refuse arguments of different lengths, each under its name; None was not given and is left out.

    Raises:
        ValueError: naming every argument and its length.
    """
    lengths = {name: len(values) for name, values in what.items() if values is not None}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"lengths differ: {listed}; expected one entry each. Cut them with the same index.")


def check_columns(frame: pd.DataFrame, *names: str) -> None:
    """Refuse a frame without these columns, or without a row.

    Raises:
        ValueError: naming the first column that is missing.
    """
    missing = [name for name in names if name not in frame]
    if missing:
        raise ValueError(
            f"no column {missing[0]!r} among {', '.join(map(str, frame.columns))}; expected it. Rename one."
        )
    if frame.empty:
        raise ValueError(
            "the frame holds no run; expected at least one row. Is the ledger, or the filter, empty?"
        )


def as_pictures(images: ArrayLike, what: str) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) as (N, H, W) or (N, H, W, 3), the way matplotlib draws them.

    Args:
        images: to draw.
        what: their name in an error.

    Returns:
        The same pixels with the channel last, or without one for grey images.

    Raises:
        TypeError: pixels are not uint8. ValueError: not of this shape, or no image.
    """
    array = as_array(images)
    if array.dtype != np.uint8:
        raise TypeError(f"{what} hold {array.dtype}; expected uint8. Convert with adlib.data.to_uint8.")
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ValueError(f"{what} have shape {array.shape}; expected (N, C, H, W) with N > 0 and C = 1 or 3.")
    return array[:, 0] if array.shape[1] == 1 else np.moveaxis(array, 1, 3)


def show_picture(axis: Axes, picture: NDArray[np.uint8]) -> None:
    """Draw uint8 pixels as they are, black at 0 and white at 255 whatever the image holds."""
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255)


def panels(count: int, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """One axis per panel, two beside each other for two or four, else three; height in inches per row.

    Raises:
        ValueError: there is nothing to draw.
    """
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


def outer_labels(axes: list[Axes], x: str = "", y: str = "") -> None:
    """Label an axis where no panel stands below it, or left of it."""
    place_of_first = axes[0].get_subplotspec()
    assert place_of_first is not None, "axes of a grid"
    across = place_of_first.get_gridspec().ncols
    for place, axis in enumerate(axes):
        axis.set_xlabel(x if place + across >= len(axes) else "")
        axis.set_ylabel(y if place % across == 0 else "")


def series_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour of the book's palette for each name, in order.

    Raises:
        ValueError: more names than the palette has colours.
    """
    names = list(dict.fromkeys(names))
    if len(names) > len(SERIES):
        raise ValueError(
            f"{len(names)} series in one figure ({', '.join(map(str, names))}); {len(SERIES)} colours can be told "
            "apart. Draw fewer, or two figures."
        )
    return dict(zip(names, SERIES))


def short_number(value: float) -> str:
    """Three significant digits, no exponent for large scores."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
