"""The dual-discriminator GAN and its supervised baselines: who trains on what, and what each weight switches."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from adlib import load, make_detector, run_experiment
from adlib.data import AUGMENTATIONS, LabelledAnomalies
from adlib.detectors.dual_discriminator import Config
from adlib.detectors.supervised import one_cycle
from adlib_book.ledger.plans import Task
from adlib_book.ledger.sweep import task_id

SUPERVISED = ["dual_discriminator", "logistic_regression", "cnn_classifier"]
WEIGHTS = ("reconstruction", "abc", "adversarial", "patch", "latent", "anomaly_adversarial")


@pytest.fixture(scope="module")
def digits():
    return load("mnist5k/1", size=32, train_images=60, anomalies=1.0)


def made(shape=(1, 32, 32), **changes):
    detector = make_detector("dual_discriminator", shape, "smoke", **changes)
    detector.anomalies = torch.randint(0, 256, (9, *shape), dtype=torch.uint8, generator=torch.Generator())
    return detector


def images(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, 1, 32, 32), generator=generator, dtype=torch.float64) * 2 - 1


def changed(before, after) -> set[str]:
    """Names of the networks whose parameters moved."""
    return {
        name
        for name in before.networks
        for one, other in zip(before.networks[name].parameters(), after.networks[name].parameters())
        if not torch.equal(one, other)
    }


# ---------------------------------------------------------------------- the method
def test_table_2_and_the_published_training():
    for config in (Config.book(), Config.paper()):
        assert [getattr(config, name) for name in WEIGHTS] == [1.5, 0.5, 0.5, 1.5, 0.5, 1.0]
    paper = Config.paper()
    assert (paper.batch_size, paper.learning_rate, paper.turns) == (1, 1e-4, True)
    assert paper.steps == 300 * 12_000
    assert paper.halve_every == 50 * 12_000
    assert paper.normalisation == "image"


@pytest.mark.parametrize(
    ("weights", "networks", "losses"),
    [
        ({"reconstruction": 1.0}, {"generator"}, {"reconstruction"}),
        ({"abc": 1.0}, {"generator"}, {"reconstruction", "abc"}),
        ({"patch": 1.0, "latent": 1.0}, {"generator"}, {"reconstruction", "patch", "latent"}),
        (
            {"adversarial": 1.0},
            {"generator", "normal_discriminator"},
            {"reconstruction", "adversarial", "normal_discriminator"},
        ),
        (
            {"anomaly_adversarial": 1.0},
            {"generator", "anomaly_discriminator"},
            {"reconstruction", "anomaly_adversarial", "anomaly_discriminator"},
        ),
    ],
)
def test_a_weight_of_zero_switches_its_loss_and_its_discriminator_off(weights, networks, losses):
    detector = made(**(dict.fromkeys(WEIGHTS, 0.0) | weights))
    before = copy.deepcopy(detector)
    assert set(detector.training_step(images())) == losses
    assert changed(before, detector) == networks


def test_each_loss_reaches_its_own_player_only():
    """The generator's loss goes through both discriminators and leaves no gradient in them, and the other way."""
    detector = made(learning_rate=1e-9)
    detector.training_step(images())
    whole = {k: [p.grad.clone() for p in n.parameters()] for k, n in detector.networks.items()}
    alone = made(learning_rate=1e-9, adversarial=1e-12, anomaly_adversarial=1e-12)
    alone.training_step(images())
    for name in ("normal_discriminator", "anomaly_discriminator"):
        for one, other in zip(whole[name], alone.networks[name].parameters()):
            assert_close(one, other.grad, rtol=1e-3, atol=1e-6)


def test_one_shared_discriminator_takes_the_place_of_two_and_nothing_else_changes():
    two, one = made((3, 32, 32)), made((3, 32, 32), shared=True)
    assert set(one.networks) == {"generator", "discriminator", "counter"}
    count = [sum(parameter.numel() for parameter in each.networks.parameters()) for each in (two, one)]
    assert count == [97_744 + 2 * 76_384, 97_744 + 76_384]
    for name, weight in two.networks["generator"].state_dict().items():
        assert torch.equal(weight, one.networks["generator"].state_dict()[name])
    assert not Config().shared
    assert task_id(Task("dual_discriminator", "mnist/3")) == task_id(
        Task("dual_discriminator", "mnist/3", changes={"shared": False})
    )


@pytest.mark.parametrize("turns", [False, True])
def test_the_shared_discriminator_s_losses_are_those_written_out(turns):
    """It wants 1 for every image and 0 for every reconstruction; the generator 1 for normal ones, 0 for anomalies."""
    detector = made(shared=True, turns=turns, learning_rate=1e-9)
    normals, weights = images(5), copy.deepcopy(detector.networks)
    stream = torch.Generator()
    stream.set_state(detector.generator.get_state())
    step = detector.training_step(normals)
    detector.generator.set_state(stream.get_state())
    anomalies = detector.draw_anomalies(5)
    if turns:
        kept = anomalies if torch.rand((), generator=detector.generator) < 0.5 else normals
        groups = {"anomaly" if kept is anomalies else "normal": kept}
    else:
        groups = {"normal": normals, "anomaly": anomalies}
    redrawn = weights["generator"](torch.cat(list(groups.values()))).image.split(5)
    seen = [each for pair in zip(groups.values(), redrawn) for each in pair]
    answers = dict(zip(groups, weights["discriminator"](torch.cat(seen)).split(10)))
    slow = {"discriminator": sum(((a[:5] - 1) ** 2).mean() + (a[5:] ** 2).mean() for a in answers.values())}
    if "normal" in groups:
        slow["adversarial"] = ((answers["normal"][5:] - 1) ** 2).mean()
    if "anomaly" in groups:
        slow["anomaly_adversarial"] = (answers["anomaly"][5:] ** 2).mean()
    assert set(slow) == {"discriminator", "adversarial", "anomaly_adversarial"} & set(step)
    for name, value in slow.items():
        assert value.dtype == torch.float64
        assert_close(step[name], value.detach())


def test_a_shared_discriminator_judges_only_groups_that_have_an_adversarial_loss():
    for weights, terms in (
        ({"adversarial": 0.0}, {"anomaly_adversarial", "discriminator"}),
        ({"anomaly_adversarial": 0.0}, {"adversarial", "discriminator"}),
        ({"adversarial": 0.0, "anomaly_adversarial": 0.0}, set()),
    ):
        step = made(shared=True, **weights).training_step(images())
        assert {name for name in step if "advers" in name or "discr" in name} == terms


def test_per_image_normalisation_makes_one_batch_or_two_the_same_step():
    """And BatchNorm does not: sent apart, it lets the networks know which group they see."""
    for normalisation, same in (("image", True), ("batch", False)):
        one, two = (made(normalisation=normalisation, mixed=mixed) for mixed in (True, False))
        first, second = (detector.training_step(images()) for detector in (one, two))
        close = all(torch.allclose(first[name], second[name], rtol=1e-9) for name in first)
        assert close == same, normalisation


def test_turns_take_one_group_at_a_time_and_both_in_the_end():
    detector = made(turns=True, batch_size=1, normalisation="image", halve_every=4, learning_rate=1e-3)
    seen = [frozenset(detector.training_step(images(1))) for _ in range(12)]
    assert set(seen) == {
        frozenset({"reconstruction", "patch", "latent", "adversarial", "normal_discriminator"}),
        frozenset({"abc", "anomaly_adversarial", "anomaly_discriminator"}),
    }
    assert detector.optimisers["generator"].param_groups[0]["lr"] == 1e-3 / 4


def test_one_cycle_rises_falls_and_ends_at_nothing():
    rates = [one_cycle(step, 100, 1.0) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates.index(max(rates)) == 30
    assert rates[-1] < 1e-3
    assert all(a > b for a, b in pairwise(rates[31:]))


@pytest.mark.slow
def test_it_learns_what_it_is_for(digits):
    """Forty steps: normal digits are redrawn better than before, anomalies stay worse."""
    detector = make_detector("dual_discriminator", digits.image_shape, "smoke", steps=40)
    detector.fit(digits.train, digits.validation, anomalies=digits.anomalies, progress="quiet")
    first, last = (
        sum(detector.history.losses["reconstruction"][cut]) for cut in (slice(0, 5), slice(-5, None))
    )
    assert last < first
    normal = detector.anomaly_score(digits.validation.images).mean()
    assert detector.anomaly_score(digits.validation_anomalies.images).mean() > 1.3 * normal


# ---------------------------------------------------------------------- labelled anomalies
@pytest.mark.slow
@pytest.mark.parametrize("name", SUPERVISED)
def test_a_record_counts_the_anomalies_and_has_an_auroc_of_each_kind(name):
    split = load("mnist5k/1", size=32, train_images=40, anomalies=1.0, unseen=("7",))
    detector = make_detector(name, split.image_shape, "smoke", steps=4, checkpoints=1)
    record = run_experiment(detector, split, progress="quiet")
    assert record["data"] == {"anomalies": 1.0, "unseen": ("7",)}
    assert record["train_anomalies"] == len(split.anomalies)
    metrics = record["metrics"]
    assert {"image_auroc_seen", "image_auroc_unseen", "validation_auroc", "kind_auroc/7"} <= metrics.keys()
    assert metrics["image_auroc_unseen"] == metrics["kind_auroc/7"]
    # 125 test images of each digit
    whole = (8 * metrics["image_auroc_seen"] + metrics["image_auroc_unseen"]) / 9
    assert whole == pytest.approx(metrics["image_auroc"], abs=1e-5)


@pytest.mark.slow
def test_one_class_detectors_are_tested_on_the_same_images_and_refuse_the_anomalies(digits):
    pca = make_detector("pca", digits.image_shape, "smoke")
    record = run_experiment(pca, digits, progress="quiet")
    assert record["train_anomalies"] == 0
    assert "kind_auroc/7" in record["metrics"]
    with pytest.raises(TypeError, match="pca learns from normal images only"):
        pca.fit(digits.train, anomalies=digits.anomalies)


@pytest.mark.parametrize("name", SUPERVISED)
def test_supervised_detectors_say_what_they_miss(name, digits):
    detector = make_detector(name, digits.image_shape, "smoke")
    with pytest.raises(TypeError, match=r"load\(\.\.\., anomalies=1\.0\) puts them"):
        detector.fit(digits.train)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 16, 16\)"):
        detector.fit(
            digits.train,
            anomalies=LabelledAnomalies(torch.zeros((2, 1, 16, 16), dtype=torch.uint8), ["a", "b"]),
        )


def test_what_changes_the_normal_images_changes_the_anomalies_too(digits):
    detector = make_detector("cnn_classifier", digits.image_shape, "smoke", steps=1, checkpoints=1)
    detector.fit(
        digits.train, anomalies=digits.anomalies, augment=lambda x, _: torch.full_like(x, 7), progress="quiet"
    )
    assert len(detector.draw_anomalies(5).unique()) == 1


def test_logistic_regression_refuses_to_augment(digits):
    with pytest.raises(ValueError, match=r"augmentation is .* leave it"):
        make_detector("logistic_regression", digits.image_shape, augmentation="crop")


def test_a_run_is_resumed_with_its_own_anomalies_only(digits, tmp_path):
    def fit(anomalies):
        detector = make_detector("dual_discriminator", digits.image_shape, "smoke", steps=2, checkpoints=1)
        detector.fit(digits.train, anomalies=anomalies, progress="quiet", resume=tmp_path / "r.safetensors")

    fit(digits.anomalies)
    with pytest.raises(ValueError, match="written by another run"):
        fit(digits.validation_anomalies)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((1, 16, 16), {}, "image side 16 cannot be halved four times"),
        ((1, 40, 40), {}, "image side 40"),
        ((1, 32, 48), {}, "needs square ones"),
        ((1, 32, 32), {"augmentation": "crops"}, "Did you mean 'crop'"),
        ((1, 32, 32), {"augmentation": "crop_turn_colour"}, "images have 1 channel"),
        ((1, 32, 32), {"normalisation": "group"}, "unknown normalisation"),
    ],
)
def test_settings_that_cannot_work(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        make_detector("dual_discriminator", shape, "smoke", **settings)


# ---------------------------------------------------------------------- augmentation
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_are_seeded_keep_the_type_and_change_each_image_alone(name, random_images):
    batch, change = random_images(16), AUGMENTATIONS[name]
    once, again = (change(batch, torch.Generator().manual_seed(3)) for _ in range(2))
    assert once.dtype == torch.uint8
    assert once.shape == batch.shape
    assert torch.equal(once, again)
    assert torch.equal(once, batch) == (name == "none")
    assert len(
        {image.numpy().tobytes() for image in change(batch[:1].expand(16, -1, -1, -1), torch.Generator())}
    ) > (name != "none")


def test_turning_moves_pixels_and_changes_none(random_images):
    batch = random_images(64)
    turned = AUGMENTATIONS["turn"](batch, torch.Generator().manual_seed(0))
    assert torch.equal(turned.flatten(2).sort(2).values, batch.flatten(2).sort(2).values)
    flat = batch[:1].expand(64, -1, -1, -1)
    ways = {
        image.numpy().tobytes() for image in AUGMENTATIONS["turn"](flat, torch.Generator().manual_seed(0))
    }
    assert len(ways) == 8


def test_cropping_by_nothing_is_nothing_and_by_two_pixels_little():
    from adlib.data.augment import crop

    ramp = (torch.arange(32) * 8).to(torch.uint8).expand(8, 1, 32, 32).contiguous()
    assert torch.equal(crop(ramp, torch.Generator(), most=0), ramp)
    moved = crop(ramp, torch.Generator().manual_seed(1)).int()
    assert (moved - ramp.int()).abs().max() <= 2 * 8 + 1
    assert (moved.diff(dim=3) >= 0).all()


def test_colours_keep_grey_grey():
    grey = torch.full((8, 3, 4, 4), 100, dtype=torch.uint8)
    changed = AUGMENTATIONS["crop_turn_colour"](grey, torch.Generator().manual_seed(0)).int()
    assert (changed.amax(1) - changed.amin(1)).max() <= 1
    assert len(changed[:, 0, 0, 0].unique()) > 1
