"""The table of results: mean ± SD, bold only where the lead is larger than the spread."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from adlib.errors import unknown_name
from adlib.viz._parts import check_columns


def score_table(
    frame: pd.DataFrame,
    *,
    rows: str,
    columns: str,
    printed: pd.DataFrame | None = None,
    caption: str = "",
    rivals: str = "columns",
) -> Styler:
    """Mean ± SD over runs, three decimals; bold only what is better by more than the spread.

    A cell is bold when it is the best of its row (or column, see `rivals`) and leads the second best by more than
    the larger of their SDs. A single run has no SD; where neither of the two has one, nothing is bold. Printed values
    of papers are shown beside and never bold: their spread is not known.

    Args:
        frame: one row per run, its metric in the column "auroc"; further columns are ignored.
        rows: column of the frame that names the rows of the table, for instance "dataset".
        columns: column that names its columns, for instance "score".
        printed: values to show in front, indexed like the rows, one column each (for instance "paper, D1").
        caption: one sentence with the finding.
        rivals: "columns" where those compete in each row, as detectors on a data set; "rows" where the rows compete
            in each column.

    Returns:
        A pandas Styler: HTML in a notebook and in the built book; `.data` holds the texts.

    Raises:
        ValueError: a column is missing, there is no row, or `rivals` is another word.
    """
    check_columns(frame, rows, columns, "auroc")
    if rivals not in ("columns", "rows"):
        raise unknown_name("rivals", rivals, ("columns", "rows"))
    names = frame[columns].drop_duplicates()
    groups = frame.groupby([rows, columns], sort=False)["auroc"]
    mean = groups.mean().unstack(columns).reindex(index=frame[rows].drop_duplicates(), columns=names)
    spread = groups.std().unstack(columns).reindex_like(mean)
    texts = pd.DataFrame(
        {name: [_mean_text(m, s) for m, s in zip(mean[name], spread[name])] for name in names},
        index=mean.index,
    )
    bold = _clearly_best(mean, spread) if rivals == "columns" else _clearly_best(mean.T, spread.T).T
    if printed is not None:
        extra = printed.reindex(mean.index)
        texts = pd.concat([extra.map(lambda v: _mean_text(v, math.nan)), texts], axis=1)
        bold = bold.reindex(columns=texts.columns, fill_value=False)
    texts.index.name = texts.columns.name = None
    css = bold.map(lambda best: "font-weight: bold" if best else "")
    styler = texts.style.apply(
        lambda cells: css.set_axis(cells.index).set_axis(cells.columns, axis=1), axis=None
    )
    below = [{"selector": "caption", "props": "caption-side: bottom; text-align: left"}]
    # Notebooks and pages, light and dark, style tables of this class.
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
