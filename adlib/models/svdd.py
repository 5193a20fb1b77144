"""The networks of Deep SVDD: LeNet-like, and without any layer by which all images could be mapped to one point.

No bias anywhere, BatchNorm without its own scale and shift, no bounded activation: with any of them the network could
map every image onto the centre.

Source: Ruff et al. 2018, section 3.3, propositions 1 to 3; layers as in the authors' released code.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from adlib.models.ganomaly import doublings


class SvddEncoder(nn.Module):
    """phi: two (grey) or three (colour) convolutions 5x5 with pooling, then a linear layer to the features.

    forward: (B, channels, size, size) in [0, 1] -> (B, features). Grey: 8 and 4 channels; colour: 32, 64 and 128.
    Grey 28 px, 32 features, as released: 7,272 parameters; colour 32 px, 128 features: 520,544.

    Args:
        size: side of the images, a multiple of 4 (grey) or 8 (colour).
        channels: 1 (grey) or 3 (colour); decides the network.
        features: 32 for MNIST and 128 for CIFAR-10 in the released code.

    Raises:
        ValueError: another side.

    Source: Ruff et al. 2018, section 4.2, and the released code.
    """

    def __init__(self, size: int, channels: int = 1, features: int = 32):
        super().__init__()
        widths = (8, 4) if channels == 1 else (32, 64, 128)
        step = 2 ** len(widths)
        if size < step or size % step:
            raise ValueError(
                f"image side {size} cannot be halved {len(widths)} times: use a multiple of {step}; "
                f"load(..., size={max(1, size // step) * step}) resizes."
            )
        layers: list[nn.Module] = []
        for inside, outside in zip((channels, *widths), widths):
            layers += [_conv(inside, outside), _norm(outside), nn.LeakyReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(widths[-1] * (size // step) ** 2, features, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(images))


class SvddDecoder(nn.Module):
    """The decoder of the pretraining: features as 4x4 maps, doubled again and again, ending in a sigmoid.

    forward: (B, features) -> (B, channels, size, size) in [0, 1]. size is 4 times a power of two, from 16 on;
    features is a multiple of 16.

    Raises:
        ValueError: another side or number of features.

    Source: the released code of Ruff et al. 2018, whose MNIST decoder ends at 28 pixels by a wider padding.
    """

    def __init__(self, size: int, channels: int = 1, features: int = 32):
        super().__init__()
        if features < 16 or features % 16:
            raise ValueError(
                f"features is {features}; the decoder needs a multiple of 16, such as 32 or 128."
            )
        count = doublings(size)
        widths = [4, 8] if channels == 1 else [128, 64, 32]
        widths = (widths + [widths[-1]] * count)[:count]
        self.first = features // 16
        self.layers, inside = nn.ModuleList(), self.first
        for outside in widths:
            self.layers.append(nn.Sequential(_conv(inside, outside), _norm(outside), nn.LeakyReLU()))
            inside = outside
        self.last = _conv(inside, channels)

    def forward(self, features: Tensor) -> Tensor:
        maps = F.leaky_relu(features.view(len(features), self.first, 4, 4))
        for layer in self.layers:
            maps = layer(F.interpolate(maps, scale_factor=2))
        return self.last(maps).sigmoid()


def _conv(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 5, padding=2, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-4, affine=False)
