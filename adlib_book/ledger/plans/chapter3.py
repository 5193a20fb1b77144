"""Chapter 3: detectors that learn from labelled anomalies."""

from __future__ import annotations

import functools
import itertools
from typing import Any

from adlib.data import DATA_SETS, SplitSettings
from adlib_book.ledger.plans.task import Task, grid, last_weights
from adlib_book.ledger.weight_search import PUBLISHED, draw

# How long, and with which changes to the images, each one-vs-rest set is trained on. These are short runs of a small
# network; the paper's rotations and colours help only after many more steps.
ONE_VS_REST: dict[str, dict[str, Any]] = {
    "mnist": {"steps": 400, "augmentation": "crop", "checkpoints": 2},
    "fashion_mnist": {"steps": 1500, "augmentation": "crop_mirror", "checkpoints": 2},
    "cifar10": {"steps": 2000, "augmentation": "crop_mirror", "checkpoints": 2},
}
UNSEEN = ("mnist/8", "cifar10/bird", "fashion_mnist/shirt", "mnist/3")
RARE = {"train": 500, "test": 100, "kinds": {"scratch": 240, "stamp": 80, "stain": 40}}  # of images


def _one_vs_rest(detector: str, seed: int) -> list[Task]:
    """A supervised detector on every class of every set, with as many labelled anomalies as normal images."""
    return [
        Task.of(detector, f"{name}/{kind}", 32, seed=seed, anomalies=1.0, changes=ONE_VS_REST[name])
        for name in ONE_VS_REST
        for kind in DATA_SETS[name].choices
    ]


@last_weights
def chapter3() -> list[Task]:
    """Every class of three sets: the dual discriminator, then what else is there with and without labels, then again.

    All are tested on the same images; PCA and GANomaly do not learn from the labelled anomalies.
    """
    simple = [
        Task(name, task.dataset, 32, task.split)
        for task in _one_vs_rest("dual_discriminator", 0)
        for name in ("pca", "logistic_regression")
    ]
    short: dict[str, Any] = {"steps": 500, "checkpoints": 1}
    one_class = [Task("ganomaly", task.dataset, 32, task.split, changes=short) for task in simple[::2]]
    first, again = (_one_vs_rest("dual_discriminator", seed) for seed in (0, 1))
    classifier, classifier_again = (_one_vs_rest("cnn_classifier", seed) for seed in (0, 1))
    return [*first, *classifier, *simple, *one_class, *again, *classifier_again]


@last_weights
def chapter3_longer() -> list[Task]:
    """Does length lift the garments that the dual discriminator finds hardest? 4,000 steps instead of 1,500."""
    longer: dict[str, Any] = {**ONE_VS_REST["fashion_mnist"], "steps": 4000}
    worst = [f"fashion_mnist/{kind}" for kind in ("pullover", "shirt", "coat", "tshirt")]
    common: dict[str, Any] = {"size": [32], "anomalies": [1.0], "changes": [longer]}
    return list(grid(dataset=worst, detector=["dual_discriminator"], **common))


@last_weights
def chapter3_unseen() -> list[Task]:
    """A third of the anomaly classes is left out of training, each third in its turn; all nine are tested."""
    tasks: list[Task] = []
    for number, dataset in itertools.product(range(3), UNSEEN):
        name, _, normal = dataset.partition("/")
        kinds = [kind for kind in DATA_SETS[name].choices if kind != normal]
        split = SplitSettings(anomalies=1.0, unseen=tuple(kinds[3 * number : 3 * number + 3]))
        for detector in ("dual_discriminator", "cnn_classifier"):
            tasks.append(Task(detector, dataset, 32, split, changes=ONE_VS_REST[name]))
    return tasks


@last_weights
def chapter3_ablation() -> list[Task]:
    """Table 6: the auto-encoder alone, with one more loss each, with all; then what the batch is normalised by."""
    steps: dict[str, Any] = {**ONE_VS_REST["cifar10"], "steps": 1000}
    bird: dict[str, Any] = {"dataset": "cifar10/bird", "size": 32, "anomalies": 1.0}
    alone = dict.fromkeys(PUBLISHED, 0.0) | {"reconstruction": PUBLISHED["reconstruction"]}
    more = ("abc", "adversarial", "anomaly_adversarial", "patch", "latent")
    rows: list[dict[str, Any]] = [alone, *(alone | {name: PUBLISHED[name]} for name in more), {}]
    batches: list[dict[str, Any]] = [{"normalisation": "image"}, {"mixed": False}]
    digits: dict[str, Any] = {"dataset": "mnist/3", "size": 32, "anomalies": 1.0}
    gan = functools.partial(Task.of, "dual_discriminator")
    return [
        *(gan(changes=steps | row, **bird) for row in rows),
        *(gan(changes=ONE_VS_REST["mnist"] | row, **digits) for row in batches),
        *(gan(changes=steps | row, **bird) for row in batches),
        *(gan(seed=1, changes=steps | row, **bird) for row in rows),
    ]


@last_weights
def chapter3_weights(count: int = 24) -> list[Task]:
    """Candidates of the search for loss weights, the published ones first; short runs, ranked on validation images.

    Args:
        count: how many of the 315; the whole search is chapter3_weights(315).
    """
    short: dict[str, Any] = {**ONE_VS_REST["fashion_mnist"], "steps": 400, "checkpoints": 1}
    common: dict[str, Any] = {"dataset": "fashion_mnist/shirt", "size": 32, "anomalies": 1.0}
    return [Task.of("dual_discriminator", changes=short | weights, **common) for weights in draw(count)]


@last_weights
def chapter3_surfaces() -> list[Task]:
    """Imbalance of kinds, of size and of losses, each without its remedy and with it: metal, and magnetic tiles.

    On metal the generator finds nothing for some two thousand steps and then, within three hundred, everything.
    """
    long: dict[str, Any] = {"steps": 3000, "batch_size": 16, "checkpoints": 10, "augmentation": "turn"}
    metal: dict[str, Any] = {"dataset": "texture/metal", "anomalies": 0.25, "reserve": 0.4, "data": RARE}
    tiles: dict[str, Any] = {"dataset": "magnetic_tile", "anomalies": 0.2, "reserve": 0.3}
    # With defects on 0.4 % of the area no detector finds anything, on 0.8 % some do.
    small, between = (metal | {"data": RARE | {"defect_area": area}} for area in (0.004, 0.008))
    equal_weights = long | dict.fromkeys(PUBLISHED, 1.0)
    classifier, gan = (functools.partial(Task.of, name) for name in ("cnn_classifier", "dual_discriminator"))
    tasks: list[Task] = []
    for seed in (0, 1):
        natural: dict[str, Any] = {"seed": seed, "sampling": "natural"}
        both = [natural, natural | {"sampling": "random"}]
        tasks += [classifier(changes=long, **natural, **each) for each in (metal, tiles, small)]
        tasks += [gan(changes=long, **chosen, **metal) for chosen in both]
        tasks += [gan(changes=long | {"patch": w}, **natural, **small) for w in (0.0, 1.5)]
        tasks += [gan(changes=equal_weights, **natural, **metal)]
        tasks += [gan(changes=long, **chosen, **tiles) for chosen in both]
    tasks += [gan(changes=long | {"patch": w}, sampling="natural", **between) for w in (0.0, 1.5)]
    return [*tasks, classifier(changes=long, sampling="natural", **between)]


def chapter3_shared() -> list[Task]:
    """One discriminator for both groups, as the paper argues against, beside two: metal first, then photographs.

    Both with today's averaged weights; the settings are otherwise those of `chapter3_surfaces` and `chapter3`.
    """
    long: dict[str, Any] = {"steps": 3000, "batch_size": 16, "checkpoints": 10, "augmentation": "turn"}
    metal: dict[str, Any] = {"dataset": "texture/metal", "anomalies": 0.25, "reserve": 0.4, "data": RARE}
    tasks: list[Task] = []
    for seed in (0, 1):
        for shared in (True, False):
            changes: dict[str, Any] = long | {"shared": shared}
            tasks.append(
                Task.of("dual_discriminator", seed=seed, sampling="natural", changes=changes, **metal)
            )
    for kind, seed, shared in itertools.product(("bird", "automobile"), (0, 1), (True, False)):
        changes = ONE_VS_REST["cifar10"] | {"shared": shared}
        photographs: dict[str, Any] = {
            "dataset": f"cifar10/{kind}",
            "size": 32,
            "anomalies": 1.0,
            "seed": seed,
        }
        tasks.append(Task.of("dual_discriminator", changes=changes, **photographs))
    return tasks


def chapter3_turns() -> list[Task]:
    """A one-class rival that needs no label, on photographs: which of four turns? Bird and automobile first."""
    first = ("bird", "automobile")
    kinds = [*first, *(kind for kind in DATA_SETS["cifar10"].choices if kind not in first)]
    # The same test images as chapter3's; one-class detectors do not learn from the labelled anomalies.
    common: dict[str, Any] = {"detector": ["turn_classifier"], "size": [32], "anomalies": [1.0]}
    return list(grid(seed=[0, 1], dataset=[f"cifar10/{kind}" for kind in kinds], **common))
