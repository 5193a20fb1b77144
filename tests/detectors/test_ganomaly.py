"""GANomaly: its step, its variants, its pitfalls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from adlib.detectors import make_detector
from adlib.detectors.ganomaly import VARIANTS
from adlib.experiment import train_mode_scores


@pytest.fixture
def detector():
    return make_detector("ganomaly", (3, 32, 32), "smoke", device="cpu")


@pytest.fixture
def batch(random_images, detector):
    return detector.normalise(random_images(8))


def _snapshot(network):
    return [p.detach().clone() for p in network.parameters()]


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_each_player_s_own_loss(variant, random_images):
    """One step against the two losses written out separately, in the order of the released code."""
    detector = make_detector("ganomaly", (3, 32, 32), "smoke", device="cpu", variant=variant)
    generator, discriminator = detector.networks["generator"], detector.networks["discriminator"]
    images, weight = detector.normalise(random_images(8)), VARIANTS[variant]
    for optimiser in detector.optimisers.values():
        optimiser.step = lambda: None  # keep the gradients, leave the weights

    detector.networks.train()
    detector.training_step(images)
    mine = [p.grad.clone() for p in detector.networks.parameters()]

    detector.networks.zero_grad()
    generated = generator(images)
    features, features_again = discriminator(images)[1].detach(), discriminator(generated.image)[1]
    (
        weight.adversarial * (features - features_again).pow(2).mean()
        + weight.contextual * (images - generated.image).abs().mean()
        + weight.latent * (generated.latent - generated.latent_again).pow(2).mean()
    ).backward()
    slow = [p.grad.clone() for p in generator.parameters()]
    detector.networks.zero_grad()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    real, fake = discriminator(images)[0], discriminator(generator(images).image.detach())[0]
    ((bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))) / 2).backward()
    slow += [p.grad.clone() for p in discriminator.parameters()]
    for ours, theirs in zip(mine, slow):
        assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_a_loss_that_flows_through_both_networks_moves_its_own_only(detector, batch):
    generator, discriminator = detector.networks.values()
    for name, still, moved in (
        ("generator", discriminator, generator),
        ("discriminator", generator, discriminator),
    ):
        before_still, before_moved = _snapshot(still), _snapshot(moved)
        detector.descend(**{name: discriminator(generator(batch).image)[0].mean()})
        assert all(map(torch.equal, before_still, still.parameters()))
        assert not all(map(torch.equal, before_moved, moved.parameters()))


def test_weights_follow_the_variant_and_none_is_forgotten():
    assert VARIANTS["paper"].contextual == VARIANTS["official"].contextual == 50
    tang, literal = VARIANTS["tang"], VARIANTS["tang_literal"]
    assert (tang.adversarial, tang.contextual, tang.latent, tang.learning_rate) == (1, 20, 1, 1e-3)
    assert (literal.adversarial, literal.contextual, literal.latent) == (20, 1, 1)
    with pytest.raises(ValueError, match="Did you mean 'tang_literal'"):
        make_detector("ganomaly", (3, 32, 32), "smoke", variant="tang_litteral")


def test_a_collapsed_discriminator_starts_afresh_with_empty_moments(detector, batch):
    detector.training_step(batch)
    generator, discriminator = map(_snapshot, detector.networks.values())
    detector.after_step({"discriminator": 1e-4})
    for before, after in zip(discriminator, detector.networks["discriminator"].parameters()):
        assert torch.equal(before, after)
    detector.after_step({"discriminator": 1e-6})
    assert not torch.equal(discriminator[0], next(detector.networks["discriminator"].parameters()))
    assert not detector.optimisers["discriminator"].state
    for before, after in zip(generator, detector.networks["generator"].parameters()):
        assert torch.equal(before, after)
    assert detector.optimisers["generator"].state


@pytest.mark.slow
def test_training_brings_the_reconstruction_nearer(tiny_split):
    detector = make_detector("ganomaly", tiny_split.image_shape, "smoke", steps=60)
    before = detector.validation_error(tiny_split.validation.images)
    detector.fit(tiny_split.train, tiny_split.validation, progress="quiet")
    losses = detector.history.losses["contextual"]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    assert detector.validation_error(tiny_split.validation.images) < before


def test_d0_reads_the_second_encoder(detector, batch, random_images):
    """A circulating port scores with the first encoder twice (P13)."""
    images = random_images(3)
    for _ in range(20):  # until BatchNorm's running statistics fit
        detector.networks.train()
        detector.training_step(batch)
    before = detector.examine(images).scores
    with torch.no_grad():
        detector.networks["generator"].second_encoder.code.weight.add_(0.1)
    after = detector.examine(images).scores
    assert not torch.allclose(before["D0"], after["D0"])
    assert_close(before["D3"], after["D3"])


def test_train_mode_scoring_depends_on_the_batch_and_leaves_the_detector_alone(detector, random_images):
    images, labels = random_images(12), np.arange(12) % 3 == 0
    before = detector.examine(images).scores["D1"]
    small = train_mode_scores(detector, images, labels, batch_size=4)["train_mode"]["D1"]
    large = train_mode_scores(detector, images, labels, batch_size=12)["train_mode"]["D1"]
    assert not np.allclose(small, large, rtol=1e-3)
    assert torch.equal(detector.examine(images).scores["D1"], before)


def test_images_that_are_not_square_or_not_a_power_of_two_are_refused():
    with pytest.raises(ValueError, match="square"):
        make_detector("ganomaly", (3, 32, 64), "smoke")
    with pytest.raises(ValueError, match="side 48"):
        make_detector("ganomaly", (3, 48, 48), "smoke")
