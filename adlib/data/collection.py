"""What a source delivers: images and everything known about them, before it is decided who trains on what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

GOOD = "good"


@dataclass(frozen=True, eq=False)
class Collection:
    """Images of one data set at one size, with truth. `cutting.make_split` turns it into a sealed Split.

    Attributes:
        images: uint8 (N, C, H, W).
        kinds: str array (N,), "good" for normal images, else the kind of defect or the foreign class.
        sides: str array (N,) of "train"/"test" where the set is published with a split, else None.
            "validation" where normal images are set aside for the threshold. Such and "train" images are always
            normal; the anomalous images of a published training side are
            "anomalies", handed out to detectors that learn from labelled ones and to nobody else.
        masks: bool (N, H, W), True = defective, or None where the set has no masks.
        masked: bool (N,), whether it is known where an image is defective; None where it is for all.
        groups: integers (N,), equal for images of one object, or None. A group never falls on two sides.
        stratified: for a set without published split: whether test takes the same share of every kind, as
            in a split of a classification set, instead of all anomalies.
        title: what to print beside a number made from these images.
        notes: what happened to the images on the way here, in plain sentences.
        value_range: what became 0 and 255, for images of more than 8 bits; None for others.
        good_suffices: whether the set may be without anomalies: a user's own, before the first defect was seen.
        shared: whether `images` is held elsewhere, too, so that a split has to copy what it takes.
    """

    images: Tensor
    kinds: np.ndarray
    sides: np.ndarray | None = None
    masks: np.ndarray | None = None
    masked: np.ndarray | None = None
    groups: np.ndarray | None = None
    stratified: bool = False
    title: str = ""
    notes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    good_suffices: bool = False
    shared: bool = True

    @property
    def anomalous(self) -> np.ndarray:
        """bool (N,), True = anomalous."""
        return self.kinds != GOOD


def stack_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (N, C, H, W) array as a contiguous tensor; it shares the memory of an array that is contiguous."""
    return torch.from_numpy(np.ascontiguousarray(images))
