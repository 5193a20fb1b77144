"""AnoGAN: a DCGAN that draws normal images, and a search for the drawing that comes nearest.

No encoder: for every test image a code z is optimised, some hundred steps, until G(z) resembles the image
as much as it can. The difference that remains is the anomaly. Here all images of a batch are searched at once and
independently: each has a loss of its own, Adam keeps its moments per element, and all start from the same few codes.

Source: Schlegl, Seeboeck, Waldstein, Schmidt-Erfurth, Langs 2017; the DCGAN is Radford et al. 2015's, which
has the layers of GANomaly's decoder and discriminator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.models.ganomaly import Decoder, Discriminator, initialise_dcgan


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of AnoGAN.

    score: "A", the paper's sum of pixel and feature residuals, or "G", the pixels alone as DAGAN takes them.
    search_steps: steps of the search for each image's code. search_rate: its learning rate.
    restarts: codes that every search starts from; the nearest drawing at the end counts.
    feature_share: lambda, weight of the discriminator's features in "A" and in the search.
    checkpoints: few, as each one searches again.

    Not as printed. In `book`: `steps` 1,000 instead of 312,500; `search_steps` 100 instead of 500; `width` 16 instead
    of 64. In `paper`: `steps` 300,000 instead of 312,500. In every profile search and score take means, where the paper
    has sums over pixels and features.
    """

    score: str = "A"
    steps: int = 1000
    checkpoints: int = 1
    search_steps: int = 100
    search_rate: float = 0.1  # not published; smaller ones have not converged after a hundred steps
    restarts: int = 2
    feature_share: float = 0.1  # section 2.2
    width: int = 16
    latent: int = 100
    learning_rate: float = 2e-4  # DCGAN
    betas: tuple[float, float] = (0.5, 0.999)  # DCGAN

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, search_steps=4, width=4, latent=16, batch_size=8, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """Two fifths of the steps, in half the batch: half a minute on one core at 64 pixels."""
        return cls(steps=400, batch_size=16)

    @classmethod
    def book(cls) -> Config:
        """A fifth of the published search."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Section 2.2: 500 search steps, lambda 0.1. 20 epochs of a million patches are about 300,000 steps."""
        return cls(steps=300_000, batch_size=64, search_steps=500, width=64)


class _Starts(nn.Module):
    """The codes that every search starts from, saved with the networks. codes: (restarts, latent)."""

    codes: Tensor

    def __init__(self, restarts: int, latent: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(restarts, latent))


class AnoGan(Detector):
    """AnoGAN with the scores "A" and "G". Images are square, 16, 32, 64, 128 or 256 pixels wide."""

    name = "anogan"
    title = "AnoGAN"
    config: Config
    Config = Config
    searches = True

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "AnoGAN"), self.image_shape[0]
        config = self.config
        return {
            "generator": Decoder(size, channels, config.latent, config.width).apply(initialise_dcgan),
            "discriminator": Discriminator(size, channels, config.width).apply(initialise_dcgan),
            "starts": _Starts(config.restarts, config.latent),
        }

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        return {name: self.adam(self.networks[name], rate, betas) for name in ("generator", "discriminator")}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        codes = self.draw_normal(len(images), self.config.latent)
        generated = generator(codes)
        real_logits, _ = discriminator(images)
        fake_logits, _ = discriminator(generated)
        generator_loss = losses.non_saturating_loss(fake_logits)
        discriminator_loss = losses.real_fake_loss(real_logits, fake_logits)

        self.descend(generator=generator_loss, discriminator=discriminator_loss)
        return {"generator": generator_loss.detach(), "discriminator": discriminator_loss.detach()}

    def search(self, images: Tensor) -> Tensor:
        """The codes whose pictures come nearest to the images, networks frozen in evaluation mode.

        Args:
            images: (B, C, H, W) in [-1, 1].

        Returns:
            (B, latent). An image's code depends on that image, the settings and the seed only.
        """
        starts, count = self.part("starts", _Starts).codes, len(images)
        codes = starts.repeat_interleave(count, dim=0).requires_grad_()  # (restarts B, latent)
        targets = images.repeat(len(starts), 1, 1, 1)
        features = self.networks["discriminator"](images)[1].repeat(len(starts), 1, 1, 1)
        optimiser = torch.optim.Adam([codes], lr=self.config.search_rate)
        with torch.enable_grad():
            for _ in range(self.config.search_steps):
                # A sum, not a mean: an image's gradient must not depend on how many others there are.
                loss = self._distance(targets, features, self.networks["generator"](codes)).sum()
                (codes.grad,) = torch.autograd.grad(loss, codes)
                optimiser.step()
        codes = codes.detach()
        ends = self._distance(targets, features, self.networks["generator"](codes)).view(-1, count)
        best = ends.argmin(0)  # (B,), number of the start whose drawing is nearest
        return codes.view(-1, count, self.config.latent)[best, torch.arange(count, device=best.device)]

    def _distance(self, images: Tensor, features: Tensor, generated: Tensor) -> Tensor:
        features_again = self.networks["discriminator"](generated)[1]
        return scores.anogan_score(images, generated, features, features_again, self.config.feature_share)

    def inference_step(self, images: Tensor) -> Examination:
        generated = self.networks["generator"](self.search(images))
        features = self.networks["discriminator"](images)[1]
        distances = {
            "A": self._distance(images, features, generated),
            "G": scores.residual_l2(images, generated),
        }
        return Examination(distances, scores.residual_map(images, generated), generated)
