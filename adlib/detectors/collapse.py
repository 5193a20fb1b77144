"""Noticing the quiet failures: a network that gives the same answer whatever it is shown.

Source: an auto-encoder with a bounded output stuck at a constant image, and Deep SVDD's hypersphere collapse; a
constant score can still pass an AUROC check through floating-point noise (pyod, pull request 711).
"""

from __future__ import annotations

import warnings

from torch import Tensor

from adlib.devices import at_least_float32

SMALLEST_SPREAD = 0.01


class CollapseWarning(UserWarning):
    """A detector answers the same for every image; its scores mean nothing. Source: see the module."""


def spread(answers: Tensor) -> float:
    """Mean standard deviation over the images.

    Args:
        answers: (N, ...), one per image, N >= 2.

    Returns:
        >= 0; 0 when every image gets the same answer.

    Source: the test that Deep SVDD's users found out they need, see the module.
    """
    return float(at_least_float32(answers).flatten(1).std(0).mean())


def warn_of_constant_images(name: str, images: Tensor, reconstructions: Tensor) -> None:
    """Warn when reconstructions hardly differ although the images do.

    Args:
        name: of the detector. images: (N, C, H, W). reconstructions: same shape. N >= 2, normal training images.

    Source: see the module; the limit, 1 % of the images' own spread, is ours.
    """
    wanted, found = spread(images), spread(reconstructions)
    if found < SMALLEST_SPREAD * wanted:
        warnings.warn(
            f"{name} reconstructs every image as the same one: over {len(images)} training images its pixels "
            f"vary by {found:.2g}, the images' own by {wanted:.2g}. Its scores only measure the distance from "
            "that image. Train longer, lower the learning rate, or leave the output unbounded.",
            CollapseWarning,
            stacklevel=3,
        )
