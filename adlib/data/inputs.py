"""Whatever holds images - paths, folders, camera frames, Pillow images - as the batch that a detector looks at.

>>> from adlib.data import as_images
>>> as_images("~/new", detector.image_shape, on_error="skip")           # every image below a folder
>>> as_images(["a.png", "b.tif"], detector.image_shape)
>>> as_images(frame, detector.image_shape)                              # numpy, (H, W) or (H, W, 3), RGB
>>> as_images(cv2.imread("a.png")[..., ::-1], detector.image_shape)     # OpenCV gives BGR: turn it into RGB

All ways give the bytes that the folder of the training images gave, and say what had to be done for it.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adlib.data.images import (
    ImageFileError,
    Opened,
    ValueRange,
    checked_range,
    describe_changes,
    is_image_name,
    open_image,
    opened_picture,
    parallel_map,
    resize_image,
    scale_values,
    size_changes,
    walk_names,
)
from adlib.data.layout import mask_files
from adlib.files import as_path

OneImage = str | os.PathLike[str] | Image.Image | np.ndarray
ImageSource = Tensor | OneImage | Sequence[OneImage]
SHAPES = (
    "A frame is (H, W) or (H, W, 3), several are (N, H, W, 3), in RGB. OpenCV gives BGR: image[..., ::-1]."
)


class ImageBatch(NamedTuple):
    """Images as a detector takes them, and everything that should be known about how they came to be so.

    images: uint8 (N, C, H, W). names: N paths or places, e.g. "images[3]". notes: what was converted, squeezed or
    passed over, in plain sentences. refused: one message for each image that was left out, with its name.
    """

    images: Tensor
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class ImageListing(NamedTuple):
    """Image files in order, and in plain sentences what was passed over on the way."""

    files: list[Path]
    notes: tuple[str, ...] = ()


def find_images(*places: str | os.PathLike[str]) -> ImageListing:
    """Image files by path: files as they are named, folders with all below them, patterns such as *.png.

    What is hidden, and masks by their name or folder, are passed over in a folder.

    Args:
        places: as a person types them, see `adlib.files.as_path`.

    Returns:
        The files in the order of the places, each folder's sorted; no file twice.

    Raises:
        FileNotFoundError: a place where nothing is, or a folder without an image.
    """
    files: list[Path] = []
    notes: list[str] = []
    for place in places:
        path = as_path(place)
        if path.is_dir():
            inside, passed_over = search_folder(path)
            notes += passed_over
            if not inside:
                raise FileNotFoundError(
                    "\n".join(
                        [f"'{path}' holds no image.", *notes, "Give a folder of images, or their paths."]
                    )
                )
        elif path.exists():
            inside = [path]
        else:
            inside = [Path(name) for name in sorted(glob.glob(as_pattern(path), recursive=True))]
            if not inside:
                raise FileNotFoundError(
                    f"'{path}' is neither a file nor a folder, and no file fits it as a pattern.\nCheck the path;"
                    f" relative paths start at '{Path.cwd()}'."
                )
        files += inside
    # Paths are slow to hash, and one folder names no file twice.
    once = files if len(places) == 1 else list({str(file): file for file in files}.values())
    if len(once) < len(files):
        notes.append(f"{len(files) - len(once)} files were named more than once and are taken once.")
    return ImageListing(once, tuple(notes))


def as_pattern(path: Path) -> str:
    """A pattern such as "parts [2]/*.png" for `glob`: folders that are there are taken to the letter."""
    there = next(parent for parent in path.parents if parent.exists())
    return os.path.join(glob.escape(str(there)), *path.parts[len(there.parts) :])


def search_folder(folder: Path, locked: list[str] | None = None) -> tuple[list[Path], list[str]]:
    """The images below a folder, sorted, and in sentences what lies there and is none of them.

    Args:
        folder: where to search. locked: folders that may not be read are added to it.

    Raises:
        OSError: a folder may not be read, and `locked` is None.
    """

    def name(file: str) -> str:
        return Path(file).relative_to(folder).as_posix()

    hidden: list[Path] = []
    start = len(str(folder))
    names = walk_names(folder, hidden, locked)
    files = sorted(names, key=lambda file: file[start:].split(os.sep))  # as paths are
    masks = mask_files(folder, files)
    others = [file for file in files if not is_image_name(file) or not os.path.isfile(file)]
    notes = []
    if others:
        endings = Counter(os.path.splitext(file)[1].lower() or "none" for file in others)
        counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
        notes.append(
            f"Left out, no images that can be read: {_files(others)} ({counts}; e.g. '{name(others[0])}')."
        )
    if masks:
        what = "masks by their name, their folder or an image beside them"
        notes.append(f"Left out, {what}: {_files(masks)} (e.g. '{name(masks[0])}').")
    passed_over = {*masks, *others}
    return [Path(file) for file in files if file not in passed_over], notes + hidden_note(folder, hidden)


def hidden_note(folder: Path, hidden: list[Path]) -> list[str]:
    """A sentence about images in hidden files and folders below a folder; none where there are none."""
    if not hidden:
        return []
    example = min(hidden).relative_to(folder).as_posix()
    return [
        f"Left out, hidden or in folders of the system: {_files(hidden, 'image file')} (e.g. '{example}')."
    ]


def _files(files: Sequence[object], noun: str = "file") -> str:
    return f"{len(files):,} {noun}{'' if len(files) == 1 else 's'}"


def as_images(
    source: ImageSource,
    image_shape: tuple[int, int, int],
    *,
    value_range: ValueRange | None = None,
    on_error: str = "raise",
) -> ImageBatch:
    """Whatever holds images as one batch for a detector, and what had to be done for that.

    Args:
        source: a path (file, folder, pattern), a Pillow image, numpy uint8 or uint16 of shape (H, W), (H, W, 3) or
            (N, H, W, 3) in RGB, a sequence of these, or uint8 tensors (N, C, H, W), which stay as they are. OpenCV
            gives BGR: pass image[..., ::-1].
        image_shape: (C, H, W) of the detector, `detector.image_shape`.
        value_range: what becomes black and white in images of more than 8 bits and in float files;
            `detector.value_range`. None: 0 and 65535, floats 0 and 1.
        on_error: "raise" stops at the first image that cannot be used, "skip" leaves it out and names it in `refused`.

    Returns:
        The batch; with "skip" it may be empty. Of more files than fit into memory, give `find_images(...).files` in
        portions.

    Raises:
        FileNotFoundError: a path where nothing is.
        TypeError: something that holds no images, or values that are neither uint8 nor uint16.
        ValueError: a shape that can be read in two ways; ImageFileError: an image that cannot be used.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}; expected "raise" or "skip".')
    if isinstance(source, Tensor):
        return ImageBatch(source, tuple(f"images[{number}]" for number in range(len(source))))
    value_range = checked_range(value_range)
    items, notes = _items(source)

    def take(
        item: tuple[str, Path | Image.Image | np.ndarray],
    ) -> tuple[np.ndarray, frozenset[str]] | ImageFileError:
        try:
            return _fit(_open(*item, value_range), item[0], image_shape)
        except ImageFileError as error:
            return error

    taken = parallel_map(take, items)
    refused = [str(result) for result in taken if isinstance(result, ImageFileError)]
    if refused and on_error == "raise":
        raise ImageFileError(refused[0])
    usable = [result for result in taken if not isinstance(result, ImageFileError)]
    pixels = np.stack([pixels for pixels, _ in usable]) if usable else np.empty((0, *image_shape), np.uint8)
    notes += describe_changes([changes for _, changes in usable], image_shape[2], image_shape[1])
    if refused:
        notes.append(
            f"{len(refused)} of {len(items)} images left out: " + "; ".join(map(_first_line, refused))
        )
    names = tuple(name for (name, _), result in zip(items, taken) if not isinstance(result, ImageFileError))
    return ImageBatch(torch.from_numpy(pixels), names, tuple(notes), tuple(refused))


def image_from_file(
    path: str | os.PathLike[str], image_shape: tuple[int, int, int], value_range: ValueRange | None = None
) -> Tensor:
    """One file as a detector wants it: uint8 (1, C, H, W), read and resized as a folder's images are.

    Args:
        path: an image file.
        image_shape: (C, H, W) of the detector, `detector.image_shape`.
        value_range: as in `as_images`.

    Raises:
        FileNotFoundError: there is no such file.
        ImageFileError: the file cannot be read, or is coloured while the detector knows grey images only.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is not a file.\nCheck the path; it has to be an image file.")
    return as_images([path], image_shape, value_range=value_range).images


def _first_line(message: str) -> str:
    return message.splitlines()[0]


def _items(source: object) -> tuple[list[tuple[str, Path | Image.Image | np.ndarray]], list[str]]:
    """(name, image) of every image, and what was passed over; frames of an array one by one."""
    if isinstance(source, (str, os.PathLike)):
        listing = find_images(source)
        return [(str(file), file) for file in listing.files], list(listing.notes)
    if isinstance(source, Image.Image):
        return [("image", source)], []
    if isinstance(source, np.ndarray):
        frames = frames_of(source)
        if len(frames) == 1:
            return [("image", frames[0])], []
        return [(f"images[{number}]", frame) for number, frame in enumerate(frames)], []
    if not isinstance(source, Iterable):
        raise TypeError(
            f"images are {type(source).__name__}; expected paths, arrays or Pillow images. {SHAPES}"
        )
    items: list[tuple[str, Path | Image.Image | np.ndarray]] = []
    notes: list[str] = []
    for number, one in enumerate(source):
        if isinstance(one, Tensor) or not isinstance(one, (str, os.PathLike, Image.Image, np.ndarray)):
            raise TypeError(
                f"images[{number}] is {type(one).__name__}; expected a path, an array or a Pillow image. {SHAPES}"
            )
        if isinstance(one, np.ndarray) and one.ndim == 4:
            raise ValueError(f"images[{number}] has the shape {one.shape}; expected one frame.\n{SHAPES}")
        inside, passed_over = _items(one)
        single = not isinstance(one, (str, os.PathLike))
        items += [(f"images[{number}]" if single else name, image) for name, image in inside]
        notes += passed_over
    if not items:
        raise ValueError(
            "there is no image: the sequence is empty.\nGive at least one path, array or Pillow image."
        )
    return items, notes


def frames_of(array: np.ndarray) -> list[np.ndarray]:
    """The frames of an array, each (H, W), (H, W, 3) or (H, W, 4).

    Args:
        array: (H, W), (H, W, C) or (N, H, W, C) with C of 1, 3 or 4, in RGB, of any memory order; uint8 or uint16 of
            either byte order.

    Raises:
        TypeError: other values. ValueError: a shape that can be read in two ways, or hidden values. The message has the
            line that mends it.
    """
    if np.ma.is_masked(array):
        raise ValueError("images have masked values, which are no grey levels.\nWrite image.filled(0).")
    array = np.asarray(array)
    if array.dtype.kind == "u":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16):
        raise TypeError(
            f"images are {array.dtype}; expected uint8 with values 0 to 255, or uint16 as a camera gives them.\n"
            + _mend_dtype(array)
        )
    if array.size == 0:
        raise ValueError(f"images have shape {array.shape}; expected N >= 1 images of at least one pixel.")
    mend = _mend_shape(array.shape)
    if mend:
        raise ValueError(
            f"images have shape {array.shape}, which is no frame and no row of frames.\n{mend} {SHAPES}"
        )
    frames = [array] if array.ndim == 2 or (array.ndim == 3) else list(array)
    return [frame[..., 0] if frame.ndim == 3 and frame.shape[-1] == 1 else frame for frame in frames]


def _mend_dtype(array: np.ndarray) -> str:
    """The line that makes uint8 of an array."""
    if array.dtype == bool:
        return "Write image.astype(np.uint8) * 255."
    if array.dtype.kind not in "iuf":
        return "It holds no grey levels. Of paths or frames write array.tolist() or list(array)."
    if not np.isfinite(array).all():
        return "Some of its values are no numbers: replace these first."
    if array.dtype.kind == "f" and array.size and np.nanmin(array) >= 0 and np.nanmax(array) <= 1:
        return "Write np.rint(image * 255).astype(np.uint8), if 1 is white."
    low, high = (np.nanmin(array), np.nanmax(array)) if array.size and array.dtype.kind in "fiu" else (0, 255)
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return "Its values are 0 to 255: write image.astype(np.uint8)."
    return (
        f"Its values go from {low} to {high}: say what is black and white, e.g. "
        f"np.rint((image - {low}) / {high - low or 1} * 255).astype(np.uint8), the same numbers for every image."
    )


def _mend_shape(shape: tuple[int, ...]) -> str:
    """Why a shape is not taken, and the line that mends it; empty for one that is."""
    last_is_colour = shape[-1] in (1, 3, 4)
    if len(shape) == 2:
        return ""
    if len(shape) == 3:
        if last_is_colour and shape[0] not in (1, 3, 4):
            return ""
        if last_is_colour:
            return "Colours may be first or last: write image[None] for one frame with colours last."
        if shape[0] in (1, 3):
            return (
                "Are colours first? Write np.moveaxis(image, 0, -1). Several grey frames? images[..., None]."
            )
        return "For grey frames one after the other write images[..., None]."
    if len(shape) == 4:
        if last_is_colour and (shape[1] not in (1, 3) or shape[1] == shape[2]):
            return ""
        if shape[1] in (1, 3) and not last_is_colour:
            return "Are colours first? Write images.transpose(0, 2, 3, 1), or torch.from_numpy(images)."
    return "Bring the colours to the end, or pass the frames as a list."


def _open(name: str, item: Path | Image.Image | np.ndarray, value_range: ValueRange | None) -> Opened:
    if isinstance(item, Path):
        return open_image(item, value_range)
    if isinstance(item, Image.Image):
        return opened_picture(item, name, value_range)
    return open_frame(item, name, value_range)


def open_frame(frame: np.ndarray, name: str, value_range: ValueRange | None) -> Opened:
    """A frame as its file would give it.

    Args:
        frame: (H, W), (H, W, 3) or (H, W, 4), one of `frames_of`. name: for errors. value_range: as in `as_images`.

    Raises:
        ImageFileError: its values do not fit the value range.
    """
    changes: set[str] = set()
    if frame.dtype == np.uint16:
        frame = scale_values(frame, name, value_range, changes)
    opened = opened_picture(Image.fromarray(np.ascontiguousarray(frame)), name, value_range)
    return Opened(opened.image, opened.changes | changes)


def _fit(opened: Opened, name: str, image_shape: tuple[int, int, int]) -> tuple[np.ndarray, frozenset[str]]:
    """uint8 (C, H, W) of a detector's shape, and what was done to the image altogether."""
    channels, height, width = image_shape
    image, changes = opened.image, set(opened.changes) | size_changes(opened.image, width, height)
    if channels == 3 and image.mode == "L":
        changes.add("grey")
    pixels = np.asarray(resize_image(image.convert("RGB"), width, height))
    if channels == 1 and (pixels != pixels[..., :1]).any():
        raise ImageFileError(
            f"image '{name}' is coloured; this detector was trained on grey images.\n"
            "Convert it the way the training images were converted."
        )
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[:channels]), frozenset(changes)
