"""Metrics against slow references, invariances, and what they refuse."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from adlib import metrics

SEVERAL = settings(max_examples=40, deadline=None)


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels with both classes and scores from a coarse grid, so that ties are common."""
    count = draw(st.integers(2, 40))
    labels = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    labels[:2] = [False, True]
    scores = np.array(draw(st.lists(st.integers(-6, 6), min_size=count, max_size=count)), dtype=float)
    return labels, scores


@st.composite
def masks_and_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A few small images with random regions, some of them good, and maps with few distinct values."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, height, width = draw(st.integers(1, 4)), draw(st.integers(2, 9)), draw(st.integers(2, 9))
    masks = random.random((count, height, width)) < draw(st.floats(0.05, 0.6))
    masks[0, 0, 0], masks[0, -1, -1] = True, False
    if count > 1:
        masks[-1] = False
    return masks, random.integers(0, draw(st.integers(1, 30)), masks.shape).astype(float)


# --- slow references: written from the definition, sharing no code with the package ---


def auroc_by_pairs(labels, scores):
    wins = [(a > n) + 0.5 * (a == n) for a in scores[labels] for n in scores[~labels]]
    return float(np.mean(wins))


def average_precision_by_thresholds(labels, scores):
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        above = scores >= threshold
        recall = (above & labels).sum() / labels.sum()
        total += (recall - recall_before) * (above & labels).sum() / above.sum()
        recall_before = recall
    return total


def regions_by_flood_fill(mask):
    left, regions = {tuple(p) for p in np.argwhere(mask)}, []
    while left:
        region, front = set(), [left.pop()]
        while front:
            r, c = front.pop()
            region.add((r, c))
            for neighbour in [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if neighbour in left:
                    left.remove(neighbour)
                    front.append(neighbour)
        regions.append(region)
    return regions


def aupro_by_thresholds(masks, maps, max_fpr):
    regions = [(n, region) for n, mask in enumerate(masks) for region in regions_by_flood_fill(mask)]
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel()), reverse=True):
        above = maps >= threshold
        overlaps = [sum(above[n][p] for p in region) / len(region) for n, region in regions]
        curve.append((above[~masks].mean(), float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 >= max_fpr:
            break
        if x1 > max_fpr:
            x1, y1 = max_fpr, y0 + (y1 - y0) * (max_fpr - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / max_fpr


# --- image metrics ---


@SEVERAL
@given(labelled_scores())
def test_auroc_is_the_share_of_pairs_in_the_right_order(data):
    assert_allclose(metrics.image_auroc(*data), auroc_by_pairs(*data))


@SEVERAL
@given(labelled_scores())
def test_average_precision_equals_the_sum_over_thresholds_written_out(data):
    assert_allclose(metrics.average_precision(*data), average_precision_by_thresholds(*data))


RANK_METRICS = [metrics.image_auroc, metrics.average_precision, metrics.tpr_at_fpr, metrics.best_f1]


@pytest.mark.slow
@pytest.mark.parametrize("metric", RANK_METRICS)
@SEVERAL
@given(data=labelled_scores(), seed=st.integers(0, 2**16))
def test_only_the_order_of_scores_matters(metric, data, seed):
    labels, scores = data
    value = metric(labels, scores)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    assert_allclose(metric(labels, np.exp(scores / 3) + 7), value)
    assert_allclose(metric(labels[shuffled], scores[shuffled]), value)
    assert_allclose(metric(np.tile(labels, 3), np.tile(scores, 3)), value)  # duplicates change nothing


@SEVERAL
@given(labelled_scores())
def test_auroc_of_the_inverted_score_is_the_complement(data):
    labels, scores = data
    assert_allclose(metrics.image_auroc(labels, -scores), 1 - metrics.image_auroc(labels, scores), atol=1e-12)


def test_a_constant_score_is_worth_chance_the_share_of_anomalies_and_the_all_positive_rule():
    labels, scores = np.array([0, 0, 0, 1]), np.ones(4)
    assert metrics.image_auroc(labels, scores) == 0.5
    assert metrics.average_precision(labels, scores) == 0.25
    assert metrics.tpr_at_fpr(labels, scores) == 0.0
    assert metrics.best_f1(labels, scores) == metrics.all_positive_f1(labels) == pytest.approx(0.4)


@SEVERAL
@given(labelled_scores(), st.floats(0, 1))
def test_tpr_at_fpr_is_the_best_that_a_real_threshold_reaches(data, limit):
    labels, scores = data
    thresholds = [*set(scores), np.inf]
    reached = [(scores[labels] >= t).mean() for t in thresholds if (scores[~labels] >= t).mean() <= limit]
    assert_allclose(metrics.tpr_at_fpr(labels, scores, limit), max(reached))


@SEVERAL
@given(labelled_scores())
def test_best_f1_is_the_best_over_all_verdicts_and_not_below_the_all_positive_rule(data):
    labels, scores = data
    by_hand = max(metrics.confusion(labels, scores >= t)["f1"] for t in set(scores))
    assert_allclose(metrics.best_f1(labels, scores), by_hand)
    assert metrics.best_f1(labels, scores) >= metrics.all_positive_f1(labels) - 1e-12


@SEVERAL
@given(labelled_scores())
def test_roc_curve_runs_from_corner_to_corner_through_every_threshold(data):
    labels, scores = data
    curve = metrics.roc_curve(labels, scores)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    assert len(curve.thresholds) == len(set(scores)) + 1
    for fpr, tpr, threshold in zip(*curve, strict=True):
        rates = metrics.confusion(labels, scores >= threshold)
        assert_allclose([fpr, tpr], [rates["fpr"], rates["tpr"]])


def test_confusion_counts():
    result = metrics.confusion([0, 0, 0, 1, 1], [0, 1, 0, 1, 0])
    assert {k: result[k] for k in ("tp", "fp", "tn", "fn")} == {"tp": 1, "fp": 1, "tn": 2, "fn": 1}
    rates = [result[k] for k in ("tpr", "fpr", "precision", "f1")]
    assert rates == pytest.approx([1 / 2, 1 / 3, 1 / 2, 1 / 2])


def test_confusion_of_a_detector_that_finds_nothing():
    result = metrics.confusion([0, 1], [0, 0])
    assert [result[k] for k in ("tpr", "fpr", "precision", "f1")] == [0, 0, 0, 0]


@SEVERAL
@given(labelled_scores())
def test_the_table_of_scores_holds_one_row_each(data):
    labels, scores = data
    table = metrics.image_metrics(labels, {"b": scores, "a": -scores})
    assert table.index.tolist() == ["b", "a"]
    for name, sign in (("b", 1), ("a", -1)):
        signed = sign * scores
        allowed = [t for t in {*signed, np.inf} if (signed[~labels] >= t).mean() <= 0.05]
        slow = {
            "AUROC": auroc_by_pairs(labels, signed),
            "AP": average_precision_by_thresholds(labels, signed),
            "TPR at 5 % FPR": max((signed[labels] >= t).mean() for t in allowed),
        }
        assert table.loc[name].to_dict() == pytest.approx(slow)


# --- pixel metrics ---


@SEVERAL
@given(masks_and_maps(), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_equals_the_slow_reference(data, max_fpr):
    assert_allclose(metrics.aupro(*data, max_fpr=max_fpr), aupro_by_thresholds(*data, max_fpr), atol=1e-12)


@SEVERAL
@given(masks_and_maps())
def test_the_table_of_maps_holds_one_row_each(data):
    masks, maps = data
    table = metrics.pixel_metrics(masks, {"b": maps, "a": 2.0 * maps})
    slow = {
        "pixel AUROC": auroc_by_pairs(masks.ravel(), maps.ravel()),
        "pixel AP": average_precision_by_thresholds(masks.ravel(), maps.ravel()),
        "AUPRO": aupro_by_thresholds(masks, maps, 0.3),
    }
    assert table.index.tolist() == ["b", "a"]
    for _, row in table.iterrows():
        assert row.to_dict() == pytest.approx(slow)


def test_aupro_of_one_region_per_pixel_is_pixel_auroc():
    random = np.random.default_rng(0)
    masks = np.zeros((4, 12, 12), dtype=bool)
    masks[:3, ::3, ::3] = True  # no two defective pixels touch
    maps = random.random(masks.shape) + 0.3 * masks
    assert_allclose(metrics.aupro(masks, maps, max_fpr=1.0), metrics.pixel_auroc(masks, maps))


def test_aupro_weighs_a_speck_like_a_stain_and_pixel_auroc_does_not():
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, 2:12, 2:12] = True  # the stain, found
    masks[0, 17, 17] = True  # the speck, missed
    maps = np.zeros(masks.shape)
    maps[0, 2:12, 2:12] = 1.0
    assert metrics.pixel_auroc(masks, maps) > 0.99
    assert metrics.aupro(masks, maps) == pytest.approx(0.5 + 0.5 * 0.15)  # the speck comes last


def test_aupro_separates_regions_of_neighbouring_images_and_joins_diagonal_pixels():
    masks = np.zeros((3, 2, 2), dtype=bool)
    masks[0, 0, 0] = masks[1, 0, 0] = masks[1, 1, 1] = True  # two regions, not one and not three
    maps = np.where([[[True]], [[False]], [[False]]], masks, 0).astype(float)
    assert metrics.aupro(masks, maps, max_fpr=1.0) == pytest.approx(0.5 + 0.5 * 0.5)


@pytest.mark.parametrize("max_fpr", [0.1, 0.3, 1.0])
def test_aupro_of_perfect_constant_and_inverted_maps(max_fpr):
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[0, 3:6, 3:6] = True
    assert metrics.aupro(masks, masks.astype(float), max_fpr) == 1.0
    assert metrics.aupro(masks, np.zeros(masks.shape), max_fpr) == pytest.approx(max_fpr / 2)
    assert metrics.aupro(masks, -masks.astype(float), max_fpr) == pytest.approx(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [metrics.aupro, metrics.pixel_auroc, metrics.pixel_average_precision])
@SEVERAL
@given(data=masks_and_maps())
def test_pixel_metrics_do_not_depend_on_scale_or_on_the_order_of_images(metric, data):
    masks, maps = data
    value = metric(masks, maps)
    assert_allclose(metric(masks[::-1], maps[::-1]), value)
    assert_allclose(metric(masks, 3.0 * maps - 1.0), value)
    assert_allclose(metric(masks.astype(int), torch.tensor(maps, requires_grad=True)), value)


def test_false_alarms_on_good_images_cost_aupro():
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[0, 4, 4] = True
    maps = masks.astype(float)
    maps[1, :5] = 2.0
    assert metrics.aupro(masks, maps) < metrics.aupro(masks[:1], maps[:1])


def test_aupro_of_a_whole_test_set_takes_less_than_a_second():
    random = np.random.default_rng(0)
    masks = np.zeros((600, 64, 64), dtype=bool)
    masks[:300, 20:30, 20:30] = True
    maps = random.random(masks.shape, dtype=np.float32)
    started = time.process_time()
    metrics.aupro(masks, maps)
    assert time.process_time() - started < 1.0


# --- what is refused, and how it is said ---


@pytest.mark.parametrize("metric", [*RANK_METRICS, metrics.roc_curve])
def test_scores_that_cannot_be_judged_are_refused(metric):
    with pytest.raises(ValueError, match=r"all 3 labels are 0 \(normal\); expected both classes"):
        metric([0, 0, 0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"scores holds nan at \[1\] \(1 of 3"):
        metric([0, 1, 1], [1.0, np.nan, 3.0])
    with pytest.raises(ValueError, match=r"labels has shape \(3,\) and scores \(2,\)"):
        metric([0, 1, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"labels holds 2; expected bool or 0"):
        metric([0, 1, 2], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="holds nothing"):
        metric([], [])
    with pytest.raises(ValueError, match=r"labels has shape \(2, 1\); expected \(N,\)"):
        metric([[0], [1]], [[1.0], [2.0]])


@pytest.mark.parametrize("metric", [metrics.aupro, metrics.pixel_auroc, metrics.pixel_average_precision])
def test_maps_that_cannot_be_judged_are_refused(metric):
    masks, maps = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="the 2 masks mark no defective pixel"):
        metric(masks, maps)
    with pytest.raises(ValueError, match="the 2 masks mark no normal pixel"):
        metric(masks + 1, maps)
    with pytest.raises(ValueError, match="masks holds 255"):
        metric(masks + 255, maps)
    masks[0, 1, 1] = 1
    with pytest.raises(ValueError, match=r"masks has shape \(2, 4, 4\) and maps \(2, 8, 8\)"):
        metric(masks, np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match=r"expected \(N, H, W\)"):
        metric(masks[:, None], maps[:, None])
    maps[1, 2, 3] = np.inf
    with pytest.raises(ValueError, match=r"maps holds inf at \[1, 2, 3\]"):
        metric(masks, maps)


def test_rates_outside_their_range_are_refused():
    with pytest.raises(ValueError, match="fpr is 5; expected a rate"):
        metrics.tpr_at_fpr([0, 1], [0, 1], fpr=5)
    with pytest.raises(ValueError, match="max_fpr is 0; expected a rate"):
        metrics.aupro(np.eye(2)[None], np.eye(2)[None], max_fpr=0)
    with pytest.raises(ValueError, match="all 2 labels are 1"):
        metrics.confusion([1, 1], [0, 1])
    with pytest.raises(ValueError, match="all 2 labels are 1"):
        metrics.all_positive_f1([1, 1])


def test_smallest_visible_difference_has_the_power_it_promises():
    rng = np.random.default_rng(0)
    for runs in (3, 8):
        gap = metrics.smallest_visible_difference(1.0, runs)
        first, second = rng.normal(size=(4000, runs)), rng.normal(gap, size=(4000, runs))
        power = (scipy.stats.ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
        assert 0.75 < power < 0.85
    with pytest.raises(ValueError, match="runs is 1"):
        metrics.smallest_visible_difference(0.1, 1)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_paired_interval_ends_where_the_t_test_stops_rejecting(level):
    differences = np.random.default_rng(1).normal(0.02, 0.05, 9)
    interval = metrics.paired_interval(differences, level)
    assert interval[:3] == (9, sum(d > 0 for d in differences), pytest.approx(sum(differences) / 9))
    for end in (interval.low, interval.high):
        assert scipy.stats.ttest_1samp(differences, end).pvalue == pytest.approx(1 - level)
    assert interval.low < interval.mean < interval.high


@pytest.mark.slow
def test_the_paired_interval_holds_the_truth_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(0.3, 1.0, (2000, 4))
    intervals = [metrics.paired_interval(sample) for sample in samples]
    assert 0.935 < np.mean([interval.low < 0.3 < interval.high for interval in intervals]) < 0.965


def test_differences_without_a_spread_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1,\); expected \(N,\) with N >= 2"):
        metrics.paired_interval([0.1])
    with pytest.raises(ValueError, match="differences holds nan"):
        metrics.paired_interval([0.1, np.nan])
    with pytest.raises(ValueError, match="level is 95"):
        metrics.paired_interval([0.1, 0.2], level=95)
