"""Folders in MVTec layout: a published set under ADLIB_DATA, or the reader's own images.

train/good/*.png               normal images
test/good/*.png                normal images
test/<kind>/*.png              one folder per kind of defect
ground_truth/<kind>/<stem>_mask.png    optional; white = defective
groups.csv                     optional; columns file,group: images of one object share a group
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.images import (
    ImageFileError,
    list_images,
    parallel_map,
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)
from adlib.data.registry import DataSet, Entry

LAYOUT = "Expected train/good/, test/good/ and test/<kind of defect>/ with image files in each."


@dataclass(frozen=True)
class _Item:
    """One image of the folder. stamp: size and time of its files, so that a changed one is decoded anew."""

    path: Path
    side: str
    kind: str
    mask: Path | None
    stamp: tuple[int, ...]


def load_folder(path: str | Path, *, size: int, on_error: str = "raise", title: str = "") -> Collection:
    """All images of a folder in MVTec layout, at one size, with masks and groups where there are any.

    Images are grey (1 channel) if every one of them has equal red, green and blue, however it is stored; else
    RGB. Decoding runs on threads; a folder that has not changed is decoded once per process and size.

    Args:
        path: the folder that holds train/ and test/.
        size: side of the square images, pixels.
        on_error: "raise" stops at the first image or mask that cannot be used, "skip" leaves it out and says
            so in the notes.
        title: what to print beside a number; the folder's name by default.

    Returns:
        Collection with sides; masks are None if there is no ground_truth/.

    Raises:
        FileNotFoundError: if the folder or one of its sides is missing or empty.
        ImageFileError: if an image or mask cannot be used and on_error is "raise".
        ValueError: if on_error is something else or groups.csv cannot be used.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}; expected "raise" or "skip".')
    root = Path(path).expanduser()
    items = tuple(_list_items(root))
    decoded = _decode(items, size)
    errors = [str(result) for result in decoded if isinstance(result, ImageFileError)]
    if errors and on_error == "raise":
        raise ImageFileError(errors[0])
    usable = [item for item, result in zip(items, decoded) if isinstance(result, _Decoded)]
    results = [result for result in decoded if isinstance(result, _Decoded)]
    notes = []
    if errors:
        first_lines = "; ".join(error.splitlines()[0] for error in errors)
        notes.append(f"{len(errors)} of {len(items)} images left out: {first_lines}")
        _check_sides(root, usable)
    overlooked = _overlooked(root, items)
    if overlooked:
        notes.append(f"{_describe(overlooked)} and were left out.")
    oblong = sum(not result.square for result in results)
    if oblong:
        notes.append(f"{oblong} of {len(results)} images are not square and were squeezed to {size}x{size}.")
    kinds = np.array([item.kind for item in usable])
    return Collection(
        images=stack_to_tensor(_stack([result.image for result in results])),
        kinds=kinds,
        sides=np.array([item.side for item in usable]),
        masks=_stack_masks(usable, results, kinds, notes),
        groups=_read_groups(root, usable, notes),
        title=title or root.resolve().name,
        notes=tuple(notes),
    )


def _list_items(root: Path) -> list[_Item]:
    if not root.is_dir():
        raise FileNotFoundError(f"'{root}' is not a folder.\n{LAYOUT}")
    with_masks = (root / "ground_truth").is_dir()
    items = []
    for side in ("train", "test"):
        folder = root / side
        if not folder.is_dir():
            raise FileNotFoundError(f"'{root}' has no folder '{side}'.\n{LAYOUT}")
        for kind_folder in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
            kind = kind_folder.name
            if side == "train" and kind != GOOD:
                raise ValueError(
                    f"'{kind_folder}' is a training folder of kind '{kind}'; expected train/good only,"
                    " detectors train on normal images.\nMove defective images to test/."
                )
            for file in list_images(kind_folder):
                masked = with_masks and kind != GOOD
                mask = root / "ground_truth" / kind / f"{file.stem}_mask.png" if masked else None
                items.append(_Item(file, side, kind, mask, _stamp(file) + (_stamp(mask) if mask else ())))
    _check_sides(root, items)
    return items


def _overlooked(root: Path, items: Iterable[_Item]) -> list[Path]:
    """Visible files below train/ and test/ that are none of the images, relative to the folder."""
    inside = (file for side in ("train", "test") for file in (root / side).rglob("*") if file.is_file())
    others = {file for file in inside if not file.name.startswith(".")} - {item.path for item in items}
    return sorted(file.relative_to(root) for file in others)


def _describe(overlooked: list[Path]) -> str:
    endings = ", ".join(sorted({file.suffix or "none" for file in overlooked}))
    return (
        f"{len(overlooked)} files are no images that can be read, or do not lie directly in train/good or test/<kind> "
        f"(endings: {endings}; e.g. {overlooked[0].as_posix()})"
    )


def _stamp(file: Path) -> tuple[int, ...]:
    if not file.exists():
        return (0, 0)
    status = file.stat()
    return (status.st_mtime_ns, status.st_size)


def _check_sides(root: Path, items: list[_Item]) -> None:
    """Every side needs images; test needs both classes, or no score can be judged."""
    good = {
        side: sum(item.side == side and item.kind == GOOD for item in items) for side in ("train", "test")
    }
    defective = sum(item.kind != GOOD for item in items)
    for count, where, what in (
        (good["train"], "train/good", "normal images to train on"),
        (good["test"], "test/good", "normal images to test with"),
        (defective, "test/<kind of defect>", "defective images to test with"),
    ):
        if count == 0:
            overlooked = _overlooked(root, items)
            raise FileNotFoundError(
                f"'{root}' holds no {what}.\nPut at least one readable image into '{where}'."
                + (f" {_describe(overlooked)}." if overlooked else "")
            )


@dataclass(frozen=True)
class _Decoded:
    """Image (size, size[, 3]) uint8, mask (size, size) bool, and whether the file was square."""

    image: np.ndarray
    mask: np.ndarray
    square: bool


def _decode(items: tuple[_Item, ...], size: int) -> list[_Decoded | ImageFileError]:
    try:
        return _decode_cached(items, size)
    except MemoryError as error:
        raise MemoryError(
            f"{len(items)} images of {size}x{size} pixels do not fit into memory.\n"
            "Lower `size`, or train from disk with adlib.data.stream_folder."
        ) from error


@lru_cache(maxsize=4)
def _decode_cached(items: tuple[_Item, ...], size: int) -> list[_Decoded | ImageFileError]:
    def read(item: _Item) -> _Decoded | ImageFileError:
        try:
            image = read_image(item.path)
            mask = _mask_of(item, image.size, size)
        except ImageFileError as error:
            return error
        return _Decoded(np.asarray(resize_image(image, size)), mask, image.width == image.height)

    return parallel_map(read, items)


def _stack_masks(
    usable: list[_Item], results: list[_Decoded], kinds: np.ndarray, notes: list[str]
) -> np.ndarray | None:
    """Masks bool (N, size, size), or None if no image of the folder has one."""
    if all(item.mask is None for item in usable):
        return None
    masks = np.stack([result.mask for result in results])
    empty = int(((kinds != GOOD) & ~masks.any(axis=(1, 2))).sum())
    if empty:
        notes.append(f"{empty} defective images have an empty mask.")
    return masks


def _mask_of(item: _Item, image_size: tuple[int, int], size: int) -> np.ndarray:
    if item.mask is None:
        return np.zeros((size, size), dtype=bool)
    if not item.mask.is_file():
        raise ImageFileError(
            f"image '{item.path}' has no mask '{item.mask.name}' in '{item.mask.parent}', although the folder"
            ' has a ground_truth/.\nAdd the mask, or leave the image out with on_error="skip".'
        )
    return resize_mask(read_mask(item.mask, image_size), size)


def _stack(images: list[np.ndarray]) -> np.ndarray:
    """uint8 (N, C, H, W): one channel if nothing anywhere is coloured, else three."""
    stacked = np.stack(
        [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    )
    grey = (stacked[..., 0] == stacked[..., 1]).all() and (stacked[..., 0] == stacked[..., 2]).all()
    return (stacked[..., :1] if grey else stacked).transpose(0, 3, 1, 2)


def _read_groups(root: Path, items: list[_Item], notes: list[str]) -> np.ndarray | None:
    """Group numbers (N,) from groups.csv, or None without one; an unnamed image is a group of its own."""
    file = root / "groups.csv"
    if not file.is_file():
        return None
    with file.open(newline="", encoding="utf-8-sig") as stream:
        table = csv.DictReader(stream)
        columns = table.fieldnames or []
        if not {"file", "group"} <= set(columns):
            raise ValueError(
                f"'{file}' has the columns {columns}; expected at least 'file' and 'group'.\n"
                "Name each image relative to the folder, e.g. train/good/001.png,7."
            )
        named = {Path(row["file"].replace("\\", "/")).as_posix(): row["group"] for row in table}
    names = [item.path.relative_to(root).as_posix() for item in items]
    missing = [name for name in names if name not in named]
    if len(missing) == len(names):
        raise ValueError(
            f"'{file}' names none of the {len(names)} images, e.g. not '{names[0]}'.\n"
            "Write each file relative to the folder, with forward slashes and its ending."
        )
    if missing:
        notes.append(
            f"{len(missing)} images are not named in groups.csv; each counts as an object of its own."
        )
    keys = [f"group {named[name]}" if name in named else f"image {name}" for name in names]
    return np.unique(keys, return_inverse=True)[1]


FOLDER = DataSet(
    name="folder",
    loader=load_folder,
    entries=(
        Entry(
            name="folder",
            title="Your own images in MVTec layout",
            count="yours; masks optional",
            image_size="any that Pillow reads",
            licence="yours",
            source='load("folder", path=...)',
            how_to_get="Arrange the images as train/good, test/good and test/<kind of defect>.",
            available=lambda: True,
        ),
    ),
)
