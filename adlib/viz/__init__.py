"""Every figure of the book, in one style; every function takes data, none takes a detector.

>>> from adlib import viz
>>> figure = viz.roc_figure({"D1": (labels, scores)})
>>> viz.stamp(figure, "elpv/mono · ganomaly · seed 0")            # the value of a cell: shown once

Figures are white cards (readable on a dark page too), 6 to 9 inches wide, in the colour-blind-safe palette
of Okabe and Ito: blue is normal, vermilion is anomalous, grey is a reference. Each function returns a
matplotlib Figure that pyplot has already forgotten: a notebook shows it once, as the value of a cell, and
nothing piles up.

style     palette, matplotlib settings, the stamp that says where a figure comes from
images    images, reconstructions with their differences, anomaly maps with the true defects
scores    histograms and ROC curves of scores, and what one threshold does
runs      losses and checkpoints of one run; contamination, paper beside ours, leaks over many runs
tables    mean ± SD over runs, bold only where better by more than the spread
explorer  a slider over thresholds that needs no kernel
source    the code of the package, shown as it runs
"""

from __future__ import annotations

from adlib.viz.explorer import threshold_explorer
from adlib.viz.images import anomaly_map_grid, image_gallery, reconstruction_grid
from adlib.viz.runs import (
    checkpoint_curve,
    contamination_figure,
    leak_figure,
    loss_curves,
    paper_beside_ours,
)
from adlib.viz.scores import roc_figure, score_histograms, threshold_figure
from adlib.viz.source import show_source
from adlib.viz.style import stamp, use_style
from adlib.viz.tables import score_table

__all__ = [
    "anomaly_map_grid",
    "checkpoint_curve",
    "contamination_figure",
    "image_gallery",
    "leak_figure",
    "loss_curves",
    "paper_beside_ours",
    "reconstruction_grid",
    "roc_figure",
    "score_histograms",
    "score_table",
    "show_source",
    "stamp",
    "threshold_explorer",
    "threshold_figure",
    "use_style",
]
