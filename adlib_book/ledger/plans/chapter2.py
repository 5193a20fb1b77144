"""Chapter 2: DAGAN, what it descends from, its parts left out, and training on few images."""

from __future__ import annotations

from adlib_book.ledger.plans.chapter1 import SURFACES
from adlib_book.ledger.plans.task import Task, grid, last_weights

ALL_SURFACES = (*SURFACES, "texture/glass")
FEW = tuple(2**n for n in range(8))  # images to train on


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


@last_weights
def chapter2_few() -> list[Task]:
    """Training on 1, 2, 4 ... 128 images, nested, five seeds, the same number of steps for each."""
    sets = ("texture/wood", "mvtec/bottle", "texture/glass", "mvtec/pill")
    common = {"dataset": sets, "seed": range(5)}
    short = [{"steps": 150, "batch_size": 16, "checkpoints": 1}]
    pca = grid(detector=["pca"], train_images=FEW[1:], **common)
    return [*pca, *grid(changes=short, **common, train_images=FEW, detector=["dagan", "unet"])]
