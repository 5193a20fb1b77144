"""The look of the book: palette, matplotlib settings, and the stamp below every figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

NORMAL, ANOMALOUS = "#0072B2", "#D55E00"
REFERENCE, INK, FAINT = "#767676", "#222222", "#D9D9D9"
RIGHT, WRONG = "#DCEBF5", "#FBE3D5"  # grounds of right and wrong verdicts
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OUTLINE = "#00E5FF"  # of a mask: legible on grey images and on every colour of the map scale
MAP_COLOURS = "inferno"
STAMP_HEIGHT = 0.24  # inches kept free at the foot of every figure, see `stamp`

STYLE: dict[Any, Any] = {
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


def use_style() -> Any:
    """The style of the book as a context: `with use_style(): ...`; `drawing` uses it for a figure drawn by hand.

    Returns:
        A context manager that sets matplotlib's parameters and restores them at its end.
    """
    return plt.rc_context(STYLE)


def settle(figure: Figure) -> None:
    """Lay a figure out once, with room for its stamp, and keep that layout; call it inside `use_style`."""
    engine: Any = figure.get_layout_engine()
    if engine is not None:
        foot = STAMP_HEIGHT / figure.get_figheight()
        engine.set(rect=(0.0, foot, 1.0, 1.0 - foot))
    figure.draw_without_rendering()  # the first draw creates the ticks; it has to run inside the style
    figure.set_layout_engine("none")


@contextmanager
def drawing(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.0, 3.3), **sharing: Any
) -> Iterator[tuple[Figure, Any]]:
    """Axes for a figure drawn by hand: in the style of the book, laid out and closed in pyplot at the end.

    >>> with viz.drawing(1, 2) as (figure, axes):
    ...     axes[0].plot(steps, errors)
    >>> viz.stamp(figure, "elpv/mono · seed 0")

    Args:
        rows, columns: of axes.
        size: width and height in inches; the foot of the height is left free for the stamp.
        sharing: sharex and sharey, as for `matplotlib.pyplot.subplots`.

    Yields:
        The figure, and its axis or array of axes.
    """
    with use_style():
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", **sharing)
        try:
            yield figure, axes
            settle(figure)
        finally:
            plt.close(figure)


def stamp(figure: Figure, text: str) -> Figure:
    """Write where a figure comes from in small grey letters at its foot.

    A figure that is still to be laid out makes room for it; those of this package have done so already.

    Args:
        figure: of this package, or any other; a stamp already there is replaced.
        text: one line, for instance "elpv/mono · ganomaly · seed 0 · adlib 1a2b3c".

    Returns:
        The same figure.
    """
    for old in [t for t in figure.texts if t.get_gid() == "stamp"]:
        old.remove()
    engine: Any = figure.get_layout_engine()
    if engine is not None and engine.get().get("rect") == (0, 0, 1, 1):
        room = STAMP_HEIGHT / figure.get_figheight()
        engine.set(rect=(0, room, 1, 1 - room))
    foot = 0.05 / figure.get_figheight()
    figure.text(0.995, foot, text, ha="right", va="bottom", fontsize=7.5, color=REFERENCE, gid="stamp")
    return figure
