"""Labelled anomalies of a split: where they come from, how many they are, and which ones.

They come from the anomalous images of a published training side. A set that has none gives them out of its test
side, where they are missing from then on. Some are trained on; others, as many per validation image, are there to
choose a supervised detector's settings by.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from adlib.data.collection import Collection
from adlib.data.sampling import choose_anomalies
from adlib.data.splits import SplitSettings
from adlib.errors import unknown_name


def check_unseen(collection: Collection, name: str, settings: SplitSettings) -> None:
    """Whether the set has the kinds that are never to be trained on, and others beside them.

    Raises:
        ValueError: naming the kind.
    """
    kinds = np.unique(collection.kinds[collection.anomalous]).tolist()
    for kind in settings.unseen:
        if kind not in kinds:
            raise unknown_name(f"kind of anomaly of {name}", kind, kinds)
    if settings.unseen and set(settings.unseen) == set(kinds):
        raise ValueError(f"unseen names all kinds of {name}; leave at least one to train on.")


def untested_anomalies(collection: Collection, test: np.ndarray) -> np.ndarray:
    """Anomalous images that are not tested: those of a published training side, or what was not drawn.

    Args:
        collection: the images. test: indices of the test side, (T,).

    Returns:
        Indices, int (N,).
    """
    if collection.sides is not None:
        return np.flatnonzero(collection.sides == "anomalies")
    return np.setdiff1d(np.flatnonzero(collection.anomalous), test)


def numbers(name: str, settings: SplitSettings, train: int, validation: int) -> tuple[int, int]:
    """How many labelled anomalies: (to train on, to choose settings by).

    Args:
        name: of the set, for the error.
        settings: with `anomalies`.
        train, validation: how many images these sides have.

    Raises:
        ValueError: not even one to train on.
    """
    share = settings.anomalies or 0.0
    to_train = round(share * train)
    if to_train == 0:
        raise ValueError(
            f"{name}: anomalies={settings.anomalies} of {train} training images is less than one labelled anomaly; the"
            f" smallest share that gives one is {math.ceil(1000 / train) / 1000}."
        )
    return to_train, round(share * validation)


def check_test_can_spare(
    collection: Collection, name: str, settings: SplitSettings, test: np.ndarray, number: int
) -> None:
    """Whether so many labelled anomalies can come out of test and leave one there.

    Args:
        collection: the images. name: of the set, for the error. settings: unseen kinds.
        test: indices of the test side, (T,). number: how many.

    Raises:
        ValueError: they cannot.
    """
    available = int((collection.anomalous[test] & ~np.isin(collection.kinds[test], settings.unseen)).sum())
    if number >= available:
        of = " of the kinds that may be trained on" if settings.unseen else ""
        raise ValueError(
            f"{name}: anomalies={settings.anomalies} takes {number} anomalies out of test, which holds {available}{of}"
            " and has to keep one: no training side of this set has any. Ask for fewer."
        )


def choose(
    collection: Collection,
    name: str,
    settings: SplitSettings,
    pool: np.ndarray,
    injected: np.ndarray,
    counts: tuple[int, int],
    notes: list[str],
) -> dict[str, np.ndarray]:
    """Indices of the labelled anomalies to train on, and of those to choose settings by.

    Args:
        collection: the images. name: of the set, for errors. settings: sampling, unseen kinds, seed.
        pool: indices to choose from, (P,).
        injected: indices of contaminating anomalies, (K,), which are in training already; other photos of the same
            objects are then trained on too, and no settings are chosen by them.
        counts: from `numbers`.
        notes: gets a sentence where fewer are chosen.

    Raises:
        ValueError: the pool is too small.
    """
    pool = pool[~np.isin(collection.kinds[pool], settings.unseen)]
    total = sum(counts)
    if total > len(pool):
        raise ValueError(
            f"{name}: anomalies={settings.anomalies} asks for {counts[0]} labelled anomalies to train on and"
            f" {counts[1]} to choose settings by; {len(pool)} are there.\nAsk for fewer, or raise reserve where the"
            " pool comes out of test."
        )
    images, kinds = collection.images[torch.from_numpy(pool)], collection.kinds[pool]
    stream = settings.stream("labelled")
    chosen = pool[choose_anomalies(images, kinds, total, settings.sampling, stream, settings.seed)]
    if len(chosen) < total:
        notes.append(
            f"{len(chosen)} labelled anomalies instead of {total}: every kind was sampled down to the smallest."
        )
    to_train = max(1, round(len(chosen) * counts[0] / total))
    trained = np.arange(len(chosen)) < to_train
    if collection.groups is not None:
        trained = _whole_groups(collection.groups[chosen], to_train)
        trained |= np.isin(collection.groups[chosen], collection.groups[injected])
    return {"anomalies": chosen[trained], "validation anomalies": chosen[~trained]}


def _whole_groups(groups: np.ndarray, most: int) -> np.ndarray:
    """Which of the images make up at most `most`, whole groups in order of appearance; at least the first group."""
    names, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(first)
    taken = np.cumsum(counts[order]) <= max(most, counts[order[0]])
    return np.isin(groups, names[order[taken]])
