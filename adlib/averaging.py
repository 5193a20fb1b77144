"""A running average of the weights: what a detector scores by after training.

The last weights of a GAN are one draw: its players push each other to and fro, and the step at which training ends
decides where they stand. An average over the last steps is calmer, and needs no image to be chosen by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """Exponential moving average of networks' parameters and of their BatchNorm statistics.

        average <- m * average + (1 - m) * weights,   m = min(decay, (1 + step) / (10 + step))

    so that the first steps, taken from a random start, are forgotten quickly. Other buffers (counters, the centre of a
    hypersphere) are constants of a phase, not things that training moves to and fro; they stay as they are.

    Args:
        networks: to be averaged; their present weights are the start.
        decay: from 0 to below 1; 0.99 averages over about the last hundred steps.

    Source: Polyak and Juditsky 1992; for GANs Yazıcı et al. 2019. The warm-up is that of TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, networks: nn.Module, decay: float):
        self.decay = decay
        self._current = dict(_averaged(networks))
        self.weights = {name: tensor.detach().clone() for name, tensor in self._current.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the networks' weights after a step (counted from 1) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(list(self.weights.values()), list(self._current.values()), None)

    @torch.no_grad()
    def copy_into_networks(self) -> None:
        """Put the average in the place of the networks' weights."""
        for name, tensor in self._current.items():
            tensor.copy_(self.weights[name])

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a saved average of the same networks.

        Args:
            weights: name -> tensor, each of its parameter's shape, e.g. (C, C', 4, 4).
        """
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])


def _averaged(networks: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter, and mean and variance of every BatchNorm, by its name in the state."""
    yield from networks.named_parameters()
    for name, module in networks.named_modules():
        if isinstance(module, _BatchNorm):
            for buffer in ("running_mean", "running_var"):
                if isinstance(tensor := getattr(module, buffer), Tensor):
                    yield f"{name}.{buffer}", tensor
