"""Ids: what makes two runs one; and the ids of records already in the ledger stay what they are."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest

from adlib.data import SplitSettings, load
from adlib.detectors import detector_class, detector_names
from adlib.detectors.base import Config
from adlib.experiment import RETIRED, identify, record_id
from adlib_book.ledger import results
from adlib_book.ledger.plans import PLANS, Task
from adlib_book.ledger.sweep import task_id

LEDGER = Path(__file__).resolve().parents[2] / "results"
IDENTITY = (
    *(
        "detector",
        "variant",
        "dataset",
        "seed",
        "protocol",
        "image_size",
        "contamination",
        "reserve",
        "config",
    ),
    *("split_seed", "data", "few_shot", "profile"),
)
UNFINISHED = (
    "chapter2_balance",
    "chapter3_turns",
    "chapter4_longer",
    "averaged",
    "patches",
)


def identity_of(record: dict) -> dict:
    return {name: record[name] for name in IDENTITY if name in record}


def identity(**changes) -> dict:
    """What `identify` gives for PCA on a small texture, with changes."""
    usual = {
        "detector": "pca",
        "config": detector_class("pca").Config.book(),
        "seed": 0,
        "dataset": "texture/wood",
        "size": 32,
        "split": SplitSettings(),
        "profile": "book",
    }
    return identify(**usual | changes)


@functools.cache
def recorded() -> list[dict]:
    return [record for path in sorted(LEDGER.glob("*.jsonl")) for record in results.read(path)]


# ---------------------------------------------------------------- the ledger
def test_every_record_of_the_ledger_has_the_id_that_its_own_fields_give():
    records = recorded()
    assert len(records) > 1800
    wrong = [record["id"] for record in records if record_id(identity_of(record)) != record["id"]]
    assert not wrong


def test_records_older_than_the_averaged_weights_have_the_hash_of_their_fields_as_written():
    old = [record for record in recorded() if "ema_decay" not in record["config"]]
    assert len(old) > 1800
    for record in old:
        text = json.dumps(identity_of(record), sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == record["id"]


@pytest.mark.parametrize("plan", PLANS)
def test_tasks_of_the_plans_have_the_ids_of_their_records(plan):
    path = LEDGER / f"{plan}.jsonl"
    ids = [task_id(task) for task in PLANS[plan]()]
    there = {record["id"] for record in results.read(path)} if path.is_file() else set()
    assert len(ids) == len(set(ids)), "each run is asked for once"
    if plan not in UNFINISHED:
        assert set(ids) <= there, "ids must not change under a ledger"
    else:
        assert there <= set(ids), "what was begun goes on"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mnist5k/3", {"size": 32}),
        ("elpv/mono", {"size": 64, "seed": 1, "contamination": 0.06, "reserve": 0.09}),
        ("elpv/poly", {"size": 64, "seed": 2, "reserve": 0.09}),
    ],
)
def test_packaged_data_are_cut_as_when_their_records_were_made(name, settings):
    split = load(name, **settings)
    cut = split.settings
    expected = (name, settings["size"], cut.seed, cut.contamination, cut.reserved)
    made = {
        record["data_fingerprint"]
        for record in recorded()
        if tuple(record[key] for key in ("dataset", "image_size", "seed", "contamination", "reserve"))
        == expected
    }
    assert made == {split.fingerprint}


# ---------------------------------------------------------------- fields that come and go
def test_a_field_at_the_value_it_had_before_it_existed_does_not_change_an_id():
    config = detector_class("ganomaly").Config.book()
    last = replace(config, ema_decay=0.0)
    given = identity(detector="ganomaly", config=last)
    del given["config"]["ema_decay"]
    assert record_id({k: v for k, v in given.items() if k != "id"}) == given["id"]
    assert identity(detector="ganomaly", config=config)["id"] != given["id"]


def test_every_detector_leaves_the_new_fields_out_at_their_old_value():
    """Also those whose Config has a default of its own, which hides the metadata of the field it overrides."""
    for name in detector_names():
        config = replace(detector_class(name).Config.book(), ema_decay=0.0)
        later = {f.name: f.metadata["before"] for f in fields(config) if "before" in f.metadata}
        old = identity(detector=name, config=replace(config, **later))
        old["config"] = {k: v for k, v in old["config"].items() if k not in {"ema_decay", *later}} | RETIRED
        text = json.dumps({k: v for k, v in old.items() if k != "id"}, sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == old["id"], name


def test_a_config_that_gains_a_field_keeps_its_ids(monkeypatch):
    before = identity()["id"]

    @dataclass(frozen=True)
    class Grown(detector_class("pca").Config):
        novelty: int = field(default=1, metadata={"before": 0})

    monkeypatch.setattr(detector_class("pca"), "Config", Grown)
    assert identity(config=replace(Grown.book(), novelty=0))["id"] == before
    assert identity(config=Grown.book())["id"] != before


def test_retired_settings_are_gone_from_every_config():
    for name in ("base", *detector_names()):
        kind = Config if name == "base" else detector_class(name).Config
        assert not {each.name for each in fields(kind)} & set(RETIRED), name


# ---------------------------------------------------------------- what counts
def test_every_setting_of_a_split_makes_another_run():
    others = {
        "contamination": {"contamination": 0.03, "reserve": 0.09},
        "reserve": {"reserve": 0.09},
        "train_images": {"train_images": 5},
        "validation_fraction": {"validation_fraction": 0.2},
        "test_fraction": {"test_fraction": 0.2},
        "anomalies": {"anomalies": 1.0},
        "sampling": {"anomalies": 1.0, "sampling": "equal"},
        "unseen": {"anomalies": 1.0, "unseen": ("knot",)},
        "seed": {"seed": 1},
    }
    assert set(others) == {each.name for each in fields(SplitSettings)}
    ids = {identity(split=SplitSettings(**settings))["id"] for settings in others.values()}
    assert len(ids | {identity()["id"]}) == len(others) + 1


def test_options_of_the_source_and_notes_make_another_run():
    ids = [identity(), identity(options={"train": 40}), identity(size=16), identity(profile="smoke")]
    assert len({each["id"] for each in ids}) == 4
    assert identity(options={})["id"] == identity()["id"]


def test_a_task_is_written_in_short_or_in_full():
    short = Task.of("pca", "elpv/mono", 32, seed=1, reserve=0.09, changes={"components": 4})
    split = SplitSettings(seed=1, reserve=0.09)
    assert short == Task("pca", "elpv/mono", 32, split, changes={"components": 4})
