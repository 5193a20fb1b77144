"""Noticing a silent failure: a network whose output is the same for every image.

Source: an auto-encoder with a bounded output stuck at a constant image, and Deep SVDD's hypersphere collapse; a
constant score can still pass an AUROC check through floating-point noise (pyod, pull request 711).
"""

from __future__ import annotations

import warnings

from torch import Tensor

from adlib.devices import at_least_float32

SMALLEST_SPREAD = 0.01


class CollapseWarning(UserWarning):
    """A detector's output is the same for every image; its scores mean nothing. Source: see the module."""


def spread(outputs: Tensor) -> float:
    """Mean standard deviation over the images.

    Args:
        outputs: (N, ...), one per image, N >= 2.

    Returns:
        >= 0; 0 when every image gets the same output.

    Source: a test that users of Deep SVDD came to need, see the module.
    """
    return float(at_least_float32(outputs).flatten(1).std(0).mean())


def warn_of_constant_images(name: str, images: Tensor, reconstructions: Tensor) -> None:
    """Warn when reconstructions hardly differ although the images do.

    Args:
        name: of the detector. images: (N, C, H, W). reconstructions: same shape. N >= 2, normal training images.

    Source: see the module; the limit, 1 % of the images' own spread, is ours.
    """
    before, after = spread(images), spread(reconstructions)
    if after < SMALLEST_SPREAD * before:
        warnings.warn(
            f"{name} reconstructs every image as the same one: over {len(images)} training images its pixels "
            f"vary by {after:.2g}, the images' own by {before:.2g}. Its scores only measure the distance from "
            "that image. Train longer, lower the learning rate, or leave the output unbounded.",
            CollapseWarning,
            stacklevel=3,
        )
