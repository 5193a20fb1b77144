"""Two baselines from before deep learning: the one-class support vector machine and the isolation forest.

Both are fitted by scikit-learn and kept as plain tensors, from which scores are computed: a saved detector needs no
pickle. Neither says where: the map of an image carries its score at every pixel.

Source: Schoelkopf et al. 2001 and Liu et al. 2008; preprocessing and settings as in Ruff et al. 2018, whose numbers
Chung et al. 2020 copied.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from adlib.detectors import base
from adlib.detectors.base import AtOnceDetector, Examination
from adlib.devices import at_least_float32

GAMMAS = tuple(2.0**k for k in range(-10, 0))  # grid of Ruff et al. 2018


class Store(nn.Module):
    """Named tensors whose shapes are known only after fitting; loading takes the shapes of the file.

    Source: none, ours. Shapes: any.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._dtype = torch.get_default_dtype()
        for name in names:
            self.register_buffer(name, torch.zeros(0))

    def keep(self, **tensors: Tensor | np.ndarray) -> None:
        """Set tensors of any shape by name; floats are kept in the type that the store was made with."""
        for name, values in tensors.items():
            tensor = torch.as_tensor(values)
            dtype = self._dtype if tensor.is_floating_point() else tensor.dtype
            setattr(self, name, tensor.to(self[name].device, dtype))

    def __getitem__(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name in self._buffers:
            if prefix + name in state_dict:
                device = self[name].device  # this store's, not the file's
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def contrast_pixels(images: Tensor) -> Tensor:
    """Pixels after global contrast normalisation: minus the image's mean, divided by its mean absolute deviation.

    Args:
        images: (B, C, H, W), any range.

    Returns:
        (B, C H W).

    Source: Ruff et al. 2018, section 4.1.
    """
    pixels = at_least_float32(images).flatten(1)
    pixels = pixels - pixels.mean(1, keepdim=True)
    return pixels / pixels.abs().mean(1, keepdim=True).clamp_min(1e-8)


@dataclass(frozen=True)
class ComponentsConfig(base.AtOnceConfig):
    """What both share.

    variance: share of the pixels' variance that the principal components keep.
    """

    variance: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.variance < 1:
            raise ValueError(f"variance is {self.variance}; expected the share to keep, between 0 and 1.")


class _Classical(AtOnceDetector):
    """What both share: principal components of all images, one score, no map and no reconstruction."""

    config: ComponentsConfig
    localises = False
    _tensors: ClassVar[tuple[str, ...]]  # names of the tensors that the score is computed from

    def build(self) -> dict[str, nn.Module]:
        return {"components": Store("mean", "directions"), "machine": Store(*self._tensors)}

    def _learn(self, images: Tensor) -> None:
        if len(images) < 2:
            raise ValueError(f"{self.name} needs at least 2 training images, got {len(images)}.")
        pixels = torch.cat([contrast_pixels(self.normalise(part)).cpu() for part in images.split(512)])
        from sklearn.decomposition import PCA  # takes seconds, see test_imports

        pca = PCA(self.config.variance, svd_solver="full").fit(pixels.numpy())
        self.part("components", Store).keep(mean=pca.mean_, directions=pca.components_)
        self._learn_codes(pca.transform(pixels.numpy()).astype(pixels.numpy().dtype))

    @abstractmethod
    def _learn_codes(self, codes: np.ndarray) -> None:
        """Learn from the images' principal components, (N, components)."""

    @abstractmethod
    def _distance(self, codes: Tensor) -> Tensor:
        """Scores (B,) of principal components (B, components)."""

    def inference_step(self, images: Tensor) -> Examination:
        store = self.part("components", Store)
        score = self._distance((contrast_pixels(images) - store["mean"]) @ store["directions"].T)
        # A decision function may be negative; a map may not.
        maps = score.clamp_min(0)[:, None, None].expand(-1, *images.shape[2:])
        return Examination({self.config.score: score}, maps, images)


@dataclass(frozen=True)
class OcsvmConfig(ComponentsConfig):
    """Settings of the one-class SVM.

    variance: see above; 0.95 as in Ruff et al. 2018.
    nu: share of the training images that may lie outside.
    gamma: of the kernel exp(-gamma ||x - y||^2); 0 takes 1 / (components x variance), scikit-learn's "scale". The
        papers chose it on a tenth of the test set.

    Not as printed. In every profile: `gamma` 0.0 instead of the best of ten on a tenth of the test set.
    """

    score: str = "decision"
    nu: float = 0.1  # Ruff et al. 2018: 0.01 or 0.1
    gamma: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.nu <= 1:
            raise ValueError(f"nu is {self.nu}; it is a share of the training images, above 0 and up to 1.")
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}; expected a positive number, or 0 for the usual scale.")

    @classmethod
    def smoke(cls) -> OcsvmConfig:
        """Nothing to shrink; in float64, as every smoke profile."""
        return cls(precision="fp64")

    @classmethod
    def book(cls) -> OcsvmConfig:
        """The same in every larger profile."""
        return cls()

    live = paper = book


class OneClassSvm(_Classical):
    """One-class SVM with a Gaussian kernel on principal components, score "decision". Any image shape."""

    name = "ocsvm"
    title = "OC-SVM"
    config: OcsvmConfig
    Config = OcsvmConfig

    _tensors = ("supports", "weights", "offset", "gamma")

    def _learn_codes(self, codes: np.ndarray) -> None:
        from sklearn.svm import OneClassSVM

        gamma = self.config.gamma or 1.0 / (codes.shape[1] * codes.var())
        machine = OneClassSVM(nu=self.config.nu, gamma=float(gamma)).fit(codes)
        self.part("machine", Store).keep(
            supports=machine.support_vectors_,
            weights=machine.dual_coef_[0],
            offset=machine.intercept_,
            gamma=np.array(gamma),
        )

    def _distance(self, codes: Tensor) -> Tensor:
        machine = self.part("machine", Store)
        similar = torch.exp(-machine["gamma"] * torch.cdist(codes, machine["supports"]).square())
        return -(similar.double() @ machine["weights"].double() + machine["offset"].double())


@dataclass(frozen=True)
class ForestConfig(ComponentsConfig):
    """Settings of the isolation forest.

    variance: see above; not published for the forest, which on raw pixels comes nowhere near the published numbers.
    trees, subsample: how many trees, of how many images each.
    """

    score: str = "isolation"
    trees: int = 100  # Ruff et al. 2018
    subsample: int = 256  # Ruff et al. 2018

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("trees", "subsample"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more.")

    @classmethod
    def smoke(cls) -> ForestConfig:
        """A tenth of the trees."""
        return cls(trees=10, subsample=32, precision="fp64")

    @classmethod
    def book(cls) -> ForestConfig:
        """The published settings; they cost nothing."""
        return cls()

    live = paper = book


class IsolationForest(_Classical):
    """Isolation forest on principal components. Any image shape.

    Score "isolation" in (0, 1): 2^(-mean path length / usual path length).
    """

    name = "isolation_forest"
    title = "isolation forest"
    config: ForestConfig
    Config = ForestConfig

    _tensors = ("feature", "threshold", "left", "right", "length", "usual")

    def _learn_codes(self, codes: np.ndarray) -> None:
        subsample = min(self.config.subsample, len(codes))
        from sklearn.ensemble import IsolationForest as Forest

        forest = Forest(n_estimators=self.config.trees, max_samples=subsample, random_state=self.seed)
        forest.fit(codes)
        trees = [tree.tree_ for tree in forest.estimators_]
        shape = (len(trees), max(tree.node_count for tree in trees))
        parts = {name: np.zeros(shape, np.int64) for name in ("feature", "left", "right")}
        parts |= {name: np.zeros(shape) for name in ("threshold", "length")}
        for row, tree in enumerate(trees):
            leaf, size = tree.children_left < 0, slice(tree.node_count)
            itself = np.arange(tree.node_count)
            parts["feature"][row, size] = np.where(leaf, 0, tree.feature)
            parts["threshold"][row, size] = self._rounded(tree.threshold)
            parts["left"][row, size] = np.where(leaf, itself, tree.children_left)
            parts["right"][row, size] = np.where(leaf, itself, tree.children_right)
            parts["length"][row, size] = _depths(tree) + _usual_length(tree.n_node_samples)
        self.part("machine", Store).keep(**parts, usual=_usual_length(np.array([subsample])))

    def _rounded(self, thresholds: np.ndarray) -> np.ndarray:
        """In float32 the largest number not above each threshold: float32 codes stay on the same side."""
        if self.dtype == torch.float64:
            return thresholds
        small = thresholds.astype(np.float32)
        return np.where(small > thresholds, np.nextafter(small, np.float32(-np.inf)), small)

    def _distance(self, codes: Tensor) -> Tensor:
        forest = self.part("machine", Store)
        trees = torch.arange(len(forest["feature"]), device=codes.device)
        nodes = torch.zeros((len(codes), len(trees)), dtype=torch.int64, device=codes.device)
        while True:
            goes_left = codes.gather(1, forest["feature"][trees, nodes]) <= forest["threshold"][trees, nodes]
            after = torch.where(goes_left, forest["left"][trees, nodes], forest["right"][trees, nodes])
            if torch.equal(after, nodes):  # leaves lead to themselves
                break
            nodes = after
        return torch.exp2(-forest["length"][trees, nodes].mean(1) / forest["usual"])


def _depths(tree: Any) -> np.ndarray:
    """Number of splits above each node of a scikit-learn tree, which lists parents before children."""
    depths = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        if tree.children_left[node] >= 0:
            depths[[tree.children_left[node], tree.children_right[node]]] = depths[node] + 1
    return depths


def _usual_length(count: np.ndarray) -> np.ndarray:
    """Mean path length of a failed search among `count` leaves: the depth hidden in a leaf of several images."""
    count = np.asarray(count, float)
    harmonic = np.log(np.maximum(count - 1, 1)) + np.euler_gamma
    return np.where(
        count > 2, 2 * harmonic - 2 * (count - 1) / np.maximum(count, 1), (count == 2).astype(float)
    )
