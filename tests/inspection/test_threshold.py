"""A threshold from good images keeps its rate, and knows how little it knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from adlib.inspection.threshold import Threshold, one_in, proportion_interval


@pytest.mark.parametrize(("count", "rate"), [(49, 0.02), (50, 0.1), (200, 0.02), (19, 0.05), (1000, 0.013)])
def test_the_rate_that_is_expected_is_the_rate_of_fresh_images(count, rate):
    random = np.random.default_rng(0)
    drawn = [Threshold.from_scores(random.gamma(2, size=count), rate) for _ in range(400)]
    shares = np.mean([(random.gamma(2, size=400) > t.value).mean() for t in drawn])
    assert shares == pytest.approx(drawn[0].expected, abs=0.004)
    assert drawn[0].enough
    assert rate - 1 / (count + 1) < drawn[0].expected <= rate + 1e-12  # no lower threshold would do


def test_the_interval_holds_the_true_rate_nineteen_times_in_twenty():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        threshold = Threshold.from_scores(random.uniform(size=12), 0.1)
        low, high = threshold.interval
        inside += low <= 1 - threshold.value <= high  # the true rate of uniform scores
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_three_images_are_too_few_and_it_is_said():
    threshold = Threshold.from_scores([3.0, 1.0, 2.0], 0.02)
    assert (threshold.value, threshold.enough, threshold.needed) == (3.0, False, 49)
    assert threshold.interval == pytest.approx(
        (1 - 0.975 ** (1 / 3), 1 - 0.025 ** (1 / 3))
    )  # of the largest of three
    assert "between 7 in 10 and 1 in 119" in threshold.words()
    assert "Too few for 1 in 50: that needs 49" in threshold.words()


@pytest.mark.parametrize("rate", [0.5, 0.3, 0.1, 0.05, 0.02, 0.01, 0.001])
def test_as_many_as_are_needed_are_enough_and_one_less_is_not(rate):
    needed = Threshold.from_scores([0.0], rate).needed
    enough = Threshold.from_scores(range(needed), rate)
    assert enough.enough
    assert enough.expected <= rate + 1e-12
    if needed > 1:
        assert not Threshold.from_scores(range(needed - 1), rate).enough


def test_equal_scores_are_said():
    assert "the same score" in Threshold.from_scores([1.0] * 60).words()
    assert Threshold.from_scores([1.0] * 60).expected == pytest.approx(1 / 61)


def test_a_largest_score_that_several_share_is_said():
    """Where scores end, as those of a sigmoid do at 1, nothing exceeds the threshold."""
    assert (
        "3 of them share the largest score, 1:"
        in Threshold.from_scores([0.2, 0.5, 1.0, 1.0, 1.0], 0.3).words()
    )
    assert "share the largest" not in Threshold.from_scores([0.2, 0.2, 0.5], 0.3).words()


def test_it_survives_json():
    threshold = Threshold.from_scores([0.1, 0.2, 0.3], 0.3)
    assert Threshold.from_dict(threshold.to_dict()) == threshold


@pytest.mark.parametrize(
    ("scores", "rate", "words"),
    [([], 0.02, "finite"), ([float("nan")], 0.02, "nan"), ([1.0], 0.0, "0.0"), ([1.0], 1, "1")],
)
def test_what_cannot_be_is_refused(scores, rate, words):
    with pytest.raises(ValueError, match=words):
        Threshold.from_scores(scores, rate)


@pytest.mark.parametrize(("count", "total"), [(0, 5), (5, 5), (3, 17), (1, 1000)])
def test_the_interval_of_a_proportion_is_clopper_and_pearsons(count, total):
    low, high = proportion_interval(count, total)
    exact = binomtest(count, total).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))
    assert count == 0 or binom.sf(count - 1, total, low) == pytest.approx(0.025)


def test_rates_in_words():
    assert [one_in(rate) for rate in (0, 0.02, 1 / 119, 0.25, 0.7, 0.999)] == [
        "none", "1 in 50", "1 in 119", "1 in 4", "7 in 10", "10 in 10",
    ]  # fmt: skip
