"""SSIM against two libraries that others trust, and the facts at equal and at constant images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from adlib import losses


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand((2, 3, 8, 8), generator=generator), size=(32, 40), mode="bilinear"
    )
    noisy = (smooth + 0.1 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
    return smooth * 2 - 1, noisy * 2 - 1


def test_the_map_is_scikit_image_s_at_every_pixel(pair):
    from skimage.metrics import structural_similarity

    pair = [images.double() for images in pair]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    for ours, *both in zip(losses.ssim_map(*pair, window=11), *pair):
        p, q = ((image.numpy() + 1) / 2 for image in both)
        _, theirs = structural_similarity(p, q, channel_axis=0, full=True, **settings)
        assert np.abs(ours.numpy() - theirs.mean(0)).max() < 1e-10


@pytest.mark.parametrize("window", [7, 11])
def test_away_from_the_border_it_is_pytorch_msssim_s(pair, window):
    from pytorch_msssim import ssim

    theirs = ssim((pair[0] + 1) / 2, (pair[1] + 1) / 2, data_range=1.0, size_average=False, win_size=window)
    inside = slice(window // 2, -(window // 2))
    ours = losses.ssim_map(*pair, window)[:, inside, inside].mean((1, 2))
    assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_equal_images_have_one_and_order_does_not_matter(pair):
    images, others = pair
    assert_close(losses.ssim_map(images, images, 7), torch.ones(2, 32, 40))
    assert_close(losses.ssim_map(images, others, 7), losses.ssim_map(others, images, 7))
    assert float(losses.dssim_loss(images, images, 7)) == pytest.approx(0, abs=1e-6)
    assert 0 < float(losses.dssim_loss(images, others, 7)) < 1


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_the_gradient_is_finite_on_constant_images(value):
    images = torch.full((2, 1, 16, 16), value)
    for others in (images.clone(), torch.zeros(2, 1, 16, 16)):
        others.requires_grad_()
        losses.style_distance(images, others, 7).backward()
        assert others.grad.isfinite().all()


def test_style_distance_is_dssim_and_mean_squares_in_the_unit_range(pair):
    images, others = pair
    squares = ((images - others) / 2).square().mean()
    expected = (1 - losses.ssim_map(images, others, 7)).mean() / 2 + squares
    assert_close(losses.style_distance(images, others, 7), expected)


def test_it_stays_in_float32_under_autocast(pair):
    plain = losses.ssim_map(*pair, window=7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(losses.ssim_map(*pair, window=7), plain)


@pytest.mark.parametrize("window", [0, 6, 33])
def test_a_window_that_cannot_be_centred_or_does_not_fit_is_refused(window):
    images = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match=f"the Gaussian window is {window} pixels on images of 32"):
        losses.ssim_map(images, images, window)


def test_divergence_and_soft_boundary_written_out():
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.2, -0.3]])
    slow = sum(
        0.5 * (m * m + math.exp(v) - v - 1) for m, v in zip(mean[0].tolist(), log_variance[0].tolist())
    )
    assert_close(float(losses.kl_divergence(mean, log_variance)), slow)
    assert float(losses.kl_divergence(torch.zeros(3, 4), torch.zeros(3, 4))) == 0
    distances = torch.tensor([0.5, 2.0, 3.0, 1.0])
    slow = 1.5 + sum(max(0.0, d - 1.5) for d in distances.tolist()) / 4 / 0.1
    assert_close(float(losses.soft_boundary_loss(distances, torch.tensor(1.5).sqrt(), 0.1)), slow)
