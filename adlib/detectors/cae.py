"""A convolutional auto-encoder with a narrow code: the oldest of these ideas.

Trained on normal images it reproduces normal images, and should fail at the rest. It also blurs: fine normal detail
does not fit through the code either, and a squared error is then large at every edge. SSIM compares local structure
instead.

Source: the auto-encoder "AE" of Chung et al. 2020, whose layers are not printed; SSIM as a loss from Bergmann et
al. 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.data import StreamedBatches
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.collapse import warn_of_constant_images
from adlib.detectors.shapes import square_side
from adlib.devices import at_least_float32
from adlib.errors import unknown_name
from adlib.models.auto_encoder import SmallAutoEncoder

LOSSES = ("l2", "dssim", "both")


@dataclass(frozen=True)
class AutoEncoderConfig(base.Config):
    """Settings that auto-encoders share: learning_rate and betas are Adam's."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Config(AutoEncoderConfig):
    """Settings of the auto-encoder.

    score: "DSSIM" or "L2", the mean over the image, or the "worst_patch" of the map. The map shows DSSIM, unless
        the score is "L2".
    loss: "l2", "dssim" or "both", their sum on images in [0, 1].
    code: length of the code. widths: channels after each halving.
    bounded: end in tanh: with it, short trainings may get stuck at a constant image.
    """

    score: str = "DSSIM"
    steps: int = 1000
    batch_size: int = 64
    loss: str = "both"  # not published
    code: int = 32  # not published
    widths: tuple[int, int, int] = (32, 64, 128)  # not published
    bounded: bool = False

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss of cae", self.loss, LOSSES)

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=20, batch_size=16, widths=(8, 16, 32), checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A fifth of the steps, in half the batch."""
        return cls(steps=200, batch_size=32, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """Half a minute on one core at 32 pixels."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Nothing is published but the idea: long enough to have converged."""
        return cls(steps=20_000, checkpoints=20)


def compare(images: Tensor, reconstructions: Tensor, score: str) -> tuple[dict[str, Tensor], Tensor]:
    """Scores and map of a reconstruction: mean squared error, mean DSSIM and the worst patch of the map.

    Args:
        images, reconstructions: (B, C, H, W) in [-1, 1].
        score: "L2" has the map show |x - G(x)|, anything else DSSIM.

    Returns:
        ({"L2", "DSSIM", "worst_patch": (B,)}, map (B, H, W)).

    Source: Bergmann et al. 2018, section 3; "worst_patch" is ours.
    """
    structure = losses.dssim_map(images, reconstructions, losses.ssim_window(images.shape[-1]))
    squares = (at_least_float32(images) - at_least_float32(reconstructions)).square()
    maps = scores.residual_map(images, reconstructions) if score == "L2" else structure.clamp_min(0)
    distances = {
        "DSSIM": structure.flatten(1).mean(1),
        "L2": squares.flatten(1).mean(1),
        "worst_patch": scores.worst_patch(maps),
    }
    return distances, maps


def reconstruction_loss(images: Tensor, reconstructions: Tensor, loss: str) -> Tensor:
    """The loss of an auto-encoder: "l2", "dssim" or "both", on images mapped to [0, 1].

    Args:
        images, reconstructions: (B, C, H, W) in [-1, 1].
        loss: which.

    Returns:
        Scalar, >= 0.

    Source: Bergmann et al. 2018, Eq. 1 and 4; both together Chung et al. 2020.
    """
    window = losses.ssim_window(images.shape[-1])
    if loss == "l2":
        return nn.functional.mse_loss(at_least_float32(reconstructions) / 2, at_least_float32(images) / 2)
    if loss == "dssim":
        return losses.dssim_loss(images, reconstructions, window)
    return losses.style_distance(images, reconstructions, window)


class AutoEncoderDetector(Detector):
    """What auto-encoders share: one network, one optimiser, and a warning when all reconstructions are the same.

    Source: none, ours.
    """

    config: AutoEncoderConfig

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {"auto_encoder": self.adam(self.networks["auto_encoder"], config.learning_rate, config.betas)}

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        super()._fit(images, validation, **how)
        warn_if_constant(self, images)


def warn_if_constant(detector: Detector, images: Tensor | StreamedBatches) -> None:
    """Warn when a detector just fitted on images, uint8 (N, C, H, W), gives them all the same reconstruction.

    Source: see `adlib.detectors.collapse`. Images streamed from disk are not read again for it.
    """
    if isinstance(images, Tensor) and len(images) > 1:
        few = images[:64]
        warn_of_constant_images(
            detector.name, detector.normalise(few).cpu(), detector.examine(few).reconstructions
        )


class Cae(AutoEncoderDetector):
    """Auto-encoder with the scores "DSSIM", "L2" and "worst_patch". Images are square, a multiple of 8 wide."""

    name = "cae"
    title = "AE"
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size, config = square_side(self.image_shape, "the auto-encoder"), self.config
        network = SmallAutoEncoder(size, self.image_shape[0], config.code, config.widths, config.bounded)
        return {"auto_encoder": network}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        reconstructions = self.networks["auto_encoder"](images)
        loss = reconstruction_loss(images, reconstructions, self.config.loss)
        self.descend(auto_encoder=loss)
        return {"reconstruction": loss.detach()}

    def inference_step(self, images: Tensor) -> Examination:
        reconstructions = self.networks["auto_encoder"](images)
        return Examination(*compare(images, reconstructions, self.config.score), reconstructions)
