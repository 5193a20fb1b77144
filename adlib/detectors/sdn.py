"""Style distillation: a second network learns the auto-encoder's blur; where the two differ is the defect.

An auto-encoder changes an image in two ways: its *style* (everything comes out a little blurred) and, where the image
is abnormal, its *content*. A student of high capacity without a bottleneck learns on normal images to do what the
frozen auto-encoder, its teacher, does. Where both agree, the difference was style; the difference between the two
is the anomaly map.

A student that has only seen normal images may learn to change the content as well. OE-SDN prevents it by outlier
exposure: transformed images, standing for outliers, it has to output unchanged.

    J = (1 - lambda) d(f_OS(x), f_AE(x)) + lambda d(x~, f_OS(x~)),   d = DSSIM + MSE,   x~ a transformed x

Both phases are one training run: first the teacher, then, the teacher frozen, the student. (A talk about the paper
says that both are trained jointly; the objective above is the student's alone.)

Source: Chung, Park, Keum, Ki, Kang 2020, "Unsupervised Anomaly Detection Using Style Distillation".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.data import StreamedBatches, to_uint8
from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.cae import warn_if_constant
from adlib.detectors.phases import StepCounter
from adlib.detectors.shapes import square_side
from adlib.errors import unknown_name
from adlib.models.auto_encoder import auto_encoder
from adlib.models.rnan import Rnan, attention_bytes, largest_batch
from adlib.transforms import NEEDS_AUTO_ENCODER, TRANSFORMS

LARGEST_STEP = 4 * 2**30  # bytes that the attention matrices of one step may take


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of style distillation.

    score: "style_distance", d(f_OS(x), f_AE(x)); "difference", the mean of the map |f_OS(x) - f_AE(x)|, its "maximum",
        its "worst_patch"; or, of the auto-encoder alone, "teacher", its DSSIM to the image, and "teacher_distance",
        d(x, f_AE(x)). Which one the paper uses for whole images is not published; d is what both are trained by.
        The map is |f_OS(x) - f_AE(x)|, as published; `Examination.other_maps` has d at every pixel, "style_distance",
        and both for the auto-encoder alone, "teacher_distance" and "teacher_difference", |x - f_AE(x)|.
    student_share: the part of `steps` that trains the student, the last one.
    student_images: images of each batch that the student learns from; it costs ten times the teacher.
    exposure: lambda, weight of the outliers; with 0 none are made.
    transform: what makes the outliers, one of `adlib.transforms.TRANSFORMS`.
    code: length of the teacher's code.
    width, plain_groups, attention_side: of the student, see `models.rnan.Rnan`.
    teacher_rate, student_rate: of Adam.
    ranking_images: validation images by which `pseudo_aurocs` ranks transforms after training, an expensive look.

    Not as printed. In `book`: `width` 16 instead of 32; `plain_groups` 0 instead of 8; `attention_side` 16 instead of
    the side of the image; `student_rate` 0.001 instead of 0.0001. In `paper`: `attention_side` 32 instead of the side
    of the image, as memory grows with its fourth power. In every profile the fall of the learning rate in RNAN's code
    is left out, and attention is normalised over the keys, where that code does it over the queries.
    """

    score: str = "style_distance"
    steps: int = 1250
    batch_size: int = 64
    checkpoints: int = 1
    student_share: float = 0.2
    student_images: int = 16
    exposure: float = 0.0
    transform: str = "rotation"
    code: int = 32
    width: int = 16
    plain_groups: int = 0
    attention_side: int = 16
    teacher_rate: float = 1e-3
    student_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    ranking_images: int = field(default=128, metadata={"before": 128})

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise unknown_name("transform", self.transform, TRANSFORMS)
        if not 0 <= self.exposure <= 1:
            raise ValueError(f"exposure is {self.exposure}; lambda is a weight from 0 (no outliers) to 1.")
        if not 0 < self.student_share < 1:
            raise ValueError(
                f"student_share is {self.student_share}; expected a part of the steps between 0 and 1."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(
            steps=20,
            batch_size=8,
            student_images=4,
            student_share=0.4,
            width=2,
            attention_side=8,
            checkpoints=1,
            ranking_images=4,
            precision="fp64",
        )

    @classmethod
    def live(cls) -> Config:
        """Two fifths of the steps, in half the batch."""
        return cls(steps=500, batch_size=32, student_images=8)

    @classmethod
    def book(cls) -> Config:
        """A student of 116,000 parameters instead of 2.2 million, trained for 250 steps: about a minute on one core."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """32 filters (Chung et al.), ten groups (RNAN's code); steps and rate not published, RNAN's rate."""
        long = cls(steps=60_000, student_share=0.5, checkpoints=20, batch_size=32, student_images=32)
        return replace(long, width=32, plain_groups=8, attention_side=32, student_rate=1e-4)


@dataclass(frozen=True)
class OutlierConfig(Config):
    """Settings of OE-SDN: in every profile the SDN's, with outliers."""

    exposure: float = 0.5  # as the authors' group writes on its pages


class Sdn(Detector):
    """SDN: the student sees normal images only. Sides: multiples of 8 below 64, of 16 up to 128, or 256."""

    name = "sdn"
    title = "SDN"
    loss_names: ClassVar[tuple[str, ...]] = ("teacher", "style")
    score_names = (
        *("style_distance", "difference", "maximum", "worst_patch"),
        *("teacher", "teacher_distance"),
    )
    config: Config
    Config = Config
    averaged = ("student",)  # it imitates the teacher's last weights

    def build(self) -> dict[str, nn.Module]:
        size, config = square_side(self.image_shape, "style distillation"), self.config
        channels = self.image_shape[0]
        _refuse_memory(size, config)
        return {
            "teacher": auto_encoder(size, channels, config.code),
            "student": Rnan(channels, config.width, config.plain_groups, config.attention_side),
            "counter": StepCounter(),
        }

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rates = {"teacher": self.config.teacher_rate, "student": self.config.student_rate}
        return {name: self.adam(self.networks[name], rate, self.config.betas) for name, rate in rates.items()}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        counter, config = self.part("counter", StepCounter), self.config
        counter.count += 1
        if counter.count <= self._teacher_steps:
            return self._teacher_step(images)
        return self._student_step(images[: config.student_images])

    @property
    def _teacher_steps(self) -> int:
        return round(self.config.steps * (1 - self.config.student_share))

    def _teacher_step(self, images: Tensor) -> dict[str, Tensor]:
        loss = self._distance(images, self.networks["teacher"](images))
        self.descend(teacher=loss)
        return {"teacher": loss.detach()}

    def _student_step(self, images: Tensor) -> dict[str, Tensor]:
        teacher, student, exposure = self.networks["teacher"], self.networks["student"], self.config.exposure
        with torch.no_grad():
            target = teacher(images)
        if exposure == 0:
            style = self._distance(student(images), target)
            loss, outlier_loss = style, {}
        else:
            outliers = TRANSFORMS[self.config.transform](images, self.generator, teacher)
            imitations, copies = student(torch.cat([images, outliers])).split(len(images))
            style, identity = self._distance(imitations, target), self._distance(outliers, copies)
            loss, outlier_loss = (1 - exposure) * style + exposure * identity, {"identity": identity.detach()}
        self.descend(student=loss)
        return {"style": style.detach(), **outlier_loss}

    def _distance(self, images: Tensor, others: Tensor) -> Tensor:
        return losses.style_distance(images, others, losses.ssim_window(self.image_shape[-1]))

    def _student(self, images: Tensor) -> Tensor:
        portion = largest_batch(self.image_shape[-1], self.config.attention_side)
        return torch.cat([self.networks["student"](part) for part in images.split(portion)])

    def imitate(self, images: Tensor) -> Tensor:
        """The student's outputs, uint8 (N, C, H, W) -> same shape; `reconstruct` gives the teacher's."""
        self.networks.eval()
        with torch.no_grad():
            parts = [to_uint8(self._student(self.normalise(part)).cpu()) for part in images.split(64)]
        return torch.cat(parts)

    def inference_step(self, images: Tensor) -> Examination:
        teacher, student = self.networks["teacher"](images), self._student(images)
        window = losses.ssim_window(images.shape[-1])
        maps = scores.residual_map(student, teacher)
        structure, alone = (losses.dssim_map(x, teacher, window) for x in (student, images))
        squares, alone_squares = ((x - teacher).square().mean(1) / 4 for x in (student, images))
        others = {
            "style_distance": structure + squares,
            "teacher_distance": alone + alone_squares,
            "teacher_difference": scores.residual_map(images, teacher),
        }
        distances = {
            "difference": maps.flatten(1).mean(1),
            "maximum": maps.flatten(1).amax(1),
            "worst_patch": scores.worst_patch(maps),
            "teacher": alone.flatten(1).mean(1),
            **{name: others[name].flatten(1).mean(1) for name in ("style_distance", "teacher_distance")},
        }
        return Examination(distances, maps, teacher, others)

    def validation_error(self, images: Tensor) -> float | None:
        """Mean style distance on uint8 (N, C, H, W): how well the student imitates; None before it is trained."""
        if self.part("counter", StepCounter).count <= self._teacher_steps:
            return None
        return float(self.examine(images).scores["style_distance"].double().mean())

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        super()._fit(images, validation, **how)
        warn_if_constant(self, images)
        if validation is not None and self.history is not None:
            aurocs = pseudo_aurocs(self, validation[: self.config.ranking_images])
            self.history.checkpoints[-1].update({f"pseudo_auroc/{name}": v for name, v in aurocs.items()})


class OeSdn(Sdn):
    """OE-SDN: the student also learns to output transformed images unchanged. Sides as for the SDN."""

    name = "oe_sdn"
    title = "OE-SDN"
    loss_names = (*Sdn.loss_names, "identity")
    config: OutlierConfig
    Config = OutlierConfig


def pseudo_aurocs(detector: Detector, validation: Tensor) -> dict[str, float]:
    """How well a detector tells validation-normal images from the same images transformed, by transform.

    No anomaly and no test image is needed, so transforms of outlier exposure may be ranked by it: for each
    candidate, take the mean over the transforms that it was not trained with.

    Args:
        detector: fitted.
        validation: validation-normal images, uint8 (N, C, H, W).

    Returns:
        Transform -> image AUROC in [0, 1], for those that need no auto-encoder.

    Source: ours; Chung et al. 2020 chose by the AUROC on the test set.
    """
    from adlib import metrics  # with scipy and scikit-learn, seconds

    generator = torch.Generator().manual_seed(detector.seed)
    normal = detector.anomaly_score(validation)
    images = detector.normalise(validation)
    labels = [0] * len(normal) + [1] * len(normal)
    aurocs = {}
    for name, transform in TRANSFORMS.items():
        if name not in NEEDS_AUTO_ENCODER:
            changed = to_uint8(transform(images, generator, nn.Identity()).cpu())
            pair = torch.cat([normal, detector.anomaly_score(changed)])
            aurocs[name] = round(metrics.image_auroc(labels, pair), 6)
    return aurocs


def _refuse_memory(size: int, config: Config) -> None:
    images = config.student_images * (2 if config.exposure else 1)
    side = min(size, config.attention_side)
    needed = attention_bytes(side, images)
    if needed > LARGEST_STEP:
        raise ValueError(
            f"attention over {side} x {side} positions of {images} images would take {needed / 2**30:.0f} GiB a step; "
            f"the limit is {LARGEST_STEP // 2**30} GiB. Lower attention_side (16 or 32: larger maps are averaged "
            "down to it), or student_images."
        )
