"""BEGAN: the GAN whose discriminator is an auto-encoder, and whose two players are held in balance.

The discriminator learns to reconstruct images well and generated ones badly; the generator wants its images
reconstructed well. A number k_t, moved a little at every step, decides how much the discriminator cares about
the generated images, so that neither side wins. DAGAN takes the auto-encoding discriminator over and leaves
k_t out.

BEGAN is made for drawing, not for finding anomalies. The score here is our reading: the discriminator has
learnt to reconstruct normal images well and nearly normal ones badly, so |x - D(x)| should be large for
anomalies.

Source: Berthelot, Schumm, Metz 2017. A widely read re-implementation (carpedm20/BEGAN-pytorch) sums both losses
before one `backward`, so that its discriminator is trained on the generator's loss too; here each player has
its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.models.began import AutoEncoder, Balance, Decoder


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of BEGAN.

    score: "D", the residual through the discriminator.
    gamma: ratio l(G(z)) / l(x) that is held.
    k_rate: lambda_k, how fast k_t moves; 0 leaves the discriminator a plain auto-encoder.

    Not as printed. In `book`: `width` 8 instead of 128; `learning_rate` 0.001 instead of 0.0001; `k_rate` 0.01 instead
    of 0.001; `steps` 800 instead of 500,000. So its numbers are of a network with about a 256th of the weights and of
    ten times the printed rates: they say what the principle does in a minute, not what BEGAN can. In `paper`: `steps`
    200,000 instead of 500,000, a re-implementation's; the paper prints none. In every profile the fall of the learning
    rate on a plateau is left out, and the last layer is linear.
    """

    score: str = "D"
    steps: int = 800
    batch_size: int = 16  # section 4.1
    gamma: float = 0.5
    k_rate: float = 0.001  # section 3.4
    width: int = 16
    latent: int = 64
    learning_rate: float = 1e-4  # section 4.1
    betas: tuple[float, float] = (0.5, 0.999)

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(
            steps=12, width=4, latent=16, batch_size=8, checkpoints=2, learning_rate=1e-3, precision="fp64"
        )

    @classmethod
    def live(cls) -> Config:
        """Half as many steps as in `book`."""
        return replace(cls.book(), steps=400)

    @classmethod
    def book(cls) -> Config:
        """Narrow networks; learning rate and k_rate ten times the published ones, for a much shorter run."""
        return cls(width=8, learning_rate=1e-3, k_rate=0.01)

    @classmethod
    def paper(cls) -> Config:
        """Sections 3.4 and 4.1. Number of steps not published; halving the rate on a plateau is left out."""
        return cls(steps=200_000, width=128, checkpoints=40)


class Began(Detector):
    """BEGAN with the score "D". Images are square, 16, 32, 64, 128 or 256 pixels wide."""

    name = "began"
    title = "BEGAN"
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "BEGAN"), self.image_shape[0]
        config = self.config
        # PyTorch's own initialisation: with DCGAN's N(0, 0.02), activations vanish over so many layers without norm.
        return {
            "generator": Decoder(size, channels, config.latent, config.width),
            "discriminator": AutoEncoder(size, channels, config.latent, config.width),
            "balance": Balance(),
        }

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        return {name: self.adam(self.networks[name], rate, betas) for name in ("generator", "discriminator")}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        k, gamma = self.part("balance", Balance).k, self.config.gamma
        codes = self.draw_uniform(len(images), self.config.latent)
        generated = generator(2 * codes - 1)
        real_error = losses.contextual_loss(images, discriminator(images))
        fake_error = losses.contextual_loss(generated, discriminator(generated))

        # Opposite signs of fake_error: what one player lowers, the other raises.
        self.descend(generator=fake_error, discriminator=real_error - k * fake_error)
        real_error, fake_error = real_error.detach(), fake_error.detach()
        k.copy_(losses.equilibrium(k, real_error, fake_error, gamma, self.config.k_rate))
        return {
            "real_error": real_error,
            "fake_error": fake_error,
            "k": k.clone(),
            "convergence": losses.convergence_measure(real_error, fake_error, gamma),
        }

    def inference_step(self, images: Tensor) -> Examination:
        redrawn = self.networks["discriminator"](images)
        residual = {"D": scores.pixel_distance(images, redrawn)}
        return Examination(residual, scores.residual_map(images, redrawn), redrawn.clamp(-1, 1))
