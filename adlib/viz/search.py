"""Results of a search over settings, and how far several criteria agree on its ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adlib.viz._parts import book_figure, check_columns, outer_labels, panels
from adlib.viz.style import ANOMALOUS, NORMAL, REFERENCE


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
        value: the column that ranks the candidates, also the label of the axis.
        marked: column of bool: candidates to highlight; its name stands beside them in the first panel.

    Returns:
        The figure; all panels share the scale of the value.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    check_columns(frame, *settings, value, marked)
    figure, axes = panels(len(settings), 2.0, share_y=True)
    highlighted = frame[marked].astype(bool)
    jitter = np.random.default_rng(0).uniform(-0.13, 0.13, len(frame))
    for axis, name in zip(axes, settings):
        levels = np.sort(frame[name].unique())
        place = np.searchsorted(levels, frame[name])
        others = ~highlighted
        axis.plot(place[others] + jitter[others], frame[value][others], "o", color=NORMAL, alpha=0.5, ms=4)
        axis.plot(place[highlighted], frame[value][highlighted], "D", color=ANOMALOUS, ms=6)
        means = frame.groupby(name)[value].mean().reindex(levels)
        axis.plot(range(len(levels)), means, color=NORMAL, linewidth=1.4)
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        axis.set_xlim(-0.4, len(levels) - 0.6)
        axis.set_title(name.replace("_", " "))
    if highlighted.any():
        first = frame[highlighted].iloc[0]
        place = np.searchsorted(np.sort(frame[settings[0]].unique()), first[settings[0]])
        axes[0].annotate(
            marked, (place, first[value]), (-8, 0), textcoords="offset points",
            color=ANOMALOUS, ha="right", va="center", fontsize=9,
        )  # fmt: skip
    outer_labels(axes, "weight", value)
    return figure


@book_figure
def rank_slopes(tables: Mapping[str, pd.DataFrame], marked: Sequence[str] = ()) -> Figure:
    """Candidates ranked by several criteria, a column of names each: level lines show that two criteria agree.

    Args:
        tables: title of a panel -> one row per candidate, one column per criterion; larger values rank better.
            A candidate without a value for some criterion is left out of the panel.
        marked: candidates to draw in colour.

    Returns:
        The figure, the best rank on top.

    Raises:
        ValueError: there is no panel, or a panel has fewer than two criteria, or no candidate with a value for each.
    """
    figure, axes = panels(len(tables), height=3.6)
    for axis, (title, table) in zip(axes, tables.items()):
        table = table.dropna()
        if table.empty or table.shape[1] < 2:
            raise ValueError(
                f"{title}: {len(table)} candidates with a value for all of {table.shape[1]} criteria; expected at "
                "least one candidate and two criteria."
            )
        places = table.rank(ascending=False, method="first")
        for name, row in places.iterrows():
            colour, width = (ANOMALOUS, 2.4) if name in marked else (REFERENCE, 1.2)
            axis.plot(range(len(row)), row, "o-", color=colour, linewidth=width, markersize=5)
            ends = ((-0.07, row.iloc[0], name, "right"), (len(row) - 0.93, row.iloc[-1], name, "left"))
            for x, y, text, side in ends:
                axis.text(x, y, text, ha=side, va="center", fontsize=9, color=colour)
        axis.set_xlim(-0.9, len(table.columns) - 0.1)
        axis.set_ylim(len(table) + 0.6, 0.4)
        axis.set_xticks(range(len(table.columns)), table.columns)
        axis.set_yticks([])
        axis.tick_params(length=0)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.set_title(title)
    return figure
