"""Auto-encoders, RNAN and the networks of Deep SVDD: the counts of the papers, shapes, and what each must refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adlib.models.auto_encoder import SmallAutoEncoder, SsimAutoEncoder, auto_encoder
from adlib.models.ganomaly import count_parameters
from adlib.models.rnan import Rnan, attention_bytes, largest_batch
from adlib.models.svdd import SvddDecoder, SvddEncoder


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: SsimAutoEncoder(128, 1, 100), 1_048_549),
        (lambda: SsimAutoEncoder(128, 3, 100), 1_050_599),
        (lambda: SsimAutoEncoder(256, 3, 500), 2_722_231),
        (lambda: SmallAutoEncoder(32), 460_257),
        (lambda: Rnan(1), 2_243_233),
        (lambda: Rnan(3), 2_244_387),
        (lambda: Rnan(1, plain_groups=0), 459_937),
        (lambda: Rnan(3, plain_groups=0), 461_091),
        (lambda: Rnan(1, plain_groups=2), 905_761),
        (lambda: Rnan(3, plain_groups=2), 906_915),
        (lambda: SvddEncoder(28, 1, 32), 7_272),
        (lambda: SvddEncoder(32, 3, 128), 520_544),
    ],
)
def test_parameter_counts(make, count):
    with torch.device("meta"):
        assert count_parameters(make()) == count


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_auto_encoder_gives_back_the_shape_it_got(size, channels):
    network, images = auto_encoder(size, channels, 16), torch.zeros(1, channels, size, size)
    assert network(images).shape == images.shape
    assert network.encode(images).shape == (1, 16)
    assert auto_encoder(size, channels, 16, moments=2).encode(images).shape == (1, 32)


@pytest.mark.parametrize("size", [30, 72, 144, 512])
def test_other_sides_are_refused(size):
    with pytest.raises(ValueError, match=f"image side {size} does not fit.*load\\("):
        auto_encoder(size, 1, 16)


def test_differences_between_images_reach_the_code():
    """With PyTorch's own initialisation the codes of different images are all but equal before training."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((8, 1, 64, 64), generator=generator) * 2 - 1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codes = SsimAutoEncoder(64).encode(images)
    assert codes.std(0).mean() > 0.1


# ---------------------------------------------------------------------- RNAN
def test_rnan_gives_back_the_shape_and_starts_near_the_identity():
    network = Rnan(3, width=8, plain_groups=1, attention_side=8)
    images = torch.zeros(2, 3, 20, 14)
    assert network(images).shape == images.shape
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(images), images)  # the global residual


def test_odd_sides_are_refused():
    with pytest.raises(ValueError, match=r"images are 15 x 16.*even sides"):
        Rnan(1, width=4, plain_groups=0, attention_side=8)(torch.zeros(1, 1, 15, 16))


def test_attention_is_softmax_over_all_positions_written_out():
    block = Rnan(1, width=4, plain_groups=0, attention_side=8).body[0].before[0]
    nn.init.normal_(block.out.weight)
    maps = torch.randn(2, 4, 6, 6)
    query, key, value = (layer(maps).flatten(2) for layer in (block.theta, block.phi, block.g))
    weights = torch.einsum("bcq,bck->bqk", query, key).softmax(2)  # over the keys
    slow = torch.einsum("bqk,bck->bcq", weights, value).view(2, 2, 6, 6)
    torch.testing.assert_close(block(maps), maps + block.out(slow))


def test_attention_on_averaged_maps_sees_no_more_than_its_side(monkeypatch):
    positions = []
    fused = nn.functional.scaled_dot_product_attention

    def watch(query, *rest, **settings):
        positions.append(query.shape[-2])
        return fused(query, *rest, **settings)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", watch)
    Rnan(1, width=4, plain_groups=0, attention_side=8)(torch.zeros(1, 1, 64, 64))
    assert positions == [64, 64]  # 8 x 8 positions, in both groups


def test_pooled_attention_is_enlarged_without_a_shift():
    block = Rnan(1, width=4, plain_groups=0, attention_side=16).body[0].before[0]
    # All positions weigh the same: attention gives the mean of the values, everywhere equal.
    nn.init.zeros_(block.theta.weight)
    nn.init.zeros_(block.theta.bias)
    nn.init.normal_(block.out.weight)
    maps = torch.randn(1, 4, 40, 28)  # 16 divides neither: 10 x 14 positions, not 14 x 10 with a cut last row
    mean = block.g(maps).mean((2, 3), keepdim=True)
    torch.testing.assert_close(block(maps), maps + block.out(mean).expand_as(maps), rtol=1e-4, atol=1e-5)


def test_memory_of_attention_is_bounded_and_refused_with_a_way_out():
    assert attention_bytes(32) == 4 * 2**20
    assert attention_bytes(64) == 64 * 2**20
    assert attention_bytes(128) == 2**30
    assert largest_batch(64, 64) == 16
    assert largest_batch(512, 16) == 4096
    with pytest.raises(ValueError, match=r"attention_side is 256.*16\.0 GiB per image. Use 2 to 128"):
        Rnan(1, attention_side=256)


# ---------------------------------------------------------------------- Deep SVDD
@pytest.mark.parametrize("channels", [1, 3])
def test_no_layer_lets_the_network_map_all_images_to_one_point(channels):
    encoder = SvddEncoder(32, channels)
    assert all(name.endswith("weight") for name, _ in encoder.named_parameters())
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.affine for norm in norms)
    assert not any(isinstance(m, nn.Tanh | nn.Sigmoid | nn.Hardtanh | nn.ReLU6) for m in encoder.modules())


@pytest.mark.parametrize(("size", "channels", "features"), [(16, 1, 32), (32, 3, 128), (64, 1, 32)])
def test_svdd_encoder_and_decoder_fit_together(size, channels, features):
    images = torch.zeros(2, channels, size, size)
    codes = SvddEncoder(size, channels, features)(images)
    assert codes.shape == (2, features)
    assert SvddDecoder(size, channels, features)(codes).shape == images.shape


def test_svdd_refuses_other_sides_and_features():
    with pytest.raises(ValueError, match=r"image side 30.*multiple of 4"):
        SvddEncoder(30)
    with pytest.raises(ValueError, match="features is 20"):
        SvddDecoder(32, 1, 20)
