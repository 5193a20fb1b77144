"""Small folders in MVTec layout, made on the spot."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 20


def write_image(path: Path, value: int, *, mode: str = "RGB", side: int = SIDE) -> None:
    """An image that is unlike every other: noise around `value`, seeded by the path's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(f"{path.parent.name}/{path.stem}".encode()))
    pixels = np.clip(value + rng.integers(-20, 20, (side, side, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def write_mask(path: Path, *, side: int = SIDE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), np.uint8)
    mask[4:10, 6:12] = 255
    Image.fromarray(mask).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """12 train/good, 5 test/good, 6 test/dent and 4 test/crack, with masks."""
    for index in range(12):
        write_image(tmp_path / f"train/good/{index:03d}.png", 100)
    for index in range(5):
        write_image(tmp_path / f"test/good/{index:03d}.png", 105)
    for kind, count in (("dent", 6), ("crack", 4)):
        for index in range(count):
            write_image(tmp_path / f"test/{kind}/{index:03d}.png", 160)
            write_mask(tmp_path / f"ground_truth/{kind}/{index:03d}_mask.png")
    return tmp_path
