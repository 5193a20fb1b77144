"""A file that some release wrote is read by every later one, and gives the scores it gave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from discs import disc
from safetensors.torch import save_file

from adlib.detectors import Detector
from adlib.files import read_tensors
from adlib.inspection import Inspector, fit_inspector

# One file per release, of eight discs in tiles of 48 pixels by PCA with two components; never made anew.
RELEASED = sorted((Path(__file__).parent / "released").glob("*.safetensors"))
SCORES = {"0.1.0": [0.3035719818047327, 0.48532916726966185]}


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_a_released_file_gives_the_scores_it_gave(path):
    inspector = Inspector.load(path, "cpu")
    verdicts = list(inspector.score([disc(40), disc(41)]))
    assert [verdict.score for verdict in verdicts] == pytest.approx(SCORES[path.stem], rel=1e-9)
    assert (inspector.images, inspector.tiling.side, len(inspector.threshold.scores)) == (8, 48, 8)


def test_every_release_has_one():
    assert [path.stem for path in RELEASED] == sorted(SCORES)


def test_detectors_from_before_there_was_a_format_are_read(tmp_path):
    detector = fit_inspector([disc(seed) for seed in range(4)], "pca", size=8, profile="smoke").detector
    tensors, header = read_tensors(detector.save(tmp_path / "new.safetensors"))
    metadata = json.loads(header["adlib"])
    old = {key: value for key, value in metadata.items() if key not in ("format", "version")}
    save_file(tensors, tmp_path / "old.safetensors", {"adlib": json.dumps(old)})
    assert Detector.load(tmp_path / "old.safetensors").thresholds == detector.thresholds
