"""What a search over settings has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adlib.viz._parts import book_figure, check_columns, outer_labels, panels
from adlib.viz.style import ANOMALOUS, NORMAL


@book_figure
def landscape_figure(
    frame: pd.DataFrame, settings: Sequence[str], value: str, marked: str = "published"
) -> Figure:
    """The landscape of a search: one panel per setting, one dot per candidate at each of its levels.

    A line joins the means over all candidates of a level. It is flat where the setting does not matter, and dots that
    scatter wider than the line rises say that it matters less than the others together.

    Args:
        frame: one row per candidate, with the columns `settings` (numbers, few levels), `value` and `marked`.
        settings: names of the settings.
        value: the column that candidates are judged by, also the label of the axis.
        marked: column of bool: candidates to set apart; its name stands beside them in the first panel.

    Returns:
        The figure; all panels share the scale of the value.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, *settings, value, marked)
    figure, axes = panels(len(settings), 2.0, share_y=True)
    apart = frame[marked].astype(bool)
    sideways = np.random.default_rng(0).uniform(-0.13, 0.13, len(frame))
    for axis, name in zip(axes, settings):
        levels = np.sort(frame[name].unique())
        place = np.searchsorted(levels, frame[name])
        axis.plot(place[~apart] + sideways[~apart], frame[value][~apart], "o", color=NORMAL, alpha=0.5, ms=4)
        axis.plot(place[apart], frame[value][apart], "D", color=ANOMALOUS, ms=6)
        means = frame.groupby(name)[value].mean().reindex(levels)
        axis.plot(range(len(levels)), means, color=NORMAL, linewidth=1.4)
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        axis.set_xlim(-0.4, len(levels) - 0.6)
        axis.set_title(name.replace("_", " "))
    if apart.any():
        first = axes[0], np.searchsorted(np.sort(frame[settings[0]].unique()), frame[settings[0]])[apart][0]
        first[0].annotate(
            marked, (first[1], frame[value][apart].iloc[0]), (-8, 0), textcoords="offset points",
            color=ANOMALOUS, ha="right", va="center", fontsize=9,
        )  # fmt: skip
    outer_labels(axes, "weight", value)
    return figure
