"""Changes after which a normal image is still normal, and an anomaly still an anomaly.

Each is a function (uint8 (B, C, H, W), generator) -> the same shape, every image changed on its own. They are the
augmentations of Kim et al. 2020; how strong the colours are changed is not printed there and is ours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from adlib.data.batches import Augment
from adlib.data.ranges import to_uint8


def crop(images: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Cut 0 to `most` pixels from each border, and resize what is left to the old size.

    Args:
        images: uint8 (B, C, H, W). generator: on the CPU. most: pixels.

    Returns:
        uint8 (B, C, H, W).
    """
    cut = torch.randint(0, most + 1, (4, len(images)), generator=generator).to(images.device)
    left, right, top, bottom = cut.to(torch.float32)
    height, width = images.shape[-2:]
    zero = torch.zeros_like(left)
    across = torch.stack([1 - (left + right) / width, zero, (left - right) / width], 1)
    down = torch.stack([zero, 1 - (top + bottom) / height, (top - bottom) / height], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return moved.round().to(torch.uint8)


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn by a multiple of 90 degrees and flip: one of the eight ways to lay a square, at random; no pixel changes.

    Args:
        images: uint8 (B, C, H, H), square. generator: on the CPU.

    Returns:
        uint8 (B, C, H, H).
    """
    ways = torch.randint(0, 8, (len(images),), generator=generator).to(images.device)
    turned = torch.empty_like(images)
    for way in range(8):
        laid = torch.rot90(images, way % 4, (2, 3))
        laid = laid.flip(3) if way >= 4 else laid
        turned = torch.where((ways == way)[:, None, None, None], laid, turned)
    return turned


def mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Exchange left and right in half of the images.

    Args:
        images: uint8 (B, C, H, W). generator: on the CPU.

    Returns:
        uint8 (B, C, H, W).
    """
    mirrored = torch.rand((len(images), 1, 1, 1), generator=generator).to(images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def colour(images: Tensor, generator: torch.Generator, strength: float = 0.2, hue: float = 18.0) -> Tensor:
    """Change brightness, contrast, saturation and hue.

    Args:
        images: uint8 (B, 3, H, W). generator: on the CPU.
        strength: brightness, contrast and saturation change by a factor between 1 - strength and 1 + strength.
        hue: colours turn by up to so many degrees, either way, about the grey axis.

    Returns:
        uint8 (B, 3, H, W).

    Raises:
        ValueError: images without colour.
    """
    if images.shape[1] != 3:
        raise ValueError(f"images have {images.shape[1]} channel(s); colours of 3 can be changed.")
    draw = (torch.rand((4, len(images), 1, 1, 1), generator=generator) * 2 - 1).to(images.device)
    brightness, contrast, saturation = 1 + strength * draw[:3]
    pixels = images.float() / 127.5 - 1
    pixels = (pixels + 1) * brightness - 1
    mean = pixels.mean((1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * contrast
    grey = pixels.mean(1, keepdim=True)
    tint = (pixels - grey) * saturation
    angle = draw[3] * math.radians(hue)
    # About the axis (1, 1, 1) / sqrt 3; the tint is perpendicular to it, so the third term of the formula is 0.
    across = (tint.roll(1, 1) - tint.roll(-1, 1)) / math.sqrt(3)
    return to_uint8((grey + tint * angle.cos() + across * angle.sin()).clamp(-1, 1))


def _none(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def _crop_mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    return crop(mirror(images, generator), generator)


def _crop_turn(images: Tensor, generator: torch.Generator) -> Tensor:
    return crop(turn(images, generator), generator)


def _crop_turn_colour(images: Tensor, generator: torch.Generator) -> Tensor:
    return colour(_crop_turn(images, generator), generator)


AUGMENTATIONS: dict[str, Augment] = {
    "none": _none,
    "crop": crop,  # MNIST in the paper
    "crop_mirror": _crop_mirror,  # for short runs on photographs
    "turn": turn,  # defects
    "crop_turn": _crop_turn,  # Fashion-MNIST
    "crop_turn_colour": _crop_turn_colour,  # CIFAR-10 and CIFAR-100
}
