"""Which files are meant: a folder of good images, a folder with labels, or whatever is to be scored."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adlib.data.collection import GOOD
from adlib.data.images import ImageFileError, list_images

GOOD_NAMES = frozenset(["good", "ok", "normal", "io", "pass", "passed", "fine"])
SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SIDES |= dict.fromkeys(["validation", "valid", "val"], "validation")
NOT_IMAGES = frozenset(["ground_truth", "masks", "mask", "annotations", "labels"])
HOW_TO_NAME = "Put good images into train/good, or name a folder that holds good images and nothing else."


class Source(NamedTuple):
    """An image to be scored: the file, and the place it was listed from (a folder, or the file's own)."""

    file: Path
    root: Path

    @property
    def name(self) -> Path:
        """The file's path below that place."""
        return self.file.relative_to(self.root)


@dataclass(frozen=True)
class GoodImages:
    """What a detector is fitted to.

    Attributes:
        train: files of good images.
        validation: files of good images that somebody has set aside for the threshold; may be empty.
        notes: what was left out, in plain sentences.
    """

    train: list[Path]
    validation: list[Path]
    notes: tuple[str, ...] = ()


def find_good(folder: str | Path) -> GoodImages:
    """The good images of a folder: train/good, train/ok ..., else good/ or ok/, else the folder itself.

    Args:
        folder: a folder in MVTec layout, one with good/ and bad/ (or OK/ and NG/, normal/ and abnormal/ ...), or a
            plain folder of good images. Letter case does not matter. `validation/` is used for the threshold.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: it cannot be told which images are good; the message names the folders.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"'{root}' is not a folder. Name a folder of good images.")
    sides = _sides(root)
    place = _good_place(sides.get("train", root))
    train = list_images(place, recursive=place != root)
    if not train:
        raise FileNotFoundError(f"'{place}' holds no image. {HOW_TO_NAME}{_others(place, train)}")
    validation: list[Path] = []
    if "validation" in sides:
        validation = list_images(_good_place(sides["validation"]), recursive=True)
    outside = [] if place == root else _elsewhere(root, {"train", "validation"}, place)
    notes = [f"Good images are those in '{place.relative_to(root)}'." + outside[0]] if outside else []
    left_out = _others(root if "train" not in sides else place, [*train, *validation], deep=place != root)
    return GoodImages(train, validation, (*notes, *([left_out.strip()] if left_out else [])))


def _good_place(place: Path) -> Path:
    """The folder of good images at or directly below a place."""
    folders = _folders(place)
    good = [entry for entry in folders if entry.name.lower() in GOOD_NAMES]
    if len(good) == 1:
        return good[0]
    if len(good) > 1:
        raise ValueError(
            f"'{place}' holds {_names(good)}, all of which sound good. Name the one that is meant."
        )
    if list_images(place):
        return place
    if folders:
        raise ValueError(f"'{place}' holds the folders {_names(folders)}; which are good? {HOW_TO_NAME}")
    raise FileNotFoundError(f"'{place}' holds no image. {HOW_TO_NAME}{_others(place, [])}")


def find_labelled(folder: str | Path) -> tuple[list[tuple[Source, str]], tuple[str, ...]]:
    """Images with labels: one folder per kind, in test/ if there is one, else in the folder itself.

    Returns:
        (source, kind) for every image, "good" for folders named good, OK, normal ...; and what was left out, in
        sentences.

    Raises:
        FileNotFoundError: no such folder. ValueError: no folders of kinds in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"'{root}' is not a folder. Name one with test/good and test/<kind of defect>."
        )
    place = _sides(root).get("test", root)
    known = set(SIDES) | NOT_IMAGES
    kinds = [entry for entry in _folders(place) if entry.name.lower() not in known]
    files = [
        (Source(file, root), GOOD if kind.name.lower() in GOOD_NAMES else kind.name)
        for kind in kinds
        for file in list_images(kind, recursive=True)
    ]
    if not files:
        raise ValueError(
            f"'{place}' holds no labelled images. Expected one folder per kind, such as good/ and scratch/, or OK/ and "
            "NG/; without labels use `adlib score` or `adlib report`."
        )
    left_out = _others(place, [source.file for source, _ in files], deep=True)
    return files, ((left_out.strip(),) if left_out else ())


def list_sources(path: str, notes: list[str]) -> Iterator[Source | ImageFileError]:
    """The images behind a file, a folder (searched recursively) or a pattern such as "*.png", sorted.

    Args:
        path: what was named.
        notes: takes sentences about what was left out.

    Yields:
        A source, or an error if nothing can be read there.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        images = list_images(place, recursive=True)
        if left_out := _others(place, images, deep=True):
            notes.append(left_out.strip())
        if not images:
            yield ImageFileError(f"'{path}' holds no image.")
        yield from (Source(file, place) for file in images)
    elif place.is_file():
        yield Source(place, place.parent)
    elif matches := sorted(glob.glob(os.path.expanduser(path), recursive=True)):
        for match in matches:
            yield from list_sources(match, notes)
    else:
        yield ImageFileError(f"'{path}' is neither a file nor a folder, and no file fits it as a pattern.")


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 image", "2 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _folders(place: Path) -> list[Path]:
    hidden = (".", "__")  # also __MACOSX, which holds doubles of every file
    return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(hidden))


def _sides(root: Path) -> dict[str, Path]:
    return {SIDES[entry.name.lower()]: entry for entry in _folders(root) if entry.name.lower() in SIDES}


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(f"'{folder.name}'" for folder in folders)


def _elsewhere(root: Path, used: set[str], place: Path) -> list[str]:
    """A sentence about folders beside the good ones that are not used."""
    beside = {*_folders(root), *_folders(place.parent)} - {place, place.parent}
    unused = sorted(entry for entry in beside if SIDES.get(entry.name.lower()) not in used)
    return [f" Not used: {_names(unused)}."] if unused else []


def _others(place: Path, images: list[Path], deep: bool = False) -> str:
    """A sentence about visible files that are no images that can be read, and images deeper than was looked."""
    files = (file for file in place.rglob("*") if file.is_file())
    visible = (f for f in files if not any(part.startswith(".") for part in f.relative_to(place).parts))
    others = sorted({*visible} - set(images))
    if not others:
        return ""
    endings = Counter(file.suffix.lower() or "none" for file in others)
    what = "no images" if deep else "no images, or deeper than was looked"
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
    return (
        f" Left out of '{place}', {what}: {plural(len(others), 'file')} ({counts}; e.g. '{others[0].name}')."
    )
