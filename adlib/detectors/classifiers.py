"""Supervised baselines: ordinary classifiers that see the same images and the same labels.

A detector that learns from labels has to be compared with the obvious use of labels: to train a classifier.

Source: none; the comparison that the tables of Kim et al. 2020 leave out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.data import StreamedBatches
from adlib.detectors import supervised
from adlib.detectors.base import Examination
from adlib.detectors.phases import StepCounter
from adlib.detectors.shapes import square_side
from adlib.detectors.supervised import SupervisedDetector, one_cycle, set_rate
from adlib.models.dual_discriminator import SmallClassifier


@dataclass(frozen=True)
class LogisticRegressionConfig(supervised.Config):
    """Settings of logistic regression on pixels. No source.

    steps: iterations of the solver (L-BFGS) at most. penalty: C of scikit-learn, the inverse of the weight decay.
    augmentation: "none": the solver looks at all images at once.
    """

    score: str = "logit"
    steps: int = 100
    ema_decay: float = 0.0
    penalty: float = 0.01

    def __post_init__(self) -> None:
        if self.augmentation != "none":
            raise ValueError(
                f"augmentation is {self.augmentation!r}; logistic regression looks at all images at once and changes "
                "none: leave it 'none', or take cnn_classifier."
            )

    @classmethod
    def smoke(cls) -> LogisticRegressionConfig:
        """Fewer iterations."""
        return cls(steps=20, precision="fp64")

    @classmethod
    def book(cls) -> LogisticRegressionConfig:
        """The same in every larger profile."""
        return cls()

    live = paper = book


class _Regression(nn.Module):
    weight: Tensor
    mean: Tensor
    bias: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("bias", torch.zeros(()))


class LogisticRegressionDetector(SupervisedDetector):
    """One weight per pixel: the score "logit" is large for anomalies. Source: scikit-learn's solver.

    Its map shows what each pixel adds to the logit, where that is more than an average normal image has there.
    """

    name = "logistic_regression"
    title = "logistic regression"
    config: LogisticRegressionConfig
    Config = LogisticRegressionConfig

    def build(self) -> dict[str, nn.Module]:
        size = self.image_shape[0] * self.image_shape[1] * self.image_shape[2]
        return {"regression": _Regression(size)}

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        assert isinstance(images, Tensor)  # `fit` refuses streams for detectors without optimisers
        normals, anomalies = (self.normalise(each).flatten(1).cpu() for each in (images, self._labelled()))
        labels = torch.cat([torch.zeros(len(normals)), torch.ones(len(anomalies))])
        solver = LogisticRegression(C=self.config.penalty, max_iter=self.config.steps)
        with warnings.catch_warnings():  # stopping early is one more way to keep the weights small
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(torch.cat([normals, anomalies]).numpy(), labels.numpy())
        regression = self.part("regression", _Regression)
        regression.weight.copy_(torch.from_numpy(solver.coef_[0]))
        regression.bias.copy_(torch.from_numpy(solver.intercept_)[0])
        regression.mean.copy_(normals.mean(0))

    def inference_step(self, images: Tensor) -> Examination:
        regression, pixels = self.part("regression", _Regression), images.flatten(1)
        parts = ((pixels - regression.mean) * regression.weight).view_as(images).sum(1)
        logits = pixels @ regression.weight + regression.bias
        return Examination({"logit": logits}, parts.clamp_min(0), images)


@dataclass(frozen=True)
class CnnClassifierConfig(supervised.Config):
    """Settings of the small classifier. No source; the training is that of the dual discriminator's `book`."""

    score: str = "logit"
    steps: int = 1000
    batch_size: int = 32
    checkpoints: int = 4
    precision: str = "fp32"
    learning_rate: float = 4e-3
    betas: tuple[float, float] = (0.9, 0.999)

    @classmethod
    def smoke(cls) -> CnnClassifierConfig:
        """Seconds on any machine."""
        return cls(steps=20, batch_size=8, precision="fp64")

    @classmethod
    def live(cls) -> CnnClassifierConfig:
        """As many steps as the dual discriminator has."""
        return cls(steps=300, checkpoints=1)

    @classmethod
    def book(cls) -> CnnClassifierConfig:
        """As many steps and images as the dual discriminator has."""
        return cls()

    @classmethod
    def paper(cls) -> CnnClassifierConfig:
        """There is no paper; ten times the steps."""
        return cls(steps=10_000)


class CnnClassifier(SupervisedDetector):
    """A convolutional classifier as large as the dual discriminator's generator; the score is its "logit".

    Its map is the part of the logit that each sixteenth of the side contributes, where positive. Source: none.
    """

    name = "cnn_classifier"
    title = "CNN classifier"
    config: CnnClassifierConfig
    Config = CnnClassifierConfig

    def build(self) -> dict[str, nn.Module]:
        square_side(self.image_shape, "the small classifier")
        return {"classifier": SmallClassifier(self.image_shape[0]), "counter": StepCounter()}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {"classifier": self.adam(self.networks["classifier"], config.learning_rate, config.betas)}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        counter, config = self.part("counter", StepCounter), self.config
        counter.count += 1
        set_rate(self.optimisers, one_cycle(counter.count, config.steps, config.learning_rate))
        anomalies = self.draw_anomalies(len(images))
        logits = self.networks["classifier"](torch.cat([images, anomalies])).to(self.dtype).mean((1, 2))
        targets = torch.cat([torch.zeros_like(logits[: len(images)]), torch.ones_like(logits[len(images) :])])
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        self.descend(classifier=loss)
        return {"cross_entropy": loss.detach()}

    def validation_error(self, images: Tensor) -> None:
        """None: a classifier has no error on normal images, (N, C, H, W), by which checkpoints could be ranked."""

    def inference_step(self, images: Tensor) -> Examination:
        parts = self.networks["classifier"](images).to(self.dtype)
        maps = F.interpolate(parts[:, None], images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return Examination({"logit": parts.mean((1, 2))}, maps.clamp_min(0), images)
