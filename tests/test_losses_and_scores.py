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
    assert_close(float(losses.contextual_loss(x, y)), l1, rtol=1e-12, atol=0)
    assert_close(float(losses.feature_matching_loss(x, y)), l2, rtol=1e-12, atol=0)
    assert_close(float(losses.latent_loss(x, y)), l2, rtol=1e-12, atol=0)


def test_real_fake_loss_is_binary_cross_entropy_of_the_sigmoid():
    real, fake = torch.tensor([2.0, -1.0, 30.0]), torch.tensor([0.5, -3.0, -30.0])
    bce = torch.nn.functional.binary_cross_entropy
    slow = (bce(real.sigmoid(), torch.ones(3)) + bce(fake.sigmoid(), torch.zeros(3))) / 2
    assert_close(losses.real_fake_loss(real, fake), slow)
    assert_close(float(losses.real_fake_loss(torch.zeros(5), torch.zeros(5))), math.log(2))


def test_scores_equal_the_sums_written_out(pair):
    x, y = pair
    l1 = torch.tensor(_written_out(lambda d: sum(map(abs, d)), x, y), dtype=DOUBLE)
    l2 = torch.tensor(_written_out(lambda d: math.sqrt(sum(v * v for v in d)), x, y), dtype=DOUBLE)
    assert_close(scores.feature_distance_l1(x, y), l1)
    assert_close(scores.feature_distance_l2(x, y), l2)
    assert_close(scores.pixel_distance(x, y), l1)
    assert_close(scores.latent_distance(x.flatten(1), y.flatten(1)), l1)


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


# ---------------------------------------------------------------------- chapter 2: DAGAN and its family
def test_both_readings_of_the_norm_equal_the_sums_written_out(pair):
    x, y = pair
    squares = _written_out(lambda d: sum(v * v for v in d) / len(d), x, y)
    for function in (losses.l2_reconstruction_loss, losses.dual_adversarial_loss):
        assert_close(float(function(x, y)), sum(squares) / 4, rtol=1e-12, atol=0)
        roots = sum(map(math.sqrt, squares)) / 4
        assert_close(float(function(x, y, squared=False)), roots, rtol=1e-12, atol=0)


def test_the_norm_has_a_finite_gradient_where_it_is_zero(pair):
    x = pair[0].float().requires_grad_()
    losses.l2_reconstruction_loss(x.detach().clone(), x, squared=False).backward()
    assert x.grad.eq(0).all()


def test_non_saturating_loss_is_minus_the_log_of_the_sigmoid_and_keeps_its_gradient():
    logits = torch.tensor([-40.0, -1.0, 0.0, 3.0], requires_grad=True)
    loss = losses.non_saturating_loss(logits)
    slow = sum(math.log1p(math.exp(-float(v))) for v in logits.detach()) / 4
    assert_close(float(loss.detach()), slow, rtol=1e-6, atol=0)
    loss.backward()
    assert_close(float(logits.grad[0]), -0.25, rtol=1e-4, atol=0)


def test_critic_loss_is_lower_the_further_real_lies_above_fake():
    real, fake = torch.tensor([3.0, 5.0]), torch.tensor([1.0, -2.0])
    assert float(losses.critic_loss(real, fake)) == -4.5


def test_gradient_penalty_equals_the_norms_written_out(pair):
    slopes, _ = pair
    norms = [math.sqrt(sum(float(v) ** 2 for v in g.flatten())) for g in slopes]
    slow = sum((n - 1) ** 2 for n in norms) / 4
    assert_close(float(losses.gradient_penalty(slopes)), slow, rtol=1e-12, atol=0)
    unit = slopes / torch.tensor(norms, dtype=DOUBLE).view(4, 1, 1, 1)
    assert float(losses.gradient_penalty(unit)) < 1e-10
    assert float(losses.gradient_penalty(torch.zeros_like(slopes))) == 1


@pytest.mark.parametrize(
    ("k", "real", "fake", "expected"),
    [(0.5, 0.4, 0.1, 0.51), (0.5, 0.4, 0.3, 0.49), (0.0, 0.2, 0.4, 0.0), (1.0, 1.0, 0.0, 1.0)],
)
def test_equilibrium_moves_towards_the_neglected_side_and_stays_in_range(k, real, fake, expected):
    after = losses.equilibrium(*map(torch.tensor, (k, real, fake)), gamma=0.5, rate=0.1)
    assert_close(float(after), expected, rtol=1e-6, atol=1e-7)


def test_convergence_measure_is_the_real_error_in_balance():
    real, fake = torch.tensor(0.4), torch.tensor(0.2)
    assert_close(losses.convergence_measure(real, fake, gamma=0.5), real)
    assert_close(float(losses.convergence_measure(real, fake + 0.1, gamma=0.5)), 0.5)


def test_scores_of_the_family_equal_the_sums_written_out(pair):
    x, y = pair
    features, features_again = x[:, :, 0], y[:, :, 0]

    def mean(power, a, b):
        values = _written_out(lambda d: sum(abs(v) ** power for v in d) / len(d), a, b)
        return torch.tensor(values, dtype=DOUBLE)

    norm = torch.tensor(_written_out(lambda d: math.sqrt(sum(v * v for v in d)), x, y), dtype=DOUBLE)
    assert_close(scores.residual_l2(x, y), norm)
    arguments = (x, y, features, features_again)
    pixels, matching = mean(2, x, y), mean(2, features, features_again)
    assert_close(scores.skip_ganomaly_score(*arguments, share=0.9), 0.9 * pixels + 0.1 * matching)
    assert_close(scores.f_anogan_score(*arguments, kappa=2.0), pixels + 2 * matching)
    pixels, matching = mean(1, x, y), mean(1, features, features_again)
    assert_close(scores.anogan_score(*arguments, share=0.1), 0.9 * pixels + 0.1 * matching)


def test_rescaled_scores_take_their_range_from_normals_and_may_leave_it():
    normal = torch.tensor([2.0, 4.0, 3.0])
    assert_close(scores.rescaled(torch.tensor([2.0, 4.0, 8.0, 1.0]), normal), torch.tensor([0.0, 1, 3, -0.5]))
    one, many = torch.tensor([5.0]), torch.tensor([5.0, 9.0])
    assert scores.rescaled(one, normal)[0] == scores.rescaled(many, normal)[0]
    with pytest.raises(ValueError, match="needs two different ones"):
        scores.rescaled(one, one)


def test_worst_patch_is_the_largest_window_mean_written_out():
    maps = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    starts = range(0, 32 - 8 + 1, 4)
    for score, each in zip(scores.worst_patch(maps), maps):
        expected = max(float(each[y : y + 8, x : x + 8].mean()) for y in starts for x in starts)
        assert float(score) == pytest.approx(expected, rel=1e-12)


def test_worst_patch_sees_every_pixel():
    maps = torch.zeros(1, 50, 50)
    maps[0, -2:, -2:] = 1
    assert float(scores.worst_patch(maps)[0]) == pytest.approx(4 / 36)  # the last patch is cut to 6 x 6
