"""Tiles cover a photograph, their seams do not show, and the worst of them is the image's score."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adlib.detectors import Examination
from adlib.inspection.tiles import Tiling, examine_tiled


class Brightness:
    """Scores a tile by its brightest pixel; the map is the image itself."""

    def __init__(self, size: int):
        self.image_shape = (1, size, size)
        self.config = SimpleNamespace(score="brightest")
        self.looked_at: list[int] = []

    def examine(self, images: torch.Tensor) -> Examination:
        self.looked_at.append(len(images))
        maps = images[:, 0].float()
        return Examination({"brightest": maps.flatten(1).amax(1)}, maps, images)


@given(st.integers(8, 300), st.floats(0, 0.9), st.integers(1, 2000))
def test_tiles_reach_both_ends_overlap_as_asked_and_leave_no_gap(side, overlap, length):
    starts = Tiling(side, overlap).starts(length)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - side)
    steps = np.diff(starts)
    assert (steps >= 1).all()
    assert (steps <= max(1, side * (1 - overlap)) + 1).all()


@pytest.mark.parametrize("shape", [(64, 64), (70, 200), (20, 50), (33, 1000), (200, 31)])
def test_no_seam_shows_and_nothing_moves(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seen = examine_tiled(Brightness(32), Image.fromarray(pixels), Tiling(32))
    np.testing.assert_allclose(seen.map, pixels, atol=1e-4)
    assert seen.score == pixels.max()


@pytest.mark.filterwarnings("error")
@given(st.integers(5, 9), st.integers(8, 40), st.integers(5, 120), st.integers(5, 120))
def test_every_place_of_the_map_belongs_to_a_tile(size, side, height, width):
    seen = examine_tiled(Brightness(size), Image.new("L", (width, height), 7), Tiling(side))
    np.testing.assert_allclose(seen.map, 7, atol=1e-4)


def test_on_a_map_of_lower_resolution_a_smooth_photograph_stays_smooth():
    ramp = np.linspace(0, 255, 5000)[None].repeat(200, 0).astype(np.uint8)
    seen = examine_tiled(Brightness(32), Image.fromarray(ramp), Tiling(96))
    assert seen.map.shape == (67, 1667)
    steps = np.diff(seen.map[33])
    assert steps.min() > -0.2  # a step of a grey level every six pixels, and no seam larger than that
    assert steps.max() < 1.2


@pytest.mark.parametrize(("row", "column"), [(0, 0), (31, 47), (47, 31), (99, 199), (60, 150)])
def test_the_score_is_that_of_the_worst_place_wherever_it_lies(row, column):
    pixels = np.full((100, 200), 10, np.uint8)
    pixels[row, column] = 200
    seen = examine_tiled(Brightness(32), Image.fromarray(pixels), Tiling(32))
    assert seen.score == 200
    assert np.unravel_index(seen.map.argmax(), seen.map.shape) == (row, column)


def test_a_large_photograph_takes_little_more_memory_than_its_map():
    image, detector = Image.new("L", (8000, 6000), 9), Brightness(64)
    tracemalloc.start()
    seen = examine_tiled(detector, image, Tiling(512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * seen.map.nbytes + 2**23
    assert max(detector.looked_at) <= 32


def test_a_tile_that_the_detector_enlarges_gives_a_map_as_large_as_the_photograph():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90), dtype=np.uint8)
    assert examine_tiled(Brightness(64), Image.fromarray(pixels), Tiling(16)).map.shape == (40, 90)


@pytest.mark.parametrize(("side", "overlap"), [(4, 0.25), (64, 1.0), (64, -0.1)])
def test_impossible_tiles_are_refused(side, overlap):
    with pytest.raises(ValueError, match="expected a side of at least 8"):
        Tiling(side, overlap)
