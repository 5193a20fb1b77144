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
from adlib.data.images import ImageFileError, is_hidden, list_images, walk_names
from adlib.data.inputs import as_pattern, search_folder
from adlib.data.layout import MASK_FOLDERS, SIDES, is_good, plain, without_masks
from adlib.files import as_path

SIDE_OF = {name: side for side, names in SIDES.items() for name in names}
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
    root = as_path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"'{root}' is not a folder. Name a folder of good images.")
    sides = _sides(root)
    place = _good_place(sides.get("train", root))
    train, notes = (without_masks(root), []) if place == root else search_folder(place)
    if not train:
        raise FileNotFoundError(f"'{place}' holds no image. {HOW_TO_NAME}{_others(place, train)}")
    validation: list[Path] = []
    if "validation" in sides:
        validation, more = search_folder(_good_place(sides["validation"]))
        notes += more
    outside = [] if place == root else _elsewhere(root, {"train", "validation"}, place)
    if outside:
        notes.insert(0, f"Good images are those in '{place.relative_to(root)}'." + outside[0])
    if place == root and (left_out := _others(root, train)):
        notes.append(left_out.strip())
    return GoodImages(train, validation, tuple(notes))


def _good_place(place: Path) -> Path:
    """The folder of good images at or directly below a place."""
    folders = _folders(place)
    good = [entry for entry in folders if is_good(entry.name)]
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
    root = as_path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f"'{root}' is not a folder. Name one with test/good and test/<kind of defect>."
        )
    place = _sides(root).get("test", root)
    known = {*SIDE_OF, *MASK_FOLDERS}
    kinds = [entry for entry in _folders(place) if plain(entry.name) not in known]
    files, notes = [], []
    for kind in kinds:
        images, passed_over = search_folder(kind)
        files += [(Source(file, root), GOOD if is_good(kind.name) else kind.name) for file in images]
        notes += [f"'{kind.name}': {note}" for note in passed_over]
    if not files:
        raise ValueError(
            f"'{place}' holds no labelled images. Expected one folder per kind, such as good/ and scratch/, or OK/ and "
            "NG/; without labels use `adlib score` or `adlib report`."
        )
    return files, tuple(notes)


def list_sources(path: str, notes: list[str]) -> Iterator[Source | ImageFileError]:
    """The images behind a file, a folder (searched recursively) or a pattern such as "*.png", sorted.

    Args:
        path: what was named.
        notes: takes sentences about what was left out.

    Yields:
        A source, or an error if nothing can be read there.
    """
    try:
        place = as_path(path)
        is_folder, is_file = place.is_dir(), place.is_file()
        matches = [] if is_folder or is_file else sorted(glob.glob(as_pattern(place), recursive=True))
    except (OSError, ValueError) as error:  # too long, a character that no path has, no permission
        yield ImageFileError(f"'{path}' cannot be looked up: {getattr(error, 'strerror', None) or error}")
        return
    if is_folder:
        images, passed_over = search_folder(place)
        notes += passed_over
        if not images:
            yield ImageFileError(f"'{path}' holds no image.")
        yield from (Source(image, place) for image in images)
    elif is_file:
        yield Source(place, place.parent)
    elif matches:
        for match in matches:
            yield from list_sources(match, notes)
    else:
        yield ImageFileError(f"'{path}' is neither a file nor a folder, and no file fits it as a pattern.")


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 image", "2 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _folders(place: Path) -> list[Path]:
    return sorted(entry for entry in place.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def _sides(root: Path) -> dict[str, Path]:
    return {SIDE_OF[plain(entry.name)]: entry for entry in _folders(root) if plain(entry.name) in SIDE_OF}


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(f"'{folder.name}'" for folder in folders)


def _elsewhere(root: Path, used: set[str], place: Path) -> list[str]:
    """A sentence about folders beside the good ones that are not used."""
    beside = {*_folders(root), *_folders(place.parent)} - {place, place.parent}
    unused = sorted(entry for entry in beside if SIDE_OF.get(plain(entry.name)) not in used)
    return [f" Not used: {_names(unused)}."] if unused else []


def _others(place: Path, images: list[Path], deep: bool = False) -> str:
    """A sentence about visible files that are no images that can be read, and images deeper than was looked."""
    others = sorted(set(walk_names(place)) - set(map(str, images)))
    return " " + _left_out(place, others, deep) if others else ""


def _left_out(place: Path, others: list[str], deep: bool = True) -> str:
    endings = Counter(os.path.splitext(name)[1].lower() or "none" for name in others)
    what = "no images" if deep else "no images, or deeper than was looked"
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
    example = os.path.basename(others[0])
    return f"Left out of '{place}', {what}: {plural(len(others), 'file')} ({counts}; e.g. '{example}')."
