"""Networks for scoring: a BatchNorm after a convolution becomes part of it.

In evaluation mode BatchNorm multiplies and shifts every channel by fixed numbers. So does a convolution with other
weights and another bias, at no further cost.
"""

from __future__ import annotations

import copy
import operator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.optimizer import register_optimizer_step_post_hook

Convolution = nn.Conv2d | nn.ConvTranspose2d
# Fused optimisers change weights without torch's count of changes in place, so their steps are counted here.
_steps = 0


def _count_step(*_: object) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count_step)


class FoldedNetworks:
    """A folded copy of networks, made anew when a weight or statistic of theirs has changed."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor, ...] = ()
        self._changes: tuple[int, ...] = ()
        self._copy: nn.ModuleDict | None = None

    def of(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """The copy, in evaluation mode; the networks themselves where there is nothing to fold."""
        if not any(_pairs(module) for module in networks.modules()):
            return networks
        tensors = (*networks.parameters(), *networks.buffers())
        changes = (_steps, *(tensor._version for tensor in tensors))  # torch counts changes in place
        same = len(tensors) == len(self._tensors) and all(map(operator.is_, tensors, self._tensors))
        if self._copy is None or not same or changes != self._changes:
            self._copy, self._tensors, self._changes = folded(networks), tensors, changes
        return self._copy


def folded(networks: nn.ModuleDict) -> nn.ModuleDict:
    """A copy in evaluation mode in which every BatchNorm2d that follows a convolution in a Sequential is part of it.

    Products are taken in float64. Children keep their places: nn.Identity stands where a BatchNorm was.
    """
    twin = copy.deepcopy(networks).eval().requires_grad_(False)
    for module in list(twin.modules()):
        for place in _pairs(module):
            assert isinstance(module, nn.Sequential)
            convolution, norm = module[place], module[place + 1]
            assert isinstance(convolution, Convolution) and isinstance(norm, nn.BatchNorm2d)  # noqa: PT018
            dtype, transposed = convolution.weight.dtype, isinstance(convolution, nn.ConvTranspose2d)
            one = fuse_conv_bn_eval(convolution.double(), norm.double(), transpose=transposed)
            module[place], module[place + 1] = one.to(dtype).requires_grad_(False), nn.Identity()
    return twin.to(memory_format=torch.channels_last)


def _pairs(module: nn.Module) -> list[int]:
    """Places in a Sequential of convolutions with a BatchNorm2d behind them."""
    if not isinstance(module, nn.Sequential):
        return []
    return [
        place
        for place in range(len(module) - 1)
        if isinstance(module[place], Convolution)
        and isinstance(module[place + 1], nn.BatchNorm2d)
        and module[place].groups == 1
        and module[place + 1].track_running_stats
    ]
