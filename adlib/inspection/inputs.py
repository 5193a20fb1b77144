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
from adlib.data.inputs import as_pattern, hidden_note, search_folder
from adlib.data.layout import BAD_NAMES, SIDES, find_sides, is_good, is_mask_folder, plain, without_masks
from adlib.files import as_path

SIDE_NAMES = set().union(*SIDES.values())
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
    sides = find_sides(root)
    place = _good_place(sides.get("train", root))
    train, notes = (without_masks(root), []) if place == root else search_folder(place)
    if not train:
        raise FileNotFoundError(f"'{place}' holds no image. {HOW_TO_NAME}{_others(place, train)}")
    validation: list[Path] = []
    places = [place]
    _refuse_others(place, train)
    if "validation" in sides:
        places.append(_good_place(sides["validation"]))
        validation, more = search_folder(places[1])
        _refuse_others(places[1], validation)
        notes += more
    if unused := _unused(root, places):
        notes.insert(0, f"Good images are those in '{place.relative_to(root)}'. Not used: {_names(unused)}.")
    notes += [
        _strays(folder) for folder in _above(root, places) if folder not in places and list_images(folder)
    ]
    if place == root:
        notes += [sentence.strip() for sentence in (_others(root, train),) if sentence] + _hidden(root)
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


def _refuse_others(place: Path, files: list[Path]) -> None:
    """Refuse good images from folders of defects, or of a test, that lie inside those of good ones."""
    other = BAD_NAMES | SIDES["test"]
    folders = {file.parent for file in files}
    odd = sorted(
        folder for folder in folders if any(plain(part) in other for part in folder.relative_to(place).parts)
    )
    if odd:
        raise ValueError(
            f"'{odd[0]}' lies among the good images of '{place}', and does not sound as if it held some.\nMove it out "
            "of there, or call it otherwise if its images are good."
        )


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
    place = find_sides(root).get("test", root)
    kinds = [
        entry
        for entry in _folders(place)
        if plain(entry.name) not in SIDE_NAMES and not is_mask_folder(entry.name)
    ]
    files, notes = [], []
    for kind in kinds:
        images, passed_over = search_folder(kind)
        files += [(Source(file, root), GOOD if is_good(kind.name) else kind.name) for file in images]
        notes += [f"'{kind.name}': {note}" for note in passed_over]
    if list_images(place):
        notes.append(_strays(place))
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
        there = is_folder or is_file or os.path.islink(place)
        matches = [] if there else sorted(glob.glob(as_pattern(place), recursive=True))
    except (OSError, ValueError) as error:  # too long, a character that no path has, no permission
        yield ImageFileError(f"'{path}' cannot be looked up: {getattr(error, 'strerror', None) or error}")
        return
    if is_folder:
        locked: list[str] = []
        images, passed_over = search_folder(place, locked)
        notes += passed_over
        if not images and not locked:
            yield ImageFileError(f"'{path}' holds no image.")
        yield from (Source(image, place) for image in images)
        yield from (ImageFileError(f"folder '{name}' cannot be read. Allow it.") for name in locked)
    elif is_file:
        yield Source(place, place.parent)
    elif there:
        yield ImageFileError(f"'{path}' is a link that leads nowhere.")
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


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(f"'{folder.name}'" for folder in folders)


def _above(root: Path, places: Iterable[Path]) -> list[Path]:
    """The folders from a root down to those places, without these."""
    between = {parent for place in places for parent in place.parents if place != root}
    return sorted(folder for folder in between if folder == root or root in folder.parents)


def _unused(root: Path, places: list[Path]) -> list[Path]:
    """Folders beside the good ones."""
    above = _above(root, places)
    return sorted({entry for folder in above for entry in _folders(folder)} - {*above, *places})


def _strays(folder: Path) -> str:
    """A sentence about images directly in a folder whose folders are looked at."""
    images = list_images(folder)
    return (
        f"Left out, in no folder of good images or of a kind: {plural(len(images), 'image')} directly in '{folder}' "
        f"(e.g. '{images[0].name}')."
    )


def _hidden(folder: Path) -> list[str]:
    hidden: list[Path] = []
    for _ in walk_names(folder, hidden):
        pass
    return hidden_note(folder, hidden)


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
