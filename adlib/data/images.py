"""Reading image and mask files, and the one resampling rule of the project.

Images are resized with area averaging when they shrink (every original pixel counts, so a scratch one pixel
wide dims instead of vanishing) and bilinearly when they grow. Both run in Pillow's integer arithmetic: the
same file gives the same bytes on every machine, which a data fingerprint needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

GREY_MODES = {"1", "L", "I", "I;16", "I;16L", "I;16B", "F"}
COLOUR_MODES = {"P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}

Item = TypeVar("Item")
Result = TypeVar("Result")


class ImageFileError(ValueError):
    """A file that cannot be used as an image or mask; the message names the file and the remedy."""


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case file name endings that Pillow opens, each with its dot."""
    # Formats that Pillow lists but opens only with another program.
    foreign = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, kind in known.items() if kind in Image.OPEN and kind not in foreign)


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Image files of a folder, sorted by name; hidden files and other file types are passed over.

    Raises:
        FileNotFoundError: if `folder` is not a folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"'{folder}' is not a folder.\nCheck the path; it has to hold image files.")
    files = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        file
        for file in files
        if file.suffix.lower() in image_suffixes() and not file.name.startswith(".") and file.is_file()
    )


def read_image(path: Path) -> Image.Image:
    """One file as an 8-bit Pillow image of mode "L" (grey) or "RGB"; transparency is dropped.

    16-bit grey is scaled by its full range (65535 -> 255), floats have to lie in [0, 1].

    Raises:
        ImageFileError: if the file is unreadable, truncated, has 2 channels, or holds NaN or floats
            outside [0, 1].
    """
    try:
        with Image.open(path) as file:
            # Orientation first: a phone's photo carries it as a tag. A truncated file fails only when its
            # pixels are read.
            image = ImageOps.exif_transpose(file)
            image.load()
    except (
        OSError,
        UnidentifiedImageError,
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        raise ImageFileError(
            f"image '{path}' cannot be read: {error}.\n"
            'It is damaged or not an image. Replace it, or leave it out with on_error="skip".'
        ) from error
    return _to_8_bit(image, path)


def _to_8_bit(image: Image.Image, path: Path) -> Image.Image:
    mode = image.mode
    if mode in COLOUR_MODES:
        return image.convert("RGB")
    if mode not in GREY_MODES:
        raise ImageFileError(
            f"image '{path}' has {len(image.getbands())} channels (mode {mode}); expected 1 (grey), 3 (RGB)"
            ' or 4 (RGBA).\nConvert it, or leave it out with on_error="skip".'
        )
    if mode in {"1", "L"}:
        return image.convert("L")
    values = np.asarray(image)
    if mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 1.0):
            raise ImageFileError(
                f"image '{path}' holds floats from {values.min()} to {values.max()}; expected finite values"
                ' in [0, 1].\nRescale it and replace NaN, or leave it out with on_error="skip".'
            )
        return Image.fromarray(np.rint(values * 255.0).astype(np.uint8))
    # Pillow's own convert("L") would clip everything above 255 to white.
    if values.min() < 0 or values.max() > 65535:
        raise ImageFileError(
            f"image '{path}' holds integers from {values.min()} to {values.max()}; expected 0 to 65535.\n"
            'Rescale it, or leave it out with on_error="skip".'
        )
    return Image.fromarray(np.rint(values.astype(np.float64) / 257.0).astype(np.uint8))


def resize_image(image: Image.Image, size: int) -> Image.Image:
    """An image as a square of `size` pixels; a rectangle is squeezed, not cropped: a defect may sit anywhere.

    Each axis is area-averaged where it shrinks and interpolated linearly where it grows.
    """
    for width, height in ((size, image.height), (size, size)):
        shrinks = width < image.width or height < image.height
        if (width, height) != image.size:
            filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            image = image.resize((width, height), filter_)
    return image


def image_from_file(path: str | Path, image_shape: tuple[int, int, int]) -> Tensor:
    """One file as a detector wants it: uint8 (1, C, H, W), read and resized as a folder's images are.

    Args:
        path: an image file.
        image_shape: (C, H, W) of the detector, `detector.image_shape`; H equals W.

    Raises:
        FileNotFoundError: there is no such file.
        ImageFileError: the file cannot be read, or is coloured while the detector knows grey images only.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is not a file.\nCheck the path; it has to be an image file.")
    channels, size, _ = image_shape
    image = read_image(path)
    pixels = np.asarray(resize_image(image.convert("RGB"), size))
    if channels == 1 and (pixels != pixels[..., :1]).any():
        raise ImageFileError(
            f"image '{path}' is coloured; this detector was trained on grey images.\n"
            "Convert it the way the training images were converted."
        )
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None, :channels]))


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A defect mask as a square of `size` pixels.

    A pixel is defective where the defect covers at least half as much of it as it covers of the pixel hit
    hardest: the usual "half of the pixel" for any defect that fills one pixel, while a scratch too thin for
    that keeps its line instead of vanishing. Area stays unbiased, unlike with "any part of the pixel".

    Args:
        mask: bool (H, W), True = defective.
        size: side in pixels.

    Returns:
        bool (size, size); all False only if `mask` is.
    """
    if mask.shape == (size, size):
        return mask
    coverage = _coverage(mask, size)
    peak = coverage.max()
    # The small number keeps "exactly half" in, whatever the rounding of the sums.
    return coverage >= peak / 2 - 1e-9 if peak > 0 else np.zeros((size, size), dtype=bool)


def _coverage(mask: np.ndarray, size: int) -> np.ndarray:
    """Share of each target pixel that is defective, float (size, size), exact for any pair of sizes."""
    rows, columns = (_overlap(length, size) for length in mask.shape)
    return rows @ mask.astype(np.float64) @ columns.T


@cache
def _overlap(length: int, size: int) -> np.ndarray:
    """Share of target pixel i that source pixel j covers, (size, length), rows sum to 1."""
    edges = np.arange(size + 1) * (length / size)
    source = np.arange(length)
    covered = np.minimum(edges[1:, None], source + 1) - np.maximum(edges[:-1, None], source)
    return np.clip(covered, 0.0, None) * (size / length)


def read_mask(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """One mask file as bool (H, W): anything above half of white is defective.

    Args:
        path: file of the mask.
        image_size: (width, height) of the image it belongs to, pixels.

    Raises:
        ImageFileError: if the mask is unreadable or not as large as its image.
    """
    mask = read_image(path)
    if mask.size != image_size:
        raise ImageFileError(
            f"mask '{path}' is {mask.width}x{mask.height} pixels, its image {image_size[0]}x{image_size[1]};"
            " expected the same size.\nExport the mask again at the size of the image, or leave the pair out"
            ' with on_error="skip".'
        )
    values = np.asarray(mask.convert("L"))
    # Masks are stored as 0/255 by most tools and as 0/1 by some; both mean the same.
    return values > (127 if values.max() > 1 else 0)


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """[function(item) for item in items] on threads: Pillow releases Python's lock while it decodes."""
    threads = min(8, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def resize_stack(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3) -> uint8 (N, C, size, size), by the rule of `resize_image`."""
    if images.shape[1:3] != (size, size):
        images = np.stack(
            parallel_map(lambda pixels: np.asarray(resize_image(Image.fromarray(pixels), size)), images)
        )
    if images.ndim == 3:
        return np.ascontiguousarray(images[:, None])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
