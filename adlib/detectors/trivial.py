"""Baselines without a network to train. A detector that does not beat them is not worth training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adlib import scores
from adlib.detectors import base
from adlib.detectors.base import AtOnceDetector, Examination


class _Buffers(nn.Module):
    """Tensors to be saved with a detector."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def __getitem__(self, name: str) -> Tensor:
        return self.get_buffer(name)


@dataclass(frozen=True)
class PcaConfig(base.AtOnceConfig):
    """Settings of the PCA baseline: `components` directions (fewer when there are fewer images)."""

    score: str = "mean_error"
    components: int = 50

    @classmethod
    def smoke(cls) -> PcaConfig:
        """The same in every profile but for the number of components."""
        return cls(components=8, precision="fp64")

    @classmethod
    def book(cls) -> PcaConfig:
        """50 components."""
        return cls()

    live = paper = book


class Pca(AtOnceDetector):
    """Reconstruction by the leading principal components of the training pixels.

    Scores: "mean_error", the mean absolute error of the whole image; "worst_patch", the largest mean error
    of an 8 x 8 window (stride 4), which shows small defects, too.
    """

    name = "pca"
    title = "PCA"
    config: PcaConfig
    Config = PcaConfig

    def build(self) -> dict[str, nn.Module]:
        size = self.image_shape[0] * self.image_shape[1] * self.image_shape[2]
        return {"pca": _Buffers(mean=torch.zeros(size), components=torch.zeros(self.config.components, size))}

    def _learn(self, images: Tensor) -> None:
        pixels = self.normalise(images).flatten(1)
        mean = pixels.mean(0)
        count = min(self.config.components, len(pixels) - 1)
        if count < 1:
            raise ValueError(f"PCA needs at least 2 training images, got {len(pixels)}.")
        _, _, directions = torch.linalg.svd(pixels - mean, full_matrices=False)
        pca = self.part("pca", _Buffers)
        pca["mean"].copy_(mean)
        pca["components"].zero_()[:count] = directions[:count]

    def inference_step(self, images: Tensor) -> Examination:
        pca = self.part("pca", _Buffers)
        mean, components = pca["mean"], pca["components"]
        reconstruction = ((images.flatten(1) - mean) @ components.T @ components + mean).view_as(images)
        maps = (images - reconstruction).abs().mean(1)
        distances = {"mean_error": maps.flatten(1).mean(1), "worst_patch": scores.worst_patch(maps)}
        return Examination(distances, maps, reconstruction.clamp(-1, 1))


@dataclass(frozen=True)
class MeanIntensityConfig(base.AtOnceConfig):
    """The mean-intensity rule has nothing to set."""

    score: str = "intensity"

    @classmethod
    def smoke(cls) -> MeanIntensityConfig:
        """Nothing to shrink; in float64, as every smoke profile."""
        return cls(precision="fp64")

    @classmethod
    def book(cls) -> MeanIntensityConfig:
        """The same in every larger profile."""
        return cls()

    live = paper = book


class MeanIntensity(AtOnceDetector):
    """How far an image's mean brightness lies from the mean brightness of the training images.

    The cheapest score there is. Where it detects anything, the defects differ in brightness.
    """

    name = "mean_intensity"
    title = "mean intensity"
    config: MeanIntensityConfig
    Config = MeanIntensityConfig

    def build(self) -> dict[str, nn.Module]:
        return {"mean": _Buffers(intensity=torch.zeros(()))}

    def _learn(self, images: Tensor) -> None:
        self.part("mean", _Buffers)["intensity"].copy_(self.normalise(images).mean())

    def inference_step(self, images: Tensor) -> Examination:
        intensity = self.part("mean", _Buffers)["intensity"]
        maps = (images - intensity).abs().mean(1)
        score = (images.flatten(1).mean(1) - intensity).abs()
        return Examination({"intensity": score}, maps, intensity.expand_as(images))
