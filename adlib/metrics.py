"""How good a detector is: pure functions of truth and scores.

Everywhere label 1 (True) means anomalous and a larger score means more anomalous. Nothing here knows a model,
a threshold rule or a data set. The functions need the *truth of the test set*, so only an evaluation calls
them, after everything else (weights, threshold, checkpoint, normalisation) has been fixed.

numpy arrays, sequences and torch tensors (any device) are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, stats
from sklearn import metrics as sk

__all__ = [
    "PairedInterval",
    "RocCurve",
    "all_positive_f1",
    "aupro",
    "average_precision",
    "best_f1",
    "confusion",
    "image_auroc",
    "image_metrics",
    "paired_interval",
    "pixel_auroc",
    "pixel_average_precision",
    "pixel_metrics",
    "roc_curve",
    "smallest_visible_difference",
    "tpr_at_fpr",
]


class RocCurve(NamedTuple):
    """Points of a ROC curve, from the strictest threshold to the loosest; all arrays of one length.

    fpr, tpr: rates in [0, 1], both rising; thresholds: the score from which on an image counts as anomalous,
    falling, the first infinite ("nothing is anomalous").
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class PairedInterval(NamedTuple):
    """Mean of paired differences with its confidence interval, and how many of the pairs are above 0."""

    pairs: int
    above: int
    mean: float
    low: float
    high: float


def image_auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a random anomaly scores higher than a random normal image.

    Ties count half, so a constant score gets 0.5. Only the order of the scores matters.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), finite, larger = more anomalous, any unit.

    Returns:
        Area in [0, 1]; 0.5 is chance, below 0.5 the score is inverted.

    Raises:
        ValueError: shapes differ, a score is not finite, or only one class is present.

    Source: Hanley and McNeil 1982 (the Mann-Whitney reading); computed by scikit-learn.
    """
    return float(sk.roc_auc_score(*_labels_and_scores(labels, scores)))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: mean precision over the anomalies as they are found, sum of (R_k - R_(k-1)) * P_k.

    Unlike AUROC it depends on the share of anomalies: a constant score gets exactly that share.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), finite, larger = more anomalous.

    Returns:
        Average precision in (0, 1].

    Raises:
        ValueError: as for `image_auroc`.

    Source: scikit-learn's step-wise sum; the trapezoid overestimates the area (Davis and Goadrich 2006).
    """
    return float(sk.average_precision_score(*_labels_and_scores(labels, scores)))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Every point a threshold can reach on the ROC curve.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), finite, larger = more anomalous.

    Returns:
        RocCurve of K + 1 points for K distinct scores, from (0, 0) to (1, 1).

    Raises:
        ValueError: as for `image_auroc`.

    Source: TPR = TP / (TP + FN), FPR = FP / (FP + TN); Fawcett 2006; computed by scikit-learn.
    """
    return RocCurve(*sk.roc_curve(*_labels_and_scores(labels, scores), drop_intermediate=False))


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float = 0.05) -> float:
    """Share of the anomalies found when at most `fpr` of the normal test images raise a false alarm.

    The best point that a real threshold reaches; no interpolation between points, so a score with many ties
    may get 0. The threshold implied is chosen on the test set: it describes a score, not a detector in use.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), finite, larger = more anomalous.
        fpr: largest false-positive rate allowed, in [0, 1].

    Returns:
        True-positive rate in [0, 1].

    Raises:
        ValueError: as for `image_auroc`, or fpr outside [0, 1].

    Source: ROC curve read at one operating point (Fawcett 2006), conservative reading.
    """
    if not 0.0 <= fpr <= 1.0:
        raise ValueError(f"fpr is {fpr}; expected a rate in [0, 1]. Write 5 % as 0.05.")
    curve = roc_curve(labels, scores)
    return float(curve.tpr[curve.fpr <= fpr].max())


def image_metrics(labels: ArrayLike, scores: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Several scores of the same images, one row each: AUROC, AP, and TPR at 5 % FPR.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: name -> values, shape (N,), finite, larger = more anomalous.

    Returns:
        One row per name, in order; columns "AUROC", "AP" and "TPR at 5 % FPR", whose threshold is read off the test.

    Raises:
        ValueError: as for `image_auroc`.

    Source: `image_auroc`, `average_precision`, `tpr_at_fpr`.
    """
    columns = {"AUROC": image_auroc, "AP": average_precision, "TPR at 5 % FPR": tpr_at_fpr}
    rows = {
        name: {column: metric(labels, score) for column, metric in columns.items()}
        for name, score in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))


def confusion(labels: ArrayLike, verdicts: ArrayLike) -> dict[str, int | float]:
    """Counts and rates of a detector that has already decided.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        verdicts: shape (N,), bool or 0/1, 1 = declared anomalous.

    Returns:
        tp, fp, tn, fn as int; tpr, fpr, precision, f1 as float in [0, 1]. Precision is 0 when nothing was
        declared anomalous (0/0, scikit-learn's convention).

    Raises:
        ValueError: shapes differ, a value is not 0 or 1, or only one class is present (a rate would be 0/0).

    Source: TPR = TP / (TP + FN), FPR = FP / (FP + TN), F1 = 2 TP / (2 TP + FP + FN).
    """
    truth = _both_classes(_binary(labels, "labels"))
    declared = _binary(verdicts, "verdicts")
    _same_shape("labels", truth, "verdicts", declared)
    tp, fp = int((truth & declared).sum()), int((~truth & declared).sum())
    fn, tn = int(truth.sum()) - tp, int((~truth).sum()) - fp
    return {
        "tp": tp, "fp": fp, "tn": tn, "fn": fn,
        "tpr": tp / (tp + fn),
        "fpr": fp / (fp + tn),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn),
    }  # fmt: skip


def all_positive_f1(labels: ArrayLike) -> float:
    """F1 of the rule "everything is anomalous": what F1 is worth without looking at a single image.

    With a share p of anomalies it is 2p / (1 + p): 0.86 for a test set of which three quarters are anomalous.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.

    Returns:
        F1 in (0, 1).

    Raises:
        ValueError: a label is not 0 or 1, or only one class is present.

    Source: F1 = 2 TP / (2 TP + FP + FN) with FN = 0.
    """
    truth = _binary(labels, "labels")
    return float(confusion(truth, np.ones_like(truth))["f1"])


def best_f1(labels: ArrayLike, scores: ArrayLike) -> float:
    """ORACLE: the highest F1 over all thresholds, the threshold being chosen on the test labels.

    No detector can reach it honestly; it is here to show what that leak is worth against F1 at the threshold
    learnt from validation-normal images. It is never below `all_positive_f1`.

    Args:
        labels: shape (N,), bool or 0/1, 1 = anomalous.
        scores: shape (N,), finite, larger = more anomalous.

    Returns:
        F1 in (0, 1].

    Raises:
        ValueError: as for `image_auroc`.

    Source: "F1-max" of the anomaly-detection literature (for instance anomalib's F1Max).
    """
    truth = _binary(labels, "labels")
    curve = roc_curve(truth, scores)
    tp = curve.tpr * truth.sum()
    fp = curve.fpr * (~truth).sum()
    return float((2 * tp / (tp + fp + truth.sum())).max())


def pixel_auroc(masks: ArrayLike, maps: ArrayLike) -> float:
    """AUROC with every pixel of every test image as one sample.

    Flattering by construction: defective pixels are few and a large defect outweighs many small ones, so
    report `pixel_average_precision` or `aupro` beside it.

    Args:
        masks: shape (N, H, W), bool or 0/1, 1 = defective pixel; good images (all 0) belong in here.
        maps: anomaly maps, shape (N, H, W), finite, larger = more anomalous, one scale for all images.

    Returns:
        Area in [0, 1].

    Raises:
        ValueError: shapes differ, a map is not finite, or no pixel (or every pixel) is defective.

    Source: Bergmann et al. 2019 (MVTec AD); the warning: Zavrtanik et al. 2021 (DRAEM).
    """
    ranks = _ranks(*_masks_and_maps(masks, maps))
    pairs = ranks.normal * len(ranks.above)
    return float(1 - (2 * ranks.above.sum() + ranks.tied.sum()) / (2 * pairs))


def pixel_average_precision(masks: ArrayLike, maps: ArrayLike) -> float:
    """Average precision with every pixel of every test image as one sample.

    Args:
        masks: shape (N, H, W), bool or 0/1, 1 = defective pixel; all 0 for good images.
        maps: anomaly maps, shape (N, H, W), finite, larger = more anomalous, one scale for all images.

    Returns:
        Average precision in (0, 1]; a constant map gets the share of defective pixels, often below 0.05.

    Raises:
        ValueError: as for `pixel_auroc`.

    Source: Zavrtanik et al. 2021 (DRAEM), section 4.
    """
    ranks = _ranks(*_masks_and_maps(masks, maps))
    return float((ranks.positives / (ranks.positives + ranks.above + ranks.tied)).mean())


def pixel_metrics(masks: ArrayLike, maps: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Several anomaly maps of the same images, one row each: pixel AUROC, pixel AP, and AUPRO up to an FPR of 0.3.

    Args:
        masks: shape (N, H, W), bool or 0/1, 1 = defective pixel; all 0 for good images.
        maps: name -> values, shape (N, H, W), finite, larger = more anomalous.

    Returns:
        One row per name, in order; columns "pixel AUROC", "pixel AP" and "AUPRO".

    Raises:
        ValueError: as for `pixel_auroc`.

    Source: `pixel_auroc`, `pixel_average_precision`, `aupro`.
    """
    columns = {"pixel AUROC": pixel_auroc, "pixel AP": pixel_average_precision, "AUPRO": aupro}
    rows = {
        name: {column: metric(masks, values) for column, metric in columns.items()}
        for name, values in maps.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))


def aupro(masks: ArrayLike, maps: ArrayLike, max_fpr: float = 0.3) -> float:
    """Area under the per-region-overlap curve, up to a false-positive rate, normalised to [0, 1].

    A region is one 8-connected component of a mask. At each threshold the overlap of a region is the share of
    its pixels that are found; PRO is the mean over all regions, so a speck counts as much as a stain. PRO is
    integrated (trapezoid) over the false-positive rate on the normal pixels of *all* images, good ones
    included, from 0 to max_fpr, and divided by max_fpr. A constant map gets max_fpr / 2.

    Exact: every distinct value of the maps is a threshold. A defective pixel adds its weight to PRO from the
    false-positive rate on at which it is found, so it adds to the area what is left of the axis there.

    Args:
        masks: shape (N, H, W), bool or 0/1, 1 = defective pixel; all 0 for good images.
        maps: anomaly maps, shape (N, H, W), finite, larger = more anomalous, one scale for all images.
        max_fpr: where the integral ends, in (0, 1].

    Returns:
        Normalised area in [0, 1].

    Raises:
        ValueError: as for `pixel_auroc`, or max_fpr outside (0, 1].

    Source: Bergmann et al. 2020 (Uninformed Students), section 4; Bergmann et al. 2021 (IJCV), section 5.2.
    """
    if not 0.0 < max_fpr <= 1.0:
        raise ValueError(f"max_fpr is {max_fpr}; expected a rate in (0, 1]. The literature uses 0.3.")
    truth, values = _masks_and_maps(masks, maps)
    ranks = _ranks(truth, values)
    begin, width = ranks.above / ranks.normal, ranks.tied / ranks.normal  # PRO rises evenly across a tie
    inside = np.clip(max_fpr - begin, 0.0, width)
    area = np.maximum(max_fpr - begin - width, 0.0) + inside**2 / (2 * np.where(width > 0, width, 1.0))
    return float(min((_region_weights(truth)[ranks.order] * area).sum() / max_fpr, 1.0))


def paired_interval(differences: ArrayLike, level: float = 0.95) -> PairedInterval:
    """Confidence interval for the mean of paired differences, by Student's t.

    mean ± t_{(1 + level) / 2} s / sqrt(n), with n - 1 degrees of freedom. Two detectors on the same sets are compared
    by their differences, because sets differ far more than detectors do.

    Args:
        differences: one per pair, shape (N,), N >= 2, finite, in the unit of the metric.
        level: confidence, between 0 and 1.

    Returns:
        PairedInterval of N pairs.

    Raises:
        ValueError: fewer than two pairs, a difference that is not finite, or a level outside (0, 1).

    Source: Student 1908, for the mean of a normal sample with unknown variance.
    """
    values = _finite(differences, "differences")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"differences has shape {values.shape}; expected (N,) with N >= 2: the spread of one pair is not known."
        )
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; expected a number between 0 and 1. Write 95 % as 0.95.")
    mean = values.mean()
    reach = stats.t(len(values) - 1).ppf((1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    above = int((values > 0).sum())
    return PairedInterval(len(values), above, float(mean), float(mean - reach), float(mean + reach))


def smallest_visible_difference(deviation: float, runs: int) -> float:
    """How far two means must lie apart for a t-test to find it: two-sided 5 %, power 80 %.

    (t_{0.975} + t_{0.8}) s sqrt(2 / n), with 2 n - 2 degrees of freedom.

    Args:
        deviation: s, the standard deviation of single runs, in the unit of the metric.
        runs: n, runs behind each mean, >= 2.

    Returns:
        The difference, in the unit of the metric.

    Raises:
        ValueError: fewer than two runs, which have no standard deviation.
    """
    if runs < 2:
        raise ValueError(f"runs is {runs}; expected 2 or more: a standard deviation needs two. Add seeds.")
    t = stats.t(2 * runs - 2)
    return float((t.ppf(0.975) + t.ppf(0.8)) * deviation * np.sqrt(2 / runs))


class _Ranks(NamedTuple):
    """Where each defective pixel stands, by rising score; all but `normal` one per defective pixel.

    order: its number among the defective pixels, row by row. above, tied: normal pixels that score more, and the same.
    positives: defective pixels that score as much or more. normal: how many normal pixels there are.
    """

    order: NDArray[np.intp]
    above: NDArray[np.intp]
    tied: NDArray[np.intp]
    positives: NDArray[np.intp]
    normal: int


def _ranks(truth: NDArray[np.bool_], values: NDArray[np.floating]) -> _Ranks:
    """Sorting normal pixels alone, without their places, is twenty times as fast as ordering all pixels."""
    normal, defective = np.sort(values[~truth]), values[truth]
    order = np.argsort(defective)
    defective = defective[order]
    below, up_to = (np.searchsorted(normal, defective, side) for side in ("left", "right"))
    positives = len(defective) - np.searchsorted(defective, defective, "left")
    return _Ranks(order, len(normal) - up_to, up_to - below, positives, len(normal))


def _region_weights(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each defective pixel adds to PRO: 1 / (pixels of its region * number of regions), row by row."""
    within_an_image = np.zeros((3, 3, 3), dtype=bool)
    within_an_image[1] = True  # 8-connected in the plane, never from one image to the next
    defective = truth[truth.any((1, 2))]
    labels, count = ndimage.label(defective, structure=within_an_image)
    regions = labels[defective]
    return 1.0 / (np.bincount(regions)[regions] * count)


def _array(values: ArrayLike) -> NDArray[Any]:
    """The values as a numpy array; a tensor is detached and copied to the CPU first."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _binary(values: ArrayLike, what: str) -> NDArray[np.bool_]:
    array = _array(values)
    if array.size == 0:
        raise ValueError(f"{what} has shape {array.shape} and holds nothing; expected at least one value.")
    if array.dtype != bool:
        strange = array[(array != 0) & (array != 1)]
        if strange.size:
            raise ValueError(
                f"{what} holds {strange.flat[0]}; expected bool or 0 (normal) and 1 (anomalous). "
                f"Binarise first, for instance {what} > 0."
            )
    return array.astype(bool)


def _both_classes(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if labels.all() or not labels.any():
        kind = "anomalous" if labels.all() else "normal"
        raise ValueError(
            f"all {labels.size} labels are {int(labels.flat[0])} ({kind}); expected both classes. "
            "Evaluate on a test set that holds normal and anomalous images."
        )
    return labels


def _finite(values: ArrayLike, what: str) -> NDArray[np.floating]:
    array = _array(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{what} holds {array[index]} at {list(index)} ({int(bad.sum())} of {array.size} not finite); "
            "expected finite numbers. Look for a diverged training or a division by zero in the score."
        )
    return array


def _same_shape(what: str, one: NDArray[Any], other_what: str, other: NDArray[Any]) -> None:
    if one.shape != other.shape:
        raise ValueError(
            f"{what} has shape {one.shape} and {other_what} {other.shape}; expected the same shape. "
            "Pass both for the same images, in the same order and at the same size."
        )


def _labels_and_scores(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    truth, values = _binary(labels, "labels"), _finite(scores, "scores")
    _same_shape("labels", truth, "scores", values)
    if truth.ndim != 1:
        raise ValueError(f"labels has shape {truth.shape}; expected (N,), one per image. Flatten it first.")
    return _both_classes(truth), values


def _masks_and_maps(masks: ArrayLike, maps: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    truth, values = _binary(masks, "masks"), _finite(maps, "maps")
    _same_shape("masks", truth, "maps", values)
    if truth.ndim != 3:
        raise ValueError(
            f"masks has shape {truth.shape}; expected (N, H, W). Drop the channel axis, keep the image axis."
        )
    if truth.all() or not truth.any():
        absent = "no defective pixel" if not truth.any() else "no normal pixel"
        raise ValueError(
            f"the {len(truth)} masks mark {absent}; expected some of both. "
            "Leave pixel metrics out for data without masks; pass good and anomalous images together."
        )
    return truth, values
