"""f-AnoGAN: AnoGAN's search replaced by an encoder, its DCGAN by a Wasserstein GAN.

Two phases in one training run. First a WGAN with gradient penalty learns to draw normal images; then,
generator and critic frozen, an encoder learns which code draws which image ("izi_f": image, code, image, with
features). One forward pass takes the place of AnoGAN's hundreds of steps.

Source: Schlegl, Seeboeck, Waldstein, Langs, Schmidt-Erfurth 2019, and the authors' released code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.phases import StepCounter
from adlib.detectors.shapes import square_side
from adlib.models.ganomaly import Decoder, Encoder, initialise_dcgan
from adlib.models.wgan import LightCritic, ResidualCritic, ResidualGenerator


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of f-AnoGAN.

    score: "A", the paper's, or "G", the pixels alone as DAGAN takes them.
    encoder_share: the part of `steps` that trains the encoder, the last one.
    critic_steps: updates of the critic (each a step) for one of the generator.
    penalty: weight of the gradient penalty. kappa: weight of the features in encoder loss and score.
    residual: the published residual networks; False takes plain strided ones, at a tenth of the work.
    learning_rate, betas: of the GAN's Adam. encoder_rate: of the encoder's RMSProp.
    precision: "fp32", as the penalty is a gradient of a gradient.

    Not as printed. In `book`: `steps` 1,500 instead of 159,375; `batch_size` 32 instead of 64; `residual` False instead
    of True; `width` 16 instead of 64; `learning_rate` 0.0005 instead of 0.0001; `encoder_rate` 0.0005 instead of
    0.00005. Of its 1,500 steps 1,000 are the critic's, and every fifth of them updates the generator: 200 updates,
    where the released code has about 22,000 (for a million patches, recalled) and `paper` 20,000. In `paper`: `steps`
    150,000 instead of 159,375. In every profile the tanh at the end of the encoder is left out, so that codes are not
    held in [-1, 1] (the released code has it, and its absence as an alternative); the decay of RMSProp is 0.99,
    PyTorch's default, where the released code has TensorFlow's, 0.9.
    """

    score: str = "A"
    steps: int = 1500
    precision: str = "fp32"
    encoder_share: float = 1 / 3
    critic_steps: int = 5
    penalty: float = 10.0
    kappa: float = 1.0
    residual: bool = False
    width: int = 16
    latent: int = 128
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.9)
    encoder_rate: float = 5e-5

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine. Two critic steps for one of the generator, so that short runs have both."""
        few = cls(steps=24, critic_steps=2, width=4, latent=16, batch_size=8, checkpoints=2)
        return replace(few, learning_rate=1e-3, encoder_rate=2e-3, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """Two fifths of the steps, in half the batch."""
        return replace(cls.book(), steps=600, batch_size=16)

    @classmethod
    def book(cls) -> Config:
        """Light networks, and learning rates raised for a short run."""
        return cls(learning_rate=5e-4, encoder_rate=5e-4)

    @classmethod
    def paper(cls) -> Config:
        """The released code: residual networks, batches of 64, 50,000 encoder steps.

        Seven epochs of the GAN over a million patches (recalled) are about 109,000 critic steps, each fifth of them
        followed by one of the generator; 100,000 here.
        """
        return cls(steps=150_000, batch_size=64, residual=True, width=64, checkpoints=15)


class FAnoGan(Detector):
    """f-AnoGAN with the scores "A" and "G". Images are square, 16, 32, 64, 128 or 256 pixels wide."""

    name = "f_anogan"
    title = "f-AnoGAN"
    config: Config
    Config = Config
    averaged = ("encoder",)  # GAN and critic are fixed when the encoder is trained

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "f-AnoGAN"), self.image_shape[0]
        config = self.config
        generator: nn.Module
        critic: nn.Module
        encoder: nn.Module
        if config.residual:
            generator = ResidualGenerator(size, channels, config.latent, config.width)
            critic = ResidualCritic(size, channels, config.width)
            encoder = ResidualCritic(size, channels, config.width, config.latent, norm=nn.BatchNorm2d)
        else:
            generator = Decoder(size, channels, config.latent, config.width).apply(initialise_dcgan)
            critic = LightCritic(size, channels, config.width)
            encoder = Encoder(size, channels, config.latent, config.width).apply(initialise_dcgan)
        return {"generator": generator, "critic": critic, "encoder": encoder, "counter": StepCounter()}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        gan = {name: self.adam(self.networks[name], rate, betas) for name in ("generator", "critic")}
        encoder = self.networks["encoder"].parameters()
        return {**gan, "encoder": torch.optim.RMSprop(encoder, lr=self.config.encoder_rate)}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        counter, config = self.part("counter", StepCounter), self.config
        counter.count += 1
        if counter.count > self._gan_steps:
            return self._encoder_step(images)
        values = self._critic_step(images)
        if counter.count % config.critic_steps == 0:
            values |= self._generator_step(len(images))
        return values

    @property
    def _gan_steps(self) -> int:
        return round(self.config.steps * (1 - self.config.encoder_share))

    def _draw(self, count: int) -> Tensor:
        return self.networks["generator"](self.draw_normal(count, self.config.latent))

    def _critic_step(self, images: Tensor) -> dict[str, Tensor]:
        critic, generated = self.networks["critic"], self._draw(len(images)).detach()
        mix = self.draw_uniform(len(images), 1, 1, 1)
        between = torch.lerp(images, generated.to(self.dtype), mix).requires_grad_()
        slopes = torch.autograd.grad(critic(between)[0].sum(), between, create_graph=True)[0]
        penalty = losses.gradient_penalty(slopes)
        distance = losses.critic_loss(critic(images)[0], critic(generated)[0])
        self.descend(critic=distance + self.config.penalty * penalty)
        return {"critic": distance.detach(), "gradient_penalty": penalty.detach()}

    def _generator_step(self, count: int) -> dict[str, Tensor]:
        loss = -self.networks["critic"](self._draw(count))[0].mean()
        self.descend(generator=loss)
        return {"generator": loss.detach()}

    def _encoder_step(self, images: Tensor) -> dict[str, Tensor]:
        self.networks["generator"].eval()  # frozen, its BatchNorm too, as it will be used at test time
        loss = self._distance(images, self._reconstruct(images)).mean()
        self.descend(encoder=loss)
        return {"encoder": loss.detach()}

    def _reconstruct(self, images: Tensor) -> Tensor:
        codes = self.networks["encoder"](images)
        return self.networks["generator"](codes[0] if self.config.residual else codes)

    def _distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        (_, features), (_, features_again) = map(self.networks["critic"], (images, reconstructions))
        return scores.f_anogan_score(images, reconstructions, features, features_again, self.config.kappa)

    def validation_error(self, images: Tensor) -> float | None:
        """As in every detector, on uint8 (N, C, H, W); None while the GAN is trained and the encoder is not."""
        if self.part("counter", StepCounter).count <= self._gan_steps:
            return None
        return super().validation_error(images)

    def inference_step(self, images: Tensor) -> Examination:
        reconstructions = self._reconstruct(images)
        distances = {
            "A": self._distance(images, reconstructions),
            "G": scores.residual_l2(images, reconstructions),
        }
        return Examination(distances, scores.residual_map(images, reconstructions), reconstructions)
