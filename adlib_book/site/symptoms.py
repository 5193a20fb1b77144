"""Pictures for the page about own images: what a bad result looks like, drawn on packaged images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from adlib.data import load
from adlib.data.splits import Split
from adlib.detectors import make_detector
from adlib.files import write_atomic
from adlib.inspection.threshold import Threshold
from adlib.viz.style import ANOMALOUS, NORMAL, drawing, stamp

SIDE, CELLS, SHIFT = 128, 60, 10  # pixels; cells that PCA learns; pixels by which a cell is moved


def write_pictures(stage: Path) -> None:
    """Draw every picture onto the stage, `book/_static/made/symptom-<name>.png`.

    Args:
        stage: what the pages are built from.
    """
    split = load("elpv/mono", size=SIDE, seed=0)
    for name, draw in PICTURES.items():
        figure, buffer = draw(split), io.BytesIO()
        stamp(figure, "any detector, any images" if draw is _few else f"elpv/mono · {SIDE} px · seed 0")
        figure.savefig(buffer, format="png")
        write_atomic(stage / "book" / "_static" / "made" / f"symptom-{name}.png", buffer.getvalue())


def _rims(split: Split) -> Figure:
    """PCA on a cell where it was, and on the same cell moved: every edge glows."""
    detector = make_detector("pca", split.image_shape, "live", 0)
    detector.fit(split.train.images[:CELLS], split.validation)
    cell = split.validation.images[:1]
    moved = F.pad(cell.float(), (SHIFT, 0, SHIFT, 0), "replicate")[..., :SIDE, :SIDE].to(torch.uint8)
    maps = detector.anomaly_map(torch.cat([cell, moved])).numpy()
    with drawing(1, 4, size=(8.0, 2.3)) as (figure, axes):
        for axis, picture, title in zip(
            axes,
            (cell[0, 0], maps[0], moved[0, 0], maps[1]),
            ("in its place", "its map", f"moved by {SHIFT} pixels", "its map"),
        ):
            heat = "map" in title
            limit = detector.map_scale if heat else 255
            axis.imshow(np.asarray(picture), cmap="magma" if heat else "gray", vmin=0, vmax=limit)
            axis.set_title(title)
            axis.set_axis_off()
    return figure


def _scratch(split: Split) -> Figure:
    """A scratch one pixel wide on the whole photograph, and on what is left of it when it is squeezed."""
    cell, along = split.validation.images[0, 0].clone(), torch.arange(SIDE // 3)
    cell[SIDE // 3 + along, SIDE // 3 + along // 2] = 255
    with drawing(1, 4, size=(8.0, 2.3)) as (figure, axes):
        for axis, side in zip(axes, (SIDE, SIDE // 2, SIDE // 4, SIDE // 8)):
            small = F.interpolate(cell[None, None].float(), (side, side), mode="area")[0, 0]
            axis.imshow(small.numpy(), cmap="gray", vmin=0, vmax=255)
            axis.set_title(f"{side} x {side}")
            axis.set_axis_off()
    return figure


def _light(split: Split) -> Figure:
    """Scores of good cells, and of the same cells with a lamp at the left, beside the threshold."""
    detector = make_detector("pca", split.image_shape, "live", 0)
    detector.fit(split.train.images[:CELLS], split.validation)
    cells = split.validation.images
    lamp = torch.linspace(1.3, 0.8, SIDE)  # of the light before, from left to right
    tuesday = (cells.float() * lamp).round().clamp(max=255).to(torch.uint8)
    score, threshold = detector.anomaly_score, detector.thresholds[detector.config.score]
    with drawing(size=(6.4, 2.6)) as (figure, axis):
        bins = np.linspace(0, float(score(tuesday).max()) * 1.02, 40)
        axis.hist(score(cells).numpy(), bins, color=NORMAL, label="good cells")
        axis.hist(
            score(tuesday).numpy(), bins, color=ANOMALOUS, alpha=0.7, label="the same, lamp at the left"
        )
        axis.axvline(threshold, color="0.3", linestyle="--")
        axis.text(threshold, axis.get_ylim()[1] * 0.97, " threshold", va="top", color="0.3")
        axis.set_xlabel("anomaly score")
        axis.set_ylabel("images")
        axis.legend(frameon=False, loc="upper left")
    return figure


def _few(_: Split) -> Figure:
    """How many good images a threshold calls defective, at most and at least, by how many it was set from."""
    counts = np.unique(np.geomspace(5, 1000, 40).astype(int))
    ends = [Threshold.from_scores(range(int(count)), 0.02).interval for count in counts]
    low, high = np.transpose(ends)
    with drawing(size=(6.4, 2.6)) as (figure, axis):
        axis.fill_between(counts, 100 * low, 100 * high, color=NORMAL, alpha=0.3, linewidth=0)
        axis.plot(counts, 100 * high, color=NORMAL)
        axis.axhline(2, color="0.3", linestyle="--")
        axis.text(counts[0], 2, "asked for", va="bottom", color="0.3")
        axis.set_xscale("log")
        axis.set_xlabel("good images that the threshold was set from")
        axis.set_ylabel("false alarms, %")
    return figure


PICTURES: dict[str, Callable[[Split], Figure]] = {
    "rims": _rims,
    "scratch": _scratch,
    "light": _light,
    "few": _few,
}
