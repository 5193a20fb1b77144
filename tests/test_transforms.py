"""The auxiliary outliers: shapes, ranges, what undoes what, and one generator, one answer."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from adlib import transforms
from adlib.transforms import TRANSFORMS


@pytest.fixture
def images():
    return torch.rand((6, 3, 16, 16), generator=torch.Generator().manual_seed(1)) * 2 - 1


def blurred(images):
    return torch.nn.functional.avg_pool2d(images, 3, 1, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_there_are_the_nine_of_the_table():
    assert len(TRANSFORMS) == 9
    assert set(TRANSFORMS) >= transforms.NEEDS_AUTO_ENCODER


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shape_range_repeatability_and_no_gradient(name, images):
    before = images.clone()
    changed = TRANSFORMS[name](images, generator(), blurred)
    assert changed.shape == images.shape
    assert changed.min() >= -1.0001
    assert changed.max() <= 1.0001
    assert not changed.requires_grad
    assert not torch.equal(changed, images)
    assert torch.equal(images, before)
    assert torch.equal(changed, TRANSFORMS[name](images, generator(), blurred))


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip"])
def test_a_flip_undoes_itself(name, images):
    flip = TRANSFORMS[name]
    assert torch.equal(flip(flip(images, generator(), None), generator(), None), images)


def test_a_rotation_is_one_of_three_turns_and_can_be_turned_back(images):
    turned = transforms.rotation(images.repeat(10, 1, 1, 1), generator())
    quarters = set()
    for original, each in zip(images.repeat(10, 1, 1, 1), turned):
        back = [k for k in (1, 2, 3) if torch.equal(torch.rot90(each, -k, (1, 2)), original)]
        assert len(back) == 1
        quarters.add(back[0])
    assert quarters == {1, 2, 3}


def test_a_rotation_of_what_looks_the_same_after_a_turn_is_the_identity():
    """Why symmetric classes suffer: for them the "outlier" is a normal image."""
    rows = torch.linspace(-1, 1, 16)
    ring = -(rows[:, None] ** 2 + rows**2).expand(2, 1, 16, 16).clone()
    assert_close(transforms.rotation(ring, generator()), ring)


def test_rotation_needs_a_square():
    with pytest.raises(ValueError, match="images are 8 x 16"):
        transforms.rotation(torch.zeros(1, 1, 8, 16), generator())


def test_blurring_keeps_constants_and_is_an_average(images):
    constant = torch.full((1, 1, 16, 16), 0.3)
    assert_close(transforms.gaussian_blurring(constant, generator()), constant)
    assert transforms.gaussian_blurring(images, generator()).std() < images.std()


def test_svd_blurring_keeps_an_eighth_of_the_singular_values(images):
    changed = transforms.svd_blurring(
        images * 0.1, generator()
    )  # far from the range's ends: nothing is clipped
    ranks = torch.linalg.matrix_rank(changed, atol=1e-4)
    assert (ranks == 2).all()


def test_the_adversarial_step_makes_the_auto_encoder_worse(images):
    def error(x):
        return (x - blurred(x)).square().mean()

    images = 0.5 * images
    changed = transforms.adversarial_noise(images, generator(), blurred)
    assert error(changed) > error(images)
    assert_close((changed - images).abs().amax(), torch.tensor(0.2))


def test_noise_has_the_deviation_it_says():
    grey = torch.zeros((64, 1, 32, 32))
    deviations = transforms.gaussian_noise(grey, generator()).flatten(1).std(1) / 2
    assert deviations.min() > 0.09
    assert deviations.max() < 0.21
