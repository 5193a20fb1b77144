"""Detectors that learn from labelled anomalies: what they share.

They use labels, which the one-class detectors of the other chapters do not have. A comparison of the two shows what
labels are worth, not which method is better.

Source: the setting of Kim et al. 2020, whose tables put a detector of this kind beside one-class ones.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from adlib.data import AUGMENTATIONS, StreamedBatches
from adlib.detectors import base
from adlib.detectors.base import Detector
from adlib.errors import unknown_name


@dataclass(frozen=True)
class Config(base.Config):
    """Settings that supervised detectors share. Source: Kim et al. 2020, where not said otherwise.

    batch_size: normal images of a step; as many anomalies join them.
    augmentation: a name of `adlib.data.AUGMENTATIONS`, for normal images and anomalies alike.
    """

    augmentation: str = "none"


class SupervisedDetector(Detector):
    """A detector whose steps take normal images from `fit` and anomalies from `draw_anomalies`.

    Source: the setting of Kim et al. 2020.
    """

    learns_from_anomalies: ClassVar[bool] = True

    config: Config

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        config: Config,
        seed: int = 0,
        device: str | torch.device = "auto",
    ) -> None:
        if config.augmentation not in AUGMENTATIONS:
            raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
        if config.augmentation.endswith("colour") and image_shape[0] != 3:
            raise ValueError(
                f"augmentation {config.augmentation!r} changes colours, and the images have {image_shape[0]} channel; "
                "use 'crop_turn'."
            )
        self._augment = AUGMENTATIONS[config.augmentation]
        super().__init__(image_shape, config, seed, device)

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        self._augment = how.get("augment") or AUGMENTATIONS[self.config.augmentation]
        super()._fit(images, validation, **{**how, "augment": self._augment})

    def draw_anomalies(self, count: int) -> Tensor:
        """Labelled anomalies for one step, drawn with replacement and changed as the normal images of `fit` are.

        Args:
            count: B, how many.

        Returns:
            (B, C, H, W) in [-1, 1].
        """
        anomalies = self._labelled()
        chosen = torch.randint(len(anomalies), (count,), generator=self.generator)
        images = anomalies.index_select(0, chosen.to(anomalies.device)).to(self.device)
        return self.normalise(self._augment(images, self.generator))

    def _labelled(self) -> Tensor:
        if self.anomalies is None:
            raise RuntimeError(
                f"{self.name} has no labelled anomalies yet: fit(..., anomalies=split.anomalies) gives it some."
            )
        return self.anomalies

    def identity(self) -> str:
        """As in every detector, and the anomalies it learns from: a run is resumed on its own images only."""
        identity = super().identity()
        if self.anomalies is None or self.anomalies.device.type == "meta":
            return identity
        pixels = self.anomalies.cpu().contiguous().numpy().tobytes()
        return f"{identity}-{hashlib.sha256(pixels).hexdigest()[:10]}"


def one_cycle(step: int, steps: int, peak: float, rise: float = 0.3, start: float = 0.1) -> float:
    """Learning rate of a short run: up on half a cosine from start * peak, then down on another to nothing.

    Args:
        step: number of the step, 1 to `steps`. peak: the largest rate. rise: share of the steps that go up.

    Source: Smith and Topin 2019.
    """
    done = (step - 1) / steps
    if done < rise:
        return peak * (start + (1 - start) * (1 - math.cos(math.pi * done / rise)) / 2)
    return peak * (1 + math.cos(math.pi * (done - rise) / (1 - rise))) / 2


def set_rate(optimisers: dict[str, torch.optim.Optimizer], rate: float) -> None:
    """Give every optimiser this learning rate. Our own bookkeeping, no source: takes and gives no tensors."""
    for optimiser in optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = rate
