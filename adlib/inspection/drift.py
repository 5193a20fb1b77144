"""Whether incoming photographs look like those that a detector was fitted to: their light, contrast and focus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from adlib.data.images import resize_image

SIDE = 256  # pixels; what focus is measured at
MOST = 500  # good images that are remembered
FEWEST = 5  # images on either side, below which nothing is said
CLEAR = 0.9  # how often an incoming image has to exceed one of the others, for a word
CHANCE = 1e-3  # and how rarely chance may bring this about
MEASURES = (("darker", "brighter"), ("flatter", "richer in contrast"), ("less sharp", "sharper"))

Appearance = tuple[float, float, float]


def appearance(image: Image.Image) -> Appearance:
    """Brightness (mean), contrast (standard deviation) and sharpness (mean step from pixel to pixel).

    Args:
        image: mode "L" or "RGB"; looked at in grey, SIDE x SIDE pixels.

    Returns:
        Three numbers in grey values, 0 to 255.
    """
    grey = np.asarray(resize_image(image.convert("L"), SIDE), np.float32)
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return round(float(grey.mean()), 2), round(float(grey.std()), 2), round(float(steps) / 2, 3)


def unlike(fitted: Sequence[Appearance], incoming: Sequence[Appearance]) -> list[str]:
    """In which respects incoming images differ from those a detector was fitted to, in a sentence each.

    One is said where an incoming image is, say, brighter than one of the others in nine pairs of ten or more, and the
    test of Mann and Whitney gives chance less than one in a thousand.

    Args:
        fitted, incoming: of the images; see `appearance`.

    Returns:
        Nothing for fewer than FEWEST images on either side.
    """
    from scipy.stats import mannwhitneyu

    if min(len(fitted), len(incoming)) < FEWEST:
        return []
    sentences = []
    names = ("brightness", "contrast", "sharpness")
    for name, (less, more), old, new in zip(
        names, MEASURES, np.transpose(fitted), np.transpose(incoming), strict=True
    ):
        result = mannwhitneyu(new, old)
        share = float(result.statistic) / (len(old) * len(new))
        if max(share, 1 - share) >= CLEAR and result.pvalue < CHANCE:
            sentences.append(
                f"These images are {more if share > 0.5 else less} than those that the detector was fitted to: "
                f"{name} {np.median(new):.3g}, there {np.median(old):.3g} (medians, in grey values)."
            )
    if sentences:
        sentences.append(
            "The threshold was set for images like those. If camera, light or part have changed, fit again."
        )
    return sentences
