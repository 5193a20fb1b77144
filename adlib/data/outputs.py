"""Where results may be written: never over what is read for them, nor over a photograph."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from adlib.data.images import is_image_name
from adlib.files import as_path

Place = str | os.PathLike[str]


def refuse_as_output(output: Place, *inputs: Place | None) -> None:
    """Refuse to write over a file that is read, or where a photograph lies. Whatever writes a file calls this first.

    Args:
        output: the file that was named.
        inputs: what is read for it, such as a detector, photographs, or "-" for standard input; None for none.

    Raises:
        ValueError: it is one of them, has the ending of a photograph, or cannot be written.
    """
    place = Path(os.path.realpath(as_path(output)))
    there = _file_at(output)
    if there is not None and any(
        os.path.samestat(there, status) for status in map(_file_at, inputs) if status is not None
    ):
        raise ValueError(f"'{output}' is read for this and would be lost. Name another output.")
    if is_image_name(place.name) or is_image_name(as_path(output).name):
        raise ValueError(
            f"'{output}' has the ending of a photograph, and none is written. Name another output."
        )
    if there is None and place.exists() and not place.is_dir():
        return  # a pipe or a terminal
    # Before the work, not after.
    what = f"'{place}' is a folder" if place.is_dir() else _blocked(place.parent)
    if what:
        raise ValueError(f"'{output}' cannot be written: {what}. Name another output.")


def _blocked(folder: Path) -> str:
    """Why no file can be written into a folder that is there or can be made; "" if one can."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    return "" if writable else f"'{there}' is no folder that may be written into"


def refuse_maps_among(maps: Place, paths: Iterable[object]) -> None:
    """Refuse to write maps among the photographs that are scored: the next time they would be taken for some.

    Args:
        maps: the folder for maps. paths: what is scored: folders, files; all else is passed over.

    Raises:
        ValueError: it is a file, cannot be written into, is one of these folders, lies in one, or is that of one of
            these files.
    """
    place = os.path.realpath(as_path(maps))
    if os.path.exists(place) and not os.path.isdir(place):
        raise ValueError(f"'{maps}' is a file; maps are written into a folder. Name another.")
    if what := _blocked(Path(place)):
        raise ValueError(f"maps cannot be written: {what}. Name another folder.")
    for path in paths:
        named = _as_path(path)
        if named is None or not named.exists():
            continue
        folder = os.path.realpath(named if named.is_dir() else named.parent)
        if place == folder or (named.is_dir() and place.startswith(os.path.join(folder, ""))):
            raise ValueError(
                f"'{maps}' lies where photographs are scored ('{path}'): the next time, the maps would be taken for "
                "photographs. Name a folder outside it."
            )


def _as_path(path: object) -> Path | None:
    """A path that was named, or None for what is none, such as an array or "-"."""
    if not isinstance(path, (str, os.PathLike)) or str(path) == "-":
        return None
    try:
        return as_path(path)
    except (TypeError, ValueError):  # said where it is read
        return None


def _file_at(path: object) -> os.stat_result | None:
    """Which file that is, if it is one: not a folder, nor a terminal or pipe, which may be read and written."""
    named = _as_path(path)
    try:
        status = os.stat(named) if named else os.fstat(sys.stdin.fileno()) if path == "-" else None
    except (OSError, ValueError):  # nothing there, or a standard input that is no file
        return None
    return status if status is not None and stat.S_ISREG(status.st_mode) else None
