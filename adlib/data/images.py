"""Reading image and mask files, and the one resampling rule of the project.

Images are resized with area averaging when they shrink (every original pixel counts, so a scratch one pixel
wide dims instead of vanishing) and bilinearly when they grow. Both run in Pillow's integer arithmetic: the
same file gives the same bytes on every machine, which a data fingerprint needs.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageChops, TiffImagePlugin

DEEP_MODES = {"I", "I;16", "I;16L", "I;16B", "I;16N"}  # one channel of more than 8 bits
GREY_MODES = {"1", "L", "F"} | DEEP_MODES
COLOUR_MODES = {"P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LA", "PA", "La", "RGBa"}
TRANSPARENT_MODES = {"LA", "PA", "La", "RGBA", "RGBa"}
# Formats that Pillow lists but opens only with another program; no file may start one by its content.
FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
# What operating systems and servers leave beside images.
SYSTEM_NAMES = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
SYSTEM_NAMES |= {"__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini"}

# What reading did to an image, in the words of a note.
CHANGES = {
    "transparent": "are partly transparent; what is transparent was made black",
    "turned": "were turned upright, as their EXIF tag says",
    "exif": "carry EXIF data that cannot be read and stay as they are stored",
    "cmyk": "are CMYK and were converted to RGB without a colour profile",
    "first": "hold further pictures (previews, layers, other views); the main one was taken",
    "16 bit colour": "hold 16 bits per colour, of which the decoder gives the upper 8",
    "clipped": "hold values beyond the value range, which were clipped",
    "frame": "are the current frame of a file of several",
    "grey": "are grey; their value stands in all three channels",
    "squeezed": "are not square and were squeezed",
    "enlarged": "are smaller and were enlarged",
    "blank": "have the same value everywhere and show nothing",
}
# EXIF orientation -> what sets the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112
SUBFILE_TYPE = 254  # of a page in a TIFF: 1 says that it is a smaller version of another

DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera's values
FULL_RANGE = 65535
ValueRange = tuple[float, float]
Item = TypeVar("Item")
Result = TypeVar("Result")


class ImageFileError(ValueError):
    """A file that cannot be used as an image or mask; the message names the file and the remedy."""


class Header(NamedTuple):
    """What the header of an image file says: (width, height) in pixels, and Pillow's mode."""

    size: tuple[int, int]
    mode: str


class Opened(NamedTuple):
    """An 8-bit picture of mode "L" or "RGB", and what reading did to it: keys of `CHANGES`."""

    image: Image.Image
    changes: frozenset[str] = frozenset()


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(kind for kind in Image.ID if kind not in FOREIGN_FORMATS)


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case file name endings that Pillow opens, each with its dot."""
    known = Image.registered_extensions()
    suffixes = {suffix for suffix, kind in known.items() if kind in Image.OPEN and kind in _formats()}
    return frozenset(suffixes | {".mpo"})  # opened as the JPEG that it begins with


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no user's: hidden, or left there by a system or server."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def walk_files(folder: Path, hidden: list[Path] | None = None) -> Iterator[Path]:
    """Every visible file below a folder; see `walk_names`."""
    return map(Path, walk_names(folder, hidden))


def walk_names(
    folder: Path, hidden: list[Path] | None = None, locked: list[str] | None = None
) -> Iterator[str]:
    """The path of every visible file below a folder, through links to folders, each folder once.

    Args:
        folder: where to begin. hidden: image files that are passed over, because they or a folder above them are
            hidden, are added to it. locked: folders that may not be read are added to it.

    Raises:
        OSError: a folder may not be read, and `locked` is None.
    """

    def pass_over(error: OSError) -> None:
        if locked is None:
            raise type(error)(
                f"folder '{error.filename}' cannot be read: {error.strerror}. Allow it, or move the folder elsewhere."
            )
        locked.append(error.filename)

    seen = set()
    for place, folders, files in os.walk(folder, onerror=pass_over, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if hidden is not None:
            hidden += [Path(place, name) for name in files if is_hidden(name) and is_image_name(name)]
            for name in filter(is_hidden, folders):
                inside = os.walk(os.path.join(place, name))
                hidden += [Path(at, file) for at, _, names in inside for file in names if is_image_name(file)]
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (os.path.join(place, name) for name in files if not is_hidden(name))


def is_image_name(name: str) -> bool:
    """Whether a file of this name is one that Pillow opens."""
    return os.path.splitext(name)[1].lower() in image_suffixes()


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Image files of a folder, sorted by name; what is hidden and other file types are passed over.

    Raises:
        FileNotFoundError: if `folder` is not a folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"'{folder}' is not a folder.\nCheck the path; it has to hold image files.")
    if recursive:
        return sorted(file for file in walk_files(folder) if is_image_name(file.name) and file.is_file())
    with os.scandir(folder) as entries:  # which says what is a file without asking for each
        files = [entry for entry in entries if is_image_name(entry.name) and _is_file(entry)]
    return sorted(folder / entry.name for entry in files if not is_hidden(entry.name))


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and os.path.isfile(entry.path))


def read_image(path: Path, value_range: ValueRange | None = None) -> Image.Image:
    """One file as an 8-bit Pillow image of mode "L" (grey) or "RGB"; see `open_image`."""
    return open_image(path, value_range).image


class Measured(NamedTuple):
    """A file looked at before the value range of its folder is known.

    opened: the picture; None where it depends on a value range, and has to be opened again with one. values: (smallest,
    largest) of a grey file of more than 8 bits, None for any other.
    """

    opened: Opened | None
    values: tuple[float, float] | None


def measure_image(path: Path) -> Measured:
    """`open_image` and `deep_values` of one file at once: most files have 8 bits, and are decoded once.

    Raises:
        ImageFileError: as of `open_image`.
    """
    changes: set[str] = set()
    image, deep = _decode(path, changes)
    levels = np.asarray(image) if deep else np.empty(0)
    values = (float(levels.min()), float(levels.max())) if levels.size else None
    if image.mode in DEEP_MODES | {"F"}:
        return Measured(None, values)
    return Measured(_opened(image, f"image '{path}'", None, changes), values)


def open_image(path: Path, value_range: ValueRange | None = None) -> Opened:
    """One file as an 8-bit picture, upright, with what had to be done to it.

    Args:
        path: the file. value_range: what becomes 0 and 255, for grey files of more than 8 bits and for floats;
            None: 0 and 65535, and for floats 0 and 1.

    Raises:
        ImageFileError: if the file is unreadable, truncated, of several frames, of colours that are neither grey nor
            RGB, larger than the decoder's limit, or holds values that have no grey level.
    """
    changes: set[str] = set()
    image, _ = _decode(path, changes)
    return _opened(image, f"image '{path}'", value_range, changes)


def opened_picture(picture: Image.Image, name: str, value_range: ValueRange | None) -> Opened:
    """A Pillow image as `open_image` would give its file; of several frames the current one.

    Args:
        picture: of any mode; `name` stands for it in errors. value_range: as in `open_image`.

    Raises:
        ImageFileError: it cannot be decoded, or has colours or values that are not taken.
    """
    changes: set[str] = set()
    try:
        if getattr(picture, "n_frames", 1) > 1:
            changes.add("frame")
        picture.load()
        upright = _upright(picture, changes)
        upright = picture.copy() if upright is picture else upright
    except Exception as error:  # an image that Pillow opened is decoded only here
        raise ImageFileError(
            f"{name} cannot be read: {str(error) or type(error).__name__}.\nIts file is damaged: open another one."
        ) from error
    return _opened(upright, name, value_range, changes)


def _opened(image: Image.Image, name: str, value_range: ValueRange | None, changes: set[str]) -> Opened:
    """A decoded picture with 8 bits, and a word if it shows nothing."""
    image = to_8_bit(image, name, value_range, changes)
    sample = image.resize((8, 8), Image.Resampling.NEAREST)  # nearly always enough to tell
    return Opened(image, frozenset(changes | ({"blank"} if is_blank(sample) and is_blank(image) else set())))


def is_blank(image: Image.Image) -> bool:
    """Whether all pixels of a picture of mode "L" or "RGB" have the same value, or the same colour."""
    return all(low == high for low, high in np.reshape(image.getextrema(), (-1, 2)))


def image_header(path: Path) -> Header | None:
    """What a file's header says; None if it cannot be read."""
    try:
        with Image.open(path, formats=_formats()) as file:
            return Header(file.size, file.mode)
    except Exception:  # said when the image is read
        return None


def has_few_colours(path: str | Path, most: int) -> bool:
    """Whether an image file has at most so many colours or grey values; False if it cannot be read."""
    try:
        with Image.open(path, formats=_formats()) as file:
            return file.getcolors(most) is not None
    except Exception:  # said when the image is read
        return False


def is_coloured(image: Image.Image) -> bool:
    """Whether red, green and blue of a picture of mode "L" or "RGB" differ anywhere."""
    if image.mode == "L":
        return False
    red, *others = image.split()
    return any(ImageChops.difference(red, other).getbbox() is not None for other in others)


def pixel_digest(image: Image.Image) -> str:
    """16 hex digits of a picture of mode "L" or "RGB": equal for equal pixels, however a file stores them.

    By SHA-256 of the size and of each colour's own: a grey picture that is stored in colour has the same.
    """
    planes = [hashlib.sha256(plane.tobytes()).digest() for plane in image.split()]
    planes = planes * 3 if len(planes) == 1 else planes
    return hashlib.sha256(repr(image.size).encode() + b"".join(planes)).hexdigest()[:16]


def deep_values(path: Path) -> tuple[float, float] | None:
    """(smallest, largest) value of a grey file of more than 8 bits; None for any other, and for one that is damaged."""
    try:
        with Image.open(path, formats=_formats()) as file:
            if file.mode not in DEEP_MODES:
                return None
        values = np.asarray(_decode(path, set())[0])
    except Exception:  # whatever is wrong with it is said when it is read
        return None
    return float(values.min()), float(values.max())


def _decode(path: Path, changes: set[str]) -> tuple[Image.Image, bool]:
    """The pixels of a file as they are stored, upright, and whether the file is grey with more than 8 bits."""
    try:
        with Image.open(path, formats=_formats()) as file:
            kind, deep = file.format, file.mode in DEEP_MODES
            _choose_frame(file, path, changes)
            deep_colour = bool(re.search(r";16[LBN]", str(file.tile))) and file.mode not in DEEP_MODES
            file.load()  # a truncated file fails only here
            image = _upright(file, changes)
            if image is file and kind not in (
                "PNG",
                "JPEG",
            ):  # others may map the file, or read on in it later
                image = image.copy()
            image.load()
    except ImageFileError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"image '{path}' is larger than the decoder's limit: {error}.\nIf you trust the file: from PIL import "
            'Image; Image.MAX_IMAGE_PIXELS = None. Else leave it out with on_error="skip".'
        ) from error
    except (
        Exception
    ) as error:  # decoders raise whatever they stumble over: RuntimeError, struct.error, IndexError
        raise ImageFileError(
            f"image '{path}' cannot be read: {str(error) or type(error).__name__}.\n"
            'It is damaged or not an image. Replace it, or leave it out with on_error="skip".'
        ) from error
    image.format = kind
    if deep_colour:
        changes.add("16 bit colour")
        if np.asarray(image.convert("RGB")).max() < 64:
            raise ImageFileError(
                f"image '{path}' holds 16 bits per colour, and its values fill less than a quarter of them: the "
                "decoder gives the upper 8 bits, and most of the picture is lost.\n"
                'Convert it to 8 bits per colour, or leave it out with on_error="skip".'
            )
    return image, deep


def _choose_frame(file: Image.Image, path: Path, changes: set[str]) -> None:
    """Refuse a file of several pictures, unless all but one are previews, layers or other views of it."""
    count = getattr(file, "n_frames", 1)
    if count == 1:
        return
    frames = list(range(count))
    if file.format in ("MPO", "PSD"):
        frames = frames[:1]
    elif isinstance(file, TiffImagePlugin.TiffImageFile):
        frames = [frame for frame in frames if not _is_preview(file, frame)] or frames
    if len(frames) > 1:
        raise ImageFileError(
            f"image '{path}' holds {len(frames)} frames; expected one picture per file, which has one verdict.\n"
            "Write each as a file: for n, page in enumerate(PIL.ImageSequence.Iterator(PIL.Image.open(path))): "
            'page.save(f"{n}.png"). Or leave it out with on_error="skip".'
        )
    file.seek(frames[0])
    changes.add("first")


def _is_preview(file: TiffImagePlugin.TiffImageFile, frame: int) -> bool:
    file.seek(frame)
    return bool(int(file.tag_v2.get(SUBFILE_TYPE, 0)) & 1)


def _upright(image: Image.Image, changes: set[str]) -> Image.Image:
    """A phone's photo carries its orientation as a tag. A TIFF has been turned by its decoder."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # the picture may be whole where its tags are not
        changes.add("exif")
        return image
    if orientation not in UPRIGHT:
        return image
    changes.add("turned")
    return image.transpose(UPRIGHT[orientation])


def to_8_bit(image: Image.Image, name: str, value_range: ValueRange | None, changes: set[str]) -> Image.Image:
    """A picture of any mode as "L" or "RGB"; one that is either already is not copied.

    Args:
        image: the picture. name: for errors, e.g. "image 'a.png'". value_range: as in `open_image`.
        changes: keys of `CHANGES` are added to it.

    Raises:
        ImageFileError: a mode or values that have no grey level or colour.
    """
    mode = image.mode
    if mode in TRANSPARENT_MODES or "transparency" in image.info:
        image = _on_black(image, changes)
        mode = image.mode
    if mode == "CMYK":
        changes.add("cmyk")
    if mode in ("L", "RGB"):
        return image
    if mode in COLOUR_MODES:
        return image.convert("RGB")
    if mode not in GREY_MODES:
        raise ImageFileError(
            f"{name} has the colours {'/'.join(image.getbands())} (mode {mode}); expected grey, RGB or CMYK, with or "
            'without transparency.\nConvert it, or leave it out with on_error="skip".'
        )
    if mode == "1":
        return image.convert("L")
    # Pillow's own convert("L") would clip everything above 255 to white.
    return Image.fromarray(scale_values(np.asarray(image), name, value_range, changes))


def _on_black(image: Image.Image, changes: set[str]) -> Image.Image:
    """Without transparency: what is transparent is black, and grey stays grey."""
    grey = image.mode in {"LA", "La", "L", "1"}
    if image.mode in DEEP_MODES | {"F"}:  # one value counts as transparent, and no decoder makes alpha of it
        return image
    full = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    if np.asarray(full.getchannel("A")).min() < 255:
        changes.add("transparent")
        full = Image.alpha_composite(Image.new("RGBA", full.size, (0, 0, 0, 255)), full)
    return full.convert("L" if grey else "RGB")


def scale_values(
    values: np.ndarray, name: str, value_range: ValueRange | None, changes: set[str]
) -> np.ndarray:
    """Grey values of more than 8 bits, or floats, as uint8 of the same shape, rounded.

    Args:
        values: integers or floats of any shape. name: for errors. value_range: what becomes 0 and 255.
        changes: "clipped" is added where values lie beyond a value range that was given.

    Raises:
        ImageFileError: values that are not finite, or without a value range beyond 0 to 65535 (floats: 0 to 1).
    """
    floats = values.dtype.kind == "f"
    low, high = value_range or ((0.0, 1.0) if floats else (0, FULL_RANGE))
    smallest, largest = (values.min(), values.max()) if values.size else (low, low)
    beyond = smallest < low or largest > high
    if not np.isfinite(values).all() or (beyond and value_range is None):
        kind = "floats" if floats else "integers"
        expected = "finite values in [0, 1]" if floats else f"{low} to {high}"
        raise ImageFileError(
            f"{name} holds {kind} from {smallest} to {largest}; expected {expected}.\nSay what is black and what is "
            'white with value_range=(low, high), replace NaN, or leave it out with on_error="skip".'
        )
    if not floats and value_range is None and largest < FULL_RANGE / 4:
        raise ImageFileError(
            f"{name} holds more than 8 bits, and its values end at {largest} of {FULL_RANGE}: read so, it would be"
            f" nearly black. A camera of fewer bits?\nSay what is black and what is white: value_range="
            f"{depth_range(largest)}, or (0, {FULL_RANGE}) if it is meant to be dark."
        )
    if beyond:
        changes.add("clipped")
    if floats and value_range is None:
        return np.rint(values * 255.0).astype(np.uint8)
    scaled = (values.astype(np.float64) - low) / ((high - low) / 255.0)
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def depth_range(largest: float) -> tuple[int, int]:
    """(0, 2^bits - 1) of the smallest usual depth, 8 to 16 bits, that holds a value."""
    bits = next((bits for bits in DEPTHS if largest < 2**bits), DEPTHS[-1])
    return 0, 2**bits - 1


FEW_LEVELS = 32  # of 256: where deep images fill fewer, their contrast is coarse


def measured_range(
    values: Sequence[tuple[float, float]], total: int, notes: list[str]
) -> tuple[float, float] | None:
    """The value range of a set of images by the depth of the deep ones among them; a sentence about it goes to `notes`.

    Args:
        values: (smallest, largest) of each image of more than 8 bits, see `deep_values`. total: of all images.
        notes: takes the sentence.

    Returns:
        0 and 2^bits - 1, or None where all images have 8 bits.
    """
    if not values:
        return None
    smallest, largest = min(low for low, _ in values), max(high for _, high in values)
    low, high = depth_range(largest)
    note = (
        f"{len(values)} of {total} images hold more than 8 bits, with values from {smallest:.0f} to {largest:.0f}:"
        f" read as {(high + 1).bit_length() - 1} bits, 0 to {high}."
    )
    levels = round((largest - smallest) / (high - low) * 255) + 1
    if levels < FEW_LEVELS:
        note += (
            f" They fill {levels} of the 256 grey levels; value_range=({smallest:.0f}, {largest:.0f}), or a little"
            " wider, keeps more of their contrast."
        )
    notes.append(note)
    return float(low), float(high)


def checked_range(value_range: ValueRange | None) -> ValueRange | None:
    """A value range as two floats; None stays None.

    Raises:
        ValueError: it is not two finite numbers, the smaller one first.
    """
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"value_range={value_range!r}; expected the values that become black and white, the smaller one first, "
            "e.g. (0, 4095) for a camera of 12 bits."
        )
    return low, high


def describe_changes(changes: list[frozenset[str]], width: int, height: int) -> list[str]:
    """One sentence for each thing that reading did to images, with how many.

    Args:
        changes: keys of `CHANGES`, per image. width, height: what they have now, pixels.
    """
    counts = {key: sum(key in of_one for of_one in changes) for key in CHANGES}
    ends = dict.fromkeys(("squeezed", "enlarged"), f" to {width}x{height}")
    return [
        f"{count} of {len(changes)} images {CHANGES[key]}{ends.get(key, '')}."
        for key, count in counts.items()
        if count
    ]


def size_changes(image: Image.Image, width: int, height: int) -> set[str]:
    """What bringing a picture to `width` x `height` pixels does to it: keys of `CHANGES`."""
    changes = {"squeezed"} if image.width * height != image.height * width else set()
    return changes | ({"enlarged"} if image.width < width and image.height < height else set())


def resize_image(image: Image.Image, size: int, height: int | None = None) -> Image.Image:
    """An image as a square of `size` pixels; a rectangle is squeezed, not cropped: a defect may sit anywhere.

    Each axis is area-averaged where it shrinks and interpolated linearly where it grows.

    Args:
        image: of any size. size: width of the result, pixels. height: of the result; by default the same.
    """
    for target in ((size, image.height), (size, height or size)):
        shrinks = target[0] < image.width or target[1] < image.height
        if target != image.size:
            filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            image = image.resize(target, filter_)
    return image


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
    """One mask file as bool (H, W), True = defective.

    Black is the background. In a file of few values every other value or colour is a defect, whatever it is: 255, 1,
    the number of a class, a colour of a palette. In one of many values, as smoothing and JPEG make them, what is
    above half of white is. Transparent is background, unless a mask is drawn with transparency alone.

    Args:
        path: file of the mask.
        image_size: (width, height) of the image it belongs to, pixels.

    Raises:
        ImageFileError: if the mask is unreadable, not as large as its image, or has no black.
    """
    mask, _ = _decode(path, set())
    if mask.size != image_size:
        raise ImageFileError(
            f"mask '{path}' is {mask.width}x{mask.height} pixels, its image {image_size[0]}x{image_size[1]};"
            " expected the same size.\nExport the mask again at the size of the image, or leave the pair out"
            ' with on_error="skip".'
        )
    values = _mask_values(mask, path)
    present = np.unique(values)
    if 1 < len(present) <= FEW_VALUES and present[0] > 0 and mask.format not in LOSSY_FORMATS:
        raise ImageFileError(
            f"mask '{path}' has no black: its values are {', '.join(map(str, present.tolist()))}, and none of them is"
            " surely the background.\nExport it with 0 (black) where the image is good, or leave the pair out"
            ' with on_error="skip".'
        )
    if len(present) <= FEW_VALUES and (mask.format not in LOSSY_FORMATS or len(present) == 1):
        return values > 0
    if values.max() <= (full := 255 if values.max() <= 255 else 65535) // 2:
        raise ImageFileError(
            f"mask '{path}' has {len(present)} different values, none above half of white ({values.max()} of {full}):"
            " neither a mask in black and white nor numbers of classes.\nExport it as PNG in black and white, or"
            ' leave the pair out with on_error="skip".'
        )
    return values > full // 2


LOSSY_FORMATS = ("JPEG", "MPO")
FEW_VALUES = 16  # a mask of more different values was smoothed or stored with losses


def _mask_values(mask: Image.Image, path: Path) -> np.ndarray:
    """Brightness (H, W): of a colour that of its brightest part, of floats in [0, 1] 0 to 255."""
    if mask.mode in DEEP_MODES:
        return np.asarray(mask).astype(np.int64)
    picture = np.asarray(to_8_bit(mask, f"mask '{path}'", None, set()))
    values = picture.max(axis=2) if picture.ndim == 3 else picture
    if picture.ndim == 3 and values.min() > 127 and (picture != picture[0, 0]).any():
        raise ImageFileError(
            f"mask '{path}' is coloured and has no black: which of its colours is the background cannot be known.\n"
            'Export it with black where the image is good, or leave the pair out with on_error="skip".'
        )
    drawn = "A" in mask.getbands() or "a" in mask.getbands() or "transparency" in mask.info
    if drawn and not values.any():  # black strokes on nothing
        values = np.asarray(mask.convert("RGBA"))[..., 3]
        return values if values.min() < 255 else np.zeros_like(values)
    return values


def parallel_results(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """function(item) for each item in turn, on threads: Pillow releases Python's lock while it decodes."""
    threads = min(8, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, items)


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results of `parallel_results`."""
    return list(parallel_results(function, items))


def resize_stack(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3) -> uint8 (N, C, size, size), by the rule of `resize_image`."""
    if images.shape[1:3] != (size, size):
        images = np.stack(
            parallel_map(lambda pixels: np.asarray(resize_image(Image.fromarray(pixels), size)), images)
        )
    if images.ndim == 3:
        return np.ascontiguousarray(images[:, None])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
