"""Tiles: small defects and oblong images, seen at the detector's own size, in flat memory.

A photograph squeezed to the detector's size loses what is thinner than a pixel there. Cut into overlapping tiles it
does not; the maps of the tiles are blended so that no seam shows, and the image's score is that of its worst tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adlib.data.images import resize_image
from adlib.detectors import Detector

BATCH = 32  # crops that a detector looks at together


class Examined(NamedTuple):
    """One photograph: its score, and its map (h, w), float32, which covers it whole at a resolution of its own."""

    score: float
    map: np.ndarray


@dataclass(frozen=True)
class Tiling:
    """How photographs are cut.

    Attributes:
        side: of a tile, in the photograph's pixels.
        overlap: of neighbouring tiles, at least, as a share of the side; from 0 to below 1.

    Raises:
        ValueError: a value out of range.
    """

    side: int
    overlap: float = 0.25

    def __post_init__(self) -> None:
        if self.side < 8 or not 0 <= self.overlap < 1:
            raise ValueError(
                f"tile is {self.side} with overlap {self.overlap}; expected a side of at least 8 pixels and an overlap "
                "from 0 to below 1, e.g. 256 and 0.25."
            )

    def starts(self, length: int) -> list[int]:
        """Where the tiles begin along an axis of `length` pixels: evenly, the last flush with the end."""
        if length <= self.side:
            return [0]
        stride = max(1, math.floor(self.side * (1 - self.overlap)))
        count = math.ceil((length - self.side) / stride) + 1
        return np.linspace(0, length - self.side, count).round().astype(int).tolist()

    def places(self, height: int, width: int) -> list[tuple[int, int]]:
        """Row and column of the top left corner of every tile."""
        return list(product(self.starts(height), self.starts(width)))

    def cut(self, image: Image.Image, top: int, left: int) -> Image.Image:
        """One tile; what lies beyond an image smaller than a tile is its mirror image."""
        box = (left, top, min(left + self.side, image.width), min(top + self.side, image.height))
        tile = image.crop(box)
        if tile.size == (self.side, self.side):
            return tile
        pixels = np.asarray(tile)
        missing = [(0, self.side - length) for length in pixels.shape[:2]]
        return Image.fromarray(np.pad(pixels, missing + [(0, 0)] * (pixels.ndim - 2), mode="symmetric"))


def crop_to_tensor(image: Image.Image, size: int, channels: int) -> Tensor:
    """A crop as a detector takes it, resized by the one rule of the project: uint8 (C, size, size)."""
    pixels = np.asarray(resize_image(image, size).convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels.reshape(size, size, channels).transpose(2, 0, 1).copy())


def examine_tiled(detector: Detector, image: Image.Image, tiling: Tiling) -> Examined:
    """Score and map of one photograph, tile by tile, a few at a time.

    Args:
        detector: for square images (C, S, S).
        image: of mode "L" or "RGB", any size.
        tiling: how to cut it.

    Returns:
        The score of the worst tile; the map (h, w), with as many pixels per tile as the detector has, but never more
        than the photograph has.
    """
    channels, size, _ = detector.image_shape
    map_side = min(size, tiling.side)  # pixels of a tile on the map
    scale = map_side / tiling.side
    height, width = (max(map_side, math.ceil(length * scale)) for length in (image.height, image.width))
    total, weight = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    ramp = np.minimum(np.arange(1, map_side + 1), np.arange(map_side, 0, -1)).astype(np.float32)
    window = np.outer(ramp, ramp)
    worst = -math.inf
    every = tiling.places(image.height, image.width)
    for places in (every[first : first + BATCH] for first in range(0, len(every), BATCH)):
        tiles = torch.stack([crop_to_tensor(tiling.cut(image, *place), size, channels) for place in places])
        seen = detector.examine(tiles)
        worst = max(worst, *_nan_as_infinite(seen.scores[detector.config.score]))
        for (top, left), tile_map in zip(places, seen.maps):
            rows, columns = (
                # The last tile ends where the map ends, whatever rounding makes of its beginning.
                slice(
                    start := length - map_side if at + tiling.side >= full else round(at * scale),
                    start + map_side,
                )
                for at, full, length in ((top, image.height, height), (left, image.width, width))
            )
            total[rows, columns] += window * _resized(tile_map.numpy(), map_side)
            weight[rows, columns] += window
    covered = (
        max(1, round(image.height * scale)),
        max(1, round(image.width * scale)),
    )  # without mirror images
    total /= weight
    return Examined(worst, total[: covered[0], : covered[1]])


def examine_whole(detector: Detector, crops: Tensor) -> Iterator[Examined]:
    """Score and map of photographs that were squeezed to the detector's size, uint8 (N, C, S, S)."""
    seen = detector.examine(crops)
    for score, image_map in zip(seen.scores[detector.config.score], seen.maps):
        yield Examined(float(score), image_map.float().numpy())


def _nan_as_infinite(scores: Tensor) -> Iterator[float]:
    """max() would pass over NaN."""
    return (math.inf if math.isnan(score) else score for score in scores.tolist())


def _resized(tile_map: np.ndarray, side: int) -> np.ndarray:
    values = tile_map.astype(np.float32)
    return values if len(values) == side else np.asarray(resize_image(Image.fromarray(values), side))
