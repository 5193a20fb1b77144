"""A camera of 12 bits: its scale is measured at fit, kept in the file, and used for every photograph to come."""

from __future__ import annotations

import numpy as np
from PIL import Image

from adlib.inspection.inspector import Inspector, fit_inspector


def test_twelve_bits_are_fitted_scored_and_said(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for number in range(8):
        values = random.integers(800, 3200, (32, 32)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"good/{number}.tif")
    inspector = fit_inspector(tmp_path / "good", "pca", size=32, profile="smoke")
    assert any("0 is black and 4095 is white" in note for note in inspector.notes)
    again = Inspector.load(inspector.save(tmp_path / "part.safetensors"))
    assert again.detector.value_range == (0.0, 4095.0)
    pixels = np.rint(values / 4095 * 255).astype(np.uint8)
    scores = [next(again.score(given)).score for given in (tmp_path / "good/7.tif", values, pixels)]
    assert scores[0] == scores[1] == scores[2]
    (bright,) = again.score(np.full((32, 32), 5000, np.uint16))
    assert any("beyond the value range" in remark for remark in bright.remarks)
