"""An inspector as scikit-learn's tools take it: fit, score_samples, decision_function, predict, clone, pipelines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from adlib.inspection.inspector import DEFAULT_DETECTOR, Inspector, fit_inspector


class AnomalyDetector(OutlierMixin, BaseEstimator):
    """A detector of anomalous images with scikit-learn's interface, fitted to good images only.

    X is uint8, (N, H, W) grey or (N, H, W, 3) RGB (OpenCV gives BGR: pass X[..., ::-1]). Images are resized to `size`.
    A table (N, F) is taken as N images of one row each, for pipelines that flatten. Floats are refused unless
    `value_range` says what they mean. As everywhere in scikit-learn, larger `score_samples` are more normal: it is
    minus the anomaly score, and `predict` gives 1 for normal and -1 for anomalous images.

    It passes scikit-learn's own checks, on tables with a `value_range`. Two do not apply: arrays of other libraries
    (check_array_api_input), and tables of floats without a `value_range`, which are refused.

    Args:
        detector: by name, see `adlib.detector_names()`.
        size: side of what the detector looks at, pixels.
        false_alarms: share of good images that may be called anomalous, between 0 and 1.
        value_range: (low, high) of float images; low becomes 0 and high 255, and what lies outside is clipped. None:
            uint8 only.
        profile: how long to train: "smoke", "live", "book" or "paper".
        random_state: whole number, the seed of everything that is drawn.
        device: "auto", "cpu", "cuda", ...

    Attributes:
        inspector_: the fitted `adlib.inspection.inspector.Inspector`, with threshold, maps, and `save`.
        offset_: minus the threshold: decision_function = score_samples - offset_.
        n_features_in_: values per image.
    """

    def __init__(
        self,
        detector: str = DEFAULT_DETECTOR,
        size: int = 256,
        false_alarms: float = 0.02,
        value_range: tuple[float, float] | None = None,
        profile: str = "book",
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.detector = detector
        self.size = size
        self.false_alarms = false_alarms
        self.value_range = value_range
        self.profile = profile
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Learn from good images.

        Args:
            X: good images, (N, H, W), (N, H, W, 3) or (N, F), see the class.
            y: not used.

        Raises:
            ValueError: images that are not finite, not uint8 without a `value_range`, or fewer than two different ones.
        """
        images = self._images(X, reset=True)
        self.inspector_ = fit_inspector(
            list(images), self.detector, size=self.size, false_alarms=self.false_alarms,
            profile=self.profile, seed=int(self.random_state or 0), device=self.device,
        )  # fmt: skip
        self.offset_ = -self.inspector_.threshold.value
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the anomaly score of each image, (N,): larger is more normal. X as in `fit`.

        Raises:
            ValueError: images of another size or type than in `fit`, or a score that is not finite.
        """
        check_is_fitted(self)
        verdicts = list(self.inspector_.score(list(self._images(X, reset=False))))
        for verdict in verdicts:
            if verdict.score is None:
                raise ValueError(f"{verdict.file}: {verdict.error}")
        return np.array([-float(verdict.score or 0.0) for verdict in verdicts])

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` above the threshold, (N,): negative for anomalous images. X as in `fit`."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal and -1 for anomalous images, (N,). X as in `fit`."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _images(self, X: Any, reset: bool) -> np.ndarray:
        """uint8 (N, H, W) or (N, H, W, 3)."""
        if isinstance(X, list | tuple):
            X = np.asarray(X)
        if getattr(X, "ndim", 2) <= 2:
            array = validate_data(self, X, reset=reset, dtype=None, ensure_min_samples=2 if reset else 1)
            array = array[:, None, :]
        else:
            array = check_array(X, allow_nd=True, dtype=None, ensure_min_samples=2 if reset else 1)
            if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
                raise ValueError(
                    f"X has shape {array.shape}; expected (N, H, W), (N, H, W, 3) or (N, F). Channels first: "
                    "X.transpose(0, 2, 3, 1)."
                )
            features = int(np.prod(array.shape[1:]))
            if reset:
                self.n_features_in_ = features
            elif features != self.n_features_in_:
                raise ValueError(
                    f"X has {features} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                    "as input."
                )
        if array.dtype == np.uint8:
            return array
        if self.value_range is None:
            raise ValueError(
                f"X is {array.dtype}; expected uint8. Floats in [0, 1]: AnomalyDetector(value_range=(0, 1)), or "
                "(255 * X).round().astype('uint8')."
            )
        low, high = self.value_range
        if not low < high:
            raise ValueError(
                f"value_range is {self.value_range}; expected (low, high) with low < high, e.g. (0, 1)."
            )
        scaled = (np.asarray(array, float) - low) * (255 / (high - low))
        return np.clip(scaled, 0, 255).round().astype(np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and worker processes: the inspector travels as the bytes of its file."""
        state = dict(super().__getstate__())
        if "inspector_" in state:
            with tempfile.TemporaryDirectory() as folder:
                state["inspector_"] = state["inspector_"].save(Path(folder) / "part.safetensors").read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of `__getstate__`."""
        state = dict(state)
        if "inspector_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "part.safetensors"
                path.write_bytes(state["inspector_"])
                state["inspector_"] = Inspector.load(path, state["device"])
        super().__setstate__(state)
