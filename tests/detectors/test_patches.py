"""Memory and Gaussians of patches against slow references, and what each may and may not be blind to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from adlib import scores
from adlib.detectors import make_detector
from adlib.detectors.patches import nearest_distances, well_spread
from adlib.features import CHANNELS, STRIDES, patch_features, photograph_network

SHAPE = (3, 32, 48)
NAMES = ["patch_memory", "patch_gaussian"]


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (12, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_blocks_have_the_channels_and_strides_that_are_written_down():
    seen = torch.zeros(1, 3, 64, 64)
    network = photograph_network("cpu", torch.float32)
    seen = network._conv_stem(seen)
    for number, block in enumerate(network._blocks):
        seen = block(seen)
        assert (seen.shape[1], 64 // seen.shape[2]) == (CHANNELS[number], STRIDES[number])


def test_a_place_is_the_mean_of_nine_outputs_of_its_block():
    images = torch.rand((2, 3, 32, 32), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    both, deep = patch_features(images, (4, 10)), patch_features(images, (10,))
    assert both.shape == (2, 40 + 112, 4, 4)
    assert deep.shape == (2, 112, 2, 2)
    assert_close(both[:, :40], patch_features(images, (4,)))
    seen = []
    handle = (
        photograph_network("cpu", torch.float64)
        ._blocks[4]
        .register_forward_hook(lambda module, given, output: seen.append(output))
    )
    patch_features(images, (4,))
    handle.remove()
    assert_close(both[:, :40, 1, 2], seen[0][:, :, 0:3, 1:4].mean((2, 3)))


def test_the_nearest_distance_is_that_of_a_slow_search():
    draw = torch.Generator().manual_seed(0)
    places, memory = (torch.randn((n, 7), dtype=torch.float64, generator=draw) for n in (5000, 20))
    slow = np.linalg.norm(places.numpy()[:, None] - memory.numpy(), axis=2).min(1)
    assert_close(nearest_distances(places, memory), torch.as_tensor(slow))
    large = 1e3 + memory.float()  # where the expanded square alone would lose every digit
    assert nearest_distances(large, large).eq(0).all()


def test_a_choice_is_the_greedy_one_and_no_candidate_is_far_from_it():
    candidates = torch.randn((60, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    distances, slow = torch.cdist(candidates, candidates), [0]
    while len(slow) < 10:
        slow.append(int(distances[:, slow].amin(1).argmax()))
    chosen = well_spread(candidates, 10)
    assert chosen.tolist() == slow
    at_random = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:10]
    radius, other = (nearest_distances(candidates, candidates[rows]).max() for rows in (chosen, at_random))
    assert radius < other
    assert well_spread(candidates, 99).unique().tolist() == list(range(60))


def test_a_memory_of_everything_knows_its_own_images(images):
    detector = make_detector("patch_memory", SHAPE, "smoke", candidates=10_000, memory=10_000)
    detector.fit(images[:6], progress="quiet")
    assert detector.networks["memory"].places.shape == (6 * 4 * 6, 152)
    assert detector.anomaly_score(images[:6]).max() < 1e-9
    assert detector.anomaly_score(images[6:]).min() > 0.1


def test_the_gaussian_s_distance_is_that_of_mahalanobis(images):
    detector = make_detector("patch_gaussian", SHAPE, "smoke", dimensions=5).fit(images[:9], progress="quiet")
    drawn = detector.networks["gaussians"].dimensions
    known, new = (detector._features(part)[:, drawn].numpy() for part in (images[:9], images[9:]))
    distances = detector._distances(detector._features(images[9:]))
    for row, column in ((0, 0), (2, 3), (3, 5)):
        covariance = np.cov(known[:, :, row, column].T) + 0.01 * np.eye(5)
        off = new[:, :, row, column] - known[:, :, row, column].mean(0)
        slow = np.sqrt(np.einsum("bi,ij,bj->b", off, np.linalg.inv(covariance), off))
        assert_close(distances[:, row, column], torch.as_tensor(slow))


@pytest.mark.parametrize("name", NAMES)
def test_image_score_and_map_come_from_the_distances_of_places(name, images):
    detector = make_detector(name, SHAPE, "smoke").fit(images[:8], progress="quiet")
    distances = detector._distances(detector._features(images[8:]))
    seen = detector.examine(images[8:])
    assert_close(seen.scores["worst_patch"], distances.amax((1, 2)))
    assert_close(seen.scores["mean_distance"], distances.mean((1, 2)))
    large = torch.nn.functional.interpolate(distances[:, None], SHAPE[1:], mode="bilinear")[:, 0]
    assert_close(seen.maps, scores.gaussian_blur(large, 4.0))


def test_small_images_are_enlarged_and_large_ones_are_not():
    sizes = {
        shape: make_detector("patch_memory", shape, input_size=64)._seen_size()
        for shape in ((1, 32, 48), (3, 64, 64), (3, 200, 100))
    }
    assert list(sizes.values()) == [(64, 96), (64, 64), (200, 100)]


@pytest.mark.parametrize("name", NAMES)
def test_bad_settings_and_images_are_refused(name, images):
    for message, changes in {
        "blocks is": {"blocks": (10, 4)},
        "rising numbers from 0 to 15": {"blocks": (4, 16)},
        "input_size is 8": {"input_size": 8},
        "blur is 0": {"blur": 0.0},
    }.items():
        with pytest.raises(ValueError, match=message):
            make_detector(name, SHAPE, **changes)
    with pytest.raises(ValueError, match="the shorter side is 15 pixels"):
        make_detector(name, (3, 15, 40))


def test_what_only_one_of_them_needs_is_refused_too(images):
    with pytest.raises(ValueError, match="memory 9 and candidates 8"):
        make_detector("patch_memory", SHAPE, candidates=8, memory=9)
    with pytest.raises(ValueError, match="projection is 0"):
        make_detector("patch_memory", SHAPE, projection=0)
    with pytest.raises(ValueError, match="dimensions is 0"):
        make_detector("patch_gaussian", SHAPE, dimensions=0)
    with pytest.raises(ValueError, match="ridge is 0"):
        make_detector("patch_gaussian", SHAPE, ridge=0.0)
    with pytest.raises(ValueError, match="at least 2 training images, got 1"):
        make_detector("patch_gaussian", SHAPE, "smoke").fit(images[:1], progress="quiet")


@pytest.mark.slow
def test_a_part_in_another_place_is_new_to_the_gaussians_and_known_to_the_memory():
    """The reason for having both: a spot that lay in four corners is remembered in a fifth place."""
    ground = torch.full((40, 3, 64, 64), 100, dtype=torch.uint8)
    noise = torch.randint(-4, 5, ground.shape, generator=torch.Generator().manual_seed(0))
    photographs = (ground + noise).to(torch.uint8)
    for number, photograph in enumerate(photographs):
        row, column = (16, 24) if number == 39 else (16 * (number % 2) + 8, 32 * (number // 2 % 2) + 8)
        photograph[:, row : row + 8, column : column + 8] = 220
    ratio = {}
    for name in NAMES:
        detector = make_detector(name, (3, 64, 64), "smoke", input_size=64).fit(
            photographs[:32], progress="quiet"
        )
        found = detector.anomaly_score(photographs[32:])
        ratio[name] = float(found[-1] / found[:-1].mean())
    assert ratio["patch_gaussian"] > ratio["patch_memory"]
