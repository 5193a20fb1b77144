"""The variational auto-encoder: a code that is a distribution, not a point.

The encoder gives mean and variance of a Gaussian; a code drawn from it is decoded, and the Gaussian is kept near the
standard one. For a score several codes are drawn and the residuals averaged. A warning from the field: an image that
is likely under such a model need not be normal.

Source: Kingma and Welling 2014; as a baseline for defects Bergmann et al. 2018, with six drawings per image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib import losses
from adlib.detectors import cae
from adlib.detectors.base import Examination
from adlib.detectors.shapes import square_side
from adlib.models.auto_encoder import AutoEncoder, auto_encoder


@dataclass(frozen=True)
class Config(cae.AutoEncoderConfig):
    """Settings of the VAE.

    score: "L2" or "DSSIM", the mean over the image, or the "worst_patch" of the map; each averaged over drawings.
    code: length of the code. drawings: codes drawn per image for a score.
    kl_weight: of the divergence beside the squared error; both are sums over an image, so 1 is the published bound
        for pixels in [0, 1] with unit variance, and smaller weights stand for a smaller variance.

    Not as printed. In `book`: `kl_weight` 0.1 instead of 1; `code` 32 instead of 100; `steps` 1,000 instead of 15,625;
    `batch_size` 64 instead of 128; `learning_rate` 0.001 instead of 0.0002. In `paper`: `steps` 15,600 instead of
    15,625. In every profile Adam has no weight decay, where the SSIM auto-encoder has 1e-5, and there is no
    augmentation.
    """

    score: str = "L2"
    steps: int = 1000
    batch_size: int = 64
    code: int = 32
    drawings: int = 6
    kl_weight: float = 0.1

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=20, batch_size=8, code=8, drawings=2, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """Half of the steps, in a quarter of the batch."""
        return cls(steps=500, batch_size=16, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """As many steps as the plain auto-encoder."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Bergmann et al.: code 100, six drawings, 200 epochs of 10,000 patches."""
        return cls(steps=15_600, batch_size=128, code=100, kl_weight=1.0, learning_rate=2e-4, checkpoints=20)


class _Noise(nn.Module):
    """Noise that is added to every image's code: the same for all, so that no score depends on the batch."""

    drawings: Tensor

    def __init__(self, drawings: int, code: int) -> None:
        super().__init__()
        self.register_buffer("drawings", torch.randn(drawings, code))


class Vae(cae.AutoEncoderDetector):
    """VAE with the scores "L2", "DSSIM" and "worst_patch". Sides as in `models.auto_encoder.auto_encoder`."""

    name = "vae"
    title = "VAE"
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size, config = square_side(self.image_shape, "the VAE"), self.config
        network = auto_encoder(size, self.image_shape[0], config.code, moments=2)
        return {"auto_encoder": network, "noise": _Noise(config.drawings, config.code)}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        network = self.part("auto_encoder", AutoEncoder)
        mean, log_variance = network.encode(images).to(self.dtype).chunk(2, dim=1)
        noise = self.draw_normal(len(images), self.config.code)
        reconstructions = network.decode(mean + noise * (log_variance / 2).exp())
        # Pixels in [0, 1]; the sum over an image, halved, is the Gaussian's negative log-likelihood.
        squares = (images - reconstructions.to(self.dtype)).square().flatten(1).sum(1).mean() / 8
        divergence = losses.kl_divergence(mean, log_variance)
        loss = squares + self.config.kl_weight * divergence
        self.descend(auto_encoder=loss)
        return {"reconstruction": squares.detach(), "divergence": divergence.detach()}

    def inference_step(self, images: Tensor) -> Examination:
        network = self.part("auto_encoder", AutoEncoder)
        mean, log_variance = network.encode(images).chunk(2, dim=1)
        spread = (log_variance / 2).exp()
        distances, maps = zip(
            *(
                cae.compare(images, network.decode(mean + noise * spread), self.config.score)
                for noise in self.part("noise", _Noise).drawings
            )
        )
        scores = {name: torch.stack([each[name] for each in distances]).mean(0) for name in distances[0]}
        return Examination(scores, torch.stack(maps).mean(0), network.decode(mean))
