"""The SSIM auto-encoder: structure instead of single pixels, for industrial surfaces.

A squared error treats every pixel by itself, so it is small where a defect has about the right grey value and large
along slightly misplaced edges. SSIM compares mean, contrast and structure of small windows. It looks at grey values
only: a change of colour alone is not detected.

Source: Bergmann, Loewe, Fauser, Sattlegger, Steger 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib.detectors import cae
from adlib.detectors.base import Examination
from adlib.detectors.shapes import square_side
from adlib.errors import unknown_name
from adlib.models.auto_encoder import SsimAutoEncoder

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in a grey value, ITU-R BT.601


@dataclass(frozen=True)
class Config(cae.AutoEncoderConfig):
    """Settings of the SSIM auto-encoder.

    score: "DSSIM" or "L2", the mean over the image, or the "worst_patch" of the map. The map shows DSSIM, unless
        the score is "L2".
    loss: "dssim"; "l2" for the paper's own comparison; "both", their sum, as in `cae`.
    code: length of the code.
    grey: compare grey values, as the paper does; False keeps the colours.
    weight_decay: of Adam, added to the gradient.

    Not as printed. In `book`: `steps` 800 instead of 15,625; `batch_size` 16 instead of 128; `learning_rate` 0.001
    instead of 0.0002. In `paper`: `steps` 15,600 instead of 15,625; `code` is that of textures for every set, for
    objects pass code=500. In every profile there are no augmented patches, unless `fit` is given an augmentation, and
    the constants of SSIM are the squares of those that the paper prints.
    """

    score: str = "DSSIM"
    steps: int = 800
    batch_size: int = 16
    loss: str = "dssim"
    code: int = 100  # Table 1
    grey: bool = True
    weight_decay: float = 1e-5  # as in public re-implementations

    def __post_init__(self) -> None:
        if self.loss not in cae.LOSSES:
            raise unknown_name("loss of ssim_ae", self.loss, cae.LOSSES)

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, batch_size=8, code=16, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A quarter of the steps."""
        return cls(steps=200, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """About two minutes on one core at 128 pixels: few steps at five times the published rate, no augmentation."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """200 epochs over 10,000 augmented patches, batches of 128, rate 2e-4; pass the augmentation to `fit`."""
        return cls(steps=15_600, batch_size=128, learning_rate=2e-4, checkpoints=20)


class SsimAe(cae.AutoEncoderDetector):
    """SSIM auto-encoder with the scores "DSSIM", "L2" and "worst_patch". Sides: multiples of 16 up to 128, or 256."""

    name = "ssim_ae"
    title = "SSIM-AE"
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size = square_side(self.image_shape, "the SSIM auto-encoder")
        channels = 1 if self.config.grey else self.image_shape[0]
        return {"auto_encoder": SsimAutoEncoder(size, channels, self.config.code)}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        optimisers = super().build_optimisers()
        for group in optimisers["auto_encoder"].param_groups:
            group["weight_decay"] = self.config.weight_decay
        return optimisers

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        images = self._target(images)
        loss = cae.reconstruction_loss(images, self.networks["auto_encoder"](images), self.config.loss)
        self.descend(auto_encoder=loss)
        return {"reconstruction": loss.detach()}

    def _target(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W) grey, if `grey`: an error against colours would count what it cannot output."""
        if not self.config.grey or images.shape[1] == 1:
            return images
        weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device)
        return (images * weights[:, None, None]).sum(1, keepdim=True)

    def inference_step(self, images: Tensor) -> Examination:
        target = self._target(images)
        reconstructions = self.networks["auto_encoder"](target)
        distances, maps = cae.compare(target, reconstructions, self.config.score)
        return Examination(distances, maps, reconstructions.expand_as(images))
