"""The estimator passes scikit-learn's own checks, on tables with a stated range; and takes images."""

from __future__ import annotations

import numpy as np
import pytest
from discs import disc
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from adlib.inspection.estimator import AnomalyDetector

SMALL = {"detector": "pca", "size": 16, "profile": "smoke", "false_alarms": 0.1}


@pytest.mark.slow
@parametrize_with_checks(
    [AnomalyDetector("pca", size=8, profile="smoke", false_alarms=0.1, value_range=(-10, 110))]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def images():
    return np.stack([np.asarray(disc(seed)) for seed in range(14)])


def test_images_are_scored_and_judged(images):
    estimator = AnomalyDetector(**SMALL).fit(images[:10])
    fresh = np.concatenate([images[10:], np.zeros_like(images[:1])])
    scores = estimator.score_samples(fresh)
    assert scores.argmin() == 4
    assert np.array_equal(estimator.predict(fresh), np.where(scores < estimator.offset_, -1, 1))
    assert estimator.predict(fresh)[4] == -1
    verdicts = list(estimator.inspector_.score(list(fresh)))
    assert [-verdict.score for verdict in verdicts] == scores.tolist()
    grey = AnomalyDetector(**SMALL).fit(list(images[:10, ..., 0]))  # a list, and grey
    assert grey.score_samples(fresh[..., 0]) == pytest.approx(scores)


def test_it_can_be_cloned_searched_and_put_into_a_pipeline(images):
    estimator = clone(AnomalyDetector(**SMALL))
    pipeline = make_pipeline(FunctionTransformer(lambda X: X[:, 8:-8, 8:-8]), estimator).fit(images)
    assert pipeline.predict(images).shape == (14,)
    grid = {"size": [8, 16]}
    search = GridSearchCV(
        estimator, grid, scoring=lambda fitted, X, y=None: fitted.score_samples(X).mean(), cv=2
    )
    assert search.fit(images).best_params_["size"] in (8, 16)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((4, 8, 8)), r"AnomalyDetector\(value_range=\(0, 1\)\)"),
        (np.zeros((4, 3, 8, 8), np.uint8), r"X.transpose\(0, 2, 3, 1\)"),
        (np.zeros((4, 8, 8), np.uint8), "expected at least 2"),  # one image four times
        (np.full((4, 8, 8), np.nan), "NaN"),
    ],
)
def test_what_it_cannot_take_is_refused_with_the_line_that_mends_it(X, words):
    with pytest.raises(ValueError, match=words):
        AnomalyDetector(**SMALL).fit(X)


def test_images_of_another_size_are_refused_and_a_range_has_to_be_one(images):
    estimator = AnomalyDetector(**SMALL).fit(images)
    with pytest.raises(ValueError, match="is expecting 27648 features"):
        estimator.predict(images[:, :50])
    with pytest.raises(ValueError, match="low < high"):
        AnomalyDetector(**SMALL, value_range=(1, 0)).fit(images / 255.0)


def test_floats_with_their_range_are_the_images_they_were(images):
    plain = AnomalyDetector(**SMALL).fit(images).score_samples(images)
    floats = AnomalyDetector(**SMALL, value_range=(0, 1)).fit(images / 255.0).score_samples(images / 255.0)
    assert plain.tolist() == floats.tolist()
