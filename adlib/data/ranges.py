"""The three value ranges of an image, and the only place where one becomes another.

In memory an image is uint8 in [0, 255]; a network with a tanh output works in [-1, 1]; one with a sigmoid or
a linear output works in [0, 1]. Mixing them up raises no error by itself, hence the type checks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adlib.devices import at_least_float32


def _require_uint8(images: Tensor, function: str) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(
            f"{function} got {images.dtype}; expected torch.uint8 with values 0 to 255.\n"
            "Floats have been converted already: pass the images as they come from the split or from Batches."
        )


def to_unit(images: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1].

    Args:
        images: uint8 tensor of any shape, values 0 to 255.

    Returns:
        float32 tensor of the same shape in [0, 1].

    Raises:
        TypeError: if `images` is not uint8.
    """
    _require_uint8(images, "to_unit")
    return images.to(torch.float32).div_(255.0)


def to_symmetric(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images as floats in [-1, 1], the range of a tanh output.

    Args:
        images: uint8 tensor of any shape, values 0 to 255.
        dtype: of the result, float32 or float64.

    Returns:
        Tensor of the same shape in [-1, 1].

    Raises:
        TypeError: if `images` is not uint8.
    """
    _require_uint8(images, "to_symmetric")
    return images.to(dtype).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] as uint8 images; values outside are clipped, halves round to even.

    Args:
        images: float tensor of any shape, nominally in [-1, 1] (a reconstruction may overshoot).

    Returns:
        uint8 tensor of the same shape; `to_uint8(to_symmetric(x))` equals x.

    Raises:
        TypeError: if `images` is not floating point.
        ValueError: if `images` holds NaN, which has no grey value.
    """
    if not images.is_floating_point():
        raise TypeError(
            f"to_uint8 got {images.dtype}; expected floats in [-1, 1].\nuint8 images need no conversion."
        )
    if images.device.type != "meta" and torch.isnan(images).any():
        raise ValueError(
            f"to_uint8 got {int(torch.isnan(images).sum())} NaN values of {images.numel()}; expected floats"
            " in [-1, 1].\nA reconstruction with NaN comes from a diverged training: look at the loss curves."
        )
    return (at_least_float32(images) + 1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
