"""The networks of the dual-discriminator GAN: one small U-Net, two small patch discriminators.

Source: Kim, Jeong, Choi, Seo 2020, whose table of layers prints parameter counts and no layer list. The list
here is the only one of 4x4 convolutions without bias that gives every printed count.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from adlib.errors import unknown_name


class PerImageNorm(nn.GroupNorm):
    """Every channel of every image is normalised by its own mean and variance over the pixels.

    This is what BatchNorm computes in training when a batch holds one image, which is how the paper trains. Written
    this way the result for an image does not depend on the rest of its batch, in training and at test alike.

    forward: (B, channels, H, W) -> same shape. Two parameters per channel, as in BatchNorm. Source: equal to
    BatchNorm at the batch size of 1 that the paper prints; elsewhere known as instance normalisation.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels)


NORMALISATIONS: dict[str, Callable[[int], nn.Module]] = {"image": PerImageNorm, "batch": nn.BatchNorm2d}


class Reconstruction(NamedTuple):
    """What the generator returns: the image redrawn, (B, C, H, W) in [-1, 1], and the code, (B, 64, H/16, W/16)."""

    image: Tensor
    latent: Tensor


def _norm(normalisation: str, channels: int) -> nn.Module:
    if normalisation not in NORMALISATIONS:
        raise unknown_name("normalisation", normalisation, NORMALISATIONS)
    return NORMALISATIONS[normalisation](channels)


def _down(inside: int, outside: int, normalisation: str | None) -> nn.Sequential:
    norm = [] if normalisation is None else [_norm(normalisation, outside)]
    convolution = nn.Conv2d(inside, outside, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True))


def _up(inside: int, outside: int, normalisation: str) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inside, outside, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, _norm(normalisation, outside), nn.ReLU(inplace=True))


class DualGenerator(nn.Module):
    """Four halvings, four doublings, three skips: 97,744 parameters for RGB, 96,976 for grey.

    forward: (B, channels, H, W) in [-1, 1] -> Reconstruction. H and W are multiples of 16, from 32 on.

    Args:
        channels: of the images.
        normalisation: "image" (see `PerImageNorm`) or "batch" (BatchNorm).

    Raises:
        ValueError: another normalisation.

    Source: Kim et al. 2020, table of layers; activations are not printed.
    """

    def __init__(self, channels: int = 3, normalisation: str = "image"):
        super().__init__()
        self.down = nn.ModuleList(
            [
                _down(channels, 8, None),
                _down(8, 16, normalisation),
                _down(16, 32, normalisation),
                _down(32, 64, normalisation),
            ]
        )
        self.up = nn.ModuleList(  # what comes in from below, doubled by the skip beside it
            [
                _up(64, 32, normalisation),
                _up(32 + 32, 16, normalisation),
                _up(16 + 16, 8, normalisation),
                nn.Sequential(nn.ConvTranspose2d(8 + 8, channels, 4, 2, 1, bias=False), nn.Tanh()),
            ]
        )

    def encode(self, images: Tensor) -> list[Tensor]:
        """The four activations on the way down, (B, 8, H/2, W/2) to (B, 64, H/16, W/16); the last is the code."""
        levels = []
        for layer in self.down:
            images = layer(images)
            levels.append(images)
        return levels

    def forward(self, images: Tensor) -> Reconstruction:
        *skips, latent = self.encode(images)
        drawn = self.up[0](latent)
        for layer, skip in zip(self.up[1:], reversed(skips)):
            drawn = layer(torch.cat([drawn, skip], 1))
        return Reconstruction(drawn, latent)


class DualDiscriminator(nn.Module):
    """Five convolutions, 76,384 parameters for RGB, ending in 32 maps rather than in one number.

    forward: (B, channels, H, W) in [-1, 1] -> (B, 32, H/8 - 2, W/8 - 2), unbounded: the loss compares
    every value of the maps with the label. H and W are multiples of 8, from 32 on. The printed count of the last
    layer, 32,770, leaves no other number of maps; padding of 1 is our choice, none is printed.

    Args:
        channels: of the images.
        normalisation: as in `DualGenerator`.

    Raises:
        ValueError: another normalisation.

    Source: Kim et al. 2020, table of layers.
    """

    def __init__(self, channels: int = 3, normalisation: str = "image"):
        super().__init__()
        self.layers = nn.Sequential(
            _down(channels, 8, None),
            _down(8, 16, normalisation),
            _down(16, 32, normalisation),
            nn.Conv2d(32, 64, 4, 1, 1, bias=False),
            _norm(normalisation, 64),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 32, 4, 1, 1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class SmallClassifier(nn.Module):
    """An ordinary classifier of the generator's size: 97,777 parameters for RGB, against 97,744.

    forward: (B, channels, H, W) in [-1, 1] -> logits (B, H/16, W/16), one for each part of the image; their mean
    is the image's. H and W are multiples of 16. Ours, no source: the generator's way down, half as wide again.
    """

    def __init__(self, channels: int = 3):
        super().__init__()
        widths = (12, 24, 48, 96)
        self.layers = nn.Sequential(
            _down(channels, widths[0], None),
            *(_down(a, b, "batch") for a, b in pairwise(widths)),
            nn.Conv2d(widths[-1], 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)[:, 0]
