"""The networks of chapter 2: sizes as tabulated, skips that carry what they should, sides refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from adlib.models import began, wgan
from adlib.models.dagan import AutoEncoderDiscriminator
from adlib.models.ganomaly import count_parameters
from adlib.models.skip_ganomaly import FeatureDiscriminator
from adlib.models.unet import UNet, skip_count


def _on_meta(build) -> nn.Module:
    """A network without its weights: only shapes."""
    with torch.device("meta"):
        return build()


# ---------------------------------------------------------------------- parameter counts
@pytest.mark.parametrize(("size", "count"), [(32, 16_659_075), (64, 29_244_035), (128, 41_828_995)])
def test_unet_has_the_parameters_of_the_released_code(size, count):
    assert count_parameters(_on_meta(lambda: UNet(size, 3, 64))) == count


def test_discriminator_has_the_parameters_of_the_public_reading():
    assert count_parameters(_on_meta(lambda: AutoEncoderDiscriminator(3, 64))) == 1_315_587
    assert count_parameters(_on_meta(lambda: AutoEncoderDiscriminator(3, 64, bounded=False))) == 1_315_587


def test_each_dropped_skip_takes_its_share_of_the_step_up():
    """At 64 px: the step up from level k reads 2 x widths[k] channels with the skip and half of it without."""
    widths, outside = [64, 128, 256, 512, 512], [3, 64, 128, 256, 512]
    counts = [count_parameters(_on_meta(lambda d=d: UNet(64, 3, 64, d))) for d in range(6)]
    for level in range(5):
        assert counts[level] - counts[level + 1] == widths[level] * outside[level] * 4 * 4


# ---------------------------------------------------------------------- shapes
@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_gives_back_the_shape_it_was_given(size, channels):
    images = torch.rand(2, channels, size, size) * 2 - 1
    codes = torch.randn(2, 5)
    for dropped in (0, 1, skip_count(size)):
        assert UNet(size, channels, 4, dropped)(images).shape == images.shape
    assert AutoEncoderDiscriminator(channels, 4)(images).shape == images.shape
    assert began.AutoEncoder(size, channels, 5, 4)(images).shape == images.shape
    assert began.Decoder(size, channels, 5, 4)(codes).shape == images.shape
    assert wgan.ResidualGenerator(size, channels, 5, 4)(codes).shape == images.shape
    for critic in (wgan.ResidualCritic(size, channels, 4), wgan.LightCritic(size, channels, 4)):
        values, features = critic(images)
        assert values.shape == (2, 1)
        assert features.shape[2:] == (4, 4)
    logits, features = FeatureDiscriminator(size, channels, 5, 4)(images)
    assert logits.shape == (2,)
    assert features.shape == (2, 5)


def test_residual_networks_have_the_widths_of_the_released_code():
    """At 64 px and width 64: 512 channels at 4 x 4, then 512, 256, 128, 64 on the way up."""
    generator = _on_meta(lambda: wgan.ResidualGenerator(64, 1, 128, 64))
    assert [block.main[3].out_channels for block in generator.layers[:4]] == [512, 256, 128, 64]
    critic = _on_meta(lambda: wgan.ResidualCritic(64, 1, 64))
    assert [block.main[5].out_channels for block in critic.trunk[1:]] == [128, 256, 512, 512]


@pytest.mark.parametrize("build", [wgan.ResidualCritic, wgan.LightCritic])
def test_a_critic_sees_each_image_alone(build):
    """The gradient penalty is per image: with BatchNorm it would depend on the rest of the batch."""
    critic, images = build(32, 3, 4).train(), torch.rand(4, 3, 32, 32)
    alone = torch.cat([critic(image[None])[0] for image in images])
    assert_close(critic(images)[0], alone)


# ---------------------------------------------------------------------- what the skips do
def _reach(dropped: int) -> float:
    """Share of an output pixel's dependence that comes from the 5 x 5 input pixels around its own place."""
    torch.manual_seed(0)
    network, image = UNet(32, 1, 8, dropped).eval(), torch.randn(1, 1, 32, 32).requires_grad_()
    (slope,) = torch.autograd.grad(network(image)[0, 0, 16, 16], image)
    slope = slope[0, 0].abs()
    return float(slope[14:19, 14:19].sum() / slope.sum())


def test_skips_let_a_pixel_through_and_dropping_them_stops_it():
    full, without_outermost, *_, bottleneck = (_reach(dropped) for dropped in range(skip_count(32) + 1))
    assert full > 2 * without_outermost > 4 * bottleneck
    assert bottleneck < 2 * 25 / 32**2  # hardly more than if all pixels mattered alike


def test_a_bounded_discriminator_stays_in_range_and_an_unbounded_one_does_not():
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    for bounded in (True, False):
        network = AutoEncoderDiscriminator(3, 4, bounded)
        with torch.no_grad():
            network.layers[-2].weight.mul_(1000)
        assert (network(images).abs().max() <= 1) == bounded


# ---------------------------------------------------------------------- refused
@pytest.mark.parametrize("size", [8, 48, 63, 100])
def test_sides_that_cannot_be_halved_are_refused_with_a_remedy(size):
    builds = (UNet, FeatureDiscriminator, began.AutoEncoder, wgan.ResidualGenerator, wgan.LightCritic)
    for build in builds:
        with pytest.raises(ValueError, match=rf"side {size} .* load\(\.\.\., size="):
            build(size)


@pytest.mark.parametrize("dropped", [-1, 6])
def test_more_skips_dropped_than_there_are_is_refused(dropped):
    with pytest.raises(ValueError, match=r"has 5 skip connections: use 0 .* to 5"):
        UNet(64, 3, 4, dropped_skips=dropped)
