"""Time and memory of scoring: measured in the same run, compared as ratios."""

from __future__ import annotations

import pytest
import torch

from adlib import make_detector
from adlib_book.ledger.cost import peak_bytes, scoring_parameters, seconds_per_image

IMAGES = torch.randint(0, 256, (16, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def detector():
    return make_detector("unet", (1, 32, 32), "smoke", device="cpu")


def test_memory_grows_with_the_batch_and_holds_at_least_the_images_as_floats(detector):
    half, whole = (peak_bytes(detector, IMAGES[:count]) for count in (8, 16))
    assert whole > 4 * IMAGES.numel()
    assert 1.6 < whole / half < 2.4


def test_attention_over_more_positions_holds_more():
    narrow, wide = (
        peak_bytes(
            make_detector("sdn", (1, 32, 32), "smoke", device="cpu", precision="fp32", attention_side=side),
            IMAGES[:2],
        )
        for side in (4, 32)
    )
    assert wide > 2 * narrow


def test_time_is_positive_and_a_search_is_slower_than_a_look(detector):
    search = make_detector("anogan", (1, 32, 32), "smoke", device="cpu")
    assert 0 < seconds_per_image(detector, IMAGES) < seconds_per_image(search, IMAGES, rounds=1)


def test_parameters_that_only_training_uses_do_not_count():
    gan = make_detector("dual_discriminator", (1, 32, 32), "smoke", device="cpu")
    everything = sum(parameter.numel() for parameter in gan.networks.parameters())
    generator = sum(parameter.numel() for parameter in gan.networks["generator"].parameters())
    before = gan.anomaly_score(IMAGES[:2])
    assert scoring_parameters(gan, IMAGES[:2]) == generator < everything
    assert torch.equal(gan.anomaly_score(IMAGES[:2]), before)
    hooks = [layer for layer in gan.networks.modules() if layer._forward_hooks]
    assert not hooks, "taken away again"


def test_refusals(detector):
    with pytest.raises(ValueError, match="rounds is 0"):
        seconds_per_image(detector, IMAGES, rounds=0)
    with pytest.raises(ValueError, match="measured on the CPU"):
        peak_bytes(make_detector("unet", (1, 32, 32), "smoke", device="meta"), IMAGES)
