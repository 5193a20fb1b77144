"""The dual discriminator's losses against slow float64 references written out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from adlib import losses


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand((4, 3, 32, 32), generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2)]


def test_reconstruction_errors(pair):
    x, y = pair
    slow = [sum((x[i] - y[i]).abs().flatten().tolist()) / 3072 for i in range(4)]
    assert_close(losses.reconstruction_errors(x, y), torch.tensor(slow, dtype=torch.float64))


@pytest.mark.parametrize(("size", "windows"), [(32, 9), (128, 225)])
def test_number_of_patches(size, windows):
    """One wrong pixel per window in turn: the loss sees each, and with `worst` one larger there is none left."""
    zero = torch.zeros(1, 1, size, size)
    assert losses.patch_loss(zero, zero, worst=windows) == 0
    with pytest.raises(ValueError, match=f"hold {windows} windows"):
        losses.patch_loss(zero, zero, worst=windows + 1)


def test_patch_loss_equals_the_windows_written_out(pair):
    x, y = pair
    means = []
    for a, b in zip(x, y):
        errors = [
            float((a - b)[:, top : top + 16, left : left + 16].abs().mean())
            for top in (0, 8, 16)
            for left in (0, 8, 16)
        ]
        means.append(sum(sorted(errors)[-3:]) / 3)
    assert float(losses.patch_loss(x, y)) == pytest.approx(sum(means) / 4, rel=1e-12)
    with pytest.raises(ValueError, match="hold 0 windows"):
        losses.patch_loss(x[..., :8, :8], y[..., :8, :8])


def test_latent_loss(pair):
    x, y = pair
    assert float(losses.latent_l1_loss(x, y)) == pytest.approx(float((x - y).abs().mean()), rel=1e-12)
    assert losses.latent_l1_loss(x, x) == 0


@pytest.mark.parametrize("error", [1e-3, 0.1, 0.5, 2.0, 10.0])
def test_abc_equals_its_formula_and_its_slope(error):
    e = torch.tensor([error], dtype=torch.float64, requires_grad=True)
    loss = losses.abc_loss(e)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-math.log(1 - math.exp(-error)), rel=1e-9)
    assert float(e.grad) == pytest.approx(-1 / math.expm1(error), rel=1e-9)


@pytest.mark.parametrize("error", [0.0, 1e-9, 50.0, 3072.0])
def test_abc_is_finite_where_the_formula_is_not(error):
    e = torch.tensor([error], requires_grad=True)
    loss = losses.abc_loss(e)
    loss.backward()
    assert loss.isfinite()
    assert e.grad.isfinite().all()
    assert loss >= 0


def test_abc_of_a_sum_teaches_nothing():
    """3,072 values with an error of 0.2 each, as a mean and as the sum that a norm could also mean."""
    mean, total = torch.tensor([0.2], requires_grad=True), torch.tensor([0.2 * 3072], requires_grad=True)
    losses.abc_loss(mean).backward()
    losses.abc_loss(total).backward()
    assert mean.grad.abs() > 4
    assert total.grad.abs() < 1e-20


def test_lsgan_losses_element_by_element():
    generator = torch.Generator().manual_seed(1)
    real, redrawn = (torch.randn((2, 32, 2, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    r, f = real.flatten().tolist(), redrawn.flatten().tolist()
    count = len(r)
    slow = sum((v - 1) ** 2 for v in r) / count + sum(v**2 for v in f) / count
    assert float(losses.lsgan_discriminator_loss(real, redrawn)) == pytest.approx(slow, rel=1e-12)
    slow_normal = sum((v - 1) ** 2 for v in f) / count
    assert float(losses.normal_adversarial_loss(redrawn)) == pytest.approx(slow_normal, rel=1e-12)
    slow_anomaly = sum(v**2 for v in f) / count
    assert float(losses.anomaly_adversarial_loss(redrawn)) == pytest.approx(slow_anomaly, rel=1e-12)
    half = torch.full((2, 2), 0.5)
    assert losses.lsgan_discriminator_loss(half, half) == 0.5


def test_generator_and_anomaly_discriminator_want_the_same():
    """The anomaly term pulls D_a's answer to reconstructions the same way for both: no game is played there."""
    maps = torch.randn(8, requires_grad=True)
    losses.anomaly_adversarial_loss(maps).backward()
    for_generator = maps.grad.clone()
    maps.grad = None
    losses.lsgan_discriminator_loss(torch.zeros(8), maps).backward()
    assert torch.equal(maps.grad, for_generator)
    maps.grad = None
    losses.normal_adversarial_loss(maps).backward()
    assert not torch.equal(maps.grad, for_generator)
