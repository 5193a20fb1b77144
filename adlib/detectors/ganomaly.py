"""GANomaly, and the residual distances that Tang et al. read from it.

An encoder-decoder-encoder generator learns to reconstruct normal images; a discriminator, shaped like the
encoder, compares reconstructions with real images. What the generator cannot reconstruct is called anomalous.
GANomaly itself compares the two codes (D0). Tang et al. compare the discriminator's features of image and
reconstruction (D1, D2) or the pixels (D3).

Sources: Akcay, Atapour-Abarghouei, Breckon 2018; Tang, Kuo, Lan, Ding, Hsu, Young, "The industrial
application and the method of improvement of GANomaly".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.errors import unknown_name
from adlib.models.ganomaly import Discriminator, Generator, initialise_dcgan

SCORES = ("D0", "D1", "D2", "D3")  # GANomaly's own, and Tang et al.'s three residual distances
COLLAPSED = 1e-5  # a discriminator loss below this re-initialises the discriminator (released code)


@dataclass(frozen=True)
class Variant:
    """Loss weights and learning rate of one reading of GANomaly."""

    adversarial: float
    contextual: float
    latent: float
    learning_rate: float


# Four systems that all call themselves GANomaly.
VARIANTS = {
    "paper": Variant(1, 50, 1, 2e-3),  # Akcay et al. 2018 (learning rate as recalled, not re-verified)
    "official": Variant(1, 50, 1, 2e-4),  # the authors' released code
    "tang": Variant(1, 20, 1, 1e-3),  # Tang et al. as we read them: adv and con swapped in print
    "tang_literal": Variant(20, 1, 1, 1e-3),  # Tang et al. as printed
}


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of GANomaly.

    variant: one of VARIANTS. width: channels of the first layer (64 in the papers). latent: length of the code.
    betas: Adam's decay rates. score: one of SCORES.

    Not as printed. In `book`: `steps` 1,000 instead of 20,000; `width` 16 instead of 64. In `paper`, too: `variant`
    tang instead of tang_literal, as we read the weights; `batch_size` 32 instead of 64, which is the released code's
    and not Tang et al.'s, who print none. The choice of the checkpoint: the last one, where Tang et al. take the best
    on the test set. BatchNorm at test: running statistics, where the released code takes those of the test batch. The
    moments of Adam are forgotten when the discriminator is initialised again, where the released code leaves them.
    """

    score: str = "D1"
    steps: int = 1000
    variant: str = "tang"
    width: int = 16
    latent: int = 100
    betas: tuple[float, float] = (0.5, 0.999)  # released code; not given by Tang et al.

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise unknown_name("GANomaly variant", self.variant, VARIANTS)
        for name in ("width", "latent"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.score not in SCORES:
            raise unknown_name("score of ganomaly", self.score, SCORES)

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, width=4, latent=16, batch_size=8, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """Two fifths of the steps, in half the batch: half a minute on one core at 64 pixels."""
        return cls(steps=400, batch_size=16)

    @classmethod
    def book(cls) -> Config:
        """A minute on two cores: a quarter of the published width, a twentieth of the steps."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Tang et al., section "Experiments": Adam 0.001, 20,000 steps; batch size not published, 32 here."""
        return cls(steps=20_000, width=64, checkpoints=40)


class Ganomaly(Detector):
    """GANomaly with the scores D0 (its own), D1, D2 and D3 (Tang et al.).

    Images are square, 16, 32, 64, 128 or 256 pixels wide.
    """

    name = "ganomaly"
    title = "GANomaly"
    loss_names = ("contextual", "adversarial", "latent", "discriminator")
    score_names = ("D0", "D1", "D2", "D3")
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "GANomaly"), self.image_shape[0]
        generator = Generator(size, channels, self.config.latent, self.config.width)
        discriminator = Discriminator(size, channels, self.config.width)
        return {
            "generator": generator.apply(initialise_dcgan),
            "discriminator": discriminator.apply(initialise_dcgan),
        }

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate = VARIANTS[self.config.variant].learning_rate
        return {name: self.adam(net, rate, self.config.betas) for name, net in self.networks.items()}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        weight = VARIANTS[self.config.variant]
        generated = generator(images)
        real_logits, real_features = discriminator(images)
        fake_logits, fake_features = discriminator(generated.image)

        contextual = losses.contextual_loss(images, generated.image)
        adversarial = losses.feature_matching_loss(real_features.detach(), fake_features)
        latent = losses.latent_loss(generated.latent, generated.latent_again)
        generator_loss = (
            weight.adversarial * adversarial + weight.contextual * contextual + weight.latent * latent
        )
        discriminator_loss = losses.real_fake_loss(real_logits, fake_logits)

        self.descend(generator=generator_loss, discriminator=discriminator_loss)
        parts = {
            "contextual": contextual,
            "adversarial": adversarial,
            "latent": latent,
            "discriminator": discriminator_loss,
        }
        return {name: value.detach() for name, value in parts.items()}

    def after_step(self, losses: dict[str, float]) -> None:
        """Re-initialise the discriminator when its loss has collapsed: the released code's trick.

        The released code keeps Adam's moments of the old weights; here they are forgotten too.
        """
        if losses["discriminator"] < COLLAPSED:
            with self.seeded():
                self.networks["discriminator"].apply(initialise_dcgan)
            self.optimisers["discriminator"].state.clear()

    def score_step(self, images: Tensor, score: str) -> Tensor:
        generator = self.part("generator", Generator)
        if score == "D0":
            generated = generator(images)
            return scores.latent_distance(generated.latent, generated.latent_again)
        image = generator.decoder(generator.encoder(images))
        if score == "D3":
            return scores.pixel_distance(images, image)
        _, features = self.networks["discriminator"](torch.cat([images, image]))
        distance = {"D1": scores.feature_distance_l1, "D2": scores.feature_distance_l2}[score]
        return distance(*features.chunk(2))

    def inference_step(self, images: Tensor) -> Examination:
        generated = self.networks["generator"](images)
        _, features = self.networks["discriminator"](images)
        _, features_again = self.networks["discriminator"](generated.image)
        distances = {
            "D0": scores.latent_distance(generated.latent, generated.latent_again),
            "D1": scores.feature_distance_l1(features, features_again),
            "D2": scores.feature_distance_l2(features, features_again),
            "D3": scores.pixel_distance(images, generated.image),
        }
        return Examination(distances, scores.residual_map(images, generated.image), generated.image)
