"""Numbers are held against bands, and bands change only with a reason."""

from __future__ import annotations

import json

import pytest

from adlib_book.nightly import bands

RECORD = {
    "id": "01_tiny.live.20260101T000000.abcdef",
    "chapter": "01_tiny",
    "profile": "live",
    "adlib": "0123456789ab",
    "commit": "fedcba987654",
    "device": "cpu",
    "versions": {"torch": "2.14.1"},
    "metrics": {"auroc": {"value": 0.9, "limits": [0, 1]}, "count": {"value": 600.0, "limits": [0, None]}},
}


def with_value(metric, value):
    return {**RECORD, "metrics": {**RECORD["metrics"], metric: {"value": value, "limits": [0, 1]}}}


@pytest.fixture
def root(tmp_path):
    bands.update(tmp_path, RECORD, "first run")
    return tmp_path


def test_a_new_baseline_names_its_source_and_reason(root):
    entries = bands.load(bands.baseline_path(root, "01_tiny", "live"))
    assert entries["auroc"]["value"] == 0.9
    assert entries["auroc"]["tolerance"] == pytest.approx(0.09), "a tenth, until it is measured"
    assert entries["auroc"]["limits"] == [0, 1]
    assert RECORD["id"] in entries["auroc"]["source"]
    assert entries["auroc"]["reason"] == "first run"


@pytest.mark.parametrize(
    ("value", "inside"), [(0.9, True), (0.99, True), (0.81, True), (0.991, False), (0.0, False)]
)
def test_a_number_outside_its_band_is_found(root, value, inside):
    deviations = bands.check(root, with_value("auroc", value))
    assert (not deviations) == inside
    if not inside:
        text = str(deviations[0])
        assert "auroc" in text
        assert f"{value:.6g}" in text
        assert "[0.81, 0.99]" in text
        assert RECORD["id"] in text


def test_a_number_without_a_baseline_is_found(root):
    (deviation,) = bands.check(root, with_value("aupro", 0.5))
    assert "aupro: 0.5 has no baseline" in str(deviation)


def test_a_baseline_without_its_number_is_found(root):
    (deviation,) = bands.check(root, {**RECORD, "metrics": {"auroc": {"value": 0.9, "limits": [0, 1]}}})
    assert "count: missing" in str(deviation)


def test_an_update_keeps_the_width_of_the_band_and_says_old_and_new(root):
    assert bands.update(root, with_value("auroc", 0.7), "the loss was wrong") == ["auroc: 0.9 -> 0.7"]
    entries = bands.load(bands.baseline_path(root, "01_tiny", "live"))
    assert entries["auroc"]["tolerance"] == pytest.approx(0.09)
    assert entries["count"]["reason"] == "first run", "what has not moved is not touched"


def test_nothing_changes_without_a_reason(root):
    before = bands.baseline_path(root, "01_tiny", "live").read_text()
    with pytest.raises(ValueError, match="--reason"):
        bands.update(root, with_value("auroc", 0.7), "  ")
    assert bands.baseline_path(root, "01_tiny", "live").read_text() == before


def test_numbers_that_are_no_longer_reported_go(root):
    changes = bands.update(root, {**RECORD, "metrics": {"auroc": RECORD["metrics"]["auroc"]}}, "not needed")
    assert changes == ["count: 600 -> gone"]


def test_a_band_ends_where_the_metric_ends():
    entry = {"value": 0.98, "tolerance": 0.05, "limits": [0, 1]}
    assert bands.band(entry) == pytest.approx((0.93, 1.0))
    assert bands.band(entry, "cuda:0") == pytest.approx((0.88, 1.0))
    assert bands.band(entry | {"limits": [0, None]}) == pytest.approx((0.93, 1.03))


def test_measured_widths_replace_all_entries_and_stay_when_a_value_changes(root):
    measured = {"auroc": {"value": 0.89, "tolerance": 0.01, "sd": 0.002, "runs": 5, "seeds_sd": 0.03}}
    changes = bands.replace(root, RECORD, measured, "measured")
    assert changes == ["count: 600 -> gone", "auroc: 0.9 -> 0.89, band +-0.09 -> +-0.01"]
    bands.update(root, {**RECORD, "metrics": {"auroc": {"value": 0.5, "limits": [0, 1]}}}, "a new loss")
    (entry,) = bands.load(bands.baseline_path(root, "01_tiny", "live")).values()
    assert (entry["value"], entry["tolerance"], entry["sd"], entry["seeds_sd"]) == (0.5, 0.01, 0.002, 0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"),
        (json.dumps({"auroc": {"value": 1, "source": "s", "reason": "r"}}), "lacks tolerance"),
        (json.dumps({"auroc": {"value": 1, "tolerance": 0}}), "lacks source, reason"),
    ],
)
def test_a_broken_baseline_file_is_refused(tmp_path, text, message):
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        bands.load(path)
