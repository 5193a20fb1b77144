"""Detectors that train in phases: how many steps they have taken, saved so that a resumed run goes on there."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StepCounter(nn.Module):
    """Number of steps taken: an int, saved with the networks' state. Not from a paper, no source.

    Not a buffer: reading the value of a tensor would synchronise the GPU.
    State: scalar tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def get_extra_state(self) -> Tensor:
        """The count as a scalar tensor."""
        return torch.tensor(self.count)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the count from a scalar tensor."""
        self.count = int(state)
