"""The type checker is set up so that a wrong None, array or tensor does not get past it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Each line below a comment "refused" has to be complained about, and no other.
SNIPPET = """\
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adlib import losses, metrics
from adlib.detectors import make_detector


def scores_of(images: Tensor, threshold: float | None) -> np.ndarray:
    detector = make_detector("pca", (1, 8, 8), profile="smoke")
    scores = detector.anomaly_score(images)
    metrics.image_auroc(torch.zeros(3), scores)
    losses.contextual_loss(images, images)
    # refused: an array where a tensor belongs
    losses.contextual_loss(np.zeros((1, 1, 8, 8)), images)
    # refused: None where a tensor belongs
    losses.contextual_loss(images, None)
    # refused: None where scores belong
    metrics.image_auroc(np.zeros(3), None)
    # refused: a tensor where the annotation promises an array
    array: np.ndarray = scores
    # refused: what may be None is calculated with
    doubled = 2 * threshold
    # refused: a network's part that may be missing is used
    detector.history.losses
    # refused: a method that does not exist
    detector.anomaly_scores(images)
    # refused: a default that is no tensor
    def weighted(weights: Tensor = None) -> Tensor:
        return weights
    # refused: a tensor is returned where an array is promised
    return torch.zeros(3)
"""


@pytest.mark.slow
def test_a_wrong_none_array_or_tensor_is_reported(tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    complained = {int(number) for number in re.findall(r"snippet\.py:(\d+): error", result.stdout)}
    lines = SNIPPET.splitlines()
    refused = {number + 1 for number, line in enumerate(lines, 1) if "# refused" in line}
    assert complained == refused, result.stdout + result.stderr
