"""Auxiliary outliers for outlier exposure: normal images transformed so that they may stand for abnormal ones.

Each takes images (B, C, H, W) in [-1, 1], a random generator on the processor and the trained auto-encoder, which two
of them use, and returns new images of the same shape, range and precision ("reconstruction" may overshoot the range a
little). "rotation" is the paper's choice.

Source: Chung et al. 2020, Table 3: nine transformations, and "none" for a student without outliers, with their
results; angles, widths and strengths are not published and are ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from adlib.devices import at_least_float32

Reconstruct = Callable[[Tensor], Tensor]
Transform = Callable[[Tensor, torch.Generator, Reconstruct], Tensor]


def rotation(images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None) -> Tensor:
    """Each image turned by 90, 180 or 270 degrees, at random: (B, C, H, W) -> same shape; H = W.

    Four equal turns are the identity; a class that looks the same after a turn gets contradictory targets.

    Raises:
        ValueError: the images are not square.

    Source: Chung et al. 2020; the angles are ours.
    """
    if images.shape[2] != images.shape[3]:
        raise ValueError(
            f"images are {images.shape[2]} x {images.shape[3]}; a quarter turn needs square ones: "
            "load(..., size=...) makes them."
        )
    turns = torch.stack([torch.rot90(images, quarter, (2, 3)) for quarter in (1, 2, 3)])
    chosen = torch.randint(0, 3, (len(images),), generator=generator).to(images.device)
    return turns[chosen, torch.arange(len(images), device=images.device)]


def horizontal_flip(
    images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None
) -> Tensor:
    """Left and right exchanged: (B, C, H, W) -> same shape; its own inverse. Source: Chung et al. 2020."""
    return images.flip(3)


def vertical_flip(
    images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None
) -> Tensor:
    """Top and bottom exchanged: (B, C, H, W) -> same shape; its own inverse. Source: Chung et al. 2020."""
    return images.flip(2)


def shearing(images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None) -> Tensor:
    """Rows shifted in proportion to their height, by up to a quarter to half of the side: (B, C, H, W) -> same shape.

    Either direction at random; what comes in from outside repeats the border.
    """
    shear = 0.5 + 0.5 * torch.rand(len(images), generator=generator, dtype=images.dtype)
    sign = 2.0 * torch.randint(0, 2, (len(images),), generator=generator) - 1
    matrix = torch.eye(2, 3, dtype=images.dtype).repeat(len(images), 1, 1)
    matrix[:, 0, 1] = sign * shear
    grid = F.affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def gaussian_noise(
    images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None
) -> Tensor:
    """Noise of standard deviation 0.1 to 0.2 (of a range of one) on every pixel: (B, C, H, W) -> same shape."""
    deviation = 0.1 + 0.1 * torch.rand((len(images), 1, 1, 1), generator=generator, dtype=images.dtype)
    noise = deviation * torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return (images + 2 * noise.to(images.device)).clamp(-1, 1)


def gaussian_blurring(
    images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None
) -> Tensor:
    """Blurred with a Gaussian of 1.5 pixels: (B, C, H, W) -> same shape."""
    offsets = torch.arange(-5, 6, dtype=images.dtype)
    weights = torch.exp(-(offsets**2) / (2 * 1.5**2))
    weights = (weights / weights.sum()).to(images.device)
    padded = F.pad(images, (5, 5, 5, 5), mode="replicate")
    rows = padded.unfold(2, 11, 1) @ weights
    return rows.unfold(3, 11, 1) @ weights


def svd_blurring(
    images: Tensor, generator: torch.Generator, reconstruct: Reconstruct | None = None
) -> Tensor:
    """Each channel without its smallest singular values; an eighth of them is kept: (B, C, H, W) -> same shape."""
    left, values, right = torch.linalg.svd(images, full_matrices=False)
    rank = max(1, values.shape[-1] // 8)
    blurred = (left[..., :rank] * values[..., None, :rank]) @ right[..., :rank, :]
    return blurred.clamp(-1, 1)


def adversarial_noise(images: Tensor, generator: torch.Generator, reconstruct: Reconstruct) -> Tensor:
    """One step of 0.1 (of a range of one) per pixel that makes the auto-encoder fail most: (B, C, H, W) -> same shape.

    x + eps sign(grad_x mean (x - f_AE(x))^2), the fast gradient sign method.

    Args:
        images: (B, C, H, W) in [-1, 1]. generator: not used.
        reconstruct: f_AE, (B, C, H, W) -> same shape.

    Source: Goodfellow et al. 2015 for the method; Chung et al. 2020.
    """
    with torch.enable_grad():
        probe = images.detach().clone().requires_grad_()
        error = (probe - at_least_float32(reconstruct(probe))).square().sum()
        (slope,) = torch.autograd.grad(error, probe)
    return (images + 0.2 * slope.sign()).clamp(-1, 1)


def reconstruction(images: Tensor, generator: torch.Generator, reconstruct: Reconstruct) -> Tensor:
    """What the auto-encoder makes of the image: (B, C, H, W) -> same shape.

    Args:
        images: (B, C, H, W) in [-1, 1]. generator: not used.
        reconstruct: f_AE, (B, C, H, W) -> same shape; unbounded at its end, so values may lie outside [-1, 1].

    Source: Chung et al. 2020.
    """
    with torch.no_grad():
        return at_least_float32(reconstruct(images))


TRANSFORMS: dict[str, Transform] = {
    "adversarial_noise": adversarial_noise,
    "gaussian_blurring": gaussian_blurring,
    "gaussian_noise": gaussian_noise,
    "horizontal_flip": horizontal_flip,
    "reconstruction": reconstruction,
    "rotation": rotation,
    "shearing": shearing,
    "svd_blurring": svd_blurring,
    "vertical_flip": vertical_flip,
}
NEEDS_AUTO_ENCODER = frozenset({"adversarial_noise", "reconstruction"})
