"""What an experiment is run on: typed sides of one data set, its test labels sealed, and the settings of the cut.

`adlib.data.cutting.make_split` makes a Split; the rules stand there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adlib.data.sampling import SAMPLINGS
from adlib.errors import unknown_name


@dataclass(frozen=True)
class SplitSettings:
    """How a data set is cut into train, validation and test; every field is a keyword of `load`.

    Fields with "before" in their metadata are newer than some records of the ledger: at that value they are no part
    of a record's id.

    Attributes:
        seed: 0 or a positive whole number; every random choice of the split follows from it.
        contamination: anomalies added to training, as a fraction of the number of training images, 0 to `reserve`.
        reserve: anomalies taken out of test once and for all, same unit; the highest contamination of a study, so
            that all its runs share one test set. By default just what `contamination` and `anomalies` need.
        train_images: few-shot: this many normal training images; smaller subsets lie inside larger ones. None: all.
        validation_fraction: share of the normal training images cut off for validation, between 0 and 1.
        test_fraction: share of the normal images tested, for sets without a published split; between 0 and 1.
        anomalies: labelled anomalies for detectors that learn from them, relative to the number of training images
            (1.0: as many), and as many again per validation image to choose settings by. None: none.
        sampling: how they are chosen: "proportional", "equal", "random" or "natural", see `adlib.data.sampling`.
        unseen: kinds of anomaly that are tested and never trained on, e.g. ("cat", "dog").

    Raises:
        ValueError: a value out of range, or settings that contradict each other.
    """

    seed: int = 0
    contamination: float = 0.0
    reserve: float | None = None
    train_images: int | None = field(default=None, metadata={"before": None})
    validation_fraction: float = field(default=0.15, metadata={"before": 0.15})
    test_fraction: float = field(default=0.25, metadata={"before": 0.25})
    anomalies: float | None = field(default=None, metadata={"before": None})
    sampling: str = field(default="proportional", metadata={"before": "proportional"})
    unseen: tuple[str, ...] = field(default=(), metadata={"before": ()})

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_shares()
        self._check_anomalies()
        # Equal settings have equal ids in the ledger, also where one caller wrote 0 and another 0.0.
        for name in ("contamination", "reserve", "validation_fraction", "test_fraction", "anomalies"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("seed", "train_images"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "unseen", tuple(self.unseen))

    def _check_counts(self) -> None:
        if not _is_whole(self.seed) or self.seed < 0:
            raise ValueError(f"seed={self.seed!r}; expected 0 or a positive whole number.")
        if self.train_images is not None and not (_is_whole(self.train_images) and self.train_images >= 1):
            raise ValueError(
                f"train_images={self.train_images!r}; expected a whole number of at least 1, or None for all."
            )

    def _check_shares(self) -> None:
        if not 0 <= self.contamination <= 1:
            raise ValueError(
                f"contamination={self.contamination}; expected a fraction from 0 to 1, e.g. 0.03: 3 % of the training"
                " images."
            )
        if not self.contamination <= self.reserved <= 1:
            raise ValueError(
                f"reserve={self.reserve} with contamination={self.contamination}; expected contamination <= reserve"
                " <= 1.\nSet reserve to the highest contamination of the study, so that all its runs share one test"
                " set."
            )
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)}; expected a fraction between 0 and 1, e.g. 0.15."
                )

    def _check_anomalies(self) -> None:
        if self.anomalies is not None and not 0 < self.anomalies <= 100:
            raise ValueError(
                f"anomalies={self.anomalies}; expected how many labelled anomalies to train on, relative to the number"
                " of training images and above 0, e.g. 1.0 for as many, or None for none."
            )
        if self.sampling not in SAMPLINGS:
            raise unknown_name("sampling", self.sampling, SAMPLINGS)
        if isinstance(self.unseen, str):
            raise ValueError(f'unseen={self.unseen!r}; expected several names, e.g. ("{self.unseen}",).')
        stated = f"unseen={self.unseen}" if self.unseen else f"sampling={self.sampling!r}"
        if self.anomalies is None and (self.unseen or self.sampling != "proportional"):
            raise ValueError(
                f"{stated} without anomalies: there are no labelled anomalies to choose. Set anomalies, e.g. to 1.0."
            )

    @property
    def reserved(self) -> float:
        """`reserve`, or what contamination needs where it is None."""
        return self.contamination if self.reserve is None else self.reserve

    def stream(self, purpose: str) -> np.random.Generator:
        """A random stream of its own for each purpose, so that changing one setting leaves the others' draws alone."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise TypeError(f"got {images.dtype} of shape {tuple(images.shape)}; expected uint8 (N, C, H, W).")


def _shape_text(images: Tensor) -> str:
    return f"{len(images)} images, " + "x".join(str(side) for side in images.shape[1:])


@dataclass(frozen=True, eq=False, repr=False)
class TrainImages:
    """Images to train on: uint8 (N, C, H, W). `contaminated` of them are anomalies; it is not said which.

    value_range: what became 0 and 255, for images of more than 8 bits; a detector keeps it, to read others so.
    """

    images: Tensor
    contaminated: int = 0
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check_images(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"TrainImages({_shape_text(self.images)}, {self.contaminated} of them anomalous)"


@dataclass(frozen=True, eq=False, repr=False)
class ValidationImages:
    """Normal images never trained on: uint8 (N, C, H, W). Thresholds and colour scales come from these."""

    images: Tensor

    def __post_init__(self) -> None:
        _check_images(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ValidationImages({_shape_text(self.images)})"


@dataclass(frozen=True, eq=False, repr=False)
class LabelledAnomalies:
    """Anomalies that a supervised detector may learn from; none of them is ever tested.

    Attributes:
        images: uint8 (N, C, H, W).
        kinds: N names, e.g. "cat" or "scratch".
        sampling: how they were chosen, see `adlib.data.sampling`.
        unseen: kinds that were left out of training on purpose, and are tested.
    """

    images: Tensor
    kinds: list[str]
    sampling: str = "natural"
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_images(self.images)
        if len(self.images) != len(self.kinds):
            raise ValueError(
                f"{len(self.images)} labelled anomalies with {len(self.kinds)} kinds; expected one kind per image."
            )

    def __len__(self) -> int:
        return len(self.images)

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        names, counts = np.unique(self.kinds, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist()))

    def __repr__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        return f"LabelledAnomalies({_shape_text(self.images)}: {kinds})"


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """What is known about the test images, in their order.

    Attributes:
        labels: bool (N,), True = anomalous.
        kinds: N names, "good" for normal images.
        masks: bool (N, H, W), True = defective pixel, or None where the set has no masks.
        masked: bool (N,), whether the mask of an image is known; None where all are. Of an image without one, `masks`
            holds False everywhere, which is no statement: leave it out where pixels are judged.
    """

    labels: np.ndarray
    kinds: list[str]
    masks: np.ndarray | None = None
    masked: np.ndarray | None = None

    def __repr__(self) -> str:
        masks = "no masks" if self.masks is None else "masks"
        return f"Truth({int((~self.labels).sum())} normal, {int(self.labels.sum())} anomalous, {masks})"


class SealedTest:
    """Test images, uint8 (N, C, H, W), shuffled, so that their order tells no label, with their truth behind a seal.

    The truth is there for one purpose, computing the reported metric. `open` hands it out and writes down
    why, so that a record of an experiment can tell how often the labels were looked at.
    """

    def __init__(self, images: Tensor, truth: Truth):
        _check_images(images)
        self.images = images
        self.__truth = truth
        self.__opened: list[str] = []

    def __len__(self) -> int:
        return len(self.images)

    @property
    def both_classes(self) -> bool:
        """Whether there are normal and anomalous images: without both, no score can be judged."""
        return bool(self.__truth.labels.any() and not self.__truth.labels.all())

    @property
    def opened(self) -> tuple[str, ...]:
        """The reasons given so far, one per opening."""
        return tuple(self.__opened)

    def open(self, reason: str) -> Truth:
        """The truth, as a copy; the opening is recorded.

        Args:
            reason: why the labels are needed, e.g. "report of ganomaly, seed 0"; added to `opened`.

        Raises:
            ValueError: if the reason is empty.
        """
        if not str(reason).strip():
            raise ValueError(
                "the test labels are sealed; expected a reason such as 'final report', got an empty one.\n"
                "If they are to choose a threshold or a checkpoint, use split.validation instead."
            )
        self.__opened.append(str(reason))
        truth = self.__truth
        masks, masked = (None if part is None else part.copy() for part in (truth.masks, truth.masked))
        return Truth(truth.labels.copy(), list(truth.kinds), masks, masked)

    def __repr__(self) -> str:
        state = f"opened {len(self.opened)}x: {'; '.join(self.opened)}" if self.opened else "labels sealed"
        return f"SealedTest({_shape_text(self.images)}, {state})"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One data set, cut for one experiment.

    Attributes:
        name: as given to `load`, e.g. "elpv/mono".
        size: side of the images, pixels.
        settings: how it was cut.
        train, validation, test: the three sides; see their types.
        fingerprint: 16 hex digits, changes with any pixel, role or truth and with nothing else.
        title: what to print beside a number, e.g. "CIFAR-10 (JPEG copy), normal class bird".
        notes: what was done to the published set, in plain sentences.
        anomalies: labelled anomalies to train on, where they were asked for.
        validation_anomalies: labelled anomalies of the same kinds that are neither trained on nor tested: to choose
            settings of a supervised detector by. Thresholds never see them.
        options: settings of the source, as given to `load`.
    """

    name: str
    size: int
    settings: SplitSettings
    train: TrainImages
    validation: ValidationImages
    test: SealedTest
    fingerprint: str
    title: str = ""
    notes: tuple[str, ...] = ()
    anomalies: LabelledAnomalies | None = None
    validation_anomalies: LabelledAnomalies | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def __repr__(self) -> str:
        shape = "x".join(str(side) for side in self.image_shape)
        extra = f" ({self.train.contaminated} anomalous)" if self.train.contaminated else ""
        if self.anomalies is not None:
            extra += f" + {len(self.anomalies)} labelled anomalies"
        return (
            f"Split({self.name!r}, {shape}, seed {self.settings.seed}: {len(self.train)} train{extra},"
            f" {len(self.validation)} validation, {len(self.test)} test, fingerprint {self.fingerprint})"
        )
