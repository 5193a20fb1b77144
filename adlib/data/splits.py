"""Who trains, who sets the threshold, who is tested: typed, sealed, seeded, fingerprinted.

The rules, in the order they apply:

1. Sides. A published train/test split is kept. Without one, a seeded share of the normal images and the
   anomalies make the test side. A group (photos of one object) never has images on two sides.
2. Validation-normal images are cut from the normal training images, by group where there are groups.
3. A pool of anomalies, `reserve` times the number of training images, leaves the test side for good.
   Contamination at any level takes the first anomalies of that pool, so all levels share one test set.
   Labelled anomalies, for detectors that learn from them, come from the anomalous images of the published
   training side; where a set has none, from the pool, behind the contaminating ones.
4. Few-shot: the first `train_images` of one seeded order, so the subset of 2 lies inside that of 4.
5. Everything is shuffled: neither the order of training nor of test images tells a label.

Each step draws from its own random stream, so changing one setting leaves the others' choices alone.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adlib.data.collection import GOOD, Collection
from adlib.data.sampling import SAMPLINGS, choose_anomalies
from adlib.errors import unknown_name


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise TypeError(f"got {images.dtype} of shape {tuple(images.shape)}; expected uint8 (N, C, H, W).")


def _shape_text(images: Tensor) -> str:
    return f"{len(images)} images, " + "x".join(str(side) for side in images.shape[1:])


@dataclass(frozen=True, eq=False, repr=False)
class TrainImages:
    """Images to train on: uint8 (N, C, H, W). `contaminated` of them are anomalies; which is not told."""

    images: Tensor
    contaminated: int = 0

    def __post_init__(self) -> None:
        _check_images(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"TrainImages({_shape_text(self.images)}, {self.contaminated} of them anomalous)"


@dataclass(frozen=True, eq=False, repr=False)
class ValidationImages:
    """Normal images never trained on: uint8 (N, C, H, W). Thresholds and colour scales come from these."""

    images: Tensor

    def __post_init__(self) -> None:
        _check_images(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ValidationImages({_shape_text(self.images)})"


@dataclass(frozen=True, eq=False, repr=False)
class LabelledAnomalies:
    """Anomalies that a supervised detector may learn from; none of them is ever tested.

    Attributes:
        images: uint8 (N, C, H, W).
        kinds: N names, e.g. "cat" or "scratch".
        sampling: how they were chosen, see `adlib.data.sampling`.
        unseen: kinds that were kept out of training on purpose, and are tested.
    """

    images: Tensor
    kinds: list[str]
    sampling: str = "natural"
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_images(self.images)
        if len(self.images) != len(self.kinds):
            raise ValueError(
                f"{len(self.images)} labelled anomalies with {len(self.kinds)} kinds; expected one kind per image."
            )

    def __len__(self) -> int:
        return len(self.images)

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        names, counts = np.unique(self.kinds, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist()))

    def __repr__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        return f"LabelledAnomalies({_shape_text(self.images)}: {kinds})"


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """What is known about the test images, in their order.

    Attributes:
        labels: bool (N,), True = anomalous.
        kinds: N names, "good" for normal images.
        masks: bool (N, H, W), True = defective pixel, or None where the set has no masks.
    """

    labels: np.ndarray
    kinds: list[str]
    masks: np.ndarray | None = None

    def __repr__(self) -> str:
        masks = "no masks" if self.masks is None else "masks"
        return f"Truth({int((~self.labels).sum())} normal, {int(self.labels.sum())} anomalous, {masks})"


class SealedTest:
    """Test images, uint8 (N, C, H, W), in an order that says nothing, with their truth behind a seal.

    The truth is there for one purpose, computing the reported metric. `open` hands it out and writes down
    why, so that a record of an experiment can show how often the labels were looked at.
    """

    def __init__(self, images: Tensor, truth: Truth):
        _check_images(images)
        self.images = images
        self.__truth = truth
        self.__opened: list[str] = []

    def __len__(self) -> int:
        return len(self.images)

    @property
    def opened(self) -> tuple[str, ...]:
        """The reasons given so far, one per opening."""
        return tuple(self.__opened)

    def open(self, reason: str) -> Truth:
        """The truth, as a copy; the opening is recorded.

        Args:
            reason: why the labels are needed, e.g. "report of ganomaly, seed 0". Kept in `opened`.

        Raises:
            ValueError: if the reason is empty.
        """
        if not str(reason).strip():
            raise ValueError(
                "the test labels are sealed; expected a reason such as 'final report', got an empty one.\n"
                "If they are to choose a threshold or a checkpoint, use split.validation instead."
            )
        self.__opened.append(str(reason))
        truth = self.__truth
        masks = None if truth.masks is None else truth.masks.copy()
        return Truth(truth.labels.copy(), list(truth.kinds), masks)

    def __repr__(self) -> str:
        state = f"opened {len(self.opened)}x: {'; '.join(self.opened)}" if self.opened else "labels sealed"
        return f"SealedTest({_shape_text(self.images)}, {state})"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One data set, cut for one experiment.

    Attributes:
        name: as given to `load`, e.g. "elpv/mono".
        size: side of the images, pixels.
        seed: every choice below follows from it.
        train, validation, test: the three sides; see their types.
        contamination: anomalies added to the training images, relative to their number before.
        reserve: size of the anomaly pool removed from test, relative to the number of training images.
        fingerprint: 16 hex digits, changes with any pixel, role or truth and with nothing else.
        title: what to print beside a number, e.g. "CIFAR-10 (JPEG copy), normal class bird".
        notes: what was done to the published set, in plain sentences.
        anomalies: labelled anomalies to train on, where they were asked for.
        validation_anomalies: labelled anomalies of the same kinds that are neither trained on nor tested: to choose
            settings of a supervised detector by. Thresholds never see them.
        options: what `load` was asked for beyond the fields above, for the record.
    """

    name: str
    size: int
    seed: int
    train: TrainImages
    validation: ValidationImages
    test: SealedTest
    contamination: float
    reserve: float
    fingerprint: str
    title: str = ""
    notes: tuple[str, ...] = field(default=())
    anomalies: LabelledAnomalies | None = None
    validation_anomalies: LabelledAnomalies | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return tuple(self.train.images.shape[1:])

    def __repr__(self) -> str:
        shape = "x".join(str(side) for side in self.image_shape)
        contaminated = f" ({self.train.contaminated} anomalous)" if self.train.contaminated else ""
        if self.anomalies is not None:
            contaminated += f" + {len(self.anomalies)} labelled anomalies"
        return (
            f"Split({self.name!r}, {shape}, seed {self.seed}: {len(self.train)} train{contaminated},"
            f" {len(self.validation)} validation, {len(self.test)} test, fingerprint {self.fingerprint})"
        )


def make_split(
    collection: Collection,
    *,
    name: str,
    seed: int = 0,
    contamination: float = 0.0,
    reserve: float | None = None,
    train_images: int | None = None,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.25,
    anomalies: float | None = None,
    sampling: str = "proportional",
    unseen: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
) -> Split:
    """Cut a collection into train, validation and sealed test, by the rules at the top of this module.

    Args:
        collection: images with truth.
        name: kept in the split and named in errors.
        seed: 0 or a positive whole number.
        contamination: anomalies added, as a fraction of the number of training images; 0 to `reserve`.
        reserve: anomalies taken out of test, same unit; what `contamination` and `anomalies` need by default.
        train_images: few-shot: number of normal training images kept; all by default.
        validation_fraction: share of the normal training images that becomes validation, between 0 and 1.
        test_fraction: share of the normal images tested where no split is published, between 0 and 1.
        anomalies: labelled anomalies for training, same unit; as many again per validation image are kept to
            choose settings by. None hands out none.
        sampling: how they are chosen from the pool, see `adlib.data.sampling`.
        unseen: kinds that are never among them.
        options: settings of the source, kept for the record.

    Raises:
        ValueError: if a setting is out of range or the images do not suffice for a side.
    """
    explicit, reserve = reserve is not None, contamination if reserve is None else reserve
    _check_settings(seed, contamination, reserve, validation_fraction, test_fraction)
    labelled = _Labelled(anomalies, sampling, tuple(unseen)).checked(name, collection)
    notes = list(collection.notes)
    train, test = _sides(collection, name, seed, test_fraction, notes)
    train, validation = _cut_validation(collection, name, seed, train, validation_fraction)
    _check_test(collection, name, test, 0.0)
    own = _own_anomalies(collection, test)
    pooled = reserve
    if labelled.share and len(own) == 0 and not explicit:
        kept = min(train_images or len(train), len(train))
        wanted = sum(labelled.parts(kept, len(validation)))
        labelled.check_pool(collection, name, test, wanted)
        pooled += wanted / len(train)
    pool, test = _reserve_pool(collection, name, seed, test, pooled, len(train), labelled.unseen, notes)
    _check_test(collection, name, test, pooled)
    _note_few(collection, test, notes)
    train = _few_shot(name, seed, train, train_images)
    injected = pool[: round(contamination * len(train))]
    shown = (
        labelled.choose(
            collection,
            name,
            seed,
            own if len(own) else pool[len(injected) :],
            injected,
            len(train),
            len(validation),
            notes,
        )
        if labelled.share
        else {}
    )
    train = _stream(seed, "train order").permutation(np.concatenate([train, injected]))
    test = _stream(seed, "test order").permutation(test)
    return _assemble(
        collection,
        {"train": train, "validation": validation, "test": test} | shown,
        len(injected),
        {
            "name": name,
            "seed": seed,
            "contamination": contamination,
            "reserve": reserve,
            "notes": tuple(notes),
            "options": dict(options or {}) | labelled.told(),
        },
        labelled,
    )


@dataclass(frozen=True)
class _Labelled:
    """What was asked for in the way of labelled anomalies."""

    share: float | None
    sampling: str
    unseen: tuple[str, ...]

    def checked(self, name: str, collection: Collection) -> _Labelled:
        if self.share is not None and not 0 < self.share <= 100:
            raise ValueError(
                f"anomalies={self.share}; expected how many labelled anomalies to train on, relative to the number of"
                " training images and above 0, e.g. 1.0 for as many, or None for none."
            )
        if self.sampling not in SAMPLINGS:
            raise unknown_name("sampling", self.sampling, SAMPLINGS)
        kinds = np.unique(collection.kinds[collection.anomalous]).tolist()
        for kind in self.unseen:
            if kind not in kinds:
                raise unknown_name(f"kind of anomaly of {name}", kind, kinds)
        if self.unseen and self.share is None:
            raise ValueError(
                f"unseen={self.unseen} without anomalies: nothing is shown, so every kind is unseen. Set anomalies,"
                " e.g. to 1.0."
            )
        if self.share is not None and set(self.unseen) == set(kinds):
            raise ValueError(f"unseen names all kinds of {name}; leave at least one to train on.")
        return self

    def told(self) -> dict[str, Any]:
        """The settings that are not the defaults."""
        if self.share is None:
            return {}
        told: dict[str, Any] = {"anomalies": self.share}
        told |= {"sampling": self.sampling} if self.sampling != "proportional" else {}
        return told | ({"unseen": self.unseen} if self.unseen else {})

    def parts(self, train: int, validation: int) -> tuple[int, int]:
        """How many are wanted: (to train on, to choose settings by)."""
        return round(self.share * train), round(self.share * validation)

    def check_pool(self, collection: Collection, name: str, test: np.ndarray, wanted: int) -> None:
        """Whether test can spare as many anomalies as have to come out of it."""
        there = int((collection.anomalous[test] & ~np.isin(collection.kinds[test], self.unseen)).sum())
        if wanted >= there:
            of = " of the kinds that may be shown" if self.unseen else ""
            raise ValueError(
                f"{name}: anomalies={self.share} takes {wanted} anomalies out of test, which holds {there}{of} and has"
                " to keep one: no training side of this set has any. Ask for fewer."
            )

    def choose(
        self,
        collection,
        name: str,
        seed: int,
        pool: np.ndarray,
        injected: np.ndarray,
        train: int,
        validation: int,
        notes: list[str],
    ) -> dict[str, np.ndarray]:
        """Indices of the labelled anomalies to train on, and of those to choose settings by.

        pool: to choose from. injected: anomalies that are in training already; other photos of their objects are not
        chosen by.
        """
        pool = pool[~np.isin(collection.kinds[pool], self.unseen)]
        parts = self.parts(train, validation)
        wanted = sum(parts)
        if parts[0] == 0:
            raise ValueError(
                f"{name}: anomalies={self.share} of {train} training images is less than one labelled anomaly; the"
                f" smallest share that gives one is {math.ceil(1000 / train) / 1000}."
            )
        if wanted > len(pool):
            raise ValueError(
                f"{name}: anomalies={self.share} asks for {parts[0]} labelled anomalies to train on and {parts[1]} to"
                f" choose settings by; {len(pool)} are there.\nAsk for fewer, or raise reserve where the pool comes"
                " out of test."
            )
        images, kinds = collection.images[torch.from_numpy(pool)], collection.kinds[pool]
        chosen = choose_anomalies(images, kinds, wanted, self.sampling, _stream(seed, "labelled"), seed)
        if len(chosen) < wanted:
            notes.append(
                f"{len(chosen)} labelled anomalies instead of {wanted}: every kind was sampled down to the smallest."
            )
        cut, chosen = max(1, round(len(chosen) * parts[0] / wanted)), pool[chosen]
        trained = np.arange(len(chosen)) < cut
        if collection.groups is not None:
            trained = _whole_groups(collection.groups[chosen], cut)
            trained |= np.isin(collection.groups[chosen], collection.groups[injected])
        return {"anomalies": chosen[trained], "validation anomalies": chosen[~trained]}


def _whole_groups(groups: np.ndarray, wanted: int) -> np.ndarray:
    """Which of the images make up `wanted` or fewer, whole groups in order of appearance; at least the first group."""
    names, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(first)
    taken = np.cumsum(counts[order]) <= max(wanted, counts[order[0]])
    return np.isin(groups, names[order[taken]])


def _own_anomalies(collection: Collection, test: np.ndarray) -> np.ndarray:
    """Anomalous images that are not tested anyway: those of a published training side, or the untested rest."""
    if collection.sides is not None:
        return np.flatnonzero(collection.sides == "anomalies")
    return np.setdiff1d(np.flatnonzero(collection.anomalous), test)


def _stream(seed: int, purpose: str) -> np.random.Generator:
    """A random stream of its own for each purpose."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def _check_settings(seed, contamination, reserve, validation_fraction, test_fraction) -> None:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed={seed!r}; expected 0 or a positive whole number.")
    if not 0 <= contamination <= 1:
        raise ValueError(
            f"contamination={contamination}; expected a fraction from 0 to 1, e.g. 0.03: 3 % of the training"
            " images."
        )
    if not contamination <= reserve <= 1:
        raise ValueError(
            f"reserve={reserve} with contamination={contamination}; expected contamination <= reserve <= 1.\n"
            "Set reserve to the highest contamination of the study, so that all its runs share one test set."
        )
    for key, value in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise ValueError(f"{key}={value}; expected a fraction between 0 and 1, e.g. 0.15.")


def _sides(collection: Collection, name: str, seed: int, test_fraction: float, notes: list[str]):
    """Indices of the (train, test) side; every train image is normal."""
    if collection.sides is not None:
        train, test = (np.flatnonzero(collection.sides == side) for side in ("train", "test"))
    else:
        train, test = _own_sides(collection, name, seed, test_fraction)
        notes.append(
            f"No split is published: {int((~collection.anomalous[test]).sum())} of"
            f" {int((~collection.anomalous).sum())} normal images were drawn for test (seed {seed})."
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


def _own_sides(collection: Collection, name: str, seed: int, test_fraction: float):
    normal, anomalous = np.flatnonzero(~collection.anomalous), np.flatnonzero(collection.anomalous)
    if collection.groups is not None:  # objects with a defect are test objects, whatever else shows them
        touched = np.isin(collection.groups[normal], collection.groups[anomalous])
        free, bound = normal[~touched], normal[touched]
        wanted = max(0, round(test_fraction * len(normal)) - len(bound))
        train, drawn = _draw_groups(collection, _stream(seed, "test"), free, wanted, name, "test")
        return train, np.concatenate([bound, drawn, anomalous])
    train, drawn = _draw_groups(
        collection, _stream(seed, "test"), normal, round(test_fraction * len(normal)), name, "test"
    )
    if collection.stratified:
        anomalous = _draw_per_kind(collection, _stream(seed, "test anomalies"), anomalous, test_fraction)
    return train, np.concatenate([drawn, anomalous])


def _draw_per_kind(collection: Collection, stream, anomalous: np.ndarray, test_fraction: float) -> np.ndarray:
    chosen = []
    for kind in np.unique(collection.kinds[anomalous]):
        members = stream.permutation(anomalous[collection.kinds[anomalous] == kind])
        chosen.append(members[: max(1, round(test_fraction * len(members)))])
    return np.concatenate(chosen)


def _draw_groups(collection: Collection, stream, members: np.ndarray, wanted: int, name: str, side: str):
    """(rest, drawn): whole groups in a seeded order until `wanted` images are drawn, never beyond it.

    Only if the first group alone is larger than `wanted`, the smallest group is taken.
    """
    if collection.groups is None:
        order = stream.permutation(members)
        return np.sort(order[wanted:]), np.sort(order[:wanted])
    groups, counts = np.unique(collection.groups[members], return_counts=True)
    chosen, total = [], 0
    for position in stream.permutation(len(groups)):
        if total + counts[position] <= wanted:
            chosen.append(groups[position])
            total += counts[position]
    if wanted and not chosen:
        if len(groups) < 2:
            raise ValueError(
                f"{name}: all {len(members)} normal images belong to one group, so none can go to {side}.\n"
                "Photograph more objects, or correct groups.csv."
            )
        chosen = [groups[np.argmin(counts)]]
    taken = np.isin(collection.groups[members], chosen)
    return members[~taken], members[taken]


def _cut_validation(collection: Collection, name: str, seed: int, train: np.ndarray, fraction: float):
    if len(train) < 2:
        raise ValueError(
            f"{name}: {len(train)} normal training image(s) left; expected at least 2, one to train on and"
            " one for validation.\nAdd normal images to the training side."
        )
    wanted = min(max(1, round(fraction * len(train))), len(train) - 1)
    return _draw_groups(collection, _stream(seed, "validation"), train, wanted, name, "validation")


def _reserve_pool(collection, name, seed, test, reserve, train_count, unseen, notes):
    """(pool, test): anomalies of kinds that may be seen, set aside in a seeded order, and what remains to be tested."""
    wanted = round(reserve * train_count)
    if wanted == 0:
        return np.empty(0, dtype=test.dtype), test
    anomalies = test[collection.anomalous[test] & ~np.isin(collection.kinds[test], unseen)]
    if wanted >= len(anomalies):
        most = (len(anomalies) - 1) / train_count
        raise ValueError(
            f"{name}: reserve={reserve} asks for {wanted} anomalies ({train_count} training images), test"
            f" holds {len(anomalies)} and has to keep one.\nReserve at most {int(most * 1000) / 1000}."
        )
    stream = _stream(seed, "pool")
    if collection.groups is None:
        pool = stream.permutation(anomalies)[:wanted]
        return pool, np.setdiff1d(test, pool)
    # Objects in the pool may end up in training, so no other photo of them stays in test.
    groups = stream.permutation(np.unique(collection.groups[anomalies]))
    members = np.cumsum([np.sum(collection.groups[anomalies] == group) for group in groups])
    chosen = groups[: int(np.searchsorted(members, wanted)) + 1]
    in_chosen = np.isin(collection.groups[test], chosen)
    pool = stream.permutation(anomalies[np.isin(collection.groups[anomalies], chosen)])[:wanted]
    dropped = int(in_chosen.sum()) - wanted
    if dropped:
        notes.append(
            f"{dropped} test images left out: they show the same objects as the {wanted} reserved anomalies."
        )
    return pool, test[~in_chosen]


def _check_test(collection: Collection, name: str, test: np.ndarray, reserve: float) -> None:
    anomalous = collection.anomalous[test]
    if len(test) and anomalous.any() and not anomalous.all():
        return
    missing = "anomalous" if not anomalous.any() else "normal"
    raise ValueError(
        f"{name}: the test side has {int((~anomalous).sum())} normal and {int(anomalous.sum())} anomalous"
        " images; expected at least one of each, no score can be judged otherwise."
        f"\nAdd {missing} images to test" + (f", or lower reserve={reserve}." if reserve else ".")
    )


def _note_few(collection: Collection, test: np.ndarray, notes: list[str]) -> None:
    anomalies = int(collection.anomalous[test].sum())
    for count, what in ((anomalies, "anomalous"), (len(test) - anomalies, "normal")):
        if count < 10:
            notes.append(
                f"Only {count} {what} images are tested: one of them more or less moves every score."
            )


def _few_shot(name: str, seed: int, train: np.ndarray, count: int | None) -> np.ndarray:
    if count is None:
        return train
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= len(train):
        raise ValueError(
            f"{name}: train_images={count!r}; expected a whole number from 1 to {len(train)}, the normal"
            " training images after validation was cut."
        )
    return _stream(seed, "few-shot").permutation(train)[:count]


def _assemble(
    collection: Collection,
    roles: dict[str, np.ndarray],
    contaminated: int,
    settings: dict,
    labelled: _Labelled,
) -> Split:
    images = {role: collection.images[torch.from_numpy(index)] for role, index in roles.items()}
    shown = {
        role.replace(" ", "_"): LabelledAnomalies(
            images[role], [str(kind) for kind in collection.kinds[index]], labelled.sampling, labelled.unseen
        )
        for role, index in roles.items()
        if role.endswith("anomalies")
    }
    test = roles["test"]
    masks = None if collection.masks is None else collection.masks[test]
    truth = Truth(collection.anomalous[test], [str(kind) for kind in collection.kinds[test]], masks)
    return Split(
        size=collection.images.shape[-1],
        train=TrainImages(images["train"], contaminated),
        validation=ValidationImages(images["validation"]),
        test=SealedTest(images["test"], truth),
        fingerprint=_fingerprint(images, collection.anomalous[roles["train"]], truth),
        title=collection.title,
        **shown,
        **settings,
    )


def _fingerprint(images: dict[str, Tensor], train_anomalous: np.ndarray, truth: Truth) -> str:
    """First 16 hex digits of SHA-256 over all pixels, their roles and the truth, in order."""
    digest = hashlib.sha256()
    for role, pixels in images.items():
        digest.update(f"{role} {tuple(pixels.shape)}".encode())
        if pixels.numel():
            digest.update(memoryview(pixels.contiguous().numpy()).cast("B"))
    digest.update(np.packbits(train_anomalous).tobytes())
    digest.update("\n".join(truth.kinds).encode())
    if truth.masks is not None:
        digest.update(np.packbits(truth.masks).tobytes())
    return digest.hexdigest()[:16]


__all__ = [
    "GOOD",
    "LabelledAnomalies",
    "SealedTest",
    "Split",
    "TrainImages",
    "Truth",
    "ValidationImages",
    "make_split",
]
