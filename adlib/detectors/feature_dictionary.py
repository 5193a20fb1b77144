"""A dictionary of normal patches, compared by the features of a network that was trained on something else.

The features of a classifier of photographs describe more of a patch than its pixels do. Small windows of the normal
images are turned into such features; a few, the dictionary, represent them all. A window that resembles no entry is
anomalous. Nothing is reconstructed, and nothing trained but the dictionary.

The features are those of EfficientNet-Lite0 after its last average, 1,280 numbers, from a package of weights; the
paper has ResNet-18's 512, which would need a download.

Source: Napoletano, Piccoli, Schettini 2018, Sensors 18(1), 209; average-pooled features as in Bergmann et al. 2019.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.detectors import base
from adlib.detectors.base import AtOnceDetector, Examination
from adlib.detectors.classical import Store
from adlib.detectors.shapes import square_side
from adlib.features import as_photographs, photograph_network


@dataclass(frozen=True)
class Config(base.AtOnceConfig):
    """Settings of the feature dictionary.

    score: "worst_window", the largest distance of a window, or "mean_distance" over the windows.
    patch, stride: of the windows, as parts of the image's side.
    input_size: pixels that a window is enlarged to for the network.
    entries: windows in the dictionary. neighbours: nearest entries that a distance is averaged over.
    training_windows: random windows that the dictionary is made from.
    variance: share of the features' variance that the principal components keep.

    Not as printed. In `book`: `stride` 0.125 instead of 4 pixels; `input_size` 64 instead of 224; `entries` 100 instead
    of 500, both among those tried. In `paper`: `stride` 0.0625 instead of 4 pixels. In every profile: `patch` 0.25
    instead of 16 to 128 pixels, as patches are parts of the side; and the network that gives the features is
    EfficientNet-Lite0, see above.
    """

    score: str = "worst_window"
    patch: float = 0.25
    stride: float = 0.125
    input_size: int = 64
    entries: int = 100
    neighbours: int = 1
    training_windows: int = 2000
    variance: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.stride <= self.patch <= 1:
            raise ValueError(
                f"patch is {self.patch} and stride {self.stride}; expected parts of the side, stride not above patch."
            )
        if not 1 <= self.neighbours <= self.entries <= self.training_windows:
            raise ValueError(
                f"neighbours {self.neighbours}, entries {self.entries}, training_windows {self.training_windows}: "
                "each must be at least 1 and not above the next."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Four windows an image."""
        return cls(patch=0.5, stride=0.5, input_size=32, entries=8, training_windows=64, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """Nine windows an image, a dictionary made from 500."""
        return cls(stride=0.25, training_windows=500)

    @classmethod
    def book(cls) -> Config:
        """49 windows of a quarter of the side, seen at 64 pixels."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Windows seen at the network's own 224 pixels, at half the stride; the counts are among those tried."""
        return cls(stride=0.0625, input_size=224, entries=500, training_windows=20_000)


class FeatureDictionary(AtOnceDetector):
    """Dictionary of features with the scores "worst_window" and "mean_distance". Square images from 16 pixels on."""

    name = "feature_dictionary"
    title = "feature dictionary"
    borrows = True
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        size = square_side(self.image_shape, "the feature dictionary")
        if size < 16:
            raise ValueError(f"image side is {size}; windows of it need 16 pixels: load(..., size=16).")
        patch, stride = (round(part * size) for part in (self.config.patch, self.config.stride))
        patch, stride = max(4, patch), max(1, stride)
        starts = [*range(0, size - patch, stride), size - patch]  # the last one flush with the border
        sides = [slice(start, start + patch) for start in starts]
        self._places = list(itertools.product(sides, repeat=2))  # rows and columns of each window, row by row
        return {"dictionary": Store("mean", "components", "entries")}

    def _learn(self, images: Tensor) -> None:
        places = len(self._places)
        count = min(self.config.training_windows, places * len(images))
        if count < self.config.entries:
            raise ValueError(
                f"{len(images)} training images have {count} windows; the dictionary needs {self.config.entries}. "
                "Give more images, or lower entries."
            )
        chosen = torch.randperm(places * len(images), generator=self.generator)[:count].sort().values
        features = []
        for part in chosen.split(256):
            rows = torch.div(part, places, rounding_mode="floor")
            windows = [images[(row, slice(None), *self._places[p])] for row, p in zip(rows, part % places)]
            features.append(self._features(self._colours(torch.stack(windows))))
        table = torch.cat(features).cpu().numpy()
        from sklearn.cluster import KMeans  # takes seconds, see test_imports
        from sklearn.decomposition import PCA

        pca = PCA(self.config.variance, svd_solver="full").fit(table)
        codes = pca.transform(table)
        means = KMeans(self.config.entries, n_init=1, random_state=self.seed).fit(codes)
        nearest = means.transform(codes).argmin(0)  # real windows, not averages of several
        self.part("dictionary", Store).keep(
            mean=pca.mean_, components=pca.components_, entries=codes[nearest]
        )

    def _windows(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] or uint8 -> (B * windows, 3, patch, patch) in [-1, 1], image by image."""
        windows = torch.stack([images[:, :, rows, columns] for rows, columns in self._places], 1)
        return self._colours(windows.flatten(0, 1))

    def _colours(self, windows: Tensor) -> Tensor:
        if windows.dtype == torch.uint8:
            windows = self.normalise(windows)
        return windows.expand(-1, 3, -1, -1)

    def _features(self, windows: Tensor) -> Tensor:
        """(N, 3, patch, patch) in [-1, 1] -> (N, 1280), each of length one in the L1 norm."""
        network = photograph_network(str(self.device), self.dtype)
        parts = []
        with torch.no_grad():
            for part in windows.split(256):
                large = F.interpolate(part, self.config.input_size, mode="bilinear", align_corners=False)
                maps = network.extract_features(as_photographs(large))
                parts.append(F.normalize(maps.mean((2, 3)), p=1.0, dim=1))
        return torch.cat(parts)

    def inference_step(self, images: Tensor) -> Examination:
        store = self.part("dictionary", Store)
        codes = (self._features(self._windows(images)) - store["mean"]) @ store["components"].T
        distances = torch.cdist(codes, store["entries"], compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distances.topk(self.config.neighbours, largest=False).values.mean(1)
        per_image = nearest.view(len(images), -1)  # (B, windows)
        scores = {"worst_window": per_image.amax(1), "mean_distance": per_image.mean(1)}
        return Examination(scores, self._spread(per_image), images)

    def _spread(self, per_image: Tensor) -> Tensor:
        """(B, windows) -> (B, H, W): each pixel the mean over the windows that cover it."""
        total = per_image.new_zeros((len(per_image), *self.image_shape[1:]))
        cover = torch.zeros_like(total[:1])
        for (rows, columns), value in zip(self._places, per_image.T):
            total[:, rows, columns] += value[:, None, None]
            cover[:, rows, columns] += 1
        return total / cover
