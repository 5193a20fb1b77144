"""A detector as one ONNX file, for programs without Python; needs the extra `export`: pip install '.[export]'."""

from __future__ import annotations

import inspect
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adlib.data.outputs import refuse_as_output
from adlib.detectors import Detector
from adlib.files import as_path, write_atomic
from adlib.inspection.inspector import Inspector

OPSET = 17
# Beside those that search; by name -> why.
CANNOT = {"isolation_forest": "its trees are walked to a depth that depends on the image"}


class _WithThreshold(nn.Module):
    """uint8 (1, C, S, S) -> score (1,), defective (1,), map (1, S, S): scaling and threshold inside."""

    def __init__(self, detector: Detector, threshold: float):
        super().__init__()
        self.networks, self.detector, self.threshold = detector.networks, detector, threshold

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.detector.inference_step(self.detector.normalise(images))
        score = seen.scores[self.detector.config.score]
        return score.float(), score > self.threshold, seen.maps.float()


def export_onnx(inspector: Inspector, path: str | Path) -> Path:
    """Write a fitted detector as ONNX, atomically.

    Input `images`: uint8 (1, C, S, S), RGB or grey, at the detector's size (with tiles: one tile; the image is
    defective if any of its tiles is). Outputs: `score` (1,) float32, `defective` (1,) bool, `map` (1, S, S) float32.
    Scores agree with the detector's to 1e-4 of their size. Shrink photographs by area averaging, as OpenCV's
    INTER_AREA does.

    Args:
        inspector: fitted.
        path: the file, by habit `*.onnx`.

    Returns:
        The path.

    Raises:
        ValueError: a detector that cannot be written so; the message says why. Or a path at which the detector's own
            file lies.
        ModuleNotFoundError: the extra `export` is not installed.
    """
    import onnx

    refuse_as_output(path, inspector.file)
    name = inspector.detector.name
    why = (
        "it searches: scoring an image is an optimisation"
        if inspector.detector.searches
        else CANNOT.get(name)
    )
    if why:
        raise ValueError(
            f"{name} cannot be written as ONNX: {why}. Fit another, such as patch_memory or pca."
        )
    detector = inspector.detector.in_float32()  # runtimes have no convolutions in float64
    module = _WithThreshold(detector, inspector.threshold.value).eval()
    # One image at a time: loops over portions of a batch would be written for the batch that was seen.
    example = torch.zeros((1, *detector.image_shape), dtype=torch.uint8)
    older: dict[str, Any] = (
        {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # tracing warns of every shape that is a constant here, as it shall be
        file = Path(folder) / "part.onnx"
        torch.onnx.export(
            module, (example,), file, input_names=["images"], output_names=["score", "defective", "map"],
            opset_version=OPSET, **older,
        )  # fmt: skip
        model = onnx.load(file)
    tile = None if inspector.tiling is None else inspector.tiling.side
    about = {
        "detector": name,
        "threshold": inspector.threshold.value,
        "map_scale": detector.map_scale,
        "tile": tile,
        "value_range": detector.value_range,
    }
    about |= {"fingerprint": inspector.fingerprint, "certainty": inspector.threshold.words()}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    return write_atomic(as_path(path), model.SerializeToString())
