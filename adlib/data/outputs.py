"""Where results may be written: never over what a command reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from adlib.data.images import is_image_name
from adlib.files import as_path


def refuse_as_output(output: str | Path, *inputs: str | Path) -> None:
    """Refuse to write over a file that is read, or where a photograph lies.

    Args:
        output: the file that was named. inputs: files that the command reads, such as a detector.

    Raises:
        ValueError: it is one of them, or it has the ending of a photograph.
    """
    place = as_path(output)
    if any(place.exists() and as_path(each).exists() and place.samefile(as_path(each)) for each in inputs):
        raise ValueError(f"'{output}' is read by this command and would be lost. Name another output.")
    if is_image_name(place.name):
        raise ValueError(
            f"'{output}' has the ending of a photograph, and none is written. Name another output."
        )


def refuse_maps_among(maps: str | Path, paths: Iterable[str | Path]) -> None:
    """Refuse to write maps into a folder that is scored: the next time they would be taken for photographs.

    Args:
        maps: the folder for maps. paths: what is scored; only folders count.

    Raises:
        ValueError: it is one of these folders, or lies in one.
    """
    place = as_path(maps)
    if place.exists() and not place.is_dir():
        raise ValueError(f"'{maps}' is a file; maps are written into a folder. Name another.")
    for path in map(str, paths):
        if "\0" not in path and path.strip("- ") and os.path.isdir(as_path(path)):
            folder = as_path(path).resolve()
            if place.resolve() == folder or folder in place.resolve().parents:
                raise ValueError(
                    f"'{maps}' lies in '{path}', which is scored: the next time, the maps would be taken for "
                    "photographs. Name a folder outside it."
                )
