"""Chapter 4: an auto-encoder and a student of its style, on classes and on surfaces."""

from __future__ import annotations

from typing import Any

from adlib.data import DATA_SETS
from adlib.transforms import TRANSFORMS
from adlib_book.ledger.plans.task import Task, grid, last_weights

DIGITS = tuple(f"mnist/{digit}" for digit in DATA_SETS["mnist"].choices)
OBJECTS = tuple(f"cifar10/{name}" for name in DATA_SETS["cifar10"].choices)
# Three convolutions 5x5 in colour cost a hundred times the two for grey digits.
SVDD_COLOUR = {"steps": 300, "batch_size": 64, "pretraining_share": 0.3, "checkpoints": 1}
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
STYLE_64 = {"steps": 950, "student_share": 150 / 950, "batch_size": 16, "student_images": 8, "code": 100}


@last_weights
def chapter4() -> list[Task]:
    """Table 1 of the OE-SDN paper: one class of MNIST or CIFAR-10 normal, whole test sets, seed 0, then seed 1."""
    return [*_classes(0), *_classes(1)]


def _classes(seed: int) -> list[Task]:
    """Table 1 at one seed. The auto-encoder alone is a score ("teacher") of every style distillation run."""
    common: dict[str, Any] = {"seed": [seed], "size": [32]}
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
        *grid(dataset=OBJECTS, detector=["deep_svdd"], changes=[SVDD_COLOUR], **common),
    ]


@last_weights
def chapter4_surfaces() -> list[Task]:
    """Table 2: pixel metrics where there are masks. The paper's "AE" is measured as the teacher of the SDN runs."""
    tasks: list[Task] = []
    for seed in (0, 1):
        common: dict[str, Any] = {"seed": [seed], "dataset": MASKED}
        tasks += [
            *grid(detector=["pca"], **common),
            *grid(detector=["ssim_ae"], changes=[{"checkpoints": 4}], **common),
            *grid(detector=["oe_sdn", "sdn"], changes=[STYLE_64], **common),
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
    common: dict[str, Any] = {"dataset": ["mnist/3", "mnist/8"], "size": [32]}
    return [*grid(detector=["oe_sdn"], changes=others, **common), *grid(detector=["sdn"], **common)]


@last_weights
def chapter4_longer() -> list[Task]:
    """Students of 1,000 steps on every digit, of 4,000 on threes and eights, instead of 250; after equal teachers."""
    taught = 1000  # steps of the teacher, as in every run of `chapter4`
    first = ("mnist/3", "mnist/8")
    rest = tuple(digit for digit in DIGITS if digit not in first)
    tasks: list[Task] = []
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
