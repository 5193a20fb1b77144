"""Six kinds of defect, blended into a surface, with masks that are exact by construction.

Every kind has a *shape*, a field whose highest values form the defect, and a *look*, what the surface becomes
there. The shape is cut at the level that leaves the given number of pixels. The mask is what really changed:
pixels that changed by less than `VISIBLE` grey levels get their old value back and do not count.

    image = (1 - alpha) * surface + alpha * look        alpha in [0.35, 1] inside the cut, 0 outside
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

VISIBLE = 6  # grey levels of 255; smaller changes are less than the sensor noise of the surfaces
EDGE = 0.35  # opacity at the rim of a defect, rising to 1 inside


def _uniform(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int, int], sigma: float) -> np.ndarray:
    """Isotropic noise of unit variance with features about `sigma` pixels wide."""
    _, height, width = shape
    from scipy import fft  # takes half a second, see test_imports

    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    frequency = fft.fftfreq(height)[:, None] ** 2 + fft.rfftfreq(width)[None] ** 2
    field = fft.irfft2(
        spectrum * np.exp(-2.0 * (np.pi * sigma) ** 2 * frequency).astype(np.float32), s=shape[1:]
    )
    return (field / max(float(field.std()), 1e-12)).astype(np.float32)


def _frame(
    rng: np.random.Generator, shape: tuple[int, int, int], reach: np.ndarray, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (v across, u along), each (N, H, W), in a rotated frame placed inside the image.

    Args:
        reach: half the length of the defect, pixels (N, 1, 1); the centre keeps that distance from the rim.
        angle: direction of u against horizontal, radians (N, 1, 1).
    """
    count, height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)[:, None]
    margin = [
        np.minimum(reach * np.abs(part) + 1.5, 0.45 * side)
        for part, side in ((np.sin(angle), height), (np.cos(angle), width))
    ]
    cy = margin[0] + rng.random((count, 1, 1), dtype=np.float32) * (height - 1 - 2 * margin[0])
    cx = margin[1] + rng.random((count, 1, 1), dtype=np.float32) * (width - 1 - 2 * margin[1])
    dy, dx = y - cy, x - cx
    return np.cos(angle) * dy - np.sin(angle) * dx, np.cos(angle) * dx + np.sin(angle) * dy


# --- shapes: (N, H, W), distance in pixels to the rim of the defect, highest inside ---------------------


def _blob(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    pixels: int,
    *,
    roughness: float,
    stretch: tuple[float, float],
) -> np.ndarray:
    """An ellipse with an uneven outline."""
    radius = float(np.sqrt(pixels / np.pi))
    long = np.sqrt(_uniform(rng, shape[0], *stretch))
    angle = _uniform(rng, shape[0], -0.4, 0.4)
    v, u = _frame(rng, shape, radius * long, angle)
    distance = np.hypot(v * long, u / long)
    return -distance + roughness * radius * _smooth_noise(rng, shape, max(1.0, 0.6 * radius))


def _line(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    pixels: int,
    *,
    slenderness: float,
    angles: tuple[float, float],
    curl: float,
) -> np.ndarray:
    """A bent line of about sqrt(pixels / slenderness) pixels width, as thin as it can be at that area."""
    count, size = shape[0], min(shape[1:])
    length = min(float(np.sqrt(pixels * slenderness)), 0.85 * size)
    half = length / 2 * _uniform(rng, count, 0.85, 1.15)
    v, u = _frame(rng, shape, half, _uniform(rng, count, *angles))
    bend = _uniform(rng, count, -curl, curl) * (u**2 / half - half / 3)
    tremble = 0.35 * np.sin(u / half * _uniform(rng, count, 2, 5) + _uniform(rng, count, 0, 6))
    beyond = np.clip(np.abs(u) - half, 0, None)
    taper = 0.25 * np.abs(u) / half
    return -np.hypot(v - bend - tremble, beyond) * (1 + taper)


def _cut(field: np.ndarray, pixels: int, softness: float) -> np.ndarray:
    """Opacity (N, H, W): exactly `pixels` pixels above 0; EDGE at the rim, 1 at `softness` pixels inside."""
    flat = field.reshape(len(field), -1)
    order = np.argpartition(flat, flat.shape[1] - pixels, axis=1)[:, -pixels:]
    inside = np.zeros(flat.shape, bool)
    np.put_along_axis(inside, order, True, axis=1)
    level = np.take_along_axis(flat, order, axis=1).min(axis=1, keepdims=True)
    opacity = EDGE + (1 - EDGE) * np.clip((flat - level) / softness, 0, 1)
    return (opacity * inside).reshape(field.shape)


# --- kinds: (surface (N, H, W, 3), pixels, rng, on) -> changed surface (N, H, W, 3) ----------------------


def _mix(surface: np.ndarray, look: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return surface + (look - surface) * alpha[..., None]


def _colour(
    rng: np.random.Generator, count: int, base: tuple[float, float, float], spread: float
) -> np.ndarray:
    return np.array(base, np.float32) + rng.uniform(-spread, spread, (count, 1, 1, 1)).astype(np.float32)


def chalk(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A stroke of marking chalk: pale, broken up where the grain is low.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    alpha = _cut(_line(rng, shape, pixels, slenderness=5, angles=(-1.4, 1.4), curl=0.25), pixels, 1.2)
    rubbed = 0.62 + 0.22 * np.clip(_smooth_noise(rng, shape, 0.5), -1.6, 1.6)
    return _mix(surface, _colour(rng, shape[0], (0.93, 0.92, 0.88), 0.04), alpha * rubbed)


def hole(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A worm or nail hole: dark, deeper on one side, with a thin lit rim on the other.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    field = _blob(rng, shape, pixels, roughness=0.08, stretch=(1.0, 1.8))
    alpha = _cut(field, pixels, 1.3 + 0.02 * np.sqrt(pixels))
    # Light comes from above: the upper wall lies in shadow, the lower one catches some of it.
    down = np.gradient(alpha, axis=1) * np.sqrt(pixels / 12)
    shade = _uniform(rng, shape[0], 0.12, 0.28) + 0.25 * np.clip(-down, 0, 1) - 0.05 * np.clip(down, 0, 1)
    return _mix(surface, surface * shade[..., None], alpha)


def knot(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A dead knot: dark brown, with its own rings and a black outline.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    field = _blob(rng, shape, pixels, roughness=0.12, stretch=(1.2, 2.6))
    alpha = _cut(field, pixels, 1.5)
    radius = np.sqrt(pixels / np.pi)
    depth = np.clip(
        (field - np.where(alpha > 0, field, np.inf).min(axis=(1, 2), keepdims=True)) / radius, 0, 1.5
    )
    rings = 0.5 + 0.5 * np.sin(depth * _uniform(rng, shape[0], 9, 16) + 0.4 * _smooth_noise(rng, shape, 1.0))
    shade = 0.55 + 0.30 * rings + 0.12 * np.clip(depth, 0, 1) - 0.35 * np.exp(-((depth / 0.16) ** 2))
    brown = _colour(rng, shape[0], (0.36, 0.21, 0.12), 0.04)
    look = brown * shade[..., None] * (0.8 + 0.5 * surface.mean(axis=3, keepdims=True))
    return _mix(surface, look, alpha)


def scratch(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A scratch across the surface: a bright line, on metal with the dark side of its groove.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    angles = (-1.5, 1.5) if on == "glass" else (0.25, 2.9)  # on metal never along the brushing
    field = _line(rng, shape, pixels, slenderness=45, angles=angles, curl=0.35)
    alpha = _cut(field, pixels, 0.8)
    depth = 0.75 + 0.25 * np.clip(_smooth_noise(rng, shape, 0.06 * shape[1]), -1.5, 1.5)
    strength = _uniform(rng, shape[0], 0.14, 0.30) if on == "glass" else _uniform(rng, shape[0], 0.18, 0.34)
    line = alpha * np.clip(depth, 0.35, None) * strength
    if on == "metal":
        side = np.sign(np.gradient(field, axis=1))  # one wall of the groove faces the light
        line = line * np.where(side > 0, -0.8, 1.0)
    return surface + line[..., None]


def stamp(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A press mark: a ring pushed into the case, lit on one wall and shadowed on the other.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    ring = 0.55  # inner radius relative to the outer one
    outer = np.sqrt(pixels / (np.pi * (1 - ring**2))).astype(np.float32)
    v, u = _frame(rng, shape, np.full((shape[0], 1, 1), outer), _uniform(rng, shape[0], -0.2, 0.2))
    # A rounded square or a disc, depending on the power of the norm.
    power = rng.choice(np.array([2.0, 2.0, 4.0], np.float32), (shape[0], 1, 1))
    radius = (np.abs(v) ** power + np.abs(u) ** power) ** (1 / power)
    field = (1 - ring) * outer / 2 - np.abs(radius - (1 + ring) * outer / 2)
    alpha = _cut(field + 0.03 * outer * _smooth_noise(rng, shape, 0.3 * outer + 0.5), pixels, 0.9)
    wall = (radius - (1 + ring) * outer / 2) / ((1 - ring) * outer / 2)
    light = wall * (v + 0.4 * u) / np.maximum(np.hypot(v, u), 1e-3)
    relief = 0.20 * light - 0.11
    return surface + (alpha * relief * _uniform(rng, shape[0], 0.8, 1.3))[..., None]


def stain(surface: np.ndarray, pixels: int, rng: np.random.Generator, on: str) -> np.ndarray:
    """A dried spot: tinted, darker towards its rim on metal; a pale greasy smear on glass.

    Takes and gives a surface (N, H, W, 3), colours from 0 to 1.
    """
    shape = surface.shape[:3]
    field = _blob(rng, shape, pixels, roughness=0.30, stretch=(1.0, 2.4))
    alpha = _cut(field, pixels, 0.35 * np.sqrt(pixels) + 1.0)
    mottled = 1.0 + 0.20 * np.clip(_smooth_noise(rng, shape, 0.02 * shape[1] + 0.5), -2, 2)
    strength = (_uniform(rng, shape[0], 0.7, 1.25) * mottled * np.where(alpha > 0, 1, 0))[..., None]
    if on == "glass":
        haze = np.array([0.110, 0.103, 0.080], np.float32)
        return surface + (0.25 + 0.75 * alpha[..., None]) * strength * haze
    rim = 1.35 - 0.5 * alpha  # the drop dries from the outside, so the rim is the darkest part
    absorbed = np.array([0.16, 0.24, 0.36], np.float32)
    return surface * (1 - strength * rim[..., None] * absorbed * (0.5 + 0.5 * alpha[..., None]))


DEFECTS: dict[str, Callable[..., np.ndarray]] = {
    "chalk": chalk,
    "hole": hole,
    "knot": knot,
    "scratch": scratch,
    "stamp": stamp,
    "stain": stain,
}


def add_defect(
    kind: str, surface: np.ndarray, area: float, rng: np.random.Generator, *, on: str
) -> tuple[np.ndarray, np.ndarray]:
    """Put one defect into every image of a stack.

    Args:
        kind: a key of DEFECTS.
        surface: normal images, float (N, H, W, 3) in [0, 1]; not changed.
        area: share of the image the defect covers, 0 to 1 exclusive.
        rng: place, shape and strength are drawn from it.
        on: the surface's name; scratches and stains look different on glass and on metal.

    Returns:
        (images uint8 (N, H, W, 3), masks bool (N, H, W)). Outside its mask an image equals the rounded
        surface bit for bit; inside, every pixel differs by at least VISIBLE levels in some channel.
    """
    pixels = max(4, round(area * surface.shape[1] * surface.shape[2]))
    before = np.rint(surface * 255).astype(np.uint8)
    changed = np.clip(DEFECTS[kind](surface, pixels, rng, on), 0, 1)
    after = np.rint(changed * 255).astype(np.uint8)
    difference = np.abs(after.astype(np.int16) - before.astype(np.int16)).max(axis=3)
    masks = difference >= VISIBLE
    return np.where(masks[..., None], after, before), masks
