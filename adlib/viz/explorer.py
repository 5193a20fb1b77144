"""A slider over thresholds that works on a static page: small pictures drawn beforehand."""

from __future__ import annotations

import base64
import io
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from adlib import metrics
from adlib.viz._parts import as_array, short_number
from adlib.viz.scores import threshold_figure
from adlib.viz.style import ANOMALOUS, FAINT, INK, NORMAL, REFERENCE, RIGHT, WRONG


def threshold_explorer(
    labels: ArrayLike,
    scores: ArrayLike,
    images: ArrayLike | None = None,
    *,
    threshold: float,
    positions: int = 23,
    name: str = "anomaly score",
) -> ipywidgets.Widget:
    """A slider over thresholds that needs no kernel: it turns over small pictures drawn beforehand.

    Slider and pictures are linked in the browser, so the object works in a notebook and on a static page
    alike. It opens at the learnt threshold; neighbouring positions differ by an equal share of the images.
    Where widgets are not shown at all (PDF, GitHub), `threshold_figure` draws one position as a plain figure.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), larger = more anomalous.
        images: as in `threshold_figure`.
        threshold: the one learnt from validation-normal images.
        positions: number of thresholds, >= 3.
        name: name of the score.

    Returns:
        A widget.

    Raises:
        ValueError: as for `metrics.confusion`, or positions < 3.
    """
    if positions < 3:
        raise ValueError(f"positions is {positions}; expected at least 3. 23 make a smooth slider.")
    cuts, start = _slider_positions(as_array(scores).astype(float), float(threshold), positions)
    pictures = []
    for cut in cuts:
        figure = threshold_figure(labels, scores, cut, learnt=threshold, images=images, name=name)
        pictures.append(_picture_tag(_small_png(figure), _in_words(labels, scores, cut)))
    slider = ipywidgets.IntSlider(
        value=start, min=0, max=positions - 1, readout=False,
        layout=ipywidgets.Layout(width="100%", max_width="840px"),
    )  # fmt: skip
    if hasattr(ipywidgets, "Stack"):
        shown = ipywidgets.Stack([ipywidgets.HTML(picture) for picture in pictures], selected_index=start)
        ipywidgets.jslink((slider, "value"), (shown, "selected_index"))
    else:  # ipywidgets 7 (Colab) has no Stack, but there a kernel always runs
        shown = ipywidgets.HTML(pictures[start])
        slider.observe(lambda change: setattr(shown, "value", pictures[change["new"]]), names="value")
    # a description of the slider would be black on a dark page; this grey is legible on both
    hint = "Threshold: further left finds more, further right alarms less"
    title = ipywidgets.HTML(f'<span style="color:#808080">{hint}</span>')
    return ipywidgets.VBox([title, slider, shown])


def _slider_positions(scores: NDArray[Any], learnt: float, positions: int) -> tuple[list[float], int]:
    """Thresholds at equal steps in the number of images above them, one of them learnt, and its place."""
    cuts = np.quantile(scores, np.linspace(0, 1, positions))
    cuts[0] = np.nextafter(cuts[0], -np.inf)  # the lowest position declares everything anomalous
    start = int(np.abs(cuts - learnt).argmin())
    cuts[start] = learnt
    return [float(cut) for cut in cuts], start


def _in_words(labels: ArrayLike, scores: ArrayLike, threshold: float) -> str:
    counts = metrics.confusion(as_array(labels), as_array(scores) > threshold)
    return (
        f"Threshold {short_number(threshold)}: {counts['tp']} of {counts['tp'] + counts['fn']} anomalies found, "
        f"{counts['fp']} of {counts['fp'] + counts['tn']} normal images refused, F1 {counts['f1']:.3f}."
    )


def _small_png(figure: Figure) -> bytes:
    """The figure as a PNG of 48 colours, small enough to carry two dozen of them in a page."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=100)
    picture = Image.open(raw).convert("RGB")
    found = picture.quantize(28, method=Image.Quantize.MEDIANCUT).getpalette()[: 3 * 28]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*_style_colours(), *found])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _style_colours() -> list[int]:
    """Colours and tints of the style, as R, G, B in a row; median cut alone gives them up for photographs."""
    tints = [(colour, share) for colour in (INK, NORMAL, ANOMALOUS) for share in (1.0, 0.75, 0.5, 0.35, 0.15)]
    solid = [("white", 1.0), (RIGHT, 1.0), (WRONG, 1.0), (REFERENCE, 1.0), (FAINT, 1.0)]
    blends = [share * np.array(to_rgb(colour)) + 1 - share for colour, share in tints + solid]
    return [round(255 * part) for blend in blends for part in blend]


def _picture_tag(png: bytes, alt: str) -> str:
    source = base64.b64encode(png).decode()
    return f'<img alt="{alt}" style="max-width:100%;height:auto" src="data:image/png;base64,{source}">'
