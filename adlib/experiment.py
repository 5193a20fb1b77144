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
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from adlib import metrics
from adlib.data import Split, Truth
from adlib.detectors import Detector
from adlib.detectors.base import Config, Examination, detector_class
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
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    trail: list[dict[str, np.ndarray]] = []
    held: list[dict[str, np.ndarray]] = []

    def look(fitted: Detector, step: int) -> None:
        if fitted.searches or (fitted.config.checkpoints == 1 and not fitted.config.ema_decay):
            return  # each look would cost as much as the whole test, and a single one has nothing to be compared with
        for seen, images in ((trail, split.test.images), (held, split.validation.images)):
            seen.append({k: v.numpy() for k, v in fitted.examine(images).scores.items()})

    ends: dict[str, Tensor] = {}

    def look_last(fitted: Detector, step: int) -> None:
        look(fitted, step)
        if step == fitted.config.steps:
            ends.update({k: v.clone() for k, v in fitted.networks.state_dict().items()})

    begin = time.perf_counter()
    shown = {"anomalies": split.anomalies} if detector.learns_from_anomalies else {}
    detector.fit(split.train, split.validation, progress=progress, on_checkpoint=look_last, **shown)
    total = time.perf_counter() - begin
    begin = time.perf_counter()
    seen = detector.examine(split.test.images)
    scoring = (time.perf_counter() - begin) / len(split.test)
    truth = split.test.open(f"evaluation of {detector.identity()}")
    history = detector.history
    for mark, scores in zip(history.checkpoints, trail):
        for name, score in scores.items():
            mark[f"image_auroc/{name}"] = round(metrics.image_auroc(truth.labels, score), 6)
    return {
        **identify(detector, split, **notes),
        "title": split.title,
        "notes": list(split.notes),
        "train_images": len(split.train),
        "test_images": len(split.test),
        "steps": history.step,
        "parameters": sum(p.numel() for p in detector.networks.parameters()),
        "train_anomalies": len(split.anomalies) if shown else 0,
        "metrics": evaluate(detector, split, seen, truth, trail, held)
        | _averaged_generator_only(detector, split.test.images, truth.labels, ends)
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
        "adlib": source_hash(),
        "hash_scheme": HASH_SCHEME,
        "commit": git_commit(),
        "device": str(detector.device),
        "hardware": hardware(),
        "versions": versions(),
        "started_at": started,
    }


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


def identify(detector: Detector, split: Split, **notes: Any) -> dict[str, Any]:
    """The fields that say which run this is, and their hash as "id": equal runs have equal ids."""
    settings = asdict(detector.config)
    told = {
        "detector": detector.name,
        "variant": getattr(detector.config, "variant", "standard"),
        "dataset": split.name,
        "seed": detector.seed,
        "protocol": "leak-free",
        "image_size": split.size,
        "contamination": split.contamination,
        "reserve": split.reserve,
        "config": settings,  # how fast it was computed is told elsewhere in the record
        **({"data": split.options} if split.options else {}),
        **notes,
    }
    return {"id": record_id(told), **told}


def evaluate(
    detector: Detector,
    split: Split,
    seen: Examination,
    truth: Truth,
    trail: list[dict[str, np.ndarray]],
    held: list[dict[str, np.ndarray]],
) -> dict[str, float]:
    """All metrics of one fitted detector, by the names in the module's docstring.

    Args:
        detector: fitted, with thresholds.
        split: for the test images, which the train-mode habit scores again.
        seen: scores, each (N,), and maps, each (N, H, W), of the test images at the last checkpoint.
        truth: the opened labels and masks.
        trail: test scores at each checkpoint. held: validation-normal scores at each checkpoint.
    """
    labels, found = truth.labels, {}
    habits = train_mode_scores(detector, split.test.images, labels)
    for name, score in seen.scores.items():
        found |= _image_metrics(name, score.numpy(), labels, detector.thresholds[name])
        aurocs = [metrics.image_auroc(labels, mark[name]) for mark in trail]
        if trail and detector.config.ema_decay:
            found[f"image_auroc/{name}@last"] = aurocs[-1]
        if len(trail) > 1:
            chosen = detector.history.best_checkpoint()
            if chosen is not None:
                found[f"image_auroc/{name}@validation"] = aurocs[chosen]
            found[f"image_auroc/{name}@oracle"] = max(aurocs)
            together = committee_score([mark[name] for mark in trail], [mark[name] for mark in held])
            found[f"image_auroc/{name}@committee"] = metrics.image_auroc(labels, together)
        for habit, table in habits.items():
            found[f"image_auroc/{name}@{habit}"] = metrics.image_auroc(labels, table[name])
    usual = detector.config.score
    for short in ("image_auroc", "average_precision", "tpr_at_5fpr", "f1", "tpr", "fpr"):
        found[short] = found[f"{short}/{usual}"]
    found["f1_all_positive"] = metrics.all_positive_f1(labels)
    if truth.masks is not None and detector.localises:
        others = {f"/{name}": maps for name, maps in (seen.other_maps or {}).items()}
        for which, maps in ({"": seen.maps} | others).items():
            found[f"pixel_auroc{which}"] = metrics.pixel_auroc(truth.masks, maps.numpy())
            found[f"pixel_ap{which}"] = metrics.pixel_average_precision(truth.masks, maps.numpy())
            found[f"aupro{which}"] = metrics.aupro(truth.masks, maps.numpy())
    return {name: round(float(value), 6) for name, value in found.items()}


def _averaged_generator_only(
    detector: Detector, images: Tensor, labels: np.ndarray, ends: dict[str, Tensor]
) -> dict[str, float]:
    """AUROC of every score with the averaged generator and the last discriminator; empty where there are no two."""
    players = {"generator", "discriminator"} <= set(detector.networks)
    if not players or not detector.config.ema_decay or detector.searches:
        return {}
    mixed = copy.copy(detector)
    mixed.networks = copy.deepcopy(detector.networks)
    last = {k.removeprefix("discriminator."): v for k, v in ends.items() if k.startswith("discriminator.")}
    mixed.networks["discriminator"].load_state_dict(last)
    scores = mixed.examine(images).scores
    return {
        f"image_auroc/{name}@generator": round(metrics.image_auroc(labels, score.numpy()), 6)
        for name, score in scores.items()
    }


def kind_metrics(
    detector: Detector, split: Split, scores: dict[str, Tensor], truth: Truth
) -> dict[str, float]:
    """What labelled anomalies make worth asking, for the detector's usual score; nothing on splits without them.

    image_auroc_seen, image_auroc_unseen: over the kinds of anomaly that were, or were not, among the labelled ones.
    kind_auroc/<kind>: of one kind against all normal images.
    validation_auroc: on labelled anomalies kept apart from training and test; settings may be chosen by it.

    Args:
        detector: fitted. split: its data.
        scores: name -> (N,) test scores. truth: the opened labels.
    """
    if split.anomalies is None:
        return {}
    score, kinds = scores[detector.config.score].numpy(), np.array(truth.kinds)
    normal, unseen = ~truth.labels, np.isin(truth.kinds, split.anomalies.unseen)
    groups = {"image_auroc_seen": truth.labels & ~unseen, "image_auroc_unseen": truth.labels & unseen}
    groups |= {f"kind_auroc/{kind}": kinds == kind for kind in np.unique(kinds[truth.labels])}
    found = {
        name: metrics.image_auroc(truth.labels[normal | rows], score[normal | rows])
        for name, rows in groups.items()
        if rows.any()
    }
    if len(split.validation_anomalies):
        held = [
            detector.anomaly_score(part.images).numpy()
            for part in (split.validation, split.validation_anomalies)
        ]
        labels = np.repeat([False, True], [len(part) for part in held])
        found["validation_auroc"] = metrics.image_auroc(labels, np.concatenate(held))
    return {name: round(float(value), 6) for name, value in found.items()}


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


def committee_score(trail: list[np.ndarray], held: list[np.ndarray]) -> np.ndarray:
    """One score from several checkpoints: the mean of the later half, each in units of the validation-normals.

    A single checkpoint of a GAN is a draw from a lottery; their mean is not, and it asks nothing of the test set.

    Args:
        trail: scores of N images at each checkpoint, (N,) each.
        held: validation-normal scores at the same checkpoints; give each one's zero and unit.

    Returns:
        (N,), larger is more anomalous.
    """
    later = range(len(trail) // 2, len(trail))
    return np.mean([(trail[k] - held[k].mean()) / max(held[k].std(), 1e-12) for k in later], axis=0)


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
    score depends on its company. The detector itself is untouched: a copy is scored.

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
            parts.append(released._examine(detector.normalise(images[rows])).scores)
    scores = {}
    for name in parts[0]:
        values = torch.cat([part[name].float().cpu() for part in parts]).numpy()
        scores[name] = np.empty_like(values)
        scores[name][order] = values
    return scores
