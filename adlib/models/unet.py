"""The U-Net that DAGAN, its ablation and Skip-GANomaly share as generator.

Source: Isola et al. 2017 (pix2pix), as in the released Skip-GANomaly code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adlib.models.ganomaly import doublings


def skip_count(size: int) -> int:
    """How many skip connections the U-Net for images of this side has: 5 at 64 px.

    Raises:
        ValueError: the side is not a power of two, or below 16.
    """
    return doublings(size) + 1


class UNet(nn.Module):
    """Auto-encoder with skip connections and a bottleneck of 1 x 1 pixel.

    Every level down halves the side (convolution 4/2/1) and doubles the channels, up to eight times `width`;
    every level up undoes it. A skip connection hands the activations of a level on the way down to the same
    level on the way up, where they are concatenated: detail that was lost deeper down comes back, that of a
    defect included. `dropped_skips` leaves out the outermost of them: with all dropped, only the bottleneck remains.

    forward: (B, channels, size, size) in [-1, 1] -> same shape, in [-1, 1].
    Width 64, RGB: 16,659,075 parameters at 32 px, 29,244,035 at 64 px, 41,828,995 at 128 px.

    Args:
        size: side of the images, a power of two from 16 on.
        channels: of the images.
        width: channels of the outermost level.
        dropped_skips: skip connections to leave out, counted from the outside, 0 to `skip_count(size)`.

    Raises:
        ValueError: another side, or more skips dropped than there are.
    """

    def __init__(self, size: int, channels: int = 3, width: int = 64, dropped_skips: int = 0):
        super().__init__()
        skips = skip_count(size)
        if not 0 <= dropped_skips <= skips:
            raise ValueError(
                f"dropped_skips is {dropped_skips}; at {size} px the U-Net has {skips} skip connections: "
                f"use 0 (none dropped) to {skips} (bottleneck only)."
            )
        self.dropped_skips = dropped_skips
        widths = [width * min(2**level, 8) for level in range(skips + 1)]
        self.down = nn.ModuleList([nn.Conv2d(channels, width, 4, 2, 1, bias=False)])
        for level in range(1, skips + 1):
            self.down.append(_down(widths[level - 1], widths[level], norm=level < skips))
        self.up = nn.ModuleList()  # innermost first
        for level in range(skips, 0, -1):
            self.up.append(_up(widths[level] * self._sources(level, skips), widths[level - 1]))
        last = nn.ConvTranspose2d(width * self._sources(0, skips), channels, 4, 2, 1)
        self.up.append(nn.Sequential(nn.ReLU(), last, nn.Tanh()))

    def _sources(self, level: int, skips: int) -> int:
        """Inputs of the step up from `level`: 2 where a skip connection joins, else 1."""
        return 2 if self.dropped_skips <= level < skips else 1

    def forward(self, images: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            images = down(images)
            skips.append(images)
        images = skips.pop()
        for up in self.up[:-1]:
            images, skip = up(images), skips.pop()
            if len(skips) >= self.dropped_skips:
                images = torch.cat([skip, images], dim=1)
        return self.up[-1](images)


def _down(inside: int, outside: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(inside, outside, 4, 2, 1, bias=False)]
    return nn.Sequential(*layers, nn.BatchNorm2d(outside)) if norm else nn.Sequential(*layers)


def _up(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.ConvTranspose2d(inside, outside, 4, 2, 1, bias=False),
        nn.BatchNorm2d(outside),
    )
