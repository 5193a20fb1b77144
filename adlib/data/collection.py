"""What a source delivers: images and everything known about them, before it is decided who trains on what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

GOOD = "good"


@dataclass(frozen=True, eq=False)
class Collection:
    """Images of one data set at one size, with truth. `splits.make_split` turns it into a sealed Split.

    Attributes:
        images: uint8 (N, C, H, W).
        kinds: str array (N,), "good" for normal images, else the kind of defect or the foreign class.
        sides: str array (N,) of "train"/"test" where the set is published with a split, else None.
            A "train" image is always normal; the anomalous images of a published training side are
            "anomalies", handed out to detectors that learn from labelled ones and to nobody else.
        masks: bool (N, H, W), True = defective, or None where the set has no masks.
        groups: integers (N,), equal for images of one object, or None. A group never falls on two sides.
        stratified: for a set without published split: whether test takes the same share of every kind, as
            in a split of a classification set, instead of all anomalies.
        title: what to print beside a number made from these images.
        notes: what happened to the images on the way here, in plain sentences.
    """

    images: Tensor
    kinds: np.ndarray
    sides: np.ndarray | None = None
    masks: np.ndarray | None = None
    groups: np.ndarray | None = None
    stratified: bool = False
    title: str = ""
    notes: tuple[str, ...] = ()

    @property
    def anomalous(self) -> np.ndarray:
        """bool (N,), True = anomalous."""
        return self.kinds != GOOD


def as_collection(
    images: np.ndarray | Tensor,
    labels,
    *,
    kinds=None,
    masks=None,
    groups=None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Check a reader's own arrays: (images uint8 (N, H, W[, 3]), kinds (N,), masks or None, groups or None).

    Args:
        images: (N, H, W) or (N, H, W, 3), or a tensor (N, C, H, W); uint8, or floats in [0, 1].
        labels: (N,) of 0/False normal, 1/True anomalous.
        kinds: optional (N,) names of the defects; "good" exactly where the label is 0.
        masks: optional (N, H, W), nonzero = defective.
        groups: optional (N,), equal for images of one object.

    Raises:
        ValueError: naming the array, what was expected and what to do.
    """
    pixels = _check_pixels(images)
    labels = np.asarray(labels)
    _check_length("labels", labels, len(pixels))
    if not np.isin(labels, (0, 1)).all():
        strange = labels[~np.isin(labels, (0, 1))][0]
        raise ValueError(
            f"labels hold {strange!r}; expected 0 (normal) or 1 (anomalous).\nMap the classes first."
        )
    names = (
        np.where(labels.astype(bool), "anomalous", GOOD) if kinds is None else np.asarray(kinds, dtype=str)
    )
    _check_length("kinds", names, len(pixels))
    if ((names != GOOD) != labels.astype(bool)).any():
        raise ValueError('kinds and labels disagree; expected kind "good" exactly where the label is 0.')
    if masks is not None:
        masks = np.asarray(masks)
        if masks.shape != pixels.shape[:3]:
            raise ValueError(
                f"masks have shape {masks.shape}; expected {pixels.shape[:3]}, one mask per image."
            )
        masks = masks != 0
    if groups is not None:
        _check_length("groups", np.asarray(groups), len(pixels))
        groups = np.unique(np.asarray(groups), return_inverse=True)[1]
    return pixels, names, masks, groups


def _check_length(name: str, array: np.ndarray, count: int) -> None:
    if array.shape != (count,):
        raise ValueError(f"{name} has shape {array.shape}; expected ({count},), one entry per image.")


def _check_pixels(images: np.ndarray | Tensor) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3) from arrays (channels last) or tensors (channels first)."""
    if isinstance(images, Tensor):
        images = (
            images.detach().cpu().permute(0, 2, 3, 1).numpy() if images.ndim == 4 else images.cpu().numpy()
        )
    pixels = np.asarray(images)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] == 3)):
        raise ValueError(
            f"images have shape {np.shape(images)}; expected (N, H, W) grey or (N, H, W, 3) RGB.\n"
            "Other numbers of channels have to be converted first."
        )
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise ValueError(f"images have dtype {pixels.dtype}; expected uint8 (0 to 255) or floats in [0, 1].")
    bad = ~np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {len(pixels)} images hold NaN or infinity, first is {np.flatnonzero(bad)[0]};"
            " expected finite floats in [0, 1].\nFill the gaps or leave these images out."
        )
    if pixels.size and (pixels.min() < 0 or pixels.max() > 1):
        raise ValueError(
            f"float images run from {pixels.min():.4g} to {pixels.max():.4g}; expected [0, 1].\n"
            "Rescale them, or give uint8."
        )
    return np.rint(pixels * 255).astype(np.uint8)


def stack_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (N, C, H, W) array as a contiguous tensor of its own memory."""
    return torch.from_numpy(np.ascontiguousarray(images))
