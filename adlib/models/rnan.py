"""RNAN, the residual non-local attention network: the student of style distillation.

Source: Zhang, Li, Li, Zhong, Fu 2019, layer list as in the authors' released code, with 32 filters everywhere
(Chung et al. 2020). The released code normalises attention over the queries (softmax along dim=1); here it is over
the keys, as the paper's equation says. Nothing but convolutions with bias, no BatchNorm.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_ATTENTION = 2**30  # bytes of one image's attention matrix: all pairs of 128 x 128 positions


def attention_bytes(side: int, images: int = 1) -> int:
    """Memory of the attention matrices of a batch in float32, should a device hold them: 4 (side^2)^2 each.

    Source: arithmetic; 4 MiB at 32 pixels, 64 MiB at 64, 1 GiB at 128.
    """
    return 4 * side**4 * images


class Rnan(nn.Module):
    """RNAN: image in, image out, of the same size. The output is the input plus what the network adds.

    forward: (B, channels, H, W) -> same shape. H and W are even.
    32 filters, 8 plain groups: 2,243,233 parameters for grey, 2,244,387 for colour; no plain group: 459,937.

    Args:
        channels: of the images.
        width: filters of every convolution.
        plain_groups: groups between the two with non-local attention.
        attention_side: non-local attention sees every pair of positions, side^4 of them. Maps larger than this
            are averaged down to it or, height and width apart, to the next smaller side that divides them; what
            attention gives is enlarged again.

    Raises:
        ValueError: attention_side so large that one image's matrix would exceed 1 GiB; in forward, an odd side.

    Source: Zhang et al. 2019, Fig. 2, 3; Chung et al. 2020.
    """

    def __init__(self, channels: int = 1, width: int = 32, plain_groups: int = 8, attention_side: int = 32):
        super().__init__()
        if attention_side < 2 or attention_bytes(attention_side) > LARGEST_ATTENTION:
            largest = int((LARGEST_ATTENTION / 4) ** 0.25)
            raise ValueError(
                f"attention_side is {attention_side}: attention between all pairs of positions would take "
                f"{attention_bytes(attention_side) / 2**30:.1f} GiB per image. Use 2 to {largest}; larger maps "
                "are averaged down to it."
            )
        self.head = nn.Conv2d(channels, width, 3, 1, 1)
        self.body = nn.Sequential(
            _Group(width, attention_side),
            *(_Group(width) for _ in range(plain_groups)),
            nn.Conv2d(width, width, 3, 1, 1),
            _Group(width, attention_side),
        )
        self.tail = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if height % 2 or width % 2:
            raise ValueError(
                f"images are {height} x {width}; RNAN halves and doubles them, which needs even sides: "
                f"load(..., size={height + height % 2})."
            )
        return images + self.tail(self.body(self.head(images)))


class _Group(nn.Module):
    """Attention module and convolution: trunk * sigmoid(mask) + input, with residual blocks around."""

    def __init__(self, width: int, attention_side: int | None = None):
        super().__init__()
        self.first = _Block(width)
        self.trunk = nn.Sequential(_Block(width), _Block(width))
        non_local = [_NonLocal(width, attention_side)] if attention_side else []
        self.before = nn.Sequential(*non_local, _Block(width))
        self.small = nn.Sequential(
            nn.Conv2d(width, width, 3, 2, 1),
            _Block(width),
            _Block(width),
            nn.ConvTranspose2d(width, width, 6, 2, 2),
        )
        self.after = nn.Sequential(_Block(width), nn.Conv2d(width, width, 1), nn.Sigmoid())
        self.last = nn.Sequential(_Block(width), _Block(width), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.first(maps)
        before = self.before(maps)
        mask = self.after(before + self.small(before))
        return self.last(self.trunk(maps) * mask + maps)


class _Block(nn.Module):
    """Residual block: convolution, ReLU, convolution, plus the input."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, 1, 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class _NonLocal(nn.Module):
    """Attention between all pairs of positions: softmax(theta phi^T) g, projected back, plus the input."""

    def __init__(self, width: int, side: int):
        super().__init__()
        self.side = side
        self.theta, self.phi, self.g = (nn.Conv2d(width, width // 2, 1) for _ in range(3))
        self.out = nn.Conv2d(width // 2, width, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        factors = [_factor(side, self.side) for side in maps.shape[2:]]
        pooled = F.avg_pool2d(maps, factors) if max(factors) > 1 else maps
        query, key, value = (
            layer(pooled).flatten(2).transpose(1, 2)[:, None] for layer in (self.theta, self.phi, self.g)
        )
        # One fused call: where the device has it, the matrix of all pairs is never in memory as a whole.
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended = self.out(attended[:, 0].transpose(1, 2).unflatten(2, pooled.shape[2:]))
        if max(factors) > 1:
            attended = F.interpolate(attended, maps.shape[2:], mode="nearest")
        return maps + attended


def _factor(side: int, largest: int) -> int:
    """The smallest divisor of `side` that brings it down to `largest`; other factors would shift the enlarged map."""
    return next(factor for factor in range(-(-side // largest), side + 1) if side % factor == 0)


def largest_batch(size: int, attention_side: int) -> int:
    """Images that may go through attention together so that their matrices stay within 1 GiB, at least 1.

    Args:
        size: side of the images. attention_side: as in `Rnan`.

    Source: arithmetic, see `attention_bytes`.
    """
    return max(1, LARGEST_ATTENTION // attention_bytes(min(size, attention_side)))


__all__ = ["LARGEST_ATTENTION", "Rnan", "attention_bytes", "largest_batch"]
