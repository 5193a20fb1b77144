"""Networks for scoring: the same functions, computed sooner.

In evaluation mode BatchNorm multiplies and shifts every channel by fixed numbers. So does a convolution with other
weights and another bias, at no further cost: a BatchNorm after a convolution becomes part of it. On the processor,
convolutions that the library is slow at are computed as products of matrices, see `ScoringConvolution` and
`ScoringTransposed`. Both change the last digits of a score and nothing else.
"""

from __future__ import annotations

import copy
import operator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.optimizer import register_optimizer_step_post_hook

Convolution = nn.Conv2d | nn.ConvTranspose2d
# Found by measuring layers of 16 to 1,024 channels on 1 to 64 images; see the page "Speed".
FEW_PLACES = (
    128  # rows of the product: where an output has no more, reordering the weights costs more than using them
)
FEW_CHANNELS = 4  # an image: too narrow for the library's kernels
MANY_CHANNELS = 256  # beside at most SMALL_MAP places per image, wide layers are products of matrices, too
SMALL_MAP = 16
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
        """The copy, in evaluation mode; the networks themselves where there is nothing to gain."""
        if not any(_pairs(module) or _scoring_class(module) for module in networks.modules()):
            return networks
        tensors = (*networks.parameters(), *networks.buffers())
        changes = (_steps, *(tensor._version for tensor in tensors))  # torch counts changes in place
        same = len(tensors) == len(self._tensors) and all(map(operator.is_, tensors, self._tensors))
        if self._copy is None or not same or changes != self._changes:
            self._copy, self._tensors, self._changes = folded(networks), tensors, changes
        return self._copy


def folded(networks: nn.ModuleDict) -> nn.ModuleDict:
    """A copy in evaluation mode in which every BatchNorm2d that follows a convolution in a Sequential is part of it.

    Products are taken in float64. Children keep their places: nn.Identity stands where a BatchNorm was. On the
    processor, convolutions are `ScoringConvolution` and `ScoringTransposed`.
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
    twin = twin.to(memory_format=torch.channels_last)
    for module in twin.modules():
        if kind := _scoring_class(module):
            module.__class__ = kind
        if isinstance(module, ScoringTransposed):
            module.prepare()
    return twin


class ScoringConvolution(nn.Conv2d):
    """A convolution that is one product of matrices where its output has few places: up to seven times as fast.

    forward: (B, C, H, W) -> as of nn.Conv2d.
    """

    def forward(self, images: Tensor) -> Tensor:
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in images.shape[2:])
        if rows * columns > 1 and len(images) * rows * columns > FEW_PLACES:
            return super().forward(images)
        images = F.pad(images, (padding,) * 4) if padding else images
        windows = images.permute(0, 2, 3, 1).unfold(1, kernel, stride).unfold(2, kernel, stride)
        table = windows.permute(0, 1, 2, 4, 5, 3).reshape(len(images) * rows * columns, -1)
        weights = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)  # no copy in channels_last
        places = F.linear(table, weights, self.bias).view(len(images), rows, columns, self.out_channels)
        return places.permute(0, 3, 1, 2)


class ScoringTransposed(nn.ConvTranspose2d):
    """A transposed convolution in three other ways, each where it is faster: two or three times.

    From one place it is a product of matrices. With kernel 4, stride 2 and padding 1, outputs of even and odd rows and
    columns are four convolutions with kernels of 2 x 2: done at once for images, as products of matrices for wide
    layers.

    forward: (B, C, H, W) -> as of nn.ConvTranspose2d.
    """

    kernels: Tensor | None

    def prepare(self) -> None:
        """Lay out (4, out, 2, 2, in) weights, where they are used."""
        self.kernels = None
        doubles = (self.kernel_size[0], self.stride[0], self.padding[0]) == (4, 2, 1)
        if doubles and (self.out_channels <= FEW_CHANNELS or self.in_channels >= MANY_CHANNELS):
            taps = (3, 1), (2, 0)
            four = [self.weight[:, :, taps[row]][..., taps[column]] for row, column in _CORNERS]
            self.kernels = torch.stack(four).permute(0, 2, 3, 4, 1).contiguous()

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        rows, columns = images.shape[2:]
        if rows * columns == 1 and self.padding[0] == 0:
            return self._from_one_place(images)
        if self.kernels is None or torch.is_grad_enabled():
            return super().forward(images)
        if self.out_channels <= FEW_CHANNELS:
            return self._of_an_image(images)
        return self._of_a_small_map(images) if rows * columns <= SMALL_MAP else super().forward(images)

    def _from_one_place(self, images: Tensor) -> Tensor:
        weights = self.weight.permute(0, 2, 3, 1).reshape(self.in_channels, -1)  # no copy in channels_last
        places = (images.flatten(1) @ weights).view(len(images), *self.kernel_size, self.out_channels)
        return (places if self.bias is None else places + self.bias).permute(0, 3, 1, 2)

    def _of_an_image(self, images: Tensor) -> Tensor:
        assert self.kernels is not None
        bias = None if self.bias is None else self.bias.repeat(4)
        four = F.conv2d(images, self.kernels.flatten(0, 1).permute(0, 3, 1, 2), bias, padding=1)
        rows, columns = images.shape[2:]
        parts = four.permute(0, 2, 3, 1).split(self.out_channels, 3)
        return self._woven([part[:, r : r + rows, c : c + columns] for part, (r, c) in zip(parts, _CORNERS)])

    def _of_a_small_map(self, images: Tensor) -> Tensor:
        assert self.kernels is not None
        rows, columns = images.shape[2:]
        windows = F.pad(images, (1,) * 4).permute(0, 2, 3, 1).unfold(1, 2, 1).unfold(2, 2, 1)
        windows = windows.permute(0, 1, 2, 4, 5, 3)
        tables = [windows[:, r : r + rows, c : c + columns].flatten(3) for r, c in _CORNERS]
        return self._woven([F.linear(*both, self.bias) for both in zip(tables, self.kernels.flatten(2))])

    def _woven(self, parts: list[Tensor]) -> Tensor:
        """Four (B, H, W, C), of even and odd rows and columns -> (B, C, 2H, 2W)."""
        count, rows, columns, channels = parts[0].shape
        whole = parts[0].new_empty((count, rows, 2, columns, 2, channels))
        for (row, column), part in zip(_CORNERS, parts):
            whole[:, :, row, :, column] = part
        return whole.view(count, 2 * rows, 2 * columns, channels).permute(0, 3, 1, 2)


_CORNERS = (0, 0), (0, 1), (1, 0), (1, 1)


def _scoring_class(module: nn.Module) -> type[nn.Module] | None:
    """What takes a convolution's place on the processor; None where nothing is gained."""
    if not isinstance(module, Convolution) or module.weight.device.type != "cpu":
        return None
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    square = all(len(set(sides)) == 1 for sides in (module.kernel_size, module.stride, module.padding))
    if not plain or not square or module.kernel_size[0] == 1:
        return None
    if isinstance(module, nn.Conv2d):
        return ScoringConvolution
    return None if any(module.output_padding) else ScoringTransposed


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
