"""BEGAN's networks: 3 x 3 convolutions with ELU, no normalisation.

Source: Berthelot, Schumm, Metz 2017; layer list as in a public re-implementation (carpedm20/BEGAN-pytorch),
but with a linear last layer: an ELU there cannot reach -1, a black pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adlib.models.ganomaly import doublings


def _pair(inside: int, outside: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inside, outside, 3, 1, 1),
        nn.ELU(),
        nn.Conv2d(outside, outside, 3, stride, 1),
        nn.ELU(),
    ]


class Decoder(nn.Module):
    """Code to image: linear to 8 x 8, then pairs of convolutions between nearest-neighbour doublings.

    forward: (B, latent) -> (B, channels, size, size), unbounded.
    It is the generator, and the second half of the discriminator.
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 64, width: int = 128):
        super().__init__()
        self.width = width
        self.start = nn.Linear(latent, width * 8 * 8)
        layers = _pair(width, width)
        for _ in range(doublings(size) - 1):
            layers += [nn.UpsamplingNearest2d(scale_factor=2), *_pair(width, width)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, 1, 1))

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(self.start(codes).view(-1, self.width, 8, 8))


class Encoder(nn.Module):
    """Image to code: pairs of convolutions, the second with stride 2, channels growing linearly.

    forward: (B, channels, size, size) -> (B, latent), unbounded.
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 64, width: int = 128):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1), nn.ELU()]
        levels = doublings(size)
        for level in range(1, levels + 1):
            layers += _pair(width * max(level - 1, 1), width * level, stride=2 if level < levels else 1)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * levels * 8 * 8, latent))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class AutoEncoder(nn.Module):
    """BEGAN's discriminator: an auto-encoder. forward: (B, channels, size, size) -> same shape, unbounded."""

    def __init__(self, size: int, channels: int = 3, latent: int = 64, width: int = 128):
        super().__init__()
        self.encoder = Encoder(size, channels, latent, width)
        self.decoder = Decoder(size, channels, latent, width)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


class Balance(nn.Module):
    """k_t, a buffer among the networks, so that it is saved and resumed with them. k: scalar in [0, 1]."""

    k: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("k", torch.zeros(()))
