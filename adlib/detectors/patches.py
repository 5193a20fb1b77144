"""Two detectors that compare places: does a network of photographs see here what it saw on normal images?

Neither trains a network. `patch_memory` remembers what it saw anywhere on normal images, a well-spread few of it, and
asks how far the nearest memory is. `patch_gaussian` learns for each place what is usual there, mean and covariance,
and asks how unusual this is; the part must lie in the same place in every image.

Both ask EfficientNet-Lite0, see `adlib.features`; the papers have ResNets, which would need a download.

Source: Roth et al. 2022, CVPR ("PatchCore"), and Defard et al. 2021, ICPR workshops ("PaDiM").
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib import scores
from adlib.detectors import base
from adlib.detectors.base import AtOnceDetector, Examination
from adlib.detectors.classical import Store
from adlib.features import CHANNELS, STRIDES, patch_features

LEAST_SIDE = 16  # pixels
PIXELS = 2**20  # that the network sees at once
PORTION = 4096  # places whose distances to a memory are held at once


@dataclass(frozen=True)
class PatchConfig(base.AtOnceConfig):
    """What both share.

    score: "worst_patch", the place that is farthest from normal, or "mean_distance" over the places.
    blocks: of the network, rising; the last of stride 8 and the last of stride 16, as in the papers' middle stages.
    input_size: pixels that the shorter side is enlarged to; larger images stay as they are.
    blur: standard deviation of the map's Gaussian, in pixels of what the network sees.
    """

    score: str = "worst_patch"
    blocks: tuple[int, ...] = (4, 10)
    input_size: int = 224
    blur: float = 4.0

    def __post_init__(self) -> None:
        rising = list(self.blocks) == sorted(set(self.blocks))
        if not self.blocks or not rising or not 0 <= self.blocks[0] <= self.blocks[-1] < len(CHANNELS):
            raise ValueError(
                f"blocks is {self.blocks}; expected rising numbers from 0 to {len(CHANNELS) - 1}, such as (4, 10)."
            )
        if self.input_size < LEAST_SIDE:
            raise ValueError(f"input_size is {self.input_size}; expected at least {LEAST_SIDE} pixels.")
        if not self.blur > 0:
            raise ValueError(f"blur is {self.blur}; expected a positive number of pixels.")


class _Patches(AtOnceDetector):
    """What both share: features of places, and scores and map from the places' distances."""

    config: PatchConfig
    borrows = True

    def _grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        stride = STRIDES[self.config.blocks[0]]
        rows, columns = (-(-side // stride) for side in self._seen_size())
        return rows, columns

    def _seen_size(self) -> tuple[int, int]:
        """(height, width) of what the network sees."""
        height, width = self.image_shape[1:]
        if min(height, width) < LEAST_SIDE:
            raise ValueError(
                f"the shorter side is {min(height, width)} pixels; {self.name} needs {LEAST_SIDE}: "
                f"load(..., size={LEAST_SIDE})."
            )
        factor = max(1.0, self.config.input_size / min(height, width))
        return round(height * factor), round(width * factor)

    def _features(self, images: Tensor) -> Tensor:
        """(B, C, H, W), uint8 or in [-1, 1] -> (B, D, rows, columns)."""
        height, width = size = self._seen_size()
        parts = []
        for part in images.split(max(1, PIXELS // (height * width))):
            if part.dtype == torch.uint8:
                part = self.normalise(part)
            if size != part.shape[2:]:
                part = F.interpolate(part, size, mode="bilinear", align_corners=False)
            parts.append(patch_features(part, self.config.blocks))
        return torch.cat(parts)

    @abstractmethod
    def _distances(self, features: Tensor) -> Tensor:
        """(B, D, rows, columns) -> (B, rows, columns), how far each place is from normal."""

    def inference_step(self, images: Tensor) -> Examination:
        distances = self._distances(self._features(images))
        size = self.image_shape[1:]
        maps = F.interpolate(distances[:, None], size, mode="bilinear", align_corners=False)
        sigma = self.config.blur * size[0] / self._seen_size()[0]
        by_name = {"worst_patch": distances.flatten(1).amax(1), "mean_distance": distances.flatten(1).mean(1)}
        return Examination(by_name, scores.gaussian_blur(maps[:, 0], sigma), images)


@dataclass(frozen=True)
class MemoryConfig(PatchConfig):
    """Settings of the memory of patches.

    candidates: places of the training images, drawn at random, that the memory is chosen from.
    memory: places in it, chosen so that no candidate is far from all of them.
    projection: dimensions that the choice is made in, a random projection of the features; distances keep them all.

    Not as printed. In every profile: no reweighting of the score by the neighbours of the nearest memory; `candidates`
    30,000 instead of all places; `memory` 3000 instead of 1 %, 10 % or 25 % of the places, 4 % of 100 images of
    224 pixels; `projection` 32 instead of 128; no crop of the images; two blocks in the place of the stages of the
    network; and the network that gives the features is EfficientNet-Lite0, see above.
    """

    candidates: int = 30_000
    memory: int = 3000
    projection: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.memory <= self.candidates:
            raise ValueError(
                f"memory {self.memory} and candidates {self.candidates}: each must be at least 1 and memory not above "
                "candidates."
            )
        if self.projection < 1:
            raise ValueError(f"projection is {self.projection}; expected at least 1 dimension.")

    @classmethod
    def smoke(cls) -> MemoryConfig:
        """Sixteen places an image, a memory of 32."""
        return cls(input_size=32, candidates=128, memory=32, precision="fp64")

    @classmethod
    def live(cls) -> MemoryConfig:
        """A third of the memory."""
        return cls(candidates=10_000, memory=1000)

    @classmethod
    def book(cls) -> MemoryConfig:
        """3,000 of 30,000 places."""
        return cls()

    paper = book


class PatchMemory(_Patches):
    """A memory of what normal places look like, wherever they are. Images from 16 pixels on, of any proportion."""

    name = "patch_memory"
    title = "patch memory"
    config: MemoryConfig
    Config = MemoryConfig

    def build(self) -> dict[str, nn.Module]:
        self._grid()  # refuses images that are too small
        return {"memory": Store("places")}

    def _learn(self, images: Tensor) -> None:
        rows, columns = self._grid()
        places = rows * columns
        total = places * len(images)
        drawn = torch.randperm(total, generator=self.generator)[: self.config.candidates].sort().values
        parts = []
        for number, image in enumerate(images.split(1)):  # one by one: features of all images may not fit
            here = drawn[(drawn >= number * places) & (drawn < (number + 1) * places)] - number * places
            if len(here):
                parts.append(self._features(image)[0].flatten(1).T[here.to(self.device)])
        candidates = torch.cat(parts)
        directions = self.draw_normal(candidates.shape[1], self.config.projection)
        memory = candidates[well_spread(candidates @ directions, self.config.memory)]
        self.part("memory", Store).keep(places=memory)

    def _distances(self, features: Tensor) -> Tensor:
        places = features.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = nearest_distances(places, self.part("memory", Store)["places"])
        return nearest.view(len(features), *features.shape[2:])


def nearest_distances(places: Tensor, memory: Tensor) -> Tensor:
    """Euclidean distance of each place to the nearest in the memory, exact to rounding even where it is 0.

    The nearest is found by the expanded square, |a|^2 - 2 a b + |b|^2, which is a matrix product; the distance to it
    is then taken from the differences themselves.

    Args:
        places: (N, D). memory: (M, D), M >= 1.

    Returns:
        (N,), >= 0.
    """
    squares = memory.square().sum(1)
    parts = []
    # Not split(), which would be exported with portions larger than the whole.
    for first in range(0, len(places), PORTION):
        part = places[first : first + PORTION]
        nearest = torch.addmm(squares, part, memory.T, alpha=-2).argmin(1)
        parts.append((part - memory[nearest]).norm(dim=1))
    return torch.cat(parts)


def well_spread(candidates: Tensor, count: int) -> Tensor:
    """Candidates chosen one after the other, each the one farthest from all that were chosen; the first is the first.

    At most twice as far from the chosen as with the best choice of as many (Gonzalez 1985).

    Args:
        candidates: (N, D). count: how many to choose; all where there are fewer.

    Returns:
        (min(count, N),), their rows, in the order of the choice.

    Source: Roth et al. 2022, Algorithm 1.
    """
    count = min(count, len(candidates))
    squares = candidates.square().sum(1)
    chosen = torch.zeros(count, dtype=torch.long, device=candidates.device)
    distances = torch.full_like(squares, torch.inf)
    for number in range(1, count):
        last = chosen[number - 1]
        to_last = torch.addmv(squares + squares[last], candidates, candidates[last], alpha=-2)
        distances = torch.minimum(distances, to_last)
        chosen[number] = distances.argmax()
    return chosen


@dataclass(frozen=True)
class GaussianConfig(PatchConfig):
    """Settings of the Gaussian of each place.

    dimensions: features, drawn at random once for all places; all where there are fewer.
    ridge: added to the variance of every feature.

    Not as printed. In every profile: `score` worst_patch instead of the largest value of the blurred map; no crop of
    the images; two blocks in the place of the stages of the network; and the network that gives the features is
    EfficientNet-Lite0, see above.
    """

    dimensions: int = 100
    ridge: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimensions < 1:
            raise ValueError(f"dimensions is {self.dimensions}; expected at least 1.")
        if not self.ridge > 0:
            raise ValueError(
                f"ridge is {self.ridge}; expected a positive number: it keeps covariances invertible."
            )

    @classmethod
    def smoke(cls) -> GaussianConfig:
        """Sixteen places of eight features."""
        return cls(input_size=32, dimensions=8, precision="fp64")

    @classmethod
    def book(cls) -> GaussianConfig:
        """100 features; at 224 pixels 784 places."""
        return cls()

    live = paper = book


class PatchGaussian(_Patches):
    """For each place the mean and covariance of its features; scores are Mahalanobis distances."""

    name = "patch_gaussian"
    title = "patch Gaussian"
    config: GaussianConfig
    Config = GaussianConfig

    def build(self) -> dict[str, nn.Module]:
        self._grid()  # refuses images that are too small
        return {"gaussians": Store("dimensions", "means", "whitening")}

    def _learn(self, images: Tensor) -> None:
        if len(images) < 2:
            raise ValueError(f"{self.name} needs at least 2 training images, got {len(images)}.")
        depth = sum(CHANNELS[block] for block in self.config.blocks)
        drawn = torch.randperm(depth, generator=self.generator)[: self.config.dimensions].sort().values
        drawn = drawn.to(self.device)
        seen = torch.cat([self._features(image)[:, drawn] for image in images.split(1)])
        values = seen.flatten(2).permute(2, 0, 1)  # (places, images, features)
        means = values.mean(1)
        centred = values - means[:, None]
        ridge = self.config.ridge * torch.eye(len(drawn), dtype=values.dtype, device=self.device)
        whitening = []
        for part in centred.split(64):
            factor = torch.linalg.cholesky(part.transpose(1, 2) @ part / (len(images) - 1) + ridge)
            whitening.append(torch.linalg.solve_triangular(factor, ridge / self.config.ridge, upper=False))
        store = self.part("gaussians", Store)
        store.keep(dimensions=drawn, means=means, whitening=torch.cat(whitening))

    def _distances(self, features: Tensor) -> Tensor:
        store = self.part("gaussians", Store)
        values = features[:, store["dimensions"]].flatten(2).permute(2, 0, 1)  # (places, B, features)
        off = (values - store["means"][:, None]) @ store["whitening"].transpose(1, 2)
        return off.norm(dim=2).T.reshape(len(features), *features.shape[2:])
