"""DAGAN, the dual auto-encoder GAN: a U-Net for a generator, an auto-encoder for a discriminator.

The generator reconstructs normal images. The discriminator redraws what it is shown, and tries to redraw
images and reconstructions differently, while still reconstructing the images; the generator tries to make
both redrawings equal. At test time only the generator is needed: what it cannot reconstruct is anomalous.

Source: Tang, Kuo, Lan, Ding, Hsu, Young, "Anomaly Detection Neural Network with Dual Auto-Encoders GAN and
Its Industrial Inspection Applications", Sensors 2020, 20(12), 3336.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.models.began import Balance
from adlib.models.dagan import AutoEncoderDiscriminator
from adlib.models.ganomaly import initialise_dcgan
from adlib.models.unet import UNet


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of DAGAN.

    score: "G", the residual through the generator (the paper's), "DG", through D(G(x)), or "worst_patch", the
        largest mean residual of a patch.
    adversarial, generator, discriminator: weights of L_adv, L_Gcon and L_Dcon.
    squared: the printed norms are squared, as most code has it; False takes them as printed.
    opposed: the players pull L_adv in opposite directions. False takes the printed sum literally: both
        minimise it, and no loss is left that tells reconstructions from images.
    bounded: the discriminator ends in tanh. False lets it push D(x) and D(G(x)) apart without limit.
    dropped_skips: outermost skip connections left out of the generator, 0 to `models.unet.skip_count(size)`.
    width, discriminator_width: channels of the outermost level.

    Not as printed. In `book`: `steps` 600 instead of 20,000; `width` 16 instead of 64; `discriminator_width` 8 instead
    of 64, so that the judge is half as wide as the generator, where both are alike at 64. In `paper`, too: `squared`
    True instead of False. The scale of the score is left as it is, where the paper maps the scores of the test set to 0
    to 1. The paper prints no layers: the generator is that of Skip-GANomaly's code, the discriminator that of the only
    public re-implementation.
    """

    score: str = "G"
    steps: int = 600
    adversarial: float = 1.0  # section 4.2
    generator: float = 40.0  # section 4.2
    discriminator: float = 1.0  # section 4.2
    squared: bool = True  # section 3.2 prints norms, without a square
    opposed: bool = True
    bounded: bool = True
    dropped_skips: int = 0
    width: int = 16
    discriminator_width: int = 8
    learning_rate: float = 1e-3  # section 4.2
    betas: tuple[float, float] = (0.5, 0.999)  # not published

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, width=4, discriminator_width=4, batch_size=8, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A third of the steps, in half the batch: twenty seconds on one core at 64 pixels."""
        return cls(steps=200, batch_size=16)

    @classmethod
    def book(cls) -> Config:
        """About a minute on one core: narrower networks, a thirtieth of the steps."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Section 4.2: Adam 0.001, 20,000 steps. Widths as in the code it builds on; batch size not published."""
        return cls(steps=20_000, width=64, discriminator_width=64, checkpoints=40)


def pixel_score(images: Tensor, reconstructions: Tensor, score: str) -> Tensor:
    """One of the scores that need reconstructions only, (B,).

    Args:
        images, reconstructions: (B, C, H, W) in [-1, 1].
        score: "G" or "worst_patch".
    """
    if score == "G":
        return scores.residual_l2(images, reconstructions)
    return scores.worst_patch(scores.residual_map(images, reconstructions))


class Dagan(Detector):
    """DAGAN with the scores "G", "DG" and "worst_patch". Images are square, the side a power of two from 16 on."""

    name = "dagan"
    title = "DAGAN"
    loss_names: ClassVar[tuple[str, ...]] = ("generator_error", "discriminator_error", "adversarial")
    score_names = ("G", "DG", "worst_patch")
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "DAGAN"), self.image_shape[0]
        config = self.config
        # The generator comes first, so that the U-Net alone starts from the same weights at the same seed.
        generator = UNet(size, channels, config.width, config.dropped_skips).apply(initialise_dcgan)
        discriminator = AutoEncoderDiscriminator(channels, config.discriminator_width, config.bounded)
        return {"generator": generator, "discriminator": discriminator.apply(initialise_dcgan)}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        return {name: self.adam(network, rate, betas) for name, network in self.networks.items()}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        weight = self.config
        reconstructions = generator(images)
        images_redrawn = discriminator(images)
        reconstructions_redrawn = discriminator(reconstructions)

        adversarial = losses.dual_adversarial_loss(images_redrawn, reconstructions_redrawn, weight.squared)
        generator_error = losses.l2_reconstruction_loss(images, reconstructions, weight.squared)
        discriminator_error = losses.l2_reconstruction_loss(images, images_redrawn, weight.squared)
        pull = weight.adversarial * adversarial
        generator_loss = weight.generator * generator_error + pull
        share = self.restraint() * pull
        discriminator_loss = weight.discriminator * discriminator_error + (
            -share if weight.opposed else share
        )

        self.descend(generator=generator_loss, discriminator=discriminator_loss)
        return {
            "generator_error": generator_error.detach(),
            "discriminator_error": discriminator_error.detach(),
            "adversarial": adversarial.detach(),
        }

    def restraint(self) -> Tensor | float:
        """Share of L_adv that the discriminator may pursue, a scalar from 0 to 1: all of it in the paper."""
        return 1.0

    def score_step(self, images: Tensor, score: str) -> Tensor:
        if score == "DG":
            return super().score_step(images, score)
        return pixel_score(images, self.networks["generator"](images), score)

    def inference_step(self, images: Tensor) -> Examination:
        reconstructions = self.networks["generator"](images)
        redrawn = self.networks["discriminator"](reconstructions)
        maps = scores.residual_map(images, reconstructions)
        residuals = {
            "G": scores.residual_l2(images, reconstructions),
            "DG": scores.residual_l2(images, redrawn),
            "worst_patch": scores.worst_patch(maps),
        }
        return Examination(residuals, maps, reconstructions)


@dataclass(frozen=True)
class BalancedConfig(Config):
    """Settings of DAGAN with BEGAN's control. gamma: L_adv / L_Dcon to hold. k_rate: how fast k_t moves.

    Not as printed for BEGAN: `k_rate` 0.05 instead of 0.001, in every profile.
    """

    gamma: float = 0.5  # as BEGAN's
    k_rate: float = 0.05  # BEGAN's 0.001 is for runs a hundred times as long


class BalancedDagan(Dagan):
    """DAGAN with the control that it dropped from its ancestor: k_t restrains the discriminator while it wins.

    The discriminator minimises L_Dcon - k_t L_adv; k_t grows while L_adv stays below gamma L_Dcon, and falls
    when it exceeds that. Not in the paper: ours, to find out what the control is worth.
    """

    name = "dagan_balanced"
    title = "DAGAN, balanced"
    loss_names = (*Dagan.loss_names, "k")
    config: BalancedConfig
    Config = BalancedConfig

    def build(self) -> dict[str, nn.Module]:
        return {**super().build(), "balance": Balance()}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        return {name: self.adam(self.networks[name], rate, betas) for name in ("generator", "discriminator")}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        values, k, config = super().training_step(images), self.part("balance", Balance).k, self.config
        errors = values["discriminator_error"], values["adversarial"]
        k.copy_(losses.equilibrium(k, *errors, config.gamma, config.k_rate))
        return {**values, "k": k.clone()}

    def restraint(self) -> Tensor | float:
        """k_t, a scalar from 0 to 1."""
        return self.part("balance", Balance).k
