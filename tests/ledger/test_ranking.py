"""Ranks against rules written out, the critical difference against the printed table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from adlib_book.ledger import ranking


def table(seed=0, sets=7, detectors=4):
    values = np.random.default_rng(seed).integers(0, 6, (sets, detectors)) / 6  # with ties
    return pd.DataFrame(
        values, [f"set {n}" for n in range(sets)], [f"detector {n}" for n in range(detectors)]
    )


def rank_written_out(row, place):
    better = sum(value > row[place] for value in row)
    equal = sum(value == row[place] for value in row)
    return better + (equal + 1) / 2


def test_ranks_equal_counting():
    values = table()
    ranks = ranking.ranks(values)
    for name, row in values.iterrows():
        expected = [rank_written_out(list(row), place) for place in range(values.shape[1])]
        assert list(ranks.loc[name]) == expected


def test_a_rank_does_not_change_when_a_set_is_rescaled():
    values = table()
    stretched = values.mul(np.linspace(0.1, 5, len(values)), axis=0) + 3
    pd.testing.assert_frame_equal(ranking.ranks(values), ranking.ranks(stretched))


@pytest.mark.parametrize(("detectors", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_the_printed_one(detectors, q):
    """Demšar 2006, Table 5a."""
    expected = q * (detectors * (detectors + 1) / (6 * 14)) ** 0.5
    assert ranking.critical_difference(detectors, 14) == pytest.approx(expected, abs=2e-3)


def test_friedman_equals_its_formula():
    values = table(seed=3, sets=12)
    values += np.random.default_rng(1).random(values.shape) * 1e-6  # no ties, as in the plain formula
    mean = ranking.ranks(values).mean()
    n, k = values.shape
    expected = 12 * n / (k * (k + 1)) * ((mean**2).sum() - k * (k + 1) ** 2 / 4)
    statistic, p = ranking.friedman(values)
    assert statistic == pytest.approx(expected)
    assert 0 <= p <= 1


def test_mean_ranks_are_sorted_seeded_and_inside_their_interval():
    means = ranking.mean_ranks(table())
    assert means["mean"].is_monotonic_increasing
    assert (means["low"] <= means["mean"]).all()
    assert (means["mean"] <= means["high"]).all()
    pd.testing.assert_frame_equal(means, ranking.mean_ranks(table()))
    assert means["mean"].mean() == pytest.approx((table().shape[1] + 1) / 2)


def test_a_gap_is_named():
    values = table()
    values.iloc[2, 1] = np.nan
    with pytest.raises(ValueError, match="'detector 1' on 'set 2'"):
        ranking.ranks(values)


@pytest.mark.parametrize("bad", [{"detectors": 1}, {"sets": 0}, {"alpha": 1.0}])
def test_critical_difference_refuses(bad):
    with pytest.raises(ValueError, match="expected"):
        ranking.critical_difference(**({"detectors": 3, "sets": 5} | bad))


def test_too_few_to_rank():
    with pytest.raises(ValueError, match="two detectors"):
        ranking.ranks(table(detectors=1))
    with pytest.raises(ValueError, match="three detectors"):
        ranking.friedman(table(detectors=2))
