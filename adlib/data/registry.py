"""What a data set registers: everything that `load`, the catalogue, the check of the sources and the pages read.

A new set is a module with a loader and a DataSet, and one line in `adlib.data.catalogue.DATA_SETS`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from adlib.data.collection import Collection
from adlib.files import as_path

IN_WHEEL = "Comes with the installation; if it is missing, install adlib-book again with its dependencies."


@dataclass(frozen=True)
class Entry:
    """One line of `adlib data list`.

    Attributes:
        name: as given to `load`; `<...>` stands for a choice.
        title: what it is.
        count: number of images, in words.
        image_size: original size in pixels, in words.
        licence: terms of the images, as published.
        source: where the images come from.
        how_to_get: what to do if it is not here.
        available: () -> whether `load` works right now without a network.
        pictured: for a set in the installation: the name that is loaded for its picture on the page about the data.
        caption: what that picture shows, in words.
    """

    name: str
    title: str
    count: str
    image_size: str
    licence: str
    source: str
    how_to_get: str
    available: Callable[[], bool] = field(repr=False, compare=False)
    pictured: str = ""
    caption: str = ""


@dataclass(frozen=True)
class DataSet:
    """One data set, or a family of sets with a choice behind a slash.

    Attributes:
        name: as given to `load`, up to the slash.
        loader: (choice, size=..., options of the source) -> Collection; without the choice for a set that has none.
        entries: its lines in the catalogue.
        choice: what stands behind the slash, e.g. "digit"; empty where nothing does.
        choices: the values it may have.
        cached: whether `load` keeps the images in memory: sets whose files do not change while Python runs.
        labelled: whether the loader takes labelled=True and then adds the anomalies of the published training side.
        digest: () -> first 16 hex digits of the SHA-256 of a packaged set's content, for `adlib data check`.
        expected_digest: what they are in the version that our numbers were made with.
        fetch: (folder) -> arrays of images and labels (training, test), for `adlib data check`; downloads them anew
            from where they were published and verifies their checksums.
    """

    name: str
    loader: Callable[..., Collection] = field(repr=False)
    entries: tuple[Entry, ...]
    choice: str = ""
    choices: tuple[str, ...] = ()
    cached: bool = False
    labelled: bool = False
    digest: Callable[[], str] | None = None
    expected_digest: str = ""
    fetch: Callable[[Path], tuple[np.ndarray, ...]] | None = None

    def options(self) -> tuple[str, ...]:
        """The loader's own settings, by name."""
        names = list(inspect.signature(self.loader).parameters)[1 if self.choice else 0 :]
        return tuple(name for name in names if name not in ("size", "title", "labelled"))

    def collect(self, choice: str, size: int, **options: Any) -> Collection:
        """The images at one size, with everything known about them."""
        loader = partial(self.loader, choice) if self.choice else self.loader
        return loader(size=size, **options)


def importable(module: str) -> bool:
    """Whether a module is installed, without importing it."""
    return find_spec(module) is not None


def data_folder() -> Path | None:
    """The folder ADLIB_DATA points at, or None if it is not set."""
    value = os.environ.get("ADLIB_DATA", "").strip()
    return as_path(value, "ADLIB_DATA") if value else None


def find_below_data(*places: str) -> Path | None:
    """The first of these places below ADLIB_DATA that exists."""
    root = data_folder()
    if root is None:
        return None
    return next((root / place for place in places if (root / place).exists()), None)


def not_here(name: str, places: list[str], remedy: str) -> FileNotFoundError:
    """The error for a data set that is not on this machine.

    Args:
        name: of the set. places: where it was looked for, below ADLIB_DATA. remedy: what to do.
    """
    root = data_folder()
    where = f"ADLIB_DATA is '{root}'" if root else "ADLIB_DATA is not set"
    return FileNotFoundError(
        f"data set {name!r} is not on this machine: {where}; expected {' or '.join(places)} there.\n{remedy}"
    )
