"""Cutting a collection into train, validation-normal and sealed test: seeded and fingerprinted.

The rules, in the order they apply:

1. Sides. A published train/test split stays as it is. Without one, a seeded share of the normal images and the
   anomalies make the test side. A group (photos of one object) never has images on two sides.
2. Validation-normal images are the published ones, or cut from the normal training images, by group where there
   are groups.
3. A pool of anomalies, `reserve` times the number of training images, leaves the test side for good.
   Contamination at any level takes the first anomalies of that pool, so all levels share one test set.
   Labelled anomalies, for detectors that learn from them, come from the anomalous images of the published
   training side; where a set has none, from the pool, after the contaminating ones.
4. Few-shot: the first `train_images` of one seeded order, so the subset of 2 lies inside that of 4.
5. Everything is shuffled: neither the order of training nor of test images tells a label.

Each step draws from its own random stream, so changing one setting leaves the others' choices alone.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adlib.data import labelled
from adlib.data.collection import Collection
from adlib.data.splits import (
    LabelledAnomalies,
    SealedTest,
    Split,
    SplitSettings,
    TrainImages,
    Truth,
    ValidationImages,
)


def make_split(
    collection: Collection,
    *,
    name: str,
    settings: SplitSettings,
    options: dict[str, Any] | None = None,
    in_place: bool = False,
) -> Split:
    """Cut a collection into train, validation and sealed test, by the rules at the top of this module.

    Args:
        collection: images with truth.
        name: becomes the split's, and is named in errors.
        settings: how to cut.
        options: settings of the source, for the record.
        in_place: bring the collection's images into the order of the sides instead of copying them: a large set is then
            in memory once, and the collection is of no use afterwards.

    Raises:
        ValueError: a setting that this set cannot meet, or too few images for a side.
    """
    labelled.check_unseen(collection, name, settings)
    notes = list(collection.notes)
    train, test = _sides(collection, name, settings, notes)
    train, validation = _cut_validation(collection, name, settings, train)
    _check_test(collection, name, test, 0.0)
    few = min(settings.train_images or len(train), len(train))
    counts = labelled.numbers(name, settings, few, len(validation)) if settings.anomalies else None
    untested = labelled.untested_anomalies(collection, test)
    reserve = settings.reserved
    if counts and len(untested) == 0 and settings.reserve is None:
        labelled.check_test_can_spare(collection, name, settings, test, sum(counts))
        reserve += sum(counts) / len(train)
    pool, test = _reserve_pool(collection, name, settings, test, reserve, len(train), notes)
    _check_test(collection, name, test, reserve)
    _note_few(collection, test, notes)
    train = _few_shot(name, settings, train)
    injected = pool[: round(settings.contamination * len(train))]
    roles = {
        "train": settings.stream("train order").permutation(np.concatenate([train, injected])),
        "validation": validation,
        "test": settings.stream("test order").permutation(test),
    }
    if counts:
        available = untested if len(untested) else pool[len(injected) :]
        roles |= labelled.choose(collection, name, settings, available, injected, counts, notes)
    described = {"name": name, "settings": settings, "notes": tuple(notes), "options": dict(options or {})}
    return _assemble(
        collection, _by_role(collection.images, roles, in_place), roles, len(injected), described
    )


def _sides(
    collection: Collection, name: str, settings: SplitSettings, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the (train, test) side; every train image is normal."""
    if collection.sides is not None:
        train, test = (np.flatnonzero(collection.sides == side) for side in ("train", "test"))
    else:
        train, test = _drawn_sides(collection, name, settings)
        notes.append(
            f"No split is published: {int((~collection.anomalous[test]).sum())} of"
            f" {int((~collection.anomalous).sum())} normal images were drawn for test (seed {settings.seed})."
        )
    if collection.groups is not None:
        spanning = np.isin(collection.groups[train], collection.groups[test])
        if spanning.any():
            notes.append(
                f"{int(spanning.sum())} training images left out: groups.csv says that images of the same"
                " object are in test."
            )
            train = train[~spanning]
    return train, test


def _drawn_sides(collection: Collection, name: str, settings: SplitSettings) -> tuple[np.ndarray, np.ndarray]:
    """(train, test) of a set that is published without a split."""
    normal, anomalous = np.flatnonzero(~collection.anomalous), np.flatnonzero(collection.anomalous)
    number, stream = round(settings.test_fraction * len(normal)), settings.stream("test")
    if collection.groups is not None:  # objects with a defect are test objects, whatever else shows them
        touched = np.isin(collection.groups[normal], collection.groups[anomalous])
        free, bound = normal[~touched], normal[touched]
        train, drawn = _draw_groups(collection, stream, free, max(0, number - len(bound)), name, "test")
        return train, np.concatenate([bound, drawn, anomalous])
    train, drawn = _draw_groups(collection, stream, normal, number, name, "test")
    if collection.stratified:
        anomalous = _draw_per_kind(collection, settings, anomalous)
    return train, np.concatenate([drawn, anomalous])


def _draw_per_kind(collection: Collection, settings: SplitSettings, anomalous: np.ndarray) -> np.ndarray:
    """The same share of every kind of anomaly, at least one of each."""
    stream, chosen = settings.stream("test anomalies"), []
    for kind in np.unique(collection.kinds[anomalous]):
        members = stream.permutation(anomalous[collection.kinds[anomalous] == kind])
        chosen.append(members[: max(1, round(settings.test_fraction * len(members)))])
    return np.concatenate(chosen)


def _draw_groups(
    collection: Collection,
    stream: np.random.Generator,
    members: np.ndarray,
    number: int,
    name: str,
    side: str,
) -> tuple[np.ndarray, np.ndarray]:
    """(rest, drawn): whole groups in a seeded order until `number` images are drawn, never beyond it.

    Only if the first group alone is larger than `number`, the smallest group is taken.
    """
    if collection.groups is None:
        order = stream.permutation(members)
        return np.sort(order[number:]), np.sort(order[:number])
    groups, counts = np.unique(collection.groups[members], return_counts=True)
    chosen, total = [], 0
    for position in stream.permutation(len(groups)):
        if total + counts[position] <= number:
            chosen.append(groups[position])
            total += counts[position]
    if number and not chosen:
        if len(groups) < 2:
            raise ValueError(
                f"{name}: all {len(members)} normal images belong to one group, so none can go to {side}.\n"
                "Photograph more objects, or correct groups.csv."
            )
        chosen = [groups[np.argmin(counts)]]
    taken = np.isin(collection.groups[members], chosen)
    return members[~taken], members[taken]


def _cut_validation(
    collection: Collection, name: str, settings: SplitSettings, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(train, validation): the published one where there is any."""
    published = collection.sides == "validation" if collection.sides is not None else np.zeros(0, bool)
    if published.any():
        return train, np.flatnonzero(published)
    if len(train) < 2:
        raise ValueError(
            f"{name}: {len(train)} normal training image(s) left; expected at least 2, one to train on and"
            " one for validation.\nAdd normal images to the training side."
        )
    number = min(max(1, round(settings.validation_fraction * len(train))), len(train) - 1)
    return _draw_groups(collection, settings.stream("validation"), train, number, name, "validation")


def _reserve_pool(
    collection: Collection,
    name: str,
    settings: SplitSettings,
    test: np.ndarray,
    reserve: float,
    train_count: int,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """(pool, test): anomalies of kinds that may be seen, set aside in a seeded order, and what remains to be tested."""
    number = round(reserve * train_count)
    if number == 0:
        return np.empty(0, dtype=test.dtype), test
    anomalies = test[collection.anomalous[test] & ~np.isin(collection.kinds[test], settings.unseen)]
    if number >= len(anomalies):
        most = (len(anomalies) - 1) / train_count
        raise ValueError(
            f"{name}: reserve={reserve} asks for {number} anomalies ({train_count} training images), test"
            f" holds {len(anomalies)} and has to keep one.\nReserve at most {int(most * 1000) / 1000}."
        )
    stream = settings.stream("pool")
    if collection.groups is None:
        pool = stream.permutation(anomalies)[:number]
        return pool, np.setdiff1d(test, pool)
    # Objects in the pool may end up in training, so no other photo of them stays in test.
    groups = stream.permutation(np.unique(collection.groups[anomalies]))
    members = np.cumsum([np.sum(collection.groups[anomalies] == group) for group in groups])
    chosen = groups[: int(np.searchsorted(members, number)) + 1]
    in_chosen = np.isin(collection.groups[test], chosen)
    pool = stream.permutation(anomalies[np.isin(collection.groups[anomalies], chosen)])[:number]
    dropped = int(in_chosen.sum()) - number
    if dropped:
        notes.append(
            f"{dropped} test images left out: they show the same objects as the {number} reserved anomalies."
        )
    return pool, test[~in_chosen]


def _check_test(collection: Collection, name: str, test: np.ndarray, reserve: float) -> None:
    anomalous = collection.anomalous[test]
    if (
        collection.good_suffices and not collection.anomalous.any()
    ):  # good images only: enough for a threshold, not for a measurement
        return
    if len(test) and anomalous.any() and not anomalous.all():
        return
    missing = "anomalous" if not anomalous.any() else "normal"
    raise ValueError(
        f"{name}: the test side has {int((~anomalous).sum())} normal and {int(anomalous.sum())} anomalous"
        " images; expected at least one of each, no score can be judged otherwise."
        f"\nAdd {missing} images to test" + (f", or lower reserve={reserve}." if reserve else ".")
    )


def _note_few(collection: Collection, test: np.ndarray, notes: list[str]) -> None:
    if not collection.anomalous.any():
        notes.append(
            "No image is known to be defective: thresholds and verdicts come from good images, and how many defects"
            " they find cannot be measured."
        )
        return
    anomalies = int(collection.anomalous[test].sum())
    for count, what in ((anomalies, "anomalous"), (len(test) - anomalies, "normal")):
        if count < 10:
            notes.append(
                f"Only {count} {what} images are tested: one of them more or less moves every score."
            )


def _few_shot(name: str, settings: SplitSettings, train: np.ndarray) -> np.ndarray:
    count = settings.train_images
    if count is None:
        return train
    if count > len(train):
        raise ValueError(
            f"{name}: train_images={count}; expected a whole number from 1 to {len(train)}, the normal training"
            " images after validation was cut."
        )
    return settings.stream("few-shot").permutation(train)[:count]


def _by_role(images: Tensor, roles: dict[str, np.ndarray], in_place: bool) -> dict[str, Tensor]:
    """The images of each role: copies, or parts of `images`, which is then in their order."""
    taken = np.concatenate(list(roles.values()))
    rest = np.setdiff1d(np.arange(len(images)), taken)
    if not in_place or len(taken) + len(rest) > len(images):  # an image in two roles
        return {role: images[torch.from_numpy(index)] for role, index in roles.items()}
    _sort_in_place(images, np.concatenate([taken, rest]).tolist())
    parts = images.split([*map(len, roles.values()), len(rest)])
    return dict(zip(roles, parts))


def _sort_in_place(images: Tensor, order: list[int]) -> None:
    """images = images[order], with room for one image more: along the cycles of the permutation."""
    sorted_already = [False] * len(order)
    for start in range(len(order)):
        if sorted_already[start]:
            continue
        first, place = images[start].clone(), start
        while not sorted_already[place]:
            sorted_already[place], source = True, order[place]
            images[place] = first if source == start else images[source]
            place = source


def _assemble(
    collection: Collection,
    images: dict[str, Tensor],
    roles: dict[str, np.ndarray],
    contaminated: int,
    described: dict[str, Any],
) -> Split:
    """The Split: `images` by role, and `described`, the fields of Split that are no images."""
    settings = described["settings"]
    anomalies = {
        role.replace(" ", "_"): LabelledAnomalies(
            images[role], [str(kind) for kind in collection.kinds[index]], settings.sampling, settings.unseen
        )
        for role, index in roles.items()
        if role.endswith("anomalies")
    }
    test = roles["test"]
    masks, masked = (None if part is None else part[test] for part in (collection.masks, collection.masked))
    truth = Truth(collection.anomalous[test], [str(kind) for kind in collection.kinds[test]], masks, masked)
    return Split(
        size=collection.images.shape[-1],
        train=TrainImages(images["train"], contaminated, collection.value_range),
        validation=ValidationImages(images["validation"]),
        test=SealedTest(images["test"], truth),
        fingerprint=_fingerprint(images, collection.anomalous[roles["train"]], truth),
        title=collection.title,
        anomalies=anomalies.get("anomalies"),
        validation_anomalies=anomalies.get("validation_anomalies"),
        **described,
    )


def _fingerprint(images: dict[str, Tensor], train_anomalous: np.ndarray, truth: Truth) -> str:
    """First 16 hex digits of SHA-256 over all pixels, their roles and the truth, in order."""
    digest = hashlib.sha256()
    for role, pixels in images.items():
        digest.update(f"{role} {tuple(pixels.shape)}".encode())
        if pixels.numel():
            digest.update(pixels.contiguous().numpy().data.cast("B"))
    digest.update(np.packbits(train_anomalous).tobytes())
    digest.update("\n".join(truth.kinds).encode())
    if truth.masks is not None:
        digest.update(np.packbits(truth.masks).tobytes())
    if truth.masked is not None:
        digest.update(np.packbits(truth.masked).tobytes())
    return digest.hexdigest()[:16]
