"""Every figure of the book, in one style; every function takes data, none takes a detector.

>>> from adlib import viz
>>> figure = viz.roc_figure({"D1": (labels, scores)})
>>> viz.stamp(figure, "elpv/mono · ganomaly · seed 0")            # says where it comes from
>>> viz.show(figure, "1.7", f"D1 reaches an AUROC of {auroc:.2f}.")   # with its number and caption

Figures are white cards (readable on a dark page too), 6 to 9 inches wide, in the colour-blind-safe palette
of Okabe and Ito: blue is normal, vermilion is anomalous, grey is a reference. Each function returns a
matplotlib Figure that is already closed in pyplot: a notebook shows it once, as the value of a cell, and
no open figures accumulate.

style     palette, matplotlib settings, axes to draw on by hand, the stamp that says where a figure comes from
images    images, reconstructions with their differences, anomaly maps with the true defects
scores    histograms and ROC curves of scores, and what one threshold does
comparisons  several detectors on the same images, over seeds, by rank, along training and a study's axis
networks  the layers of a network as blocks, from its modules
runs      losses and checkpoints of one run; contamination, paper beside ours, leaks over many runs
tables    mean ± SD over runs, bold only where better by more than the spread
widgets   a threshold to drag, a training to scrub through, maps to fade in, a quiz; no kernel needed
drawing   a board to draw on: networks, computed in the page, redraw it at once
search    the landscape of a search over settings, and candidates ranked by several criteria
source    the code of the package, shown as it runs
captions  a figure shown with its number and caption
"""

from __future__ import annotations

from adlib.viz.captions import show
from adlib.viz.comparisons import (
    auroc_heatmap,
    detectors_on_images,
    found_and_missed,
    rank_figure,
    seed_lines,
    seed_spread,
    speed_figure,
    study_curves,
)
from adlib.viz.drawing import drawing_board
from adlib.viz.images import anomaly_map_grid, image_gallery, image_rows, reconstruction_grid
from adlib.viz.networks import network_figure
from adlib.viz.runs import (
    checkpoint_curve,
    contamination_figure,
    leak_figure,
    loss_curves,
    paper_beside_ours,
)
from adlib.viz.scores import roc_figure, score_histograms, threshold_figure
from adlib.viz.search import landscape_figure, rank_slopes
from adlib.viz.source import show_source
from adlib.viz.style import drawing, stamp, use_style
from adlib.viz.tables import score_table
from adlib.viz.widgets import defect_quiz, map_overlay, threshold_explorer, training_scrubber

__all__ = [
    "anomaly_map_grid",
    "auroc_heatmap",
    "checkpoint_curve",
    "contamination_figure",
    "defect_quiz",
    "detectors_on_images",
    "drawing",
    "drawing_board",
    "found_and_missed",
    "image_gallery",
    "image_rows",
    "landscape_figure",
    "leak_figure",
    "loss_curves",
    "map_overlay",
    "network_figure",
    "paper_beside_ours",
    "rank_figure",
    "rank_slopes",
    "reconstruction_grid",
    "roc_figure",
    "score_histograms",
    "score_table",
    "seed_lines",
    "seed_spread",
    "show",
    "show_source",
    "speed_figure",
    "stamp",
    "study_curves",
    "threshold_explorer",
    "threshold_figure",
    "training_scrubber",
    "use_style",
]
