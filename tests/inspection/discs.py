"""Photographs of discs in changing place and light, some with a thin scratch; what a newcomer brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def disc(seed: int, side: int = 96, scratch: bool = False, jitter: float = 0.06) -> Image.Image:
    """A bright disc on a dark ground, RGB; place, size and light vary with `jitter`."""
    random = np.random.default_rng(seed)
    centre = side / 2 + random.uniform(-jitter, jitter, 2) * side
    radius = side * (0.33 + random.uniform(-jitter, jitter) / 3)
    light = 1 + random.uniform(-2 * jitter, 2 * jitter)
    image = Image.new("L", (side, side), int(40 * light))
    draw = ImageDraw.Draw(image)
    draw.ellipse([*(centre - radius), *(centre + radius)], fill=int(150 * light))
    if scratch:
        angle = random.uniform(0, np.pi)
        middle = centre + random.uniform(-0.3, 0.3, 2) * radius
        reach = 0.45 * radius * np.array([np.cos(angle), np.sin(angle)])
        draw.line([*(middle - reach), *(middle + reach)], fill=int(225 * light), width=max(1, side // 96))
    pixels = np.asarray(image, float)[..., None] + random.normal(0, 3, (side, side, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)[..., 0]).convert("RGB")


def write_discs(folder: Path, good: int, scratched: int, start: int = 0, **options) -> Path:
    """folder/train/good, and where there are scratched ones folder/test/good and folder/test/scratch."""
    parts = {"train/good": (good, False), "test/good": (scratched, False), "test/scratch": (scratched, True)}
    number = 1000 * start
    for place, (count, scratch) in parts.items():
        for _ in range(count):
            (folder / place).mkdir(parents=True, exist_ok=True)
            disc(number, scratch=scratch, **options).save(folder / place / f"{number:04d}.png")
            number += 1
    return folder
