"""Folders of images: a published set under ADLIB_DATA, or the reader's own.

train/good/*.png               normal images
test/good/*.png                normal images
test/<kind>/*.png              one folder per kind of defect
ground_truth/<kind>/<stem>_mask.png    optional, for some or all; black = good
groups.csv                     optional; columns file,group: images of one object share a group

Other arrangements that are understood stand in `adlib.data.layout`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.images import (
    ImageFileError,
    Opened,
    ValueRange,
    checked_range,
    describe_changes,
    measure_image,
    measured_range,
    open_image,
    parallel_map,
    parallel_results,
    read_mask,
    resize_image,
    resize_mask,
    size_changes,
)
from adlib.data.inputs import hidden_note
from adlib.data.layout import Item, Layout, check_sides, read_layout
from adlib.data.registry import DataSet, Entry
from adlib.files import as_path


def load_folder(
    path: str | os.PathLike[str],
    *,
    size: int,
    on_error: str = "raise",
    title: str = "",
    value_range: ValueRange | None = None,
) -> Collection:
    """All images of a folder, at one size, with masks and groups where there are any.

    Images are grey (1 channel) if every one of them has equal red, green and blue, however it is stored; else
    RGB. Decoding runs on threads; a folder that has not changed is decoded once per process and size, unless its images
    take more than `KEPT_BYTES`.

    Args:
        path: the folder that holds train/ and test/, or good images only; see `adlib.data.layout`.
        size: side of the square images, pixels.
        on_error: "raise" stops at the first image or mask that cannot be used, "skip" leaves it out and says
            so in the notes.
        title: what to print beside a number; the folder's name by default.
        value_range: what becomes black and white in grey images of more than 8 bits, e.g. (0, 4095), and in float
            files. By default the smallest of 8, 10, 12, 14 and 16 bits that holds all values of the folder; floats
            have to lie in [0, 1].

    Returns:
        Collection with sides where the folder has them; masks are None if no image has one.

    Raises:
        FileNotFoundError: if the folder or one of its sides is missing or empty.
        ImageFileError: if an image or mask cannot be used and on_error is "raise".
        ValueError: if on_error is something else, groups.csv cannot be used, or the folder can be understood in two
            ways.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}; expected "raise" or "skip".')
    root = as_path(path)
    layout = read_layout(root)
    notes: list[str] = []
    files = tuple(
        (item, _stamp(item.path) + (_stamp(item.mask) if item.mask else ())) for item in layout.items
    )
    value_range = checked_range(value_range)
    decoded = _decode(files, size, value_range)
    value_range = value_range or measured_range(decoded.values, len(files), notes)
    errors = [str(error) for error in decoded.errors.values()]
    if errors and on_error == "raise":
        raise ImageFileError(errors[0])
    files = tuple(file for place, file in enumerate(files) if place not in decoded.errors)
    usable = [item for item, _ in files]
    if errors:
        first_lines = "; ".join(error.splitlines()[0] for error in errors)
        notes.insert(0, f"{len(errors)} of {len(layout.items)} images left out: {first_lines}")
        check_sides(Layout(root, usable), of=layout)
    notes += [*layout.notes, *hidden_note(root, layout.hidden)]
    notes += describe_changes([about.changes for about in decoded.about], size, size)
    if 0 < (grey := sum(about.grey for about in decoded.about)) < len(usable):
        notes.append(
            f"{grey} of {len(usable)} images are grey, the others coloured: all have three channels."
        )
    masks, masked = _stack_masks(usable, [about.mask for about in decoded.about], size, notes)
    sides = np.array([item.side for item in usable]) if all(item.side for item in usable) else None
    pictures = _equal_pictures(files, [about.key for about in decoded.about], value_range, sides is None)
    return Collection(
        images=stack_to_tensor(decoded.images),
        kinds=np.array([item.kind for item in usable]),
        sides=sides,
        masks=masks,
        masked=masked,
        groups=_groups(root, usable, pictures, sides is None, notes),
        title=title or root.resolve().name,
        notes=tuple(notes),
        value_range=value_range,
        good_suffices=True,
        shared=_is_kept(len(layout.items), size),
    )


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of a file, so that a changed one is decoded anew."""
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


class _About(NamedTuple):
    """What is known about one picture: its mask, bool (size, size), and what was done to it.

    key: equal for equal pictures, and rarely for others. grey: whether it has one channel.
    """

    mask: np.ndarray | None
    changes: frozenset[str]
    key: tuple[int, ...]
    grey: bool


class _Decoded(NamedTuple):
    """A folder: images uint8 (N, C, size, size) of the files that can be used, and what is known about each.

    errors: place among the files -> why it cannot be used. values: (smallest, largest) of each file of more than 8
    bits, where no value range was given.
    """

    images: np.ndarray
    about: list[_About]
    errors: dict[int, ImageFileError]
    values: list[tuple[float, float]]


_File = tuple[Item, tuple[int, ...]]
_Files = tuple[_File, ...]
KEPT_BYTES = 2**27  # of images. A folder that takes more is decoded at every load, and in memory only once.


def _is_kept(count: int, size: int) -> bool:
    """Whether the images of a folder stay in memory, for the next time that it is loaded."""
    return count * 3 * size**2 <= KEPT_BYTES


def _decode(files: _Files, size: int, value_range: ValueRange | None) -> _Decoded:
    try:
        return (_decode_once if _is_kept(len(files), size) else _decode_anew)(files, size, value_range)
    except MemoryError as error:
        raise MemoryError(
            f"{len(files)} images of {size}x{size} pixels do not fit into memory.\n"
            "Lower `size`, or train from disk with adlib.data.stream_folder."
        ) from error


def _decode_anew(files: _Files, size: int, value_range: ValueRange | None) -> _Decoded:
    """Every file once; those that depend on a value range which all of them decide, a second time."""
    values: list[tuple[float, float]] = []
    waiting: list[int] = []
    stack = _Stack(len(files), size)

    def read(file: _File) -> _Result:
        return _read(file[0], open_image(file[0].path, value_range), size)

    def look(file: _File) -> _Result | None:
        opened, deep = measure_image(file[0].path)
        values.extend([] if deep is None else [deep])
        return None if opened is None else _read(file[0], opened, size)

    for place, result in enumerate(parallel_results(_caught(look if value_range is None else read), files)):
        if result is None:
            waiting.append(place)
        else:
            stack.put(place, result)
    if waiting:
        value_range = measured_range(values, len(files), [])
        for place, result in zip(
            waiting, parallel_results(_caught(read), [files[place] for place in waiting])
        ):
            stack.put(place, result)
    return stack.decoded(values)


_decode_once = lru_cache(maxsize=4)(_decode_anew)
_Result = tuple[np.ndarray, _About] | ImageFileError


def _caught(function: Callable[[_File], Any]) -> Callable[[_File], Any]:
    """The function, with the reason as its result where a file cannot be used."""

    def call(file: _File) -> Any:
        try:
            return function(file)
        except ImageFileError as error:
            return error

    return call


def _read(item: Item, opened: Opened, size: int) -> tuple[np.ndarray, _About]:
    """Pixels, uint8 (1 or 3, size, size), of a file that was opened, and what is known about it.

    Raises:
        ImageFileError: its mask cannot be used.
    """
    image, changes = opened
    mask = None if item.mask is None else resize_mask(read_mask(item.mask, image.size), size)
    pixels = np.asarray(resize_image(image, size))
    grey = pixels.ndim == 2 or not (pixels[..., :1] != pixels).any()
    pixels = np.atleast_3d(pixels)[..., : 1 if grey else 3]
    pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    key = (*image.size, zlib.crc32(pixels.data))
    return pixels, _About(mask, changes | size_changes(image, size, size), key, grey)


class _Stack:
    """Pictures put where they belong as they come, so that they are in memory once: grey, until one has colours."""

    def __init__(self, count: int, size: int) -> None:
        self._images = np.empty((count, 1, size, size), np.uint8)
        self._about: dict[int, _About] = {}
        self._errors: dict[int, ImageFileError] = {}

    def put(self, place: int, result: _Result) -> None:
        """What became of the file at a place."""
        if isinstance(result, ImageFileError):
            self._errors[place] = result
            return
        pixels, self._about[place] = result
        if len(pixels) > self._images.shape[1]:
            self._images = np.repeat(self._images, len(pixels), axis=1)
        self._images[place] = pixels

    def decoded(self, values: list[tuple[float, float]]) -> _Decoded:
        """All of it, in the order of the files."""
        places = sorted(self._about)
        images = self._images[places] if self._errors else self._images
        return _Decoded(
            images, [self._about[place] for place in places], dict(sorted(self._errors.items())), values
        )


@lru_cache(maxsize=8)
def _digests(files: _Files, value_range: ValueRange | None) -> list[str]:
    """A digest of the pixels of each file, at the size that it has."""

    def digest(file: _File) -> str:
        image = open_image(file[0].path, value_range).image
        return hashlib.blake2b(
            f"{image.size}".encode() + image.convert("RGB").tobytes(), digest_size=16
        ).hexdigest()

    return parallel_map(digest, files)


def _equal_pictures(
    files: _Files, keys: list[tuple[int, ...]], value_range: ValueRange | None, drawn: bool
) -> np.ndarray | None:
    """Numbers (N,), equal for files with the same picture; None if there are no such files.

    Pixels as they are stored are compared where those at the size of the folder agree. Where sides are yet to be drawn,
    the numbers follow the digests of all files, and with them the draw.
    """
    counts = Counter(keys)
    alike = [place for place, key in enumerate(keys) if counts[key] > 1]
    names = [str(place) for place in range(len(files))]
    for place, digest in zip(alike, _digests(tuple(files[place] for place in alike), value_range)):
        names[place] = digest
    if len({*names}) == len(names):
        return None
    if drawn:
        names = _digests(files, value_range)
    return np.unique(names, return_inverse=True)[1]


def _stack_masks(
    usable: list[Item], of_items: list[np.ndarray | None], size: int, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Masks bool (N, size, size), or None if no image has one; whether each is known (N,), or None if all are."""
    if all(item.mask is None for item in usable):
        return None, None
    masks = np.zeros((len(usable), size, size), dtype=bool)
    for place, mask in enumerate(of_items):
        if mask is not None:
            masks[place] = mask
    good = np.array([item.kind == GOOD for item in usable])
    without = np.array([item.mask is None for item in usable]) & ~good
    marked = masks.any(axis=(1, 2))
    if (good & marked).any():
        notes.append(
            f"{int((good & marked).sum())} good images have a mask that marks defects; it is not used."
        )
        masks[good] = False
    if without.any():
        example = next(item.path for item, missing in zip(usable, without) if missing).name
        notes.append(
            f"{int(without.sum())} of {int((~good).sum())} defective images have no mask (e.g. {example}): they count"
            " for the verdict of the image, and are left out where pixels are judged."
        )
    empty = int((~good & ~without & ~marked).sum())
    if empty:
        notes.append(f"{empty} defective images have an empty mask.")
    full = int((masks.mean(axis=(1, 2)) > 0.5).sum())
    if full:
        notes.append(f"{full} masks mark more than half of their image: is black the good part in them?")
    return masks, (~without if without.any() else None)


def _groups(
    root: Path, usable: list[Item], pictures: np.ndarray | None, drawn: bool, notes: list[str]
) -> np.ndarray | None:
    """Groups from groups.csv; without one, and where sides are yet to be drawn, equal images are one group."""
    groups = _read_groups(root, usable, notes)
    if pictures is None:
        return groups
    notes += _duplicate_notes(root, usable, pictures)
    return pictures if groups is None and drawn else groups


def _duplicate_notes(root: Path, items: list[Item], pictures: np.ndarray) -> list[str]:
    """Sentences about equal pictures: on two sides, in two kinds, twice on one side."""
    by_picture: dict[int, list[Item]] = {}
    for item, picture in zip(items, pictures.tolist()):
        by_picture.setdefault(picture, []).append(item)
    repeated = [same for same in by_picture.values() if len(same) > 1]
    across = [same for same in repeated if len({item.side for item in same}) > 1]
    torn = [same for same in repeated if len({item.kind for item in same}) > 1]
    within = [same for same in repeated if same not in across and same not in torn]

    def example(groups: list[list[Item]]) -> str:
        return " = ".join(item.path.relative_to(root).as_posix() for item in groups[0][:2])

    notes = []
    if across:
        notes.append(
            f"{len(across)} pictures stand on two sides of the split ({example(across)}): what is tested was"
            " seen before."
        )
    if torn:
        notes.append(
            f"{len(torn)} pictures are of two kinds at once ({example(torn)}): one of the two is wrong."
        )
    if within:
        notes.append(f"{len(within)} pictures occur more than once on their side ({example(within)}).")
    return notes


def _read_groups(root: Path, items: list[Item], notes: list[str]) -> np.ndarray | None:
    """Group numbers (N,) from groups.csv, or None without one; an unnamed image is a group of its own."""
    file = root / "groups.csv"
    if not file.is_file():
        return None
    named = _group_table(file)
    names = [item.path.relative_to(root).as_posix() for item in items]
    missing = [name for name in names if _key(name) not in named]
    if len(missing) == len(names):
        raise ValueError(
            f"'{file}' names none of the {len(names)} images, e.g. not '{names[0]}'.\n"
            "Write each file relative to the folder, with forward slashes and its ending."
        )
    if missing:
        notes.append(
            f"{len(missing)} images are not named in groups.csv; each counts as an object of its own."
        )
    unknown = len(named) - (len(names) - len(missing))
    if unknown:
        notes.append(f"{unknown} lines of groups.csv name no image of the folder.")
    keys = [f"group {named[_key(name)]}" if _key(name) in named else f"image {name}" for name in names]
    return np.unique(keys, return_inverse=True)[1]


def _key(name: str) -> str:
    """A file's name as it is compared: forward slashes, one form of each accent."""
    return unicodedata.normalize("NFC", Path(name.strip().replace("\\", "/")).as_posix())


def _group_table(file: Path) -> dict[str, str]:
    """File -> group, from whatever a spreadsheet writes: comma, semicolon or tab, UTF-8, UTF-16 or Windows' code page.

    Raises:
        ValueError: it has no columns file and group, or gives one file two groups.
    """
    lines = [line for line in _text(file.read_bytes()).splitlines() if line.strip(" ,;\t")]
    separators = ",;\t|"
    if lines and lines[0].strip('"').lower().startswith("sep="):  # a line for Excel
        separators, lines = lines[0].strip('"')[4:5] or ",", lines[1:]

    def read(separator: str) -> list[list[str]]:
        return list(csv.reader(lines, delimiter=separator, skipinitialspace=True))

    def columns_of(rows: list[list[str]]) -> list[str]:
        return [name.strip() for name in rows[0]] if rows else []

    every = [read(separator) for separator in separators]
    rows = next(
        (rows for rows in every if {"file", "group"} <= {*map(str.lower, columns_of(rows))}), every[0]
    )
    columns = columns_of(rows)
    places = {name.lower(): place for place, name in enumerate(columns)}
    if not {"file", "group"} <= set(places):
        raise ValueError(
            f"'{file}' has the columns {columns}; expected at least 'file' and 'group'.\n"
            "Name each image relative to the folder, e.g. train/good/001.png,7."
        )
    named: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) <= max(places["file"], places["group"]) or not row[places["group"]].strip():
            raise ValueError(
                f"'{file}' has no file and group in line {number}: {row}.\n"
                "Name each image relative to the folder, e.g. train/good/001.png,7."
            )
        name, group = _key(row[places["file"]]), row[places["group"]].strip()
        if named.setdefault(name, group) != group:
            raise ValueError(
                f"'{file}' puts '{name}' into two groups, {named[name]!r} and {group!r}.\nKeep one of the lines."
            )
    return named


def _text(data: bytes) -> str:
    """The text of a file by its byte order mark, else UTF-8, else Windows' code page."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


FOLDER = DataSet(
    name="folder",
    loader=load_folder,
    entries=(
        Entry(
            name="folder",
            title="Your own images",
            count="yours; masks optional",
            image_size="any that Pillow reads",
            licence="yours",
            source='load("folder", path=...)',
            how_to_get="Arrange the images as train/good, test/good and test/<kind of defect>; good ones alone do.",
            available=lambda: True,
        ),
    ),
)
