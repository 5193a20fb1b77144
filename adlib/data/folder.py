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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.images import (
    ImageFileError,
    ValueRange,
    checked_range,
    deep_values,
    describe_changes,
    measured_range,
    open_image,
    parallel_map,
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
    RGB. Decoding runs on threads; a folder that has not changed is decoded once per process and size.

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
    value_range = checked_range(value_range) or measured_range(_deep_values(files), len(files), notes)
    decoded = _decode(files, size, value_range)
    errors = [str(result) for result in decoded if isinstance(result, ImageFileError)]
    if errors and on_error == "raise":
        raise ImageFileError(errors[0])
    usable = [item for item, result in zip(layout.items, decoded) if isinstance(result, _Decoded)]
    results = [result for result in decoded if isinstance(result, _Decoded)]
    if errors:
        first_lines = "; ".join(error.splitlines()[0] for error in errors)
        notes.insert(0, f"{len(errors)} of {len(files)} images left out: {first_lines}")
        check_sides(Layout(root, usable), of=layout)
    notes += [*layout.notes, *hidden_note(root, layout.hidden)]
    notes += describe_changes([result.changes for result in results], size, size)
    images, kinds = (
        _stack([result.image for result in results], notes),
        np.array([item.kind for item in usable]),
    )
    masks, masked = _stack_masks(usable, results, notes)
    sides = np.array([item.side for item in usable]) if all(item.side for item in usable) else None
    return Collection(
        images=stack_to_tensor(images),
        kinds=kinds,
        sides=sides,
        masks=masks,
        masked=masked,
        groups=_groups(root, usable, results, sides is None, notes),
        title=title or root.resolve().name,
        notes=tuple(notes),
        value_range=value_range,
        good_suffices=True,
    )


def _stamp(file: Path) -> tuple[int, ...]:
    """Size and time of a file, so that a changed one is decoded anew."""
    if not file.exists():
        return (0, 0)
    status = file.stat()
    return (status.st_mtime_ns, status.st_size)


@dataclass(frozen=True)
class _Decoded:
    """Image (size, size[, 3]) uint8, mask (size, size) bool, what was done to it, and a digest of its own pixels."""

    image: np.ndarray
    mask: np.ndarray
    changes: frozenset[str]
    digest: bytes


_Files = tuple[tuple[Item, tuple[int, ...]], ...]


@lru_cache(maxsize=4)
def _deep_values(files: _Files) -> tuple[tuple[float, float], ...]:
    """(smallest, largest) value of each image that holds more than 8 bits."""
    measured = parallel_map(lambda file: deep_values(file[0].path), files)
    return tuple(values for values in measured if values is not None)


def _decode(files: _Files, size: int, value_range: ValueRange | None) -> list[_Decoded | ImageFileError]:
    try:
        return _decode_cached(files, size, value_range)
    except MemoryError as error:
        raise MemoryError(
            f"{len(files)} images of {size}x{size} pixels do not fit into memory.\n"
            "Lower `size`, or train from disk with adlib.data.stream_folder."
        ) from error


@lru_cache(maxsize=4)
def _decode_cached(
    files: _Files, size: int, value_range: ValueRange | None
) -> list[_Decoded | ImageFileError]:
    def read(file: tuple[Item, tuple[int, ...]]) -> _Decoded | ImageFileError:
        item, _ = file
        try:
            image, changes = open_image(item.path, value_range)
            mask = np.zeros((size, size), dtype=bool)
            if item.mask is not None:
                mask = resize_mask(read_mask(item.mask, image.size), size)
        except ImageFileError as error:
            return error
        digest = hashlib.blake2b(
            f"{image.size}".encode() + image.convert("RGB").tobytes(), digest_size=16
        ).digest()
        return _Decoded(
            np.asarray(resize_image(image, size)), mask, changes | size_changes(image, size, size), digest
        )

    return parallel_map(read, files)


def _stack_masks(
    usable: list[Item], results: list[_Decoded], notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Masks bool (N, size, size), or None if no image has one; whether each is known (N,), or None if all are."""
    if all(item.mask is None for item in usable):
        return None, None
    masks = np.stack([result.mask for result in results])
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


def _stack(images: list[np.ndarray], notes: list[str]) -> np.ndarray:
    """uint8 (N, C, H, W): one channel if nothing anywhere is coloured, else three."""
    stacked = np.stack(
        [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    )
    coloured = ((stacked[..., :1] != stacked).any(axis=(1, 2, 3))) if len(stacked) else np.zeros(0, bool)
    grey = len(stacked) - int(coloured.sum())
    if 0 < grey < len(stacked):
        notes.append(
            f"{grey} of {len(stacked)} images are grey, the others coloured: all have three channels."
        )
    return (stacked if coloured.any() else stacked[..., :1]).transpose(0, 3, 1, 2)


def _groups(
    root: Path, usable: list[Item], results: list[_Decoded], drawn: bool, notes: list[str]
) -> np.ndarray | None:
    """Groups from groups.csv; without one, and where sides are yet to be drawn, equal images are one group."""
    digests = np.array([result.digest.hex() for result in results])
    groups = _read_groups(root, usable, notes)
    names, inverse = np.unique(digests, return_inverse=True)
    if len(names) == len(digests):
        return groups
    notes += _duplicate_notes(root, usable, inverse)
    return inverse if groups is None and drawn else groups


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
