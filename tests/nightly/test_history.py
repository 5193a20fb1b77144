"""The history: plain lines that survive accidents, drifts found inside the band, a page drawn quickly."""

from __future__ import annotations

import json
import random
import re
import time

import pandas as pd
import pytest

from adlib_book.ledger import results
from adlib_book.nightly import bands, history
from adlib_book.site import numbers

NAME = "01_tiny"


def a_run(number, metrics, **changes):
    day = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T{number // 336:02}:00:00+00:00"
    return {
        "id": f"{NAME}.live.{number:04}",
        "chapter": NAME,
        "profile": "live",
        "started_at": day,
        "night": str(number),
        "outcome": "passed",
        "seconds": 60.0,
        "peak_mb": 900.0,
        "adlib": "0123456789ab",
        "commit": "fedcba987654",
        "device": "cpu",
        "hardware": {"processor": "p", "instructions": "AVX512", "cores": 2},
        "versions": {"torch": "2.14.1", "numpy": "2.4.6"},
        "metrics": metrics,
    } | changes


def a_record(metrics):
    entries = {name: {"value": value, "tolerance": 0.1} for name, value in metrics.items()}
    return a_run(0, entries, id=f"{NAME}.live.now")


def with_bands(workspace, record):
    """Write the numbers of a record as baselines, each +- 0.1."""
    measured = {name: {"value": each["value"], "tolerance": 0.1} for name, each in record["metrics"].items()}
    bands.replace(workspace.root, record, measured, "first")


@pytest.fixture
def nights(workspace):
    """Write runs into the history, and a baseline of 0.9 +- 0.1 for the score."""
    with_bands(workspace, a_record({"score": 0.9}))

    def write(runs):
        path = history.path(workspace, "live")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(run) + "\n" for run in runs))
        return history.runs(workspace, "live")

    return write


def jitter(count, scale=0.005, slope=0.0, seed=0):
    draw = random.Random(seed)
    return [0.9 + slope * number + draw.gauss(0, scale) for number in range(count)]


def drifts(workspace, runs):
    return history.drifts(workspace, "live", NAME, runs)


def test_a_slow_drift_inside_the_band_is_found(workspace, nights):
    values = jitter(40, slope=-0.0015)
    assert all(0.8 < value < 1.0 for value in values), "no single night leaves the band"
    (drift,) = drifts(workspace, nights(a_run(n, {"score": v}) for n, v in enumerate(values)))
    assert drift.metric == "score"
    assert drift.last < drift.first - 0.025
    assert "inside its band [0.8, 1]" in str(drift)


@pytest.mark.parametrize("slope", [-0.001, -0.0008])
def test_a_drift_so_slow_that_a_month_does_not_show_it_is_found(workspace, nights, slope):
    """Half a hundredth of the band's width each night: beyond thirty nights, long before the band's end."""
    values = [0.9 + slope * night for night in range(60)]
    assert all(value > 0.8 for value in values)
    assert not history.drift(values[-history.WINDOW :], 0.8, 1.0)
    (drift,) = drifts(workspace, nights(a_run(n, {"score": v}) for n, v in enumerate(values)))
    assert drift.nights == 60


def test_a_step_that_stays_inside_the_band_is_found(workspace, nights):
    values = [0.9] * 20 + [0.86] * 12
    assert drifts(workspace, nights(a_run(n, {"score": v}) for n, v in enumerate(values)))


def test_jitter_is_not_taken_for_drift():
    false_alarms = sum(
        history.drift(jitter(30, 0.03, seed=seed), 0.8, 1.0) is not None for seed in range(300)
    )
    assert false_alarms <= 2


def test_what_never_moves_does_not_drift():
    assert history.drift([0.9] * 30, 0.8, 1.0) is None
    assert history.drift([0.9, 0.8], 0.8, 1.0) is None


def test_another_machine_is_no_drift(workspace, nights):
    runs = [a_run(n, {"score": 0.9}) for n in range(20)]
    runs += [a_run(n, {"score": 0.85}, hardware={"processor": "q"}) for n in range(20, 40)]
    assert not drifts(workspace, nights(runs))


def test_a_drift_that_was_looked_at_is_over_when_the_baseline_is_set_anew(workspace, nights):
    values = jitter(40, slope=-0.0015)
    runs = nights(a_run(n, {"score": v}) for n, v in enumerate(values))
    record = a_run(40, {"score": {"value": values[-1], "tolerance": None}})
    changes = bands.update(workspace.root, record, "the new optimiser; looked at", inside=True)
    assert changes[0].startswith("score: 0.9 -> 0.83")
    assert not drifts(workspace, [*runs, a_run(41, {"score": values[-1]})])


def test_what_has_changed_since_the_run_before_is_named(nights):
    runs = nights([a_run(0, {}), a_run(1, {}, versions={"torch": "2.15.0", "numpy": "2.4.6"}, commit="new")])
    assert history.changes(runs[:1], runs[1]) == ["commit fedcba987654 -> new", "torch 2.14.1 -> 2.15.0"]
    assert history.changes([], runs[0]) == []
    nameless = a_run(1, {}, versions={}, hardware={}, device=None)
    assert history.changes([runs[0], nameless], a_run(2, {})) == [], "a run that did not say is passed over"


def test_a_torn_line_costs_that_line_only(workspace, nights):
    nights([a_run(0, {"score": 0.9})])
    path = history.path(workspace, "live")
    with open(path, "a") as file:
        file.write('{"id": "torn", "sco')
    assert results.Ledger(path).add(a_run(1, {"score": 0.91}))
    with pytest.warns(UserWarning, match="line 2"):
        assert len(history.runs(workspace, "live")) == 2


def test_nights_are_kept_in_the_checkout_once(workspace, nights, tmp_path):
    nights([a_run(0, {"score": 0.9}), a_run(1, {"score": 0.9})])
    assert history.keep(workspace, "live") == 2
    assert history.keep(workspace, "live") == 0
    assert len(history.runs(workspace, "live")) == 2
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_text(json.dumps(a_run(2, {"score": 0.9})) + "\n")
    assert history.keep(workspace, "live", [elsewhere]) == 1


def test_a_named_history_that_does_not_exist_is_an_error_and_nothing_is_kept(workspace, nights, tmp_path):
    assert history.keep(workspace, "live") == 0, "no night has run here yet, and none was named"
    nights([a_run(0, {"score": 0.9})])
    for missing in (tmp_path / "nope.jsonl", tmp_path):
        with pytest.raises(FileNotFoundError, match=str(missing)):
            history.keep(workspace, "live", [history.path(workspace, "live"), missing])
    assert not history.committed_path(workspace, "live").exists()


def test_a_thousand_nights_of_fifty_numbers_are_read_and_drawn_in_a_second(workspace, nights):
    names = [f"image_auroc/{number}" for number in range(50)]
    with_bands(workspace, a_record(dict.fromkeys(names, 0.9)))
    series = {name: jitter(1000, seed=seed) for seed, name in enumerate(names)}
    nights(a_run(n, {name: series[name][n] for name in names}) for n in range(1000))
    record = a_record(dict.fromkeys(names, 0.9))
    begin = time.process_time()
    text = numbers.watched_numbers([record], workspace)
    seconds = time.process_time() - begin
    print(f"{seconds:.2f} s")
    assert seconds < 1.0
    assert text.count("<svg") == 50
    assert len(pd.read_json(history.path(workspace, "live"), lines=True)) == 1000


def test_the_page_says_value_band_runs_and_origin(workspace, nights):
    nights([a_run(n, {"score": 0.9}) for n in range(5)])
    text = numbers.watched_numbers([a_record({"score": 0.7})], workspace)
    for part in (
        "## A tiny chapter",
        "fedcba987654",
        "torch 2.14.1",
        "0.8 to 1",
        "outside",
        "6 runs, from 0.9 to 0.7",
    ):
        assert part in text, part
    assert "5 earlier runs on this kind of machine" in text


def test_a_number_without_a_band_says_so(workspace, nights):
    assert "<td>no band yet</td>" in numbers.watched_numbers([a_record({"new": 0.7})], workspace)


def test_the_page_counts_its_own_run_once(workspace, nights):
    runs = nights(a_run(n, {"score": 0.9}) for n in range(3))
    record = runs[-1] | {"metrics": {"score": {"value": 0.9, "tolerance": 0.1}}}
    assert "2 earlier runs" in numbers.chapter_table(record, runs, workspace)


def test_the_page_is_written_below_its_text(workspace, nights, tmp_path):
    page = tmp_path / "watched_numbers.md"
    page.write_text("# Watched numbers\n\n<!-- clean runs -->\n")
    path = bands.baseline_path(workspace.root, "01_tiny", "live")
    entry = {"value": 0.9, "tolerance": 0.1, "source": "r", "reason": "measured"}
    for runs in (3, 5):
        measured = {f"processor {k}": 0.9 + 0.001 * k for k in range(runs)}
        bands.write_atomic(path, json.dumps({"score": entry | {"measured": measured}}))
        text = page.with_name(f"{runs}.md")
        text.write_text(page.read_text())
        numbers.write_page(text, [a_record({"score": 0.9})], workspace)
        said = "Too few runs" if runs == 3 else "Of 5 values 0 lay outside."
        assert re.match(
            rf"# Watched numbers\n\n.*{said}[^#]*\n## A tiny chapter\n", text.read_text(), re.DOTALL
        )


def test_what_is_not_held_is_named_by_chapter(workspace):
    record = a_record({"calm": 0.9, "wild": 0.5})
    measured = {
        "calm": {"value": 0.9, "tolerance": 0.02},
        "wild": {"value": 0.5, "tolerance": 0.4, "held": False},
    }
    bands.replace(workspace.root, record, measured, "first")
    text = numbers.widths([record], workspace)
    assert text.startswith("**1 numbers are held. Half of their bands reach at most 0.02")
    assert "| A tiny chapter | 1 of 2 | `wild` |" in text


def test_a_sparkline_of_one_run_and_no_band():
    assert "1 runs" in numbers.sparkline([0.5], None, None)


# ---------------------------------------------------------------- bands
def test_another_device_has_a_wider_band():
    entry = {"value": 0.9, "tolerance": 0.05, "device": "cpu"}
    assert bands.band(entry) == bands.band(entry, "cpu") == pytest.approx((0.85, 0.95))
    assert bands.band(entry, "cuda:0") == pytest.approx((0.8, 1.0))
    record = {"id": "r", "device": "cuda:0", "metrics": {"score": {"value": 0.82}}}
    assert not bands.compare(record, {"score": entry})
    assert bands.compare(record | {"device": "cpu"}, {"score": entry})
