"""The dual discriminator's networks: every printed count, shapes, and per-image normalisation as batch-1 BatchNorm."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from adlib.models.dual_discriminator import DualDiscriminator, DualGenerator, PerImageNorm, SmallClassifier
from adlib.models.ganomaly import count_parameters

PRINTED_GENERATOR = ("0.38", "2.08", "8.26", "32.9", "32.83", "16.42", "4.11", "0.77")  # thousands
PRINTED_DISCRIMINATOR = ("0.38", "2.08", "8.26", "32.9", "32.77")


def printed(network: nn.Module) -> list[int]:
    """Parameters of each convolution together with the normalisation that follows it."""
    counts: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            counts.append(count_parameters(module))
        elif isinstance(module, PerImageNorm | nn.BatchNorm2d):
            counts[-1] += count_parameters(module)
    return counts


@pytest.mark.parametrize("normalisation", ["image", "batch"])
def test_parameter_counts_layer_by_layer(normalisation):
    generator, discriminator = DualGenerator(3, normalisation), DualDiscriminator(3, normalisation)
    assert count_parameters(generator) == 97_744
    assert count_parameters(discriminator) == 76_384
    assert count_parameters(DualGenerator(1, normalisation)) == 96_976
    assert count_parameters(DualDiscriminator(1, normalisation)) == 76_128
    for network, table in ((generator, PRINTED_GENERATOR), (discriminator, PRINTED_DISCRIMINATOR)):
        for count, text in zip(printed(network), table, strict=True):
            assert f"{count / 1000:.{len(text.split('.')[1])}f}" == text


def test_the_baseline_is_as_large_as_the_generator():
    assert abs(count_parameters(SmallClassifier(3)) - 97_744) < 100


@pytest.mark.parametrize(("size", "maps", "code"), [(32, 2, 2), (64, 6, 4), (128, 14, 8)])
def test_shapes(size, maps, code):
    images = torch.rand(2, 3, size, size) * 2 - 1
    drawn = DualGenerator(3)(images)
    assert drawn.image.shape == images.shape
    assert drawn.image.abs().max() <= 1
    assert drawn.latent.shape == (2, 64, code, code)
    assert DualDiscriminator(3)(images).shape == (2, 32, maps, maps)
    assert SmallClassifier(3)(images).shape == (2, code, code)


@pytest.mark.parametrize("network", [DualGenerator, DualDiscriminator])
def test_per_image_normalisation_is_batchnorm_in_training_at_batch_size_one(network):
    """The batched form gives what the paper's form gives image by image: values, and gradients summed over them."""
    torch.manual_seed(0)
    batched = network(3, "image").double()
    single = network(3, "batch").double().train()
    single.load_state_dict(batched.state_dict(), strict=False)  # BatchNorm also has running statistics
    images = torch.rand(5, 3, 32, 32, dtype=torch.float64) * 2 - 1

    def drawn(net, x):
        return net(x).image if network is DualGenerator else net(x)

    together = drawn(batched, images)
    alone = torch.cat([drawn(single, image[None]) for image in images])
    assert_close(together, alone, rtol=1e-9, atol=1e-11)
    together.square().sum().backward()
    alone.square().sum().backward()
    for mine, theirs in zip(batched.parameters(), single.parameters(), strict=True):
        assert_close(mine.grad, theirs.grad, rtol=1e-7, atol=1e-9)


def test_batchnorm_that_was_trained_on_single_images_answers_differently_in_evaluation():
    """Running statistics are an average over images; no image has them."""
    torch.manual_seed(0)
    network, images = DualGenerator(3, "batch").double(), torch.rand(40, 3, 32, 32, dtype=torch.float64)
    images = images * torch.linspace(0.05, 1, 40, dtype=torch.float64)[:, None, None, None]
    network.train()
    for image in images:
        in_training = network(image[None]).image
    in_evaluation = network.eval()(images[-1:]).image
    assert (in_training - in_evaluation).abs().mean() > 0.01 * in_training.abs().mean()


def test_an_unknown_normalisation_is_named():
    with pytest.raises(ValueError, match="Did you mean 'image'"):
        DualGenerator(3, "images")
