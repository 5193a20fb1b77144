"""The classifier of turns: its network as counted, its score as written out, and what it cannot see."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from adlib.detectors import make_detector
from adlib.models.wide_residual import WideResidualClassifier
from adlib_book import published
from adlib_book.nightly import trajectories


def test_the_network_has_the_published_size():
    """Kim et al. print 1,216K for GeoTrans, which has 72 classes: Keras counts BatchNorm's statistics, too."""
    for widening, count in ((1, 77_460), (4, 1_197_268)):
        network = WideResidualClassifier(3, 4, widening)
        assert sum(parameter.numel() for parameter in network.parameters()) == count
    state = WideResidualClassifier(3, 72, 4).state_dict()
    counted = sum(value.numel() for name, value in state.items() if "num_batches" not in name)
    assert counted // 1000 == published.kim_speed().loc["geotrans", "parameters"] / 1000


def test_the_score_is_the_mean_over_four_turns_written_out():
    detector = make_detector("turn_classifier", (3, 16, 16), "smoke", seed=3)
    images = trajectories.images(3, 16, seed=1)
    pixels = detector.normalise(images)
    network = detector.networks["classifier"].eval()
    slow = []
    for image in pixels:
        total = 0.0
        for turn in range(4):
            for _ in range(turn):
                image = image.transpose(1, 2).flip(1)  # a quarter turn against the clock
            with torch.no_grad():
                probabilities = network(image[None]).softmax(1)[0]
            total -= float(probabilities[turn].log())
            for _ in range((4 - turn) % 4):
                image = image.transpose(1, 2).flip(1)
        slow.append(total / 4)
    assert_close(detector.anomaly_score(images), torch.tensor(slow, dtype=torch.float64))


def test_images_without_a_direction_cannot_be_told_apart():
    """Turned, such an image is itself: one in four is right by chance, and log 4 is the least the mean can be."""
    detector = make_detector("turn_classifier", (1, 16, 16), "smoke")
    detector.fit(trajectories.images(8, 16, seed=1)[:, :1], progress="quiet")
    disc = torch.zeros((2, 1, 16, 16), dtype=torch.uint8)
    disc[:, :, 4:12, 4:12] = 200
    scores = detector.anomaly_score(disc)
    assert_close(scores[0], scores[1])
    assert (scores >= torch.tensor(4.0).log() - 1e-9).all()


def test_a_step_learns_to_tell_the_turns():
    detector = make_detector("turn_classifier", (3, 16, 16), "smoke", steps=25, checkpoints=1, ema_decay=0.0)
    detector.fit(trajectories.images(12, 16, seed=1), progress="quiet")
    losses = detector.history.losses["cross_entropy"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((3, 16, 24), {}, "needs square ones"),
        ((3, 4, 4), {}, "too small for a turn"),
        ((3, 16, 16), {"widening": 0}, "widening is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        make_detector("turn_classifier", shape, "smoke", **settings)
