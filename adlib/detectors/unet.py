"""The U-Net alone: DAGAN's generator, trained to reconstruct and nothing else.

The ablation by which the DAGAN paper argues for its discriminator. With the same seed it starts from the same
weights as DAGAN and sees the same batches; what differs is the missing adversarial term.

Source: Tang et al. 2020 (DAGAN), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.models.ganomaly import initialise_dcgan
from adlib.models.unet import UNet


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of the U-Net, each as in DAGAN's; with a single loss, Adam does not depend on its weight.

    Not as printed. In `book`: `steps` 600 instead of 20,000; `width` 16 instead of 64. In `paper`, too: `squared` True
    instead of False.
    """

    score: str = "G"
    steps: int = 600
    squared: bool = True
    dropped_skips: int = 0
    width: int = 16
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, width=4, batch_size=8, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """As many steps as DAGAN takes in its live profile."""
        return cls(steps=200, batch_size=16)

    @classmethod
    def book(cls) -> Config:
        """As many steps as DAGAN takes in its book profile."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """As DAGAN's: Adam 0.001, 20,000 steps."""
        return cls(steps=20_000, width=64, checkpoints=40)


class Unet(Detector):
    """The U-Net with the scores "G" and "worst_patch". Images are square, the side a power of two from 16 on."""

    name = "unet"
    title = "U-Net"
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size = square_side(self.image_shape, "the U-Net")
        network = UNet(size, self.image_shape[0], self.config.width, self.config.dropped_skips)
        return {"generator": network.apply(initialise_dcgan)}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {"generator": self.adam(self.networks["generator"], config.learning_rate, config.betas)}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        error = losses.l2_reconstruction_loss(images, self.networks["generator"](images), self.config.squared)
        self.descend(generator=error)
        return {"generator_error": error.detach()}

    def inference_step(self, images: Tensor) -> Examination:
        reconstructions = self.networks["generator"](images)
        maps = scores.residual_map(images, reconstructions)
        residuals = {
            "G": scores.residual_l2(images, reconstructions),
            "worst_patch": scores.worst_patch(maps),
        }
        return Examination(residuals, maps, reconstructions)
