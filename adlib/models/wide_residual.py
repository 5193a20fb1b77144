"""A wide residual network, the classifier of the detectors that learn to recognise a transformation.

Source: Zagoruyko and Komodakis 2016; Golan and El-Yaniv 2018 use one of ten layers, four times as wide as usual.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


def _convolution(inside: int, outside: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)


class _Block(nn.Module):
    """BatchNorm and ReLU come before each of two convolutions; what went in is added to what comes out."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.start = nn.Sequential(nn.BatchNorm2d(inside), nn.ReLU())
        self.residual = nn.Sequential(
            _convolution(inside, outside, 3, stride),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            _convolution(outside, outside, 3, 1),
        )
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(inside, outside, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        started = self.start(maps)
        kept = maps if isinstance(self.shortcut, nn.Identity) else self.shortcut(started)
        return kept + self.residual(started)


class WideResidualClassifier(nn.Module):
    """Ten layers: a convolution, three blocks of two that halve the side twice, a mean over places, one linear layer.

    forward: (B, channels, H, W) in [-1, 1] -> logits (B, classes). For RGB, four classes and a widening of
    4: 1,197,268 parameters; of 1: 77,460.

    Args:
        channels: of the images.
        classes: how many logits.
        widening: by how much wider than 16, 32 and 64 channels the three blocks are.

    Source: WRN-10-4 of Golan and El-Yaniv 2018, after Zagoruyko and Komodakis 2016; recalled.
    """

    def __init__(self, channels: int, classes: int, widening: int):
        super().__init__()
        widths = (16, 16 * widening, 32 * widening, 64 * widening)
        blocks = [_Block(*pair, stride) for pair, stride in zip(pairwise(widths), (1, 2, 2))]
        self.layers = nn.Sequential(_convolution(channels, widths[0], 3, 1), *blocks)
        self.end = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.end(self.layers(images)).mean((2, 3)))
