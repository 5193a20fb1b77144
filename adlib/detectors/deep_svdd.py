"""Deep SVDD: a network that pulls all normal images close to one point; what lies far from it is anomalous.

No reconstruction in the score. An auto-encoder is trained first, to initialise the encoder phi; then phi alone, to
lower the distance to a fixed centre c, the mean of phi over the training images at that moment.

The easy way to lower it is to map every image to c, the *hypersphere collapse*. Against it: no bias, no affine
BatchNorm, no bounded activation in the network (`adlib.models.svdd`), no coordinate of c near zero, and a warning if
the scores of the training images do not vary all the same.

Source: Ruff, Vandermeulen, Görnitz, Deecke, Siddiqui, Binder, Müller, Kloft 2018, and the authors' released code.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adlib import losses
from adlib.data import StreamedBatches
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.classical import contrast_pixels
from adlib.detectors.collapse import CollapseWarning
from adlib.detectors.phases import StepCounter
from adlib.detectors.shapes import square_side
from adlib.models.svdd import SvddDecoder, SvddEncoder

_SMALLEST_CENTRE = 0.1  # coordinates of c nearer to zero are moved there, so that phi = 0 is not phi = c


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of Deep SVDD.

    score: "distance", ||phi(x) - c||^2; with a soft boundary minus R^2.
    pretraining_share: the part of `steps` that trains the auto-encoder, the first one.
    soft_boundary: minimise R^2 and what lies outside, instead of all distances.
    nu: share of the training images that may lie outside the soft boundary.
    radius_after: part of the second phase after which R follows the distances.
    features: length of phi; 0 takes the released code's, 32 for grey and 128 for colour.
    learning_rate, weight_decay: of Adam in the second phase; pretraining_rate, pretraining_decay in the first. The
        released code pretrains on photographs with a decay of 5e-7; here both kinds of images have that of digits.

    Not as printed. In `book`: `steps` 600 instead of 9,000; `batch_size` 128 instead of 200; `pretraining_share` 1/3
    instead of 1/2; `pretraining_rate` 0.001 instead of 0.0001. In `paper` `steps`, `pretraining_share` and
    `pretraining_decay` are those of digits for photographs, too: for CIFAR-10 pass steps=12_500, pretraining_share=0.7,
    pretraining_decay=5e-7. In every profile the fall of the learning rate is left out.
    """

    score: str = "distance"
    steps: int = 600
    batch_size: int = 128
    checkpoints: int = 4
    pretraining_share: float = 1 / 3
    soft_boundary: bool = False
    nu: float = 0.1
    radius_after: float = 1 / 15  # epoch 10 of 150, released code
    features: int = 0
    learning_rate: float = 1e-4  # section 4.2
    pretraining_rate: float = 1e-3
    weight_decay: float = 5e-7  # section 4.2
    pretraining_decay: float = 5e-4  # released code for MNIST; for CIFAR-10 it has 5e-7, not taken over

    def __post_init__(self) -> None:
        if not 0 < self.nu <= 1:
            raise ValueError(f"nu is {self.nu}; it is a share of the training images, above 0 and up to 1.")
        if not 0 <= self.pretraining_share < 1:
            raise ValueError(
                f"pretraining_share is {self.pretraining_share}; expected a part of the steps, 0 up to 1."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, batch_size=8, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A third of the steps: for grey images of 32 pixels."""
        return cls(steps=200, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """A fifteenth of the steps, pretraining at ten times the published rate: under a minute on one core."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Section 4.2 and released code for MNIST: batches of 200, 150 epochs each of some 6,000 images, rate 1e-4.

        Its fall by ten after 50 epochs is left out.
        """
        return cls(steps=9000, batch_size=200, pretraining_share=0.5, pretraining_rate=1e-4, checkpoints=20)


class _Sphere(nn.Module):
    """Constants of the preprocessing, centre c and radius R, saved with the networks."""

    low: Tensor
    high: Tensor
    centre: Tensor
    radius: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("radius", torch.zeros(()))


class DeepSvdd(Detector):
    """Deep SVDD with the score "distance". Images are square, 16, 32, 64, 128 or 256 pixels wide.

    It does not say where: the map of an image carries its score at every pixel.
    """

    name = "deep_svdd"
    title = "Deep SVDD"
    config: Config
    Config = Config
    averaged = ("encoder",)
    localises = False
    reuse = 10.0  # kernels of 5 x 5 on maps that only pooling makes smaller

    def build(self) -> dict[str, nn.Module]:
        size, channels = square_side(self.image_shape, "Deep SVDD"), self.image_shape[0]
        features = self.config.features or (32 if channels == 1 else 128)
        self._pool = torch.empty(0)  # while it is fitted: the images that the centre is the mean of
        return {
            "encoder": SvddEncoder(size, channels, features),
            "decoder": SvddDecoder(size, channels, features),
            "sphere": _Sphere(features),
            "counter": StepCounter(),
        }

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config, encoder, decoder = self.config, self.networks["encoder"], self.networks["decoder"]
        both = [*encoder.parameters(), *decoder.parameters()]
        fused = self.device.type in ("cpu", "cuda")
        return {
            "pretraining": torch.optim.Adam(
                both, config.pretraining_rate, weight_decay=config.pretraining_decay, fused=fused
            ),
            "encoder": torch.optim.Adam(
                encoder.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=fused
            ),
        }

    @property
    def _sphere(self) -> _Sphere:
        return self.part("sphere", _Sphere)

    @property
    def _counter(self) -> StepCounter:
        return self.part("counter", StepCounter)

    @property
    def _pretraining_steps(self) -> int:
        return round(self.config.steps * self.config.pretraining_share)

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        if not isinstance(images, Tensor):
            raise TypeError(
                "deep_svdd takes its centre from all training images, so they have to be in memory: "
                "pass split.train."
            )
        contrast = torch.cat([contrast_pixels(self.normalise(part)) for part in images.split(512)])
        self._sphere.low.copy_(contrast.min())
        self._sphere.high.copy_(contrast.max())
        self._pool = images
        if self._pretraining_steps == 0 and self._counter.count == 0:
            self._place_centre()
        super()._fit(images, validation, **how)
        self._pool = torch.empty(0)
        self._warn_of_collapse(images[:512])

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        counter = self._counter
        counter.count += 1
        images = self._prepare(images)
        if counter.count <= self._pretraining_steps:
            return self._pretraining_step(images)
        distances = self._distances(images)
        sphere, config = self._sphere, self.config
        soft = losses.soft_boundary_loss(distances, sphere.radius, config.nu)
        loss = soft if config.soft_boundary else distances.mean()
        self.descend(encoder=loss)
        begin = self._pretraining_steps
        if config.soft_boundary and counter.count - begin > config.radius_after * (config.steps - begin):
            sphere.radius.copy_(torch.quantile(distances.detach(), 1 - config.nu).sqrt())
        return {"distance": loss.detach()}

    def _pretraining_step(self, images: Tensor) -> dict[str, Tensor]:
        reconstructions = self.networks["decoder"](self.networks["encoder"](images))
        error = (reconstructions - images).square().flatten(1).sum(1).mean()
        self.descend(pretraining=error)
        return {"pretraining": error.detach()}

    def after_step(self, losses: dict[str, float]) -> None:
        if self._counter.count == self._pretraining_steps:
            self._place_centre()

    def _place_centre(self) -> None:
        """c = mean phi(x) over the training images, in evaluation mode, away from zero in every coordinate."""
        self.networks.eval()
        with torch.no_grad():
            features = torch.cat(
                [self.networks["encoder"](self._prepare(self.normalise(x))) for x in self._pool.split(512)]
            )
        centre = features.mean(0)
        away = torch.where(centre < 0, -_SMALLEST_CENTRE, _SMALLEST_CENTRE)
        self._sphere.centre.copy_(torch.where(centre.abs() < _SMALLEST_CENTRE, away, centre))

    def _prepare(self, images: Tensor) -> Tensor:
        """Global contrast, then the training images' extremes mapped to 0 and 1."""
        sphere = self._sphere
        contrast = contrast_pixels(images).view_as(images)
        return (contrast - sphere.low) / (sphere.high - sphere.low).clamp_min(1e-6)

    def _distances(self, images: Tensor) -> Tensor:
        features = self.networks["encoder"](images)
        return (features.to(self.dtype) - self._sphere.centre).square().sum(1)

    def inference_step(self, images: Tensor) -> Examination:
        distances = self._distances(self._prepare(images))
        maps = distances[:, None, None].expand(-1, *images.shape[2:])
        score = distances - self._sphere.radius**2 if self.config.soft_boundary else distances
        return Examination({"distance": score}, maps, images)

    def validation_error(self, images: Tensor) -> float | None:
        """Mean distance of uint8 (N, C, H, W) images to the centre; None while there is none, in pretraining."""
        if self._counter.count <= self._pretraining_steps:
            return None
        return float(self.examine(images).scores["distance"].double().mean())

    def _warn_of_collapse(self, images: Tensor) -> None:
        """Scores that do not vary mean nothing; rounding errors may still give them an AUROC far from 1/2."""
        score = self.anomaly_score(images).double()
        different = len(score.unique())
        if len(images) > 2 and (different < len(images) / 2 or score.std() < 1e-6 * score.abs().mean()):
            warnings.warn(
                f"{self.name} has collapsed: {len(images)} training images have {different} different scores "
                f"(standard deviation {float(score.std()):.2g}). Its verdicts mean nothing. Lower the learning "
                "rate, or train fewer steps.",
                CollapseWarning,
                stacklevel=3,
            )
