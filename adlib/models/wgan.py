"""The networks of f-AnoGAN: a residual generator, critic and encoder, and a light critic for small machines.

A critic has no BatchNorm: the gradient penalty is defined for each image alone, and BatchNorm mixes them.

Sources: Gulrajani et al. 2017 (WGAN-GP); Schlegl et al. 2019, layer list as in the authors' released code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor, nn

from adlib.models.ganomaly import doublings


def layer_norm(channels: int) -> nn.Module:
    """Normalisation over channels and pixels of each image by itself."""
    return nn.GroupNorm(1, channels)


class ResidualBlock(nn.Module):
    """Norm, ReLU, 3 x 3, norm, ReLU, 3 x 3, beside a 1 x 1 shortcut; the side doubles or halves on the way.

    forward: (B, inside, H, W) -> (B, outside, 2 H, 2 W) if `up`, else (B, outside, H / 2, W / 2).
    """

    def __init__(self, inside: int, outside: int, up: bool, norm: Callable[[int], nn.Module]):
        super().__init__()
        middle = outside if up else inside
        first, last = norm(inside), norm(middle)
        one, two = nn.Conv2d(inside, middle, 3, 1, 1, bias=False), nn.Conv2d(middle, outside, 3, 1, 1)
        aside = nn.Conv2d(inside, outside, 1)
        double, halve = nn.UpsamplingNearest2d(scale_factor=2), nn.AvgPool2d(2)
        if up:
            self.main = nn.Sequential(first, nn.ReLU(), double, one, last, nn.ReLU(), two)
            self.aside = nn.Sequential(double, aside)
        else:
            self.main = nn.Sequential(first, nn.ReLU(), one, last, nn.ReLU(), two, halve)
            self.aside = nn.Sequential(halve, aside)
        for convolution in (one, two):
            nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")

    def forward(self, values: Tensor) -> Tensor:
        return self.main(values) + self.aside(values)


class ResidualGenerator(nn.Module):
    """Code to image. forward: (B, latent) -> (B, channels, size, size) in [-1, 1]."""

    def __init__(self, size: int, channels: int = 3, latent: int = 128, width: int = 64):
        super().__init__()
        steps = doublings(size)
        self.widest = width * min(8, 2 ** (steps - 1))
        self.start = nn.Linear(latent, self.widest * 4 * 4)
        widths = [self.widest, *(width * min(8, 2 ** (steps - 1 - k)) for k in range(steps))]
        blocks = [ResidualBlock(i, o, True, nn.BatchNorm2d) for i, o in itertools.pairwise(widths)]
        end = nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh()
        self.layers = nn.Sequential(*blocks, *end)

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(self.start(codes).view(-1, self.widest, 4, 4))


class ResidualCritic(nn.Module):
    """Image to `outputs` numbers: the critic with one, the encoder with `latent` of them and BatchNorm.

    forward: (B, channels, size, size) -> (values (B, outputs), features (B, 8 width, 4, 4)).
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        width: int = 64,
        outputs: int = 1,
        norm: Callable[[int], nn.Module] = layer_norm,
    ):
        super().__init__()
        widths = [width, *(width * min(8, 2 ** (k + 1)) for k in range(doublings(size)))]
        blocks = [ResidualBlock(i, o, False, norm) for i, o in itertools.pairwise(widths)]
        self.trunk = nn.Sequential(nn.Conv2d(channels, width, 3, 1, 1), *blocks)
        self.head = nn.Linear(widths[-1] * 4 * 4, outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.head(features.flatten(1)), features


class LightCritic(nn.Module):
    """A critic of strided convolutions without any normalisation: a tenth of the residual one's work.

    forward: (B, channels, size, size) -> (values (B, 1), features (B, width size / 8, 4, 4)).
    """

    def __init__(self, size: int, channels: int = 3, width: int = 64):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for step in range(doublings(size) - 1):
            layers += [nn.Conv2d(width * 2**step, width * 2 ** (step + 1), 4, 2, 1), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(width * size // 8 * 4 * 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.head(features.flatten(1)), features
