"""The protocol: labels opened once, leaks named, runs recorded once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from adlib import metrics
from adlib.data import load
from adlib.detectors import make_detector
from adlib.experiment import committee_score, run_experiment
from adlib_book.ledger import results
from adlib_book.ledger.plans import PLANS, Task, grid
from adlib_book.ledger.sweep import run_plan, sweep

QUICK = {"steps": 4, "checkpoints": 2}


@pytest.fixture(scope="module")
def record_and_split():
    split = load("texture/wood", size=32, seed=1, train_images=40, reserve=0.1)
    detector = make_detector("ganomaly", split.image_shape, "smoke", **QUICK)
    return run_experiment(detector, split, progress="quiet", profile="smoke"), split


def test_labels_are_opened_once_at_the_end(record_and_split):
    _, split = record_and_split
    assert len(split.test.opened) == 1
    assert "ganomaly" in split.test.opened[0]


def test_a_record_says_everything_the_ledger_promises(record_and_split):
    record, split = record_and_split
    promised = (
        "id detector variant dataset profile seed protocol image_size train_images contamination steps "
        "parameters metrics seconds config data_fingerprint adlib commit device versions started_at"
    )
    assert set(promised.split()) <= set(record)
    json.dumps(record)
    assert record["data_fingerprint"] == split.fingerprint
    per_score = ("image_auroc/D0", "image_auroc/D3@oracle", "image_auroc/D1@train_mode", "f1/D1@test_minmax")
    plain = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro", "f1_all_positive", "tpr", "fpr")
    for metric in (*per_score, *plain):
        assert 0 <= record["metrics"][metric] <= 1, metric


@pytest.mark.slow
def test_last_and_averaged_weights_are_measured_beside_each_other(record_and_split):
    record, split = record_and_split
    values, last = record["metrics"], record["checkpoints"][-1]
    plain = make_detector("ganomaly", split.image_shape, "smoke", **QUICK, ema_decay=0.0)
    other = run_experiment(plain, split, progress="quiet")
    assert "image_auroc/D0@last" not in other["metrics"]
    assert not [name for name in other["metrics"] if name.endswith("@generator")]
    for name in ("D0", "D1", "D2", "D3"):
        assert values[f"image_auroc/{name}@last"] == last[f"image_auroc/{name}"]
        assert values[f"image_auroc/{name}@last"] == other["metrics"][f"image_auroc/{name}"], (
            "the same training"
        )
    # Pixels and latents are the generator's alone; only features can tell the discriminators apart.
    for name in ("D0", "D3"):
        assert values[f"image_auroc/{name}@generator"] == values[f"image_auroc/{name}"]
    assert record["averaged"]["validation_error"] != last["validation_error"]


@pytest.mark.slow
def test_every_map_of_a_detector_is_measured():
    split = load("texture/wood", size=32, seed=1, train_images=40)
    tiny = {"steps": 2, "student_share": 0.5, "checkpoints": 1}
    detector = make_detector("sdn", split.image_shape, "smoke", **tiny)
    values = run_experiment(detector, split, progress="quiet")["metrics"]
    truth = split.test.open("this test")
    others = detector.examine(split.test.images).other_maps
    assert set(others) == {"style_distance", "teacher_distance", "teacher_difference"}
    for name, maps in others.items():
        assert values[f"aupro/{name}"] == pytest.approx(metrics.aupro(truth.masks, maps.numpy()), abs=1e-6)
        assert {f"pixel_auroc/{name}", f"pixel_ap/{name}"} <= set(values)


def test_the_oracle_is_never_below_the_honest_choices(record_and_split):
    values = record_and_split[0]["metrics"]
    for score in ("D0", "D1", "D2", "D3"):
        oracle = values[f"image_auroc/{score}@oracle"]
        assert oracle >= values[f"image_auroc/{score}@last"]
        assert oracle >= values[f"image_auroc/{score}@validation"]


def test_detectors_without_batchnorm_have_no_train_mode():
    split = load("texture/wood", size=32, seed=1, train_images=40)
    record = run_experiment(make_detector("pca", split.image_shape, "smoke"), split, progress="quiet")
    assert not any("train_mode" in name for name in record["metrics"])


def test_a_sweep_goes_on_where_it_stopped(tmp_path):
    tasks = list(grid(detector=["pca", "mean_intensity"], dataset=["texture/wood"], size=[32], seed=[0, 1]))
    ledger = tmp_path / "sweep.jsonl"
    assert sweep(tasks[:1], ledger) == 1
    assert sweep(tasks, ledger) == 3
    assert sweep(tasks, ledger) == 0
    assert len(results.load("sweep", folder=tmp_path)) == 4


def test_another_setting_is_another_run(tmp_path):
    task = Task("pca", "texture/wood", size=32)
    assert sweep([task], tmp_path / "a.jsonl") == 1
    assert sweep([Task("pca", "texture/wood", size=32, changes={"components": 4})], tmp_path / "a.jsonl") == 1


def test_a_committee_weighs_its_members_equally_whatever_their_scale():
    rng = np.random.default_rng(0)
    test, validation = list(rng.normal(size=(4, 20))), list(rng.normal(size=(4, 9)))
    before = committee_score(test, validation)
    test[3], validation[3] = 1000 * test[3] + 5, 1000 * validation[3] + 5
    np.testing.assert_allclose(committee_score(test, validation), before)
    test[1] += 100  # the earlier half has no vote
    np.testing.assert_allclose(committee_score(test, validation), before)


def test_plans_are_named_and_shards_share_them_out(monkeypatch, tmp_path):
    tasks = list(grid(detector=["pca"], dataset=["texture/wood"], size=[32], seed=[0, 1, 2]))
    monkeypatch.setitem(PLANS, "tiny", lambda: tasks)
    monkeypatch.setattr(results, "ledger_folder", lambda: tmp_path)
    monkeypatch.setattr("adlib_book.ledger.sweep.git_commit", lambda: "0123456789ab+dirty")
    with pytest.raises(ValueError, match="not committed"):
        run_plan("tiny")
    monkeypatch.setattr("adlib_book.ledger.sweep.git_commit", lambda: "0123456789ab")
    assert run_plan("tiny", "0/2") == 2
    assert run_plan("tiny", "1/2") == 1
    assert sorted(results.load("tiny")["seed"]) == [0, 1, 2]
    monkeypatch.setattr("adlib_book.ledger.sweep.project_root", lambda: None)
    with pytest.raises(ValueError, match="results/ of a checkout"):
        run_plan("tiny")
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        run_plan("tinny")
    monkeypatch.undo()
    monkeypatch.setitem(PLANS, "tiny", lambda: tasks)
    monkeypatch.setattr("adlib_book.ledger.sweep.git_commit", lambda: "0123456789ab")
    with pytest.raises(ValueError, match="shard is '2/2'"):
        run_plan("tiny", "2/2")
