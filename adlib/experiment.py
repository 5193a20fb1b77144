"""The protocol: split, fit, threshold, evaluate, record.

Thresholds and the choice of a checkpoint see validation-normal images only; the labels of the test images are
opened once, at the end. Published habits that leak are measured beside it and carry their name behind an "@":

    image_auroc/D1                 the fitted detector: averaged weights where its settings say so (`ema_decay`),
                                   else the last ones
    image_auroc/D1@last            the last weights, for detectors that end with averaged ones
    image_auroc/D1@generator       the generator's weights averaged, the discriminator's the last ones
    image_auroc/D1@validation      the checkpoint with the lowest validation-normal error, for detectors that have one
    image_auroc/D1@committee       the mean of the later half of the checkpoints, each scaled by validation-normals
    image_auroc/D1@oracle          the checkpoint with the best test AUROC (leaks; the papers' "verification model")
    image_auroc/D1@train_mode      scored with BatchNorm in training mode, batches of mixed labels
    image_auroc/D1@train_mode_sorted   the same with normals first, as a folder is read (leaks most)
    f1/D1@test_minmax              scores min-max scaled over the test set, fixed threshold 0.2 (released code)
    f1/D1@best                     the threshold with the best F1 on the test set

Where there are masks, pixel_auroc, pixel_ap and aupro are of the detector's map, and pixel_auroc/<name> and so on of
its other maps.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from adlib import metrics
from adlib.data import Split, SplitSettings, Truth
from adlib.detectors import Detector
from adlib.detectors.base import Config, Examination
from adlib.detectors.registry import detector_class
from adlib.environment import HASH_SCHEME, git_commit, hardware, source_hash, versions

RELEASED_THRESHOLD = 0.2  # of min-max scaled scores, fixed in the released GANomaly code
RETIRED = {"patience": None}  # settings that no Config has any more, at the value that every record has


def run_experiment(
    detector: Detector, split: Split, *, progress: str = "auto", **notes: Any
) -> dict[str, Any]:
    """Fit a detector on a split, evaluate it by the leak-free protocol and its leaking neighbours.

    Args:
        detector: a fresh detector, made for `split.image_shape`.
        split: train-normal, validation-normal and sealed test.
        progress: as in `Detector.fit`.
        notes: further fields of the record that identify the run (e.g. profile="book").

    Returns:
        The record: a dict that the ledger takes. Its "metrics" are named as above; a metric that
        does not apply (no masks, no BatchNorm) is absent. Its "checkpoints" carry the test AUROC of every score
        through training: to look back at, nothing is chosen by it.

    Raises:
        ValueError: the test side does not have both classes.
    """
    if not split.test.both_classes:
        raise ValueError(
            f"{split.name} ({split.title}): the test side does not have both normal and defective images, so nothing"
            " can be measured.\nAdd what is missing; detector.fit(split.train, split.validation) works without."
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    anomalies = split.anomalies if detector.learns_from_anomalies else None
    checkpoints = CheckpointScores(split)
    begin = time.perf_counter()
    detector.fit(
        split.train, split.validation, anomalies=anomalies, progress=progress, on_checkpoint=checkpoints.note
    )
    total = time.perf_counter() - begin
    begin = time.perf_counter()
    seen = detector.examine(split.test.images)
    scoring = (time.perf_counter() - begin) / len(split.test)
    truth = split.test.open(f"evaluation of {detector.identity()}")
    history = detector.history
    assert history is not None
    for mark, scores in zip(history.checkpoints, checkpoints.test):
        for name, score in scores.items():
            mark[f"image_auroc/{name}"] = round(metrics.image_auroc(truth.labels, score), 6)
    return {
        **identify(
            detector=detector.name,
            config=detector.config,
            seed=detector.seed,
            dataset=split.name,
            size=split.size,
            split=split.settings,
            options=split.options,
            **notes,
        ),
        "title": split.title,
        "notes": list(split.notes),
        "train_images": len(split.train),
        "test_images": len(split.test),
        "steps": history.step,
        "parameters": sum(p.numel() for p in detector.networks.parameters()),
        "train_anomalies": 0 if anomalies is None else len(anomalies),
        "metrics": evaluate(detector, split, seen, truth, checkpoints)
        | _averaged_generator_only(detector, split.test.images, truth.labels, checkpoints.last_weights)
        | kind_metrics(detector, split, seen.scores, truth),
        "checkpoints": history.checkpoints,
        "averaged": history.averaged,
        "curves": history.curves(),
        "seconds": {
            "fit": round(history.seconds or total, 3),
            "total": round(total, 3),
            "score_per_image": round(scoring, 6),
        },
        "precision": history.precision,
        "data_fingerprint": split.fingerprint,
        **_provenance(detector),
        "started_at": started,
    }


def _provenance(detector: Detector) -> dict[str, Any]:
    return {
        "adlib": source_hash(),
        "hash_scheme": HASH_SCHEME,
        "commit": git_commit(),
        "device": str(detector.device),
        "hardware": hardware(),
        "versions": versions(),
    }


@dataclass
class CheckpointScores:
    """Scores of a split's images at the checkpoints of a training, and the weights after its last step.

    test, validation: one entry per checkpoint, score name -> (N,); none for detectors that search, where each would
    cost as much as the whole test, nor for one checkpoint that equals the fitted detector.
    """

    split: Split
    test: list[dict[str, np.ndarray]] = field(default_factory=list)
    validation: list[dict[str, np.ndarray]] = field(default_factory=list)
    last_weights: dict[str, Tensor] = field(default_factory=dict)

    def note(self, detector: Detector, step: int) -> None:
        """Add a checkpoint; called by `Detector.fit`."""
        config = detector.config
        if not detector.searches and (config.checkpoints > 1 or config.ema_decay):
            self.test.append(_score_arrays(detector, self.split.test.images))
            self.validation.append(_score_arrays(detector, self.split.validation.images))
        if step == config.steps:
            self.last_weights = {k: v.clone() for k, v in detector.networks.state_dict().items()}


def _score_arrays(detector: Detector, images: Tensor) -> dict[str, np.ndarray]:
    return {name: score.numpy() for name, score in detector.examine(images).scores.items()}


def record_id(identity: dict[str, Any]) -> str:
    """Twelve hex digits that are equal for equal runs: detector, data, settings, seed, protocol.

    Fields that a Config got later count only at other values than that under "before" in their metadata, and fields
    that it lost count at the value they had: a record's id stays what it is.

    Args:
        identity: the fields that `identify` gives, of a record old or new.
    """
    kind = detector_class(identity["detector"]).Config
    before = {
        f.name: f.metadata["before"] for c in (Config, kind) for f in fields(c) if "before" in f.metadata
    }
    config = RETIRED | identity["config"]
    config = {name: value for name, value in config.items() if name not in before or value != before[name]}
    text = json.dumps(identity | {"config": config}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identify(
    *,
    detector: str,
    config: Config,
    seed: int,
    dataset: str,
    size: int,
    split: SplitSettings,
    options: dict[str, Any] | None = None,
    **notes: Any,
) -> dict[str, Any]:
    """The fields that say which run this is, and their hash as "id": equal runs have equal ids.

    Args:
        detector: its name.
        config: its settings.
        seed: of the detector.
        dataset: as given to `load`.
        size: side of the images, pixels.
        split: how the data set is cut.
        options: of the data set's source.
        notes: further fields that identify the run.
    """
    newer = {
        f.name: getattr(split, f.name)
        for f in fields(split)
        if "before" in f.metadata and getattr(split, f.name) != f.metadata["before"]
    }
    few_shot = newer.pop("train_images", None)
    data = (options or {}) | newer
    identity = {
        "detector": detector,
        "variant": getattr(config, "variant", "standard"),
        "dataset": dataset,
        "seed": seed,
        "protocol": "leak-free",
        "image_size": size,
        "contamination": split.contamination,
        "reserve": split.reserved,
        "config": asdict(config),
        **({"split_seed": split.seed} if split.seed != seed else {}),
        **({"few_shot": few_shot} if few_shot is not None else {}),
        **({"data": data} if data else {}),
        **notes,
    }
    return {"id": record_id(identity), **identity}


def evaluate(
    detector: Detector, split: Split, seen: Examination, truth: Truth, checkpoints: CheckpointScores
) -> dict[str, float]:
    """All metrics of one fitted detector, by the names in the module's docstring.

    Args:
        detector: fitted, with thresholds.
        split: for the test images, which are scored again with BatchNorm in training mode.
        seen: scores, each (N,), and maps, each (N, H, W), of the test images.
        truth: the opened labels and masks.
        checkpoints: of the detector's training.
    """
    labels = truth.labels
    values: dict[str, float] = {}
    in_training_mode = train_mode_scores(detector, split.test.images, labels)
    for name, score in seen.scores.items():
        values |= _image_metrics(name, score.numpy(), labels, detector.thresholds[name])
        values |= _checkpoint_metrics(name, detector, labels, checkpoints)
        for habit, scores in in_training_mode.items():
            values[f"image_auroc/{name}@{habit}"] = metrics.image_auroc(labels, scores[name])
    for short in ("image_auroc", "average_precision", "tpr_at_5fpr", "f1", "tpr", "fpr"):
        values[short] = values[f"{short}/{detector.config.score}"]
    values["f1_all_positive"] = metrics.all_positive_f1(labels)
    if truth.masks is not None and detector.localises:
        others = {f"/{name}": maps for name, maps in seen.other_maps.items()}
        known = slice(None) if truth.masked is None else truth.masked
        for suffix, maps in ({"": seen.maps} | others).items():
            judged = truth.masks[known], maps.numpy()[known]
            values[f"pixel_auroc{suffix}"] = metrics.pixel_auroc(*judged)
            values[f"pixel_ap{suffix}"] = metrics.pixel_average_precision(*judged)
            values[f"aupro{suffix}"] = metrics.aupro(*judged)
    return {name: round(float(value), 6) for name, value in values.items()}


def _checkpoint_metrics(
    name: str, detector: Detector, labels: np.ndarray, checkpoints: CheckpointScores
) -> dict[str, float]:
    """AUROC of one score at the last checkpoint, the one with the lowest error, the best, and of their mean."""
    test = [scores[name] for scores in checkpoints.test]
    validation = [scores[name] for scores in checkpoints.validation]
    aurocs = [metrics.image_auroc(labels, scores) for scores in test]
    values = {}
    if test and detector.config.ema_decay:
        values[f"image_auroc/{name}@last"] = aurocs[-1]
    if len(test) > 1:
        lowest = None if detector.history is None else detector.history.best_checkpoint()
        if lowest is not None:
            values[f"image_auroc/{name}@validation"] = aurocs[lowest]
        values[f"image_auroc/{name}@oracle"] = max(aurocs)
        values[f"image_auroc/{name}@committee"] = metrics.image_auroc(
            labels, committee_score(test, validation)
        )
    return values


def _averaged_generator_only(
    detector: Detector, images: Tensor, labels: np.ndarray, last_weights: dict[str, Tensor]
) -> dict[str, float]:
    """AUROC of every score with the averaged generator and the last discriminator; empty where there are no two."""
    players = {"generator", "discriminator"} <= set(detector.networks)
    if not players or not detector.config.ema_decay or detector.searches:
        return {}
    mixed = copy.copy(detector)
    mixed.networks = copy.deepcopy(detector.networks)
    prefix = "discriminator."
    last = {k.removeprefix(prefix): v for k, v in last_weights.items() if k.startswith(prefix)}
    mixed.networks["discriminator"].load_state_dict(last)
    scores = mixed.examine(images).scores
    return {
        f"image_auroc/{name}@generator": round(metrics.image_auroc(labels, score.numpy()), 6)
        for name, score in scores.items()
    }


def kind_metrics(
    detector: Detector, split: Split, scores: dict[str, Tensor], truth: Truth
) -> dict[str, float]:
    """How well each kind of anomaly is found.

    kind_auroc/<kind>/<score>: of one kind against all normal images, on splits without labelled anomalies that have
        several kinds. With equally many images of each, the mean over kinds is the AUROC of them together.

    With labelled anomalies, for the detector's usual score:

    image_auroc_seen, image_auroc_unseen: over the kinds of anomaly that were, or were not, among the labelled ones.
    kind_auroc/<kind>: of one kind against all normal images.
    validation_auroc: on labelled anomalies kept apart from training and test; settings may be chosen by it.

    Args:
        detector: fitted. split: its data.
        scores: name -> (N,) test scores. truth: the opened labels.
    """
    kinds, normal = np.array(truth.kinds), ~truth.labels
    if split.anomalies is None:
        each = {kind: normal | (kinds == kind) for kind in np.unique(kinds[truth.labels])}
        if len(each) < 2:
            return {}
        return {
            f"kind_auroc/{kind}/{name}": round(
                float(metrics.image_auroc(truth.labels[rows], values.numpy()[rows])), 6
            )
            for kind, rows in each.items()
            for name, values in scores.items()
        }
    score = scores[detector.config.score].numpy()
    unseen = np.isin(truth.kinds, split.anomalies.unseen)
    groups = {"image_auroc_seen": truth.labels & ~unseen, "image_auroc_unseen": truth.labels & unseen}
    groups |= {f"kind_auroc/{kind}": kinds == kind for kind in np.unique(kinds[truth.labels])}
    values = {
        name: metrics.image_auroc(truth.labels[normal | rows], score[normal | rows])
        for name, rows in groups.items()
        if rows.any()
    }
    if split.validation_anomalies is not None and len(split.validation_anomalies):
        parts = [split.validation.images, split.validation_anomalies.images]
        validation_scores = [detector.anomaly_score(images).numpy() for images in parts]
        labels = np.repeat([False, True], [len(images) for images in parts])
        values["validation_auroc"] = metrics.image_auroc(labels, np.concatenate(validation_scores))
    return {name: round(float(value), 6) for name, value in values.items()}


def _image_metrics(name: str, score: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float]:
    verdict = metrics.confusion(labels, score > threshold)
    span = score.max() - score.min()
    scaled = (score - score.min()) / span if span > 0 else np.zeros_like(score)
    return {
        f"image_auroc/{name}": metrics.image_auroc(labels, score),
        f"average_precision/{name}": metrics.average_precision(labels, score),
        f"tpr_at_5fpr/{name}": metrics.tpr_at_fpr(labels, score, fpr=0.05),
        f"f1/{name}": verdict["f1"],
        f"tpr/{name}": verdict["tpr"],
        f"fpr/{name}": verdict["fpr"],
        f"f1/{name}@test_minmax": metrics.confusion(labels, scaled >= RELEASED_THRESHOLD)["f1"],
        f"f1/{name}@best": metrics.best_f1(labels, score),
    }


def committee_score(test: list[np.ndarray], validation: list[np.ndarray]) -> np.ndarray:
    """One score from several checkpoints: the mean of the later half, each in units of the validation-normals.

    Single checkpoints of a GAN differ by chance; their mean is steadier, and needs no test labels.

    Args:
        test: scores of N images at each checkpoint, (N,) each.
        validation: validation-normal scores at the same checkpoints; their mean is taken for zero and their standard
            deviation for the unit.

    Returns:
        (N,), larger is more anomalous.
    """
    later = range(len(test) // 2, len(test))
    scaled = [(test[k] - validation[k].mean()) / max(validation[k].std(), 1e-12) for k in later]
    return np.mean(scaled, axis=0)


LEAKS = {  # name on the page: (metric that leaks, metric that does not); "{s}" is the score
    "best checkpoint on test": ("image_auroc/{s}@oracle", "image_auroc/{s}"),
    "BatchNorm in training mode, mixed batches": ("image_auroc/{s}@train_mode", "image_auroc/{s}"),
    "BatchNorm in training mode, normals first": ("image_auroc/{s}@train_mode_sorted", "image_auroc/{s}"),
    "test min-max, threshold 0.2": ("f1/{s}@test_minmax", "f1/{s}"),
    "threshold with the best F1 on test": ("f1/{s}@best", "f1/{s}"),
}


def leak_gains(table: pd.DataFrame, score: str = "D1") -> pd.DataFrame:
    """What each published habit adds to the leak-free number of the same run.

    Args:
        table: GANomaly runs, from `adlib_book.ledger.results.load`.
        score: which residual distance.

    Returns:
        One row per run and leak: dataset, seed, leak, metric ("AUROC" or "F1"), delta (leaking minus leak-free).
        The habit of choosing among D0 to D3 by test AUROC is added as "best distance on test".
    """
    parts = []
    for leak, pair in LEAKS.items():
        leaking, honest = (table[f"metrics/{name.format(s=score)}"] for name in pair)
        kind = "AUROC" if "auroc" in pair[0] else "F1"
        parts.append(table[["dataset", "seed"]].assign(leak=leak, metric=kind, delta=leaking - honest))
    honest = table[f"metrics/image_auroc/{score}"]
    best = table[[f"metrics/image_auroc/D{k}" for k in range(4)]].max(axis=1)
    chosen = table[["dataset", "seed"]].assign(
        leak="best distance on test", metric="AUROC", delta=best - honest
    )
    return pd.concat([parts[0], chosen, *parts[1:]], ignore_index=True)


def train_mode_scores(
    detector: Detector, images: Tensor, labels: np.ndarray, batch_size: int = 64
) -> dict[str, dict[str, np.ndarray]]:
    """Test scores with BatchNorm left in training mode, as the released GANomaly code computes them (P1).

    Each batch is normalised by its own statistics, and the running ones move as the test goes on, so an image's
    score depends on the batch it is in. The detector itself is untouched: a copy is scored.

    Args:
        detector: fitted.
        images: test images, uint8 (N, C, H, W), in an order that does not give labels away.
        labels: (N,) bool; used only to put the normals first in the sorted variant.
        batch_size: 64, as released.

    Returns:
        {"train_mode": scores by name, "train_mode_sorted": ...}, in the order of `images`; empty for
        detectors without BatchNorm, and for those that search for an answer to each image.
    """
    if detector.searches or not any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) for m in detector.networks.modules()
    ):
        return {}
    orders = {
        "train_mode": np.arange(len(images)),
        "train_mode_sorted": np.argsort(labels.astype(int), kind="stable"),
    }
    return {habit: _score_in_order(detector, images, order, batch_size) for habit, order in orders.items()}


def _score_in_order(
    detector: Detector, images: Tensor, order: np.ndarray, batch_size: int
) -> dict[str, np.ndarray]:
    released = copy.copy(detector)
    released.networks = copy.deepcopy(detector.networks).train()
    parts = []
    with torch.no_grad():
        for rows in torch.from_numpy(order).split(batch_size):
            parts.append(released.inference_step(detector.normalise(images[rows])).scores)
    scores = {}
    for name in parts[0]:
        values = torch.cat([part[name].to("cpu", detector.dtype) for part in parts]).numpy()
        scores[name] = np.empty_like(values)
        scores[name][order] = values
    return scores
