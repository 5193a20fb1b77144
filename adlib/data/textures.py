"""Procedural surfaces seen by a line-scan camera: wood, screen glass, brushed metal.

They stand in for the papers' private sets. Normal images vary as real ones do: boards differ in colour, ring
spacing and pin knots, glass carries dust, metal carries hairlines along the brushing, so a detector that
flags everything unusual flags normal images too. Everything is drawn for a whole stack of images at once.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.defects import add_defect
from adlib.data.registry import IN_WHEEL, DataSet, Entry
from adlib.errors import unknown_name

KINDS: dict[str, tuple[str, ...]] = {
    "wood": ("chalk", "hole", "knot"),
    "glass": ("scratch", "stain"),
    "metal": ("scratch", "stamp", "stain"),
}


def noise(rng: np.random.Generator, count: int, size: int, across: float, along: float) -> np.ndarray:
    """Gaussian noise smoothed over `across` pixels vertically and `along` pixels horizontally.

    Returns:
        float32 (count, size, size), mean 0 and variance 1 over the stack.
    """
    from scipy import fft  # takes half a second, see test_imports

    spectrum = fft.rfft2(rng.standard_normal((count, size, size), dtype=np.float32))
    vertical = np.exp(-2.0 * (np.pi * across * fft.fftfreq(size)) ** 2)
    horizontal = np.exp(-2.0 * (np.pi * along * fft.rfftfreq(size)) ** 2)
    field = fft.irfft2(spectrum * (vertical[:, None] * horizontal[None]).astype(np.float32), s=(size, size))
    return (field / max(float(field.std()), 1e-12)).astype(np.float32)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(y, x) at pixel centres, each float32 (1, size, size), in -0.5 .. 0.5."""
    line = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    return y[None], x[None]


def _each(rng: np.random.Generator, count: int, low: float, high: float, *tail: int) -> np.ndarray:
    """One uniform number per image, shaped to broadcast over (count, size, size)."""
    return rng.uniform(low, high, (count, *(tail or (1, 1)))).astype(np.float32)


def _blend(dark: np.ndarray, light: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Colour between `dark` and `light`, (N, H, W, 3)."""
    return dark + (light - dark) * amount[..., None]


def wood(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Sawn boards, grain horizontal: rings cut at a shallow angle, fibres, pores, pin knots on every third.

    Returns:
        float32 (count, size, size, 3) in [0, 1].
    """
    y, x = _grid(size)
    scale = size / 64
    # A board is a plane through a tree: the rings are circles of radius r around a pith that lies below it.
    wobble = 0.035 * noise(rng, count, size, size / 10, size / 2.5) + 0.006 * noise(
        rng, count, size, scale, size / 6
    )
    height = y + _each(rng, count, -0.35, 0.35) + _each(rng, count, -0.15, 0.15) * x + wobble
    knots = _pin_knots(rng, count, size)
    radius = (
        np.hypot(height, _each(rng, count, 0.08, 0.45) + 0.10 * x * _each(rng, count, -1, 1)) + 0.05 * knots
    )
    phase = radius * _each(rng, count, 9, 17) + 0.25 * np.sin(radius * _each(rng, count, 20, 40))
    ring = phase % 1.0
    late = np.exp(-(((ring - 0.82) / 0.13) ** 2)) + 0.45 * ring  # earlywood pales into a dark latewood line
    fibre = noise(rng, count, size, 0.35 * scale, size / 7)
    pores = np.clip(noise(rng, count, size, 0.3 * scale, 3.0 * scale) - 1.9, 0, None)
    tone = 0.80 - 0.36 * late * _each(rng, count, 0.55, 1.0) + 0.075 * fibre - 0.16 * pores
    tone += 0.06 * noise(rng, count, size, size / 3, size / 3) - 0.42 * np.clip(knots, 0, 1) ** 2
    warm = _each(rng, count, -0.03, 0.03, 1, 1, 1)
    dark = np.array([0.33, 0.19, 0.10], np.float32) + warm
    light = np.array([0.86, 0.68, 0.46], np.float32) + warm * np.array([1, 0.6, -0.6], np.float32)
    return np.clip(_blend(dark, light, np.clip(tone, 0, 1.1)) * _each(rng, count, 0.9, 1.05, 1, 1, 1), 0, 1)


def _pin_knots(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Natural pin knots: a small bump on a third of the boards, which also bends the rings around it."""
    y, x = _grid(size)
    dy, dx = y - _each(rng, count, -0.42, 0.42), x - _each(rng, count, -0.42, 0.42)
    radius = _each(rng, count, 0.016, 0.030)
    present = _each(rng, count, 0, 1) < 1 / 3
    return present * (np.exp(-(dy**2 + (dx / 1.6) ** 2) / radius**2)).astype(np.float32)


def glass(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Screen glass: a flat gradient, one soft reflection, camera columns, and sparse dust.

    Returns:
        float32 (count, size, size, 3) in [0, 1].
    """
    y, x = _grid(size)
    angle = _each(rng, count, -0.5, 0.5)
    slope = _each(rng, count, 0.03, 0.12) * (np.cos(angle) * y + np.sin(angle) * x)
    tilt = _each(rng, count, 0.5, 1.0)
    across = np.cos(tilt) * x + np.sin(tilt) * y - _each(rng, count, -0.6, 0.6)
    reflection = _each(rng, count, 0.03, 0.10) * np.exp(-((across / _each(rng, count, 0.10, 0.25)) ** 2))
    columns = 0.005 * rng.standard_normal((count, 1, size), dtype=np.float32)
    cloud = 0.008 * noise(rng, count, size, size / 5, size / 5)
    grain = 0.008 * rng.standard_normal((count, size, size), dtype=np.float32)
    level = 0.36 + _each(rng, count, -0.03, 0.03) + slope + reflection + columns + cloud + grain
    tint = np.array([0.80, 0.98, 1.10], np.float32)
    return np.clip(level[..., None] * tint + _dust(rng, count, size)[..., None], 0, 1)


def _dust(rng: np.random.Generator, count: int, size: int, most: int = 9) -> np.ndarray:
    """Up to `most` bright specks per image, about half a pixel to a pixel wide at 64 px."""
    y, x = _grid(size)
    specks = np.zeros((count, size, size), np.float32)
    number = rng.integers(0, most + 1, (count, 1, 1))
    for index in range(most):  # over specks, not over images
        distance = np.hypot(y - _each(rng, count, -0.5, 0.5), x - _each(rng, count, -0.5, 0.5))
        width = _each(rng, count, 0.007, 0.014)
        specks += (index < number) * _each(rng, count, 0.06, 0.34) * np.exp(-((distance / width) ** 2))
    return specks


def metal(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Brushed metal case: streaks along the brushing, a band of light, hairlines along the brushing.

    Returns:
        float32 (count, size, size, 3) in [0, 1].
    """
    y, x = _grid(size)
    scale = size / 64
    fine = noise(rng, count, size, 0.30 * scale, size / 3)
    coarse = noise(rng, count, size, 1.2 * scale, size / 1.5)
    hairlines = np.clip(noise(rng, count, size, 0.25 * scale, size / 8) - 2.3, 0, None)
    where = y - _each(rng, count, -0.5, 0.5) - 0.1 * x * _each(rng, count, -1, 1)
    band = np.exp(-((where / _each(rng, count, 0.22, 0.45)) ** 2))
    level = 0.46 + _each(rng, count, -0.04, 0.04) + _each(rng, count, 0.10, 0.22) * band
    level = level + 0.045 * fine + 0.028 * coarse + 0.10 * hairlines + 0.06 * x * _each(rng, count, -1, 1)
    level = level + 0.010 * rng.standard_normal((count, size, size), dtype=np.float32)
    tint = np.array([0.985, 1.0, 1.03], np.float32) + _each(rng, count, -0.01, 0.01, 1, 1, 1)
    return np.clip(level[..., None] * tint, 0, 1)


SURFACES: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "wood": wood,
    "glass": glass,
    "metal": metal,
}


def load_texture(
    surface: str,
    *,
    size: int,
    train: int = 240,
    test: int = 60,
    kinds: Mapping[str, int] | None = None,
    defect_area: float | Sequence[float] = 0.015,
    data_seed: int = 0,
) -> Collection:
    """A procedural surface with exact defect masks.

    The images depend on `data_seed` and the settings here, not on the seed of the split: like a real set,
    they stay the same while training is repeated.

    Args:
        surface: "wood", "glass" or "metal".
        size: side of the images, pixels, at least 16.
        train: normal images on the training side (validation is cut from them).
        test: normal images in test.
        kinds: defective images in test per kind, e.g. {"scratch": 40, "stamp": 10, "stain": 2} for an
            imbalanced set; 20 of each kind of the surface by default.
        defect_area: share of the image that a defect covers, 0.001 to 0.5, met to the pixel up to pixels that
            the defect happens not to change. Several, e.g. (0.004, 0.06): test holds the same boards with the same
            defects at each of them, under kinds such as "hole 0.4 %".
        data_seed: another number gives other images.

    Raises:
        ValueError: for an unknown surface or kind, or a setting out of range.
    """
    if surface not in SURFACES:
        raise unknown_name("texture", surface, SURFACES)
    counts = dict.fromkeys(KINDS[surface], 20) if kinds is None else dict(kinds)
    for kind in counts:
        if kind not in KINDS[surface]:
            raise unknown_name(f"kind of defect on {surface}", kind, KINDS[surface])
    if size < 16:
        raise ValueError(f"size={size}; expected at least 16 pixels, a smaller texture shows nothing.")
    areas = tuple(defect_area) if isinstance(defect_area, Sequence) else (defect_area,)
    if not areas or not all(0.001 <= area <= 0.5 for area in areas) or len(set(areas)) < len(areas):
        raise ValueError(
            f"defect_area={defect_area}; expected a share of the image from 0.001 to 0.5, e.g. 0.015, or several that "
            "differ."
        )
    for label, number in {"train": train, "test": test, **counts}.items():
        if number < 0:
            raise ValueError(f"{label}={number}; expected a number of images, 0 or more.")
    return _texture(surface, size, train, test, tuple(sorted(counts.items())), areas, data_seed)


@lru_cache(maxsize=4)
def _texture(
    surface: str,
    size: int,
    train: int,
    test: int,
    counts: tuple[tuple[str, int], ...],
    areas: tuple[float, ...],
    data_seed: int,
) -> Collection:
    good = train + test
    boards = np.repeat([GOOD, *(kind for kind, _ in counts)], [good, *(number for _, number in counts)])
    rng = np.random.default_rng([data_seed, zlib.crc32(surface.encode())])
    clean = SURFACES[surface](rng, len(boards), size)
    images = [np.rint(clean[:good] * 255).astype(np.uint8)]
    masks, kinds = [np.zeros(images[0].shape[:3], bool)], [boards[:good]]
    for area in areas:
        drawn = copy.deepcopy(rng)  # every area gets its defects from the same random numbers
        for kind, number in counts:
            if number:
                changed, where = add_defect(kind, clean[boards == kind], area, drawn, on=surface)
                images.append(changed)
                masks.append(where)
                kinds.append(np.repeat(kind if len(areas) == 1 else f"{kind} {100 * area:g} %", number))
    stack = np.concatenate(images)
    return Collection(
        images=stack_to_tensor(stack.transpose(0, 3, 1, 2)),
        kinds=np.concatenate(kinds),
        sides=np.repeat(["train", "test"], [train, len(stack) - train]),
        masks=np.concatenate(masks),
        title=f"procedural {surface}",
        notes=(
            "Procedural images, not photographs; defects cover "
            f"{' or '.join(f'{area:.2%}' for area in areas)} of an image.",
        ),
    )


def _entry(surface: str, title: str, caption: str) -> Entry:
    return Entry(
        name=f"texture/{surface}",
        title=title,
        count="any number, 300 normal + 20 per kind of defect by default; masks",
        image_size="any",
        licence="same as adlib (MIT)",
        source="generated by adlib",
        how_to_get=IN_WHEEL,
        available=lambda: True,
        pictured=f"texture/{surface}",
        caption=caption,
    )


TEXTURES = DataSet(
    name="texture",
    loader=load_texture,
    entries=(
        _entry(
            "wood",
            "Procedural boards with chalk, holes and knots",
            "Generated boards: eight good ones, then eight with chalk, holes and knots.",
        ),
        _entry(
            "glass",
            "Procedural screen glass with scratches and stains",
            "Generated screen glass: eight good pieces, then eight with scratches and stains.",
        ),
        _entry(
            "metal",
            "Procedural brushed metal with scratches, press marks and stains",
            "Generated brushed metal: eight good pieces, then eight with scratches, press marks and stains.",
        ),
    ),
    choice="surface",
    choices=tuple(SURFACES),
)
