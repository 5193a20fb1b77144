"""An exported detector gives the scores and verdicts that the detector gives, in another program."""

from __future__ import annotations

import json

import pytest
import torch
from discs import disc

from adlib.detectors import detector_class, detector_names
from adlib.inspection.export import CANNOT, export_onnx
from adlib.inspection.inspector import fit_inspector
from adlib.inspection.tiles import crop_to_tensor

onnxruntime = pytest.importorskip("onnxruntime")
QUICK = ("pca", "mean_intensity", "feature_dictionary", "patch_memory", "cae")
NAMES = [name for name in detector_names() if not detector_class(name).learns_from_anomalies]


def fitted(name: str, **options):
    images = [disc(seed, side=32) for seed in range(12)]
    # In float32, in which detectors are used; smoke profiles compute in float64.
    options |= {"size": 32, "profile": "smoke", "false_alarms": 0.3, "precision": "fp32"}
    return fit_inspector(images, name, **options)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in NAMES]
)
def test_onnxruntime_gives_the_same_scores_and_verdicts(name, tmp_path):
    if detector_class(name).searches or name in CANNOT:
        inspector = fitted("pca")
        inspector.detector.__class__ = detector_class(name)  # it is refused before anything is computed
        with pytest.raises(ValueError, match=f"{name} cannot be written as ONNX"):
            export_onnx(inspector, tmp_path / "part.onnx")
        return
    inspector = fitted(name)
    session = onnxruntime.InferenceSession(export_onnx(inspector, tmp_path / "part.onnx"))
    for seed in range(20, 30):
        image = disc(seed, side=32, scratch=seed % 2 == 0)
        (verdict,) = inspector.score(image)
        crop = crop_to_tensor(image, 32, inspector.detector.image_shape[0])
        score, defective, anomaly_map = session.run(None, {"images": crop[None].numpy()})
        assert score[0] == pytest.approx(verdict.score, rel=1e-4, abs=1e-6)
        assert bool(defective[0]) == verdict.defective
        expected = torch.from_numpy(verdict.map)
        torch.testing.assert_close(torch.from_numpy(anomaly_map[0]), expected, rtol=1e-3, atol=1e-4)


def test_the_file_says_what_it_is(tmp_path):
    inspector = fitted("pca", tile=16)
    session = onnxruntime.InferenceSession(export_onnx(inspector, tmp_path / "part.onnx"))
    about = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (about["detector"], about["tile"]) == ("pca", 16)
    assert about["threshold"] == inspector.threshold.value
    assert about["certainty"] == inspector.threshold.words()
