"""Deep SVDD and its guards, the two classical detectors against scikit-learn, the dictionary of features."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM
from torch.testing import assert_close

from adlib.data import stream_folder
from adlib.detectors import Detector, make_detector
from adlib.detectors.classical import Store, contrast_pixels
from adlib.detectors.collapse import CollapseWarning
from adlib.experiment import run_experiment

GREY = (1, 32, 32)


@pytest.fixture
def grey_images(random_images):
    return torch.nn.functional.avg_pool2d(random_images(40, channels=1).float(), 5, 1, 2).to(torch.uint8)


# ---------------------------------------------------------------------- Deep SVDD
def test_the_centre_is_the_mean_of_the_features_after_pretraining_moved_away_from_zero(grey_images):
    detector = make_detector("deep_svdd", GREY, "smoke", steps=4, pretraining_share=0.5, checkpoints=1)
    seen = {}
    place = detector._place_centre

    def watch():
        place()
        detector.networks.eval()
        with torch.no_grad():
            seen["features"] = detector.networks["encoder"](
                detector._prepare(detector.normalise(grey_images))
            )
        seen["step"] = detector.networks["counter"].count

    detector._place_centre = watch
    detector.fit(grey_images, progress="quiet")
    assert seen["step"] == 2
    mean, centre = seen["features"].mean(0), detector.networks["sphere"].centre
    near = mean.abs() < 0.1
    assert_close(centre[~near], mean[~near], rtol=1e-4, atol=1e-5)
    assert_close(centre[near].abs(), torch.full_like(centre[near], 0.1))
    assert (centre[near].sign() == torch.where(mean[near] < 0, -1.0, 1.0)).all()


def test_scores_are_never_constant(grey_images):
    detector = make_detector("deep_svdd", GREY, "smoke", steps=20).fit(grey_images, progress="quiet")
    assert len(detector.anomaly_score(grey_images).unique()) == len(grey_images)


def test_a_collapsed_sphere_is_noticed(grey_images):
    detector = make_detector("deep_svdd", GREY, "smoke", steps=1, pretraining_share=0.0, checkpoints=1)
    torch.nn.init.zeros_(detector.networks["encoder"].head.weight)
    for group in detector.optimisers["encoder"].param_groups:
        group["lr"] = 0.0
    with pytest.warns(CollapseWarning, match="40 training images have 1 different scores"):
        detector.fit(grey_images, progress="quiet")


def test_a_soft_boundary_has_a_radius_and_scores_relative_to_it(grey_images):
    how = {"steps": 6, "soft_boundary": True, "nu": 0.2, "checkpoints": 1}
    detector = make_detector("deep_svdd", GREY, "smoke", **how).fit(grey_images, progress="quiet")
    assert detector.networks["sphere"].radius > 0
    score = detector.anomaly_score(grey_images)
    assert (score < 0).any()
    assert detector.anomaly_map(grey_images).min() >= 0


def test_deep_svdd_refuses_a_stream_and_shares_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="nu is 0"):
        make_detector("deep_svdd", GREY, nu=0)
    with pytest.raises(ValueError, match="pretraining_share is 1"):
        make_detector("deep_svdd", GREY, pretraining_share=1)
    with pytest.raises(ValueError, match="features is 20"):
        make_detector("deep_svdd", GREY, features=20)
    Image.new("L", (32, 32)).save(tmp_path / "one.png")
    detector = make_detector("deep_svdd", GREY, "smoke")
    stream = stream_folder(tmp_path, 32, detector.config.batch_size, channels=1, workers=0)
    with pytest.raises(TypeError, match="have to be in memory"):
        detector.fit(stream, progress="quiet")


# ---------------------------------------------------------------------- the classical two
def codes_of(detector: Detector, images: torch.Tensor) -> np.ndarray:
    store = detector.networks["components"]
    return ((contrast_pixels(detector.normalise(images)) - store.mean) @ store.directions.T).numpy()


def test_the_machine_in_tensors_says_what_scikit_learn_says(grey_images, random_images):
    detector = make_detector("ocsvm", GREY).fit(grey_images, progress="quiet")
    train, test = codes_of(detector, grey_images), codes_of(detector, random_images(10, channels=1))
    gamma = float(detector.networks["machine"].gamma)
    machine = OneClassSVM(nu=0.1, gamma=gamma).fit(train)
    ours = detector.anomaly_score(random_images(10, channels=1)).numpy()
    np.testing.assert_allclose(ours, -machine.decision_function(test), rtol=1e-3, atol=1e-4)


def test_the_forest_in_tensors_says_what_scikit_learn_says(grey_images, random_images):
    detector = make_detector("isolation_forest", GREY, trees=20, subsample=32, seed=3)
    detector.fit(grey_images, progress="quiet")
    forest = IsolationForest(n_estimators=20, max_samples=32, random_state=3)
    forest.fit(codes_of(detector, grey_images))
    test = random_images(10, channels=1)
    ours = detector.anomaly_score(test).numpy()
    np.testing.assert_allclose(ours, -forest.score_samples(codes_of(detector, test)), rtol=1e-4)


def test_contrast_forgets_brightness_and_contrast(grey_images):
    images = grey_images.float()
    assert_close(contrast_pixels(images), contrast_pixels(0.3 * images + 20), rtol=1e-3, atol=1e-3)
    assert contrast_pixels(torch.full((1, *GREY), 7.0)).isfinite().all()


def test_a_store_takes_the_shapes_of_the_file():
    full, empty = Store("a", "b"), Store("a", "b")
    full.keep(a=torch.rand(3, 2), b=np.arange(4))
    empty.load_state_dict(full.state_dict())
    assert torch.equal(empty.a, full.a)
    assert torch.equal(empty.b, full.b)


def test_a_store_stays_on_its_device_whatever_the_file_was_on():
    full = Store("a")
    full.keep(a=torch.rand(3, 2))
    there = Store("a").to("meta")
    with warnings.catch_warnings():  # that nothing is copied to a device without memory
        warnings.simplefilter("ignore")
        there.load_state_dict(full.state_dict())
    assert there.a.device.type == "meta"
    assert there.a.shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ocsvm", {"nu": 0.0}, "nu is 0.0"),
        ("ocsvm", {"gamma": -1.0}, "gamma is -1.0"),
        ("isolation_forest", {"variance": 1.0}, "variance is 1.0"),
        ("isolation_forest", {"trees": 0}, "trees is 0"),
        ("feature_dictionary", {"stride": 0.5}, "stride 0.5"),
        ("feature_dictionary", {"entries": 5000}, "entries 5000"),
    ],
)
def test_settings_that_cannot_work_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        make_detector(name, GREY, **changes)


@pytest.mark.parametrize("name", ["ocsvm", "isolation_forest"])
def test_one_training_image_is_refused(name, grey_images):
    with pytest.raises(ValueError, match="at least 2 training images, got 1"):
        make_detector(name, GREY).fit(grey_images[:1])


def test_a_detector_without_a_map_of_its_own_reports_no_pixel_metrics(tiny_split):
    record = run_experiment(
        make_detector("isolation_forest", tiny_split.image_shape, "smoke"), tiny_split, progress="quiet"
    )
    assert "image_auroc" in record["metrics"]
    assert not {"pixel_auroc", "pixel_ap", "aupro"} & set(record["metrics"])


# ---------------------------------------------------------------------- the dictionary
@pytest.mark.slow
def test_the_dictionary_is_deterministic_and_made_of_real_windows(grey_images):
    one, two = (
        make_detector("feature_dictionary", GREY, "smoke", seed=1).fit(grey_images[:20], progress="quiet")
        for _ in range(2)
    )
    assert torch.equal(one.networks["dictionary"].entries, two.networks["dictionary"].entries)
    assert torch.equal(one.anomaly_score(grey_images), two.anomaly_score(grey_images))
    store = one.networks["dictionary"]
    codes = (one._features(one._windows(grey_images[:20])) - store.mean) @ store.components.T
    assert torch.cdist(store.entries, codes).min(1).values.max() < 1e-3


def test_a_pixel_gets_the_mean_of_the_windows_that_cover_it():
    detector = make_detector("feature_dictionary", GREY, patch=0.5, stride=0.25)
    per_window = torch.arange(9.0)[None]  # 3 x 3 windows of 16 pixels, 8 apart
    maps = detector._spread(per_window)
    total, cover = torch.zeros(32, 32), torch.zeros(32, 32)
    for row in range(3):
        for column in range(3):
            place = slice(8 * row, 8 * row + 16), slice(8 * column, 8 * column + 16)
            total[place] += per_window[0, 3 * row + column]
            cover[place] += 1
    assert_close(maps[0], total / cover)


def test_every_pixel_is_in_a_window():
    detector = make_detector("feature_dictionary", (1, 36, 36), patch=0.25, stride=0.14)
    assert detector._spread(torch.ones(1, len(detector._places))).eq(1).all()


def test_too_few_windows_for_the_dictionary_are_refused(grey_images):
    with pytest.raises(ValueError, match="1 training images have 4 windows; the dictionary needs 8"):
        make_detector("feature_dictionary", GREY, "smoke").fit(grey_images[:1])
