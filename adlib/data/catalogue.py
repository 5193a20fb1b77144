"""Every data set by name, what it is, whether it is here, and `load`, which cuts it into a Split."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np

from adlib.data.classes import CIFAR10, CIFAR100, FASHION_MNIST, MNIST, MNIST5K
from adlib.data.collection import Collection
from adlib.data.cutting import make_split
from adlib.data.elpv import ELPV
from adlib.data.folder import FOLDER
from adlib.data.industrial import MAGNETIC_TILE, MVTEC
from adlib.data.registry import DataSet, Entry
from adlib.data.splits import Split, SplitSettings
from adlib.data.textures import TEXTURES
from adlib.errors import nearest, unknown_name

# In the order of what is there without a download.
DATA_SETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        MNIST5K,
        ELPV,
        TEXTURES,
        MNIST,
        FASHION_MNIST,
        CIFAR10,
        CIFAR100,
        MVTEC,
        MAGNETIC_TILE,
        FOLDER,
    )
}


def catalogue() -> list[Entry]:
    """Every data set that `load` knows, in the order of what is there without a download."""
    return [entry for data_set in DATA_SETS.values() for entry in data_set.entries]


def load(name: str, *, size: int = 64, seed: int = 0, **settings: Any) -> Split:
    """A data set at one size, cut into train, validation-normal and sealed test.

    >>> load("elpv/mono", size=64)
    >>> load("cifar10/bird", size=32)
    >>> load("mvtec/bottle", size=128, contamination=0.03, reserve=0.09)
    >>> load("cifar10/bird", size=32, anomalies=1.0, unseen=("cat", "dog"))
    >>> load("folder", path="~/parts/lid", size=256, on_error="skip")

    Args:
        name: a name of `catalogue()`, e.g. "mnist5k/3", "texture/wood", "magnetic_tile".
        size: side of the square images, pixels, 4 to 4096; area-averaged from larger originals.
        seed: 0 or a positive whole number; every random choice of the split follows from it.
        **settings: how to cut (see `SplitSettings`):

            - contamination: anomalies added to training, as a fraction of the number of training images.
            - reserve: anomalies taken out of test once and for all, same unit; the highest contamination of a
              study, so that all its runs share one test set. By default just what is needed.
            - train_images: few-shot: this many normal training images; smaller subsets lie inside larger ones.
            - validation_fraction: share of the normal training images cut off for validation, 0.15 by default.
            - test_fraction: share of the normal images tested, for sets without a published split (mnist5k,
              elpv), 0.25 by default.
            - anomalies: labelled anomalies for detectors that learn from them, relative to the number of training
              images (1.0: as many). From the published training side where it has any, otherwise out of test.
            - sampling: how they are chosen: "proportional" (the default), "equal", "random" or "natural", see
              `adlib.data.sampling`.
            - unseen: kinds of anomaly that are tested and never trained on, e.g. ("cat", "dog").

            Or options of the source: `path`, `on_error` and `value_range` (folder, see `adlib.data.folder`),
            `on_error` (mvtec, magnetic_tile), `train`, `test`, `kinds`, `defect_area`, `data_seed` (texture).

    Returns:
        The split. Images are uint8 (N, C, size, size), C = 1 for grey sets and 3 for RGB.

    Raises:
        ValueError: for an unknown name or class (naming the nearest), a setting out of range, images that
            cannot be used, or too few images for a side.
        FileNotFoundError: if the data set is not on this machine (saying how to get it).
        TypeError: for a setting that neither the split nor the source has (naming the nearest).
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 4 <= size <= 4096:
        raise ValueError(
            f"size={size!r}; expected the side of an image in pixels, a whole number from 4 to 4096."
        )
    data_set, choice = _find(name)
    of_split = {field.name for field in dataclasses.fields(SplitSettings)}
    cut = SplitSettings(seed=seed, **{key: value for key, value in settings.items() if key in of_split})
    options = {key: value for key, value in settings.items() if key not in of_split}
    _check_options(name, data_set, options)
    labelled = {"labelled": True} if data_set.labelled and cut.anomalies is not None else {}
    collect = _collect_once if data_set.cached else _collect
    collection = collect(data_set, choice, int(size), **options, **labelled)
    alone = not (data_set.cached or collection.shared)
    return make_split(collection, name=name, settings=cut, options=options, in_place=alone)


def _find(name: str) -> tuple[DataSet, str]:
    """The data set and what stands behind the slash."""
    first, _, choice = str(name).partition("/")
    if first not in DATA_SETS:
        raise unknown_name("data set", name, [entry.name for entry in catalogue()])
    data_set = DATA_SETS[first]
    if choice and not data_set.choice:
        raise ValueError(f"data set {name!r} has a part after the slash; expected just {first!r}.")
    if data_set.choice and not choice:
        raise ValueError(
            f"data set {name!r} needs a {data_set.choice} after a slash, e.g. '{first}/{data_set.choices[0]}'.\n"
            f"Possible: {', '.join(data_set.choices)}."
        )
    return data_set, choice


def _check_options(name: str, data_set: DataSet, options: dict[str, Any]) -> None:
    known = data_set.options()
    of_split = [field.name for field in dataclasses.fields(SplitSettings)]
    for key in options:
        if key not in known:
            raise TypeError(
                f"load({name!r}) got the option {key}={options[key]!r}; it has {', '.join(known) or 'none'}."
                f"{nearest(key, [*known, *of_split, 'size'])} Beside them: size, and the settings of the split, which"
                f" are {', '.join(of_split)}."
            )
    if "path" in known and "path" not in options:
        raise TypeError(
            f"load({name!r}) needs path=..., a folder of good images, or one with train/ and test/."
        )


def _collect(data_set: DataSet, choice: str, size: int, **options: Any) -> Collection:
    return data_set.collect(choice, size, **options)


@lru_cache(maxsize=3)
def _collect_once(data_set: DataSet, choice: str, size: int, **options: Any) -> Collection:
    """Decoding anew for every seed would take longer; a few collections fit into memory."""
    return data_set.collect(choice, size, **options)
