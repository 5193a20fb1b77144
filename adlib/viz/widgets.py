"""Interactive figures: a threshold to drag, a training to scrub through, maps to fade in, a quiz.

Each is an anywidget whose whole state is in the page, so that it works without a kernel: in the built book,
in an exported notebook, in Jupyter and in Colab alike. With a kernel the moved value comes back to Python:

>>> explorer = viz.threshold_explorer(labels, scores, threshold=0.3)
>>> explorer.threshold                                                # where the reader has dragged it

Where widgets are not shown at all (GitHub, a PDF made from the notebook) a plain figure takes their place. All
of them are operated with the keyboard and say in words what they show.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from adlib import metrics
from adlib.viz._parts import as_array, as_pictures, check_same_length
from adlib.viz.images import anomaly_map_grid, image_gallery, reconstruction_grid
from adlib.viz.scores import threshold_figure
from adlib.viz.style import MAP_COLOURS, OUTLINE

_FRONT = Path(__file__).parent / "front"
_COLUMNS = 16  # of a sheet of small pictures


def _front(name: str) -> str:
    return (_FRONT / "common.js").read_text() + (_FRONT / f"{name}.js").read_text()


def _synced(default: Any = None) -> Any:
    """A trait of any type that is synchronised with the browser."""
    return traitlets.Any(default).tag(sync=True)


class BookWidget(anywidget.AnyWidget):
    """A widget of the book: its state is all it needs, and a plain figure stands in for it on paper."""

    _css = (_FRONT / "widgets.css").read_text()

    def __init__(self, figure: Figure, **state: Any):
        super().__init__(**state)
        self._figure = figure

    def figure(self) -> Figure:
        """What stands in for the widget on paper; see the function that made it."""
        return self._figure

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        buffer = io.BytesIO()
        self._figure.savefig(buffer, format="png", dpi=100)
        return {**data, "image/png": base64.b64encode(buffer.getvalue()).decode()}, metadata


class ThresholdExplorer(BookWidget):
    """See `threshold_explorer`. `threshold` is where it stands now; `counts()` what follows from it."""

    _esm = _front("threshold")
    scores, labels, kinds = _synced(), _synced(), _synced()
    name, learnt = _synced(""), _synced(0.0)
    threshold = traitlets.Float().tag(sync=True)
    sheet, columns, count = _synced(""), _synced(_COLUMNS), _synced(0)

    def counts(self) -> dict[str, float]:
        """The confusion matrix and its rates at the present threshold, as from `metrics.confusion`."""
        return metrics.confusion(np.array(self.labels, bool), np.array(self.scores) > self.threshold)


def threshold_explorer(
    labels: ArrayLike,
    scores: ArrayLike,
    images: ArrayLike | None = None,
    *,
    threshold: float,
    kinds: Sequence[str] | None = None,
    name: str = "anomaly score",
) -> ThresholdExplorer:
    """Drag a threshold: confusion matrix, ROC point, F1 and the gallery of misses react.

    Every step of the slider changes the verdict on one image. It opens at the learnt threshold.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), larger = more anomalous; anomalous is what scores above the threshold.
        images: uint8, shape (N, C, H, W), for the gallery; without them there is none. Up to 2,000.
        threshold: the one learnt from validation-normal images.
        kinds: N names, for screen readers; "normal" and "anomalous" by default.
        name: name of the score.

    Returns:
        The widget; its `threshold` follows the reader where a kernel runs.

    Raises:
        ValueError: as for `metrics.confusion`; lengths differ; more images than a page can carry.
    """
    truth, values = as_array(labels).astype(bool), as_array(scores).astype(float)
    kinds = [("normal", "anomalous")[int(label)] for label in truth] if kinds is None else list(kinds)
    check_same_length(labels=truth, scores=values, kinds=kinds, images=images)
    if images is not None and (count := len(as_array(images))) > 2000:
        raise ValueError(
            f"{count} images for the gallery; expected at most 2,000, a page has to carry them. "
            "Cut labels, scores and images with the same index."
        )
    figure = threshold_figure(truth, values, threshold, learnt=threshold, images=images, name=name)
    gallery = {} if images is None else _sheet(as_pictures(images, "images"))
    return ThresholdExplorer(
        figure,
        scores=[_number(score) for score in values],
        labels=[int(label) for label in truth],
        kinds=kinds,
        name=name,
        learnt=_number(threshold),
        threshold=_number(threshold),
        **gallery,
    )


class TrainingScrubber(BookWidget):
    """See `training_scrubber`. `position` is the number of the checkpoint that is shown, from 0."""

    _esm = _front("scrubber")
    steps, strips, errors = _synced(), _synced(), _synced()
    names, originals = _synced(), _synced("")
    position = traitlets.Int().tag(sync=True)


def training_scrubber(
    images: ArrayLike, steps: Sequence[int], reconstructions: ArrayLike, kinds: Sequence[str]
) -> TrainingScrubber:
    """Scrub through a training: the same images as the network redraws them at each checkpoint.

    Args:
        images: uint8, shape (N, C, H, W); six to ten are readable.
        steps: K training steps, rising.
        reconstructions: uint8, shape (K, N, C, H, W).
        kinds: N names, "good" for normal images.

    Returns:
        The widget, open at the first checkpoint. All differences share one scale. On paper the last checkpoint stands
        in for it, on a scale of its own.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths or shapes differ, or there is no checkpoint.
    """
    pictures, checkpoints = as_pictures(images, "images"), as_array(reconstructions)
    check_same_length(steps=steps, reconstructions=checkpoints)
    check_same_length(images=pictures, kinds=kinds)
    if not len(checkpoints):
        raise ValueError("there is no checkpoint; expected the reconstructions of at least one.")
    if checkpoints.shape[1:] != as_array(images).shape:
        raise ValueError(
            f"reconstructions have shape {checkpoints.shape}; expected (K, *{as_array(images).shape}): "
            "those of the same images at K checkpoints."
        )
    redrawn = np.stack([as_pictures(each, "reconstructions") for each in checkpoints])
    difference = np.abs(redrawn.astype(float) - pictures.astype(float))
    difference = difference.mean(axis=4) if difference.ndim == 5 else difference
    scale = float(np.percentile(difference, 99.5)) or 1.0
    strips = []
    for drawn, error in zip(redrawn, difference):
        rows = [_strip(_coloured(drawn)), _strip(_heat(error / scale))]
        strips.append(_jpeg(np.concatenate(rows), quality=85))
    return TrainingScrubber(
        reconstruction_grid(images, checkpoints[-1], kinds),
        steps=[int(step) for step in steps],
        strips=strips,
        errors=[[_number(value, 3) for value in each.mean(axis=(1, 2))] for each in difference],
        names=list(kinds),
        originals=_jpeg(_strip(_coloured(pictures)), quality=90),
    )


class MapOverlay(BookWidget):
    """See `map_overlay`. `opacity` is the share of the map in per cent."""

    _esm = _front("overlay")
    images, maps, outlines = _synced(""), _synced(""), _synced("")
    names, peaks = _synced(), _synced()
    opacity = traitlets.Int(50).tag(sync=True)


def map_overlay(
    images: ArrayLike,
    maps: ArrayLike,
    scale: float,
    kinds: Sequence[str],
    masks: ArrayLike | None = None,
) -> MapOverlay:
    """Anomaly maps laid over their images, as strongly as the reader likes; all on one colour scale.

    Args:
        images: uint8, shape (N, C, H, W); six to ten are readable.
        maps: shape (N, H, W), larger = more anomalous.
        scale: value at the end of the colour scale, > 0: `detector.map_scale`.
        kinds: N names, "good" for normal images.
        masks: bool, shape (N, H, W), True = defective pixel; their outlines stay visible.

    Returns:
        The widget, open at one half.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ, or scale is not a positive number.
    """
    figure = anomaly_map_grid(images, maps, scale, masks, kinds)
    pictures, scaled = as_pictures(images, "images"), as_array(maps) / scale
    return MapOverlay(
        figure,
        images=_jpeg(_strip(_coloured(pictures)), quality=90),
        maps=_jpeg(_strip(_heat(scaled)), quality=90),
        outlines="" if masks is None else _outlines(as_array(masks).astype(bool)),
        names=list(kinds),
        peaks=[_number(peak, 3) for peak in scaled.max(axis=(1, 2))],
    )


class DefectQuiz(BookWidget):
    """See `defect_quiz`. `rounds` are rows of image numbers, `answers` and `choices` places in them."""

    _esm = _front("quiz")
    rounds, answers, choices, kinds = _synced(), _synced(), _synced(), _synced()
    sheet, columns, count = _synced(""), _synced(_COLUMNS), _synced(0)


def defect_quiz(
    images: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    kinds: Sequence[str],
    *,
    rounds: int = 8,
    seed: int = 0,
) -> DefectQuiz:
    """Which image is defective? Rounds of three normal images and an anomalous one, reader against detector.

    The detector chooses the image of the round with the highest score. The rounds are drawn at random.

    Args:
        images: uint8, shape (N, C, H, W).
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), larger = more anomalous.
        kinds: N names, shown after the answer.
        rounds: number of rounds, >= 1.
        seed: of the draw.

    Returns:
        The widget.

    Raises:
        TypeError: pixels are not uint8. ValueError: lengths differ, or too few images for the rounds.
    """
    pictures, truth, values = as_pictures(images, "images"), as_array(labels).astype(bool), as_array(scores)
    check_same_length(images=pictures, labels=truth, scores=values, kinds=kinds)
    bad, good = np.flatnonzero(truth), np.flatnonzero(~truth)
    if rounds < 1 or len(bad) < rounds or len(good) < 3 * rounds:
        raise ValueError(
            f"{rounds} rounds want {rounds} anomalous and {3 * rounds} normal images; there are {len(bad)} "
            f"and {len(good)}. Ask for 1 to {max(1, min(len(bad), len(good) // 3))} rounds."
        )
    random = np.random.default_rng(seed)
    drawn = np.concatenate(
        [random.permutation(good)[: 3 * rounds].reshape(rounds, 3), random.permutation(bad)[:rounds, None]], 1
    )
    drawn = random.permuted(drawn, axis=1)
    indices = drawn.flatten()
    places = np.arange(len(indices)).reshape(drawn.shape)
    return DefectQuiz(
        image_gallery(as_array(images)[drawn[0]], title="Which of these four is defective?"),
        rounds=places.tolist(),
        answers=truth[drawn].argmax(1).tolist(),
        choices=values[drawn].argmax(1).tolist(),
        kinds=[str(kinds[index]) for index in indices],
        **_sheet(pictures[indices]),
    )


# ---------------------------------------------------------------- pictures as text


def _number(value: float, digits: int = 9) -> float:
    """A float with as many digits as single precision holds: more would only make pages larger."""
    return float(f"{value:.{digits}g}")


def _coloured(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey (N, H, W) or RGB pictures as (N, H, W, 3)."""
    return np.repeat(pictures[..., None], 3, axis=-1) if pictures.ndim == 3 else pictures


def _heat(maps: NDArray[Any]) -> NDArray[np.uint8]:
    """(N, H, W) with 1 = end of the scale as colours (N, H, W, 3)."""
    return colormaps[MAP_COLOURS](np.clip(maps, 0, 1), bytes=True)[..., :3]


def _strip(pictures: NDArray[np.uint8], gap: int = 2) -> NDArray[np.uint8]:
    """(N, H, W, 3 or 4) side by side, with a gap of a few pixels: (H + gap, N * (W + gap), same)."""
    framed = np.pad(
        pictures, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=0 if pictures.shape[-1] == 4 else 255
    )
    return np.concatenate(list(framed), axis=1)


def _sheet(pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Many small pictures as one, in rows of `_COLUMNS`."""
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    full = np.zeros((rows * columns, *pictures.shape[1:]), np.uint8)
    full[: len(pictures)] = pictures
    grid = full.reshape(rows, columns, *pictures.shape[1:]).swapaxes(1, 2)
    joined = grid.reshape(rows * pictures.shape[1], columns * pictures.shape[2], *pictures.shape[3:])
    return {"sheet": _jpeg(joined, quality=80), "columns": columns, "count": len(pictures)}


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _outlines(masks: NDArray[np.bool_]) -> str:
    """The inner borders of masks (N, H, W) as a transparent strip."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    inside = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    colour = [int(OUTLINE[place : place + 2], 16) for place in (1, 3, 5)]
    pixels = np.zeros((*masks.shape, 4), np.uint8)
    pixels[masks & ~inside] = [*colour, 255]
    buffer = io.BytesIO()
    Image.fromarray(_strip(pixels)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
