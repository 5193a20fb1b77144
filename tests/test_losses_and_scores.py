"""Equations against the same equations written out in float64, plus the facts at x = G(x)."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from adlib import losses, scores

DOUBLE = torch.float64


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    shape = (4, 3, 8, 8)
    return tuple(torch.rand(shape, generator=generator, dtype=DOUBLE) * 2 - 1 for _ in range(2))


def _written_out(function, x, y):
    """Python's own sums over every element, image by image."""
    return [function([float(a - b) for a, b in zip(i.flatten(), j.flatten())]) for i, j in zip(x, y)]


def test_losses_equal_the_sums_written_out(pair):
    x, y = pair
    count = x[0].numel()
    l1 = sum(_written_out(lambda d: sum(map(abs, d)) / count, x, y)) / len(x)
    l2 = sum(_written_out(lambda d: sum(v * v for v in d) / count, x, y)) / len(x)
    assert_close(float(losses.contextual_loss(x, y)), l1, rtol=1e-6, atol=0)
    assert_close(float(losses.feature_matching_loss(x, y)), l2, rtol=1e-6, atol=0)
    assert_close(float(losses.latent_loss(x, y)), l2, rtol=1e-6, atol=0)


def test_real_fake_loss_is_binary_cross_entropy_of_the_sigmoid():
    real, fake = torch.tensor([2.0, -1.0, 30.0]), torch.tensor([0.5, -3.0, -30.0])
    bce = torch.nn.functional.binary_cross_entropy
    slow = (bce(real.sigmoid(), torch.ones(3)) + bce(fake.sigmoid(), torch.zeros(3))) / 2
    assert_close(losses.real_fake_loss(real, fake), slow)
    assert_close(float(losses.real_fake_loss(torch.zeros(5), torch.zeros(5))), math.log(2))


def test_scores_equal_the_sums_written_out(pair):
    x, y = pair
    l1 = torch.tensor(_written_out(lambda d: sum(map(abs, d)), x, y))
    l2 = torch.tensor(_written_out(lambda d: math.sqrt(sum(v * v for v in d)), x, y))
    assert_close(scores.feature_distance_l1(x, y), l1.float())
    assert_close(scores.feature_distance_l2(x, y), l2.float())
    assert_close(scores.pixel_distance(x, y), l1.float())
    assert_close(scores.latent_distance(x.flatten(1), y.flatten(1)), l1.float())


def test_everything_is_zero_for_a_perfect_reconstruction(pair):
    x, _ = pair
    for function in (losses.contextual_loss, losses.feature_matching_loss, losses.latent_loss):
        assert float(function(x, x)) == 0
    for function in (scores.feature_distance_l1, scores.feature_distance_l2, scores.pixel_distance):
        assert function(x, x).eq(0).all()


def test_d1_is_never_below_d2(pair):
    assert (scores.feature_distance_l1(*pair) >= scores.feature_distance_l2(*pair)).all()


def test_map_is_the_pixel_distance_spread_out(pair):
    x, y = pair
    maps = scores.residual_map(x, y)
    assert maps.shape == (4, 8, 8)
    assert_close(maps.sum((1, 2)) * 3, scores.pixel_distance(x, y))
