"""What the long runs behind the chapters are: one named list of experiments per question.

A plan is ordered so that every prefix of it is worth having: seed 0 of everything comes before seed 1.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from adlib.data.sources import CLASS_NAMES
from adlib.transforms import TRANSFORMS
from adlib_book.ledger.weight_search import PUBLISHED, draw


@dataclass(frozen=True)
class Task:
    """One experiment: detector x data x seed, with changes to either's settings.

    data: further arguments of `adlib.load`, such as anomalies, sampling, unseen or an option of the source.
    """

    detector: str
    dataset: str
    size: int = 64
    seed: int = 0
    profile: str = "book"
    contamination: float = 0.0
    reserve: float | None = None
    train_images: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


def grid(**axes: Iterable[Any]) -> Iterator[Task]:
    """Every combination of the given values of Task's fields, the last axis turning fastest."""
    for values in itertools.product(*axes.values()):
        yield Task(**dict(zip(axes, values)))


ALWAYS_FP32 = ("cnn_classifier", "dual_discriminator", "f_anogan")
Plan = Callable[..., list[Task]]


def last_weights(plan: Plan) -> Plan:
    """A plan with the defaults of its time: the last weights, and precision "auto" for most detectors.

    Its runs were recorded, or begun, before detectors ended with averaged weights and in fp32.
    """

    @functools.wraps(plan)
    def pinned(*args: Any) -> list[Task]:
        return [_pinned(task) for task in plan(*args)]

    return pinned


def _pinned(task: Task) -> Task:
    precision = "fp32" if task.detector in ALWAYS_FP32 else "auto"
    return replace(task, changes={"ema_decay": 0.0, "precision": precision} | task.changes)


SURFACES = (
    "elpv/mono",
    "elpv/poly",
    "mvtec/bottle",
    "mvtec/pill",
    "mvtec/screw",
    "mvtec/transistor",
    "magnetic_tile",
    "texture/wood",
)


@last_weights
def chapter1() -> list[Task]:
    """The long runs behind chapter 1: GANomaly, clean and contaminated, its variants, and two trivial baselines.

    Contaminating anomalies come from a pool of 9 % of the training size that is missing from the test set in
    every row, so that all levels are tested on the same images.
    """
    common = {"reserve": [0.09], "seed": [0, 1, 2], "dataset": SURFACES}
    trivial = grid(detector=["pca", "mean_intensity"], contamination=[0.0, 0.03, 0.06, 0.09], **common)
    clean = grid(detector=["ganomaly"], contamination=[0.0], **common)
    mixed = grid(detector=["ganomaly"], contamination=[0.09, 0.03, 0.06], **common)
    variants = grid(
        detector=["ganomaly"],
        reserve=[0.09],
        changes=[{"variant": name} for name in ("paper", "official", "tang_literal")],
        seed=[0, 1, 2],
        dataset=["elpv/mono", "mvtec/bottle", "mvtec/transistor"],
    )
    return [*trivial, *clean, *mixed, *variants]


@last_weights
def chapter1_gap() -> list[Task]:
    """Where does the paper's higher D1 come from? A committee of checkpoints, four times the steps, the full width."""
    objects = ("mvtec/bottle", "mvtec/transistor", "mvtec/pill")
    common = {"detector": ["ganomaly"], "reserve": [0.09]}
    usual = grid(seed=[0, 1, 2], dataset=objects, changes=[{"checkpoints": 16}], **common)
    longer = grid(seed=[0, 1, 2], changes=[{"steps": 4000}], dataset=objects[:2], **common)
    wider = grid(seed=[0], changes=[{"width": 64}], dataset=objects[:2], **common)
    return [*usual, *longer, *wider]


ALL_SURFACES = (*SURFACES, "texture/glass")


@last_weights
def chapter2() -> list[Task]:
    """The comparison behind the chapter on DAGAN, on whole test sets, one seed after the other.

    GANomaly's rows are chapter 1's clean runs: the same normal images, 9 % fewer anomalies.
    """
    trivial = grid(seed=[0, 1, 2], dataset=ALL_SURFACES, detector=["pca", "mean_intensity"])
    family = grid(seed=[0, 1, 2], dataset=ALL_SURFACES, detector=["dagan", "unet", "skip_ganomaly"])
    glass = grid(seed=[0, 1, 2], dataset=["texture/glass"], detector=["ganomaly"])
    return [*trivial, *family, *glass]


@last_weights
def chapter2_large() -> list[Task]:
    """DAGAN and PCA at 128 px; half the batch, as four times the pixels go into it."""
    sets = ("mvtec/bottle", "texture/wood", "mvtec/pill", "mvtec/screw", "mvtec/transistor")
    pca = grid(detector=["pca"], seed=[0, 1, 2], size=[128], dataset=sets)
    dagan = grid(detector=["dagan"], seed=[0, 1, 2], size=[128], dataset=sets, changes=[{"batch_size": 16}])
    return [*pca, *dagan]


@last_weights
def chapter2_ancestors() -> list[Task]:
    """What DAGAN descends from, on three sets: BEGAN, AnoGAN with its search, f-AnoGAN with its encoder."""
    sets = ("mvtec/bottle", "elpv/mono", "texture/wood")
    return list(grid(seed=[0, 1, 2], dataset=sets, detector=["began", "f_anogan", "anogan"]))


@last_weights
def chapter2_stability() -> list[Task]:
    """Loss curves, gradient norms and spread of the AUROC over five seeds on two sets.

    Seeds 0 to 2 of DAGAN and Skip-GANomaly stand in chapter2's ledger.
    """
    sets = ("mvtec/bottle", "elpv/mono")
    more = grid(seed=[3, 4], dataset=sets, detector=["dagan", "skip_ganomaly"])
    return [*more, *grid(seed=range(5), dataset=sets, detector=["ganomaly"])]


@last_weights
def chapter2_ablations() -> list[Task]:
    """Skips (P8), the sign and the bound of the adversarial term, and the norm as printed."""
    sets = ("texture/wood", "mvtec/bottle", "elpv/mono")
    skips = [{"dropped_skips": 1}, {"dropped_skips": 5}]
    forgotten = [{"opposed": False}, {"bounded": False}]
    norm = [{"squared": False}]
    return [
        *grid(seed=[0, 1, 2], dataset=sets, detector=["unet"], changes=skips),
        *grid(seed=[0, 1, 2], dataset=["mvtec/bottle"], detector=["dagan"], changes=[*forgotten, *norm]),
        *grid(seed=[0, 1, 2], dataset=["texture/wood", "elpv/mono"], detector=["dagan"], changes=norm),
    ]


@last_weights
def chapter2_balance() -> list[Task]:
    """DAGAN with the control of its balance that BEGAN has and DAGAN dropped, on every set."""
    return list(grid(seed=[0, 1, 2], dataset=ALL_SURFACES, detector=["dagan_balanced"]))


FEW = tuple(2**n for n in range(8))


@last_weights
def chapter2_few() -> list[Task]:
    """Training on 1, 2, 4 ... 128 images, nested, five seeds, the same number of steps for each."""
    sets = ("texture/wood", "mvtec/bottle", "texture/glass", "mvtec/pill")
    common = {"dataset": sets, "seed": range(5)}
    short = [{"steps": 150, "batch_size": 16, "checkpoints": 1}]
    pca = grid(detector=["pca"], train_images=FEW[1:], **common)
    return [*pca, *grid(changes=short, **common, train_images=FEW, detector=["dagan", "unet"])]


DIGITS = tuple(f"mnist/{digit}" for digit in range(10))
OBJECTS = tuple(f"cifar10/{name}" for name in CLASS_NAMES["cifar10"])
# Three convolutions 5x5 in colour cost a hundred times the two for grey digits.
_SVDD_COLOUR = {"steps": 300, "batch_size": 64, "pretraining_share": 0.3, "checkpoints": 1}


def _classes(seed: int) -> list[Task]:
    """Table 1 at one seed. The auto-encoder alone is a score ("teacher") of every style distillation run."""
    common = {"seed": [seed], "size": [32]}
    quick = ["pca", "ocsvm", "isolation_forest"]
    one = [{"checkpoints": 1}]
    return [
        *grid(dataset=DIGITS, detector=quick, **common),
        *grid(dataset=DIGITS, detector=["deep_svdd"], changes=one, **common),
        *grid(dataset=DIGITS, detector=["oe_sdn"], **common),
        *grid(dataset=DIGITS, detector=["sdn"], **common),
        *grid(dataset=OBJECTS, detector=quick, **common),
        *grid(dataset=OBJECTS, detector=["oe_sdn"], **common),
        *grid(dataset=OBJECTS, detector=["sdn"], **common),
        *grid(dataset=OBJECTS, detector=["deep_svdd"], changes=[_SVDD_COLOUR], **common),
    ]


@last_weights
def chapter4() -> list[Task]:
    """Table 1 of the OE-SDN paper: one class of MNIST or CIFAR-10 normal, whole test sets, seed 0, then seed 1."""
    return [*_classes(0), *_classes(1)]


MASKED = (
    "mvtec/bottle",
    "texture/wood",
    "mvtec/pill",
    "magnetic_tile",
    "mvtec/screw",
    "texture/glass",
    "texture/metal",
)
# At 64 pixels a batch of 16 costs what 64 cost at 32; the teacher's code is as long as in the paper.
_STYLE_64 = {"steps": 950, "student_share": 150 / 950, "batch_size": 16, "student_images": 8, "code": 100}


@last_weights
def chapter4_surfaces() -> list[Task]:
    """Table 2: pixel metrics where there are masks. The paper's "AE" is measured as the teacher of the SDN runs."""
    tasks = []
    for seed in (0, 1):
        common = {"seed": [seed], "dataset": MASKED}
        tasks += [
            *grid(detector=["pca"], **common),
            *grid(detector=["ssim_ae"], changes=[{"checkpoints": 4}], **common),
            *grid(detector=["oe_sdn", "sdn"], changes=[_STYLE_64], **common),
            *grid(detector=["feature_dictionary"], **common),
            *grid(detector=["ssim_ae"], changes=[{"loss": "l2", "score": "L2", "checkpoints": 4}], **common),
        ]
    large = grid(dataset=["mvtec/bottle"], size=[128], seed=[0, 1], detector=["ssim_ae"])
    return [*tasks[: len(tasks) // 2], *large, *tasks[len(tasks) // 2 :]]


@last_weights
def chapter4_transforms() -> list[Task]:
    """Table 3 for two classes; each record also holds how well it tells validation-normals from transformed ones.

    SDN is the row "none", repeated here so that all ten share one machine and one auto-encoder.
    """
    others = [{"transform": name} for name in sorted(TRANSFORMS)]
    common = {"dataset": ["mnist/3", "mnist/8"], "size": [32]}
    return [*grid(detector=["oe_sdn"], changes=others, **common), *grid(detector=["sdn"], **common)]


@last_weights
def chapter4_longer() -> list[Task]:
    """Students of 1,000 steps on every digit, of 4,000 on threes and eights, instead of 250; after equal teachers."""
    taught = 1000  # steps of the teacher, as in every run of `chapter4`
    first = ("mnist/3", "mnist/8")
    rest = tuple(digit for digit in DIGITS if digit not in first)
    tasks = []
    for steps, digits in ((1000, first), (4000, first), (1000, rest)):
        changes = {"steps": taught + steps, "student_share": steps / (taught + steps)}
        tasks += grid(dataset=digits, size=[32], seed=[0], detector=["sdn", "oe_sdn"], changes=[changes])
    return tasks


@last_weights
def chapter4_anogan() -> list[Task]:
    """AnoGAN's row of Table 1, on the small MNIST: every test image is a search of its own. PCA to compare with."""
    small = [f"mnist5k/{digit}" for digit in range(10)]
    return list(grid(detector=["pca", "anogan"], dataset=small, size=[32]))


@last_weights
def chapter4_bottleneck() -> list[Task]:
    """Width of the code: too narrow, normals blur; too wide, defects are copied too."""
    codes = [{"code": code, "checkpoints": 2} for code in (2, 8, 32, 128, 512)]
    digits = grid(dataset=["mnist/3"], size=[32], detector=["cae"], changes=codes, seed=[0, 1])
    wood = grid(dataset=["texture/wood"], detector=["ssim_ae"], changes=codes, seed=[0, 1])
    return [*digits, *wood]


# Chapter 3: how long, and with which changes to the images, each one-vs-rest set is trained on. Short runs of a small
# network: what the images gain from the paper's rotations and colours does not show before many more steps.
ONE_VS_REST: dict[str, dict[str, Any]] = {
    "mnist": {"steps": 400, "augmentation": "crop", "checkpoints": 2},
    "fashion_mnist": {"steps": 1500, "augmentation": "crop_mirror", "checkpoints": 2},
    "cifar10": {"steps": 2000, "augmentation": "crop_mirror", "checkpoints": 2},
}


def _one_vs_rest(
    detector: str, seed: int, sets: Iterable[str] = tuple(ONE_VS_REST), **data: Any
) -> list[Task]:
    """A supervised detector on every class of every set, with as many labelled anomalies as normal images."""
    return [
        Task(detector, f"{name}/{kind}", 32, seed, changes=ONE_VS_REST[name], data={"anomalies": 1.0, **data})
        for name in sets
        for kind in CLASS_NAMES[name]
    ]


@last_weights
def chapter3() -> list[Task]:
    """Every class of three sets: the dual discriminator, then what else is there with and without labels, then again.

    All are tested on the same images; PCA and GANomaly leave the labelled anomalies alone.
    """
    simple = [
        Task(name, task.dataset, 32, 0, data=task.data)
        for task in _one_vs_rest("dual_discriminator", 0)
        for name in ("pca", "logistic_regression")
    ]
    short = {"steps": 500, "checkpoints": 1}
    one_class = [Task("ganomaly", task.dataset, 32, 0, changes=short, data=task.data) for task in simple[::2]]
    first, again = (_one_vs_rest("dual_discriminator", seed) for seed in (0, 1))
    classifier, classifier_again = (_one_vs_rest("cnn_classifier", seed) for seed in (0, 1))
    return [*first, *classifier, *simple, *one_class, *again, *classifier_again]


@last_weights
def chapter3_longer() -> list[Task]:
    """Does length lift the garments that the dual discriminator finds hardest? 4,000 steps instead of 1,500."""
    longer = {**ONE_VS_REST["fashion_mnist"], "steps": 4000}
    worst = [f"fashion_mnist/{kind}" for kind in ("pullover", "shirt", "coat", "tshirt")]
    common = {"seed": [0], "size": [32], "changes": [longer], "data": [{"anomalies": 1.0}]}
    return list(grid(dataset=worst, detector=["dual_discriminator"], **common))


UNSEEN = ("mnist/8", "cifar10/bird", "fashion_mnist/shirt", "mnist/3")


@last_weights
def chapter3_unseen() -> list[Task]:
    """A third of the anomaly classes is kept out of training, each third in its turn; all nine are tested."""
    tasks = []
    for number, dataset in itertools.product(range(3), UNSEEN):
        name, _, normal = dataset.partition("/")
        kinds = [kind for kind in CLASS_NAMES[name] if kind != normal]
        data = {"anomalies": 1.0, "unseen": tuple(kinds[3 * number : 3 * number + 3])}
        for detector in ("dual_discriminator", "cnn_classifier"):
            tasks.append(Task(detector, dataset, 32, changes=ONE_VS_REST[name], data=data))
    return tasks


@last_weights
def chapter3_ablation() -> list[Task]:
    """Table 6: the auto-encoder alone, with one more loss each, with all; then what the batch is normalised by."""
    steps = {**ONE_VS_REST["cifar10"], "steps": 1000}
    bird = {"dataset": "cifar10/bird", "size": 32, "data": {"anomalies": 1.0}}
    alone = dict.fromkeys(PUBLISHED, 0.0) | {"reconstruction": PUBLISHED["reconstruction"]}
    more = ("abc", "adversarial", "anomaly_adversarial", "patch", "latent")
    rows = [alone, *(alone | {name: PUBLISHED[name]} for name in more), {}]
    batches = [{"normalisation": "image"}, {"mixed": False}]
    digits = {"dataset": "mnist/3", "size": 32, "data": {"anomalies": 1.0}}
    return [
        *(Task("dual_discriminator", seed=0, changes=steps | row, **bird) for row in rows),
        *(
            Task("dual_discriminator", seed=0, changes=ONE_VS_REST["mnist"] | row, **digits)
            for row in batches
        ),
        *(Task("dual_discriminator", seed=0, changes=steps | row, **bird) for row in batches),
        *(Task("dual_discriminator", seed=1, changes=steps | row, **bird) for row in rows),
    ]


@last_weights
def chapter3_weights(count: int = 24) -> list[Task]:
    """Candidates of the search for loss weights, the published ones first; short runs, ranked on validation images.

    Args:
        count: how many of the 315; the whole search is chapter3_weights(315).
    """
    short = {**ONE_VS_REST["fashion_mnist"], "steps": 400, "checkpoints": 1}
    common = {"dataset": "fashion_mnist/shirt", "size": 32, "data": {"anomalies": 1.0}}
    return [Task("dual_discriminator", changes=short | weights, **common) for weights in draw(count)]


RARE = {"train": 500, "test": 100, "kinds": {"scratch": 240, "stamp": 80, "stain": 40}}  # of images


@last_weights
def chapter3_surfaces() -> list[Task]:
    """Imbalance of kinds, of size and of losses, each without its remedy and with it: metal, and magnetic tiles.

    On metal the generator finds nothing for some two thousand steps and then, within three hundred, everything.
    """
    long = {"steps": 3000, "batch_size": 16, "checkpoints": 10, "augmentation": "turn"}
    metal = {"anomalies": 0.25, "reserve": 0.4, **RARE}
    tiles = {"anomalies": 0.2, "reserve": 0.3}
    small = metal | {"defect_area": 0.004}
    equal_weights = long | dict.fromkeys(PUBLISHED, 1.0)
    natural, sets = {"sampling": "natural"}, (("texture/metal", metal), ("magnetic_tile", tiles))
    tasks = []
    for seed in (0, 1):
        tasks += [
            _surface("cnn_classifier", dataset, seed, long, data | natural)
            for dataset, data in (*sets, ("texture/metal", small))
        ]
        gan = functools.partial(_surface, "dual_discriminator")
        tasks += [
            gan("texture/metal", seed, long, metal | {"sampling": how}) for how in ("natural", "random")
        ]
        tasks += [gan("texture/metal", seed, long | {"patch": w}, small | natural) for w in (0.0, 1.5)]
        tasks += [gan("texture/metal", seed, equal_weights, metal | natural)]
        tasks += [
            gan("magnetic_tile", seed, long, tiles | {"sampling": how}) for how in ("natural", "random")
        ]
    between = metal | natural | {"defect_area": 0.008}  # on 0.4 % of the area nobody finds anything
    tasks += [gan("texture/metal", 0, long | {"patch": w}, between) for w in (0.0, 1.5)]
    return [*tasks, _surface("cnn_classifier", "texture/metal", 0, long, between)]


def _surface(detector: str, dataset: str, seed: int, changes: dict[str, Any], data: dict[str, Any]) -> Task:
    data = dict(data)
    reserve = data.pop("reserve")
    return Task(detector, dataset, 64, seed, reserve=reserve, changes=changes, data=data)


@last_weights
def chapter5() -> list[Task]:
    """What the other chapters' ledgers lack for one table of every one-class detector on every surface, seed 0."""
    common = {"seed": [0]}
    masked = [name for name in ALL_SURFACES if name in MASKED]
    bare = [name for name in ALL_SURFACES if name not in MASKED]
    ancestors = {task.dataset for task in chapter2_ancestors()}
    others = [name for name in ALL_SURFACES if name not in ancestors]
    return [
        *grid(dataset=ALL_SURFACES, detector=["ocsvm", "isolation_forest"], **common),
        *grid(dataset=bare, detector=["ssim_ae"], changes=[{"checkpoints": 4}], **common),
        *grid(dataset=bare, detector=["feature_dictionary"], **common),
        *grid(dataset=[*masked, *bare], detector=["vae"], changes=[{"checkpoints": 1}], **common),
        *grid(dataset=bare, detector=["oe_sdn", "sdn"], changes=[_STYLE_64], **common),
        *grid(dataset=ALL_SURFACES, detector=["deep_svdd"], changes=[_SVDD_COLOUR], **common),
        *grid(dataset=others, detector=["f_anogan", "began"], **common),
        *grid(dataset=others, detector=["anogan"], **common),
    ]


def averaged() -> list[Task]:
    """The networks of chapters 1 and 2 with averaged weights and full precision, one seed after the other.

    GANomaly's test sets are chapter 1's: a pool of 9 % of anomalies is missing from them, except on texture/glass.
    """
    tasks: list[Task] = []
    for seed in (0, 1, 2):
        tasks += [
            *grid(detector=["ganomaly"], reserve=[0.09], dataset=SURFACES, seed=[seed]),
            *grid(detector=["ganomaly"], dataset=["texture/glass"], seed=[seed]),
            *grid(detector=["dagan", "unet", "skip_ganomaly"], dataset=ALL_SURFACES, seed=[seed]),
        ]
    return tasks


PLANS: dict[str, Callable[[], list[Task]]] = {
    "chapter1": chapter1,
    "chapter1_gap": chapter1_gap,
    "chapter2": chapter2,
    "chapter2_large": chapter2_large,
    "chapter2_ancestors": chapter2_ancestors,
    "chapter2_stability": chapter2_stability,
    "chapter2_ablations": chapter2_ablations,
    "chapter2_few": chapter2_few,
    "chapter2_balance": chapter2_balance,
    "chapter3": chapter3,
    "chapter3_longer": chapter3_longer,
    "chapter3_unseen": chapter3_unseen,
    "chapter3_ablation": chapter3_ablation,
    "chapter3_weights": chapter3_weights,
    "chapter3_surfaces": chapter3_surfaces,
    "chapter4": chapter4,
    "chapter4_surfaces": chapter4_surfaces,
    "chapter4_transforms": chapter4_transforms,
    "chapter4_longer": chapter4_longer,
    "chapter4_anogan": chapter4_anogan,
    "chapter4_bottleneck": chapter4_bottleneck,
    "chapter5": chapter5,
    "averaged": averaged,
}
