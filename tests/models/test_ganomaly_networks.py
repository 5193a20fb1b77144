"""GANomaly's networks against the released code's counts and shapes."""

from __future__ import annotations

import pytest
import torch

from adlib.models.ganomaly import (
    Decoder,
    Discriminator,
    Encoder,
    Generator,
    count_parameters,
    doublings,
    initialise_dcgan,
)

COUNTS = {  # side: encoder, decoder, generator, discriminator (RGB, latent 100, width 64)
    32: (1_068_800, 1_068_928, 3_206_528, 663_296),
    64: (3_576_576, 3_576_704, 10_729_856, 2_765_568),
    128: (12_786_432, 12_786_560, 38_359_424, 11_164_416),
    256: (47_983_360, 47_983_488, 143_950_208, 44_739_328),
}


@pytest.mark.parametrize("size", COUNTS)
def test_parameter_counts_are_those_of_the_released_code(size):
    with torch.device("meta"):  # counts need no memory
        networks = Encoder(size), Decoder(size), Generator(size), Discriminator(size)
    assert tuple(map(count_parameters, networks)) == COUNTS[size]


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 1)])
def test_shapes_and_ranges(size, channels):
    images = torch.rand(2, channels, size, size) * 2 - 1
    generated = Generator(size, channels, latent=10, width=4)(images)
    assert generated.image.shape == images.shape
    assert generated.latent.shape == generated.latent_again.shape == (2, 10)
    assert generated.image.abs().max() <= 1
    logits, features = Discriminator(size, channels, width=4)(images)
    assert logits.shape == (2,)
    assert features.shape == (2, 4 * size // 8, 4, 4)


@pytest.mark.parametrize("size", [8, 30, 48, 100])
def test_sides_that_never_reach_four_are_refused_with_a_remedy(size):
    with pytest.raises(ValueError, match=rf"side {size} .*use 16, 32, 64"):
        doublings(size)


def test_initialisation_reaches_every_layer():
    network = Generator(32, 3, width=32).apply(initialise_dcgan)
    weights = torch.cat([p.detach().flatten() for n, p in network.named_parameters() if p.ndim == 4])
    gains = torch.cat(
        [p.detach() for n, p in network.named_parameters() if p.ndim == 1 and n.endswith("weight")]
    )
    assert abs(float(weights.std()) - 0.02) < 0.001
    assert abs(float(gains.mean()) - 1) < 0.01
    assert abs(float(gains.std()) - 0.02) < 0.01


def test_there_is_no_bias_in_any_convolution():
    for network in (Generator(32), Discriminator(32)):
        assert all(m.bias is None for m in network.modules() if isinstance(m, torch.nn.modules.conv._ConvNd))
