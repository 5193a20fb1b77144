"""The model behind the bands: it holds what it promises, and tells numbers that move from those that do not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import t

from adlib_book.nightly import measure
from adlib_book.nightly.spread import left_out, moved_together, prior, spreads
from adlib_book.runner.inputs import SWITCHES


def drawn(rng, sds, runs):
    """Numbers around 0.8, each with its own standard deviation."""
    return {k: list(0.8 + sd * rng.standard_normal(runs)) for k, sd in enumerate(sds)}


def test_equal_spreads_are_pooled_into_a_normal_interval():
    values = drawn(np.random.default_rng(0), [0.02] * 400, 5)
    one = spreads(values, 1e-3)[0]
    assert one.sd == pytest.approx(0.02, rel=0.1)
    assert one.half > 4 * 0.02


def test_the_band_of_one_number_alone_is_students():
    values = [0.79, 0.80, 0.82]
    (one,) = spreads({"auroc": values}, 1e-3, alarms=0.05).values()
    sd = np.std(values, ddof=1)
    assert one.sd == pytest.approx(sd)
    assert one.half == pytest.approx(t.ppf(0.975, 2) * sd * math.sqrt(1 + 1 / 3))


@pytest.mark.slow
def test_one_night_in_a_hundred_raises_a_false_alarm():
    """A hundred numbers whose variances scatter as the model says (d_0 = 6); five runs give the bands of a sixth."""
    rng, alarms, nights = np.random.default_rng(1), 0, 400
    for _ in range(nights):
        sds = 0.01 * np.sqrt(6 / rng.chisquare(6, 100))
        values = drawn(rng, sds, 6)
        bands = spreads({key: runs[:5] for key, runs in values.items()}, 1e-9)
        alarms += any(abs(values[key][5] - band.mean) > band.half for key, band in bands.items())
    assert 0 <= alarms / nights <= 0.04


def test_numbers_that_no_arithmetic_moves_get_the_smallest_band():
    measured = spreads({"pca": [0.5] * 3, "gan": [0.5, 0.6, 0.7], "full": [1.0] * 3}, 1e-3)
    assert (measured["pca"].sd, measured["pca"].half) == (0.0, 5e-4)
    assert measured["full"].sd > 0, "an AUROC of 1 in all runs may move"


def test_variances_that_scatter_little_have_a_common_one():
    dof, variance = prior([0.1] * 20, 4)
    assert math.isinf(dof)
    assert variance > 0


def test_known_degrees_of_freedom_come_out():
    rng = np.random.default_rng(2)
    own, dof = 4, 5
    variances = 0.01 * dof / rng.chisquare(dof, 20_000)
    sds = np.sqrt(variances * rng.chisquare(own, 20_000) / own)
    common, variance = prior(list(sds), own)
    assert common == pytest.approx(dof, rel=0.1)
    assert variance == pytest.approx(0.01, rel=0.05)


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match="auroc: 2; expected three or more"):
        spreads({"auroc": [0.1, 0.2]}, 1e-3)


def test_a_kind_of_run_unlike_the_others_is_found_when_it_is_left_out():
    rng, kinds = np.random.default_rng(5), [f"processor {k}" for k in range(6)]
    sound = {key: dict(zip(kinds, runs)) for key, runs in drawn(rng, [0.01] * 60, 6).items()}
    few = {"few": dict(zip(kinds, (0.8, 0.81, 0.82)))}  # two others are not enough to say
    assert left_out(sound | few, 1e-3, 0.1) == dict.fromkeys(kinds, (60, []))
    sound[7]["processor 3"] = 0.2
    outside = left_out(sound, 1e-3, 0.1)
    assert outside["processor 3"] == (60, [7])
    assert outside["processor 0"][1] == [], "its own band is wider now"
    assert left_out(sound, 1e-3, 0.02)["processor 0"] == (0, []), "wider than what is held"


# ---------------------------------------------------------------- all numbers together
def a_night(shift, rng=None, chapters=8, numbers=6):
    """Numbers that lie `shift` standard deviations from their baselines, or scatter like another processor's."""
    entry = {"value": 0.8, "tolerance": 0.05, "sd": 0.01, "measured": dict.fromkeys("abcde", 0.8)}
    names = [f"{chapter}" for chapter in range(chapters)]
    scale = entry["sd"] * math.sqrt(1 + 1 / 5)
    metrics = {}
    for name in names:
        step = scale * (
            rng.standard_normal() if rng else shift
        )  # one draw: numbers of a chapter move together
        metrics[name] = {str(k): {"value": 0.8 + step} for k in range(numbers)}
    return metrics, {name: {str(k): entry for k in range(numbers)} for name in names}


def test_a_shift_of_all_numbers_is_found_though_each_is_inside_its_band():
    assert moved_together(*a_night(1)) == []
    (sentence,) = moved_together(*a_night(2.0))
    assert "numbers of 8 chapters lie 2.00 standard deviations from their baselines" in sentence
    assert moved_together(*a_night(2.0, chapters=2)) == [], "too few chapters to say"


def test_sound_nights_rarely_seem_to_move_together():
    rng = np.random.default_rng(3)
    assert sum(bool(moved_together(*a_night(0, rng))) for _ in range(2000)) <= 8


# ---------------------------------------------------------------- the command
RUN = {"id": "r", "chapter": "01_tiny", "adlib": "0", "commit": "0", "device": "cpu"}


def test_the_command_runs_as_each_processor_once_and_goes_on_where_it_stopped(workspace, monkeypatch, capsys):
    calls = []

    def run_all(names, profile, parameters, *, workspace, workers):
        seed = parameters.get("seed", 0)
        calls.append((workspace.folder, seed, measure.os.environ.get("ATEN_CPU_CAPABILITY")))
        value = 0.5 + 0.01 * (len(calls) if workspace.folder != "_build/measured/AVX2" else 1)
        metrics = {"auroc": {"value": value, "limits": [0, 1]}}
        yield RUN | {"profile": profile, "metrics": metrics}

    monkeypatch.setattr(measure, "run_all", run_all)
    monkeypatch.setattr(measure.Workspace, "here", lambda: workspace)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    lines = measure.measure("live", "first time", seeds=(1, 2))
    assert [seed for _, seed, _ in calls] == [0] * len(measure.PROCESSORS) + [1, 2]
    assert len({folder for folder, _, _ in calls}) == len(calls), "runs never meet"
    assert calls[2][2] == "default"
    assert "ATEN_CPU_CAPABILITY" not in measure.os.environ
    assert "01_tiny, AVX2: computed here like as it is" in capsys.readouterr().err
    mean = 0.5 + 0.01 * len(measure.PROCESSORS) / 2  # of all but the one that computes like an earlier one
    assert lines[0].startswith(f"01_tiny: auroc: none -> {mean:g}")
    assert lines[-1].startswith("1 of 1 numbers are held: median half-width")
    (entry,) = measure.bands.load(measure.bands.baseline_path(workspace.root, "01_tiny", "live")).values()
    assert len(entry["measured"]) == len(measure.PROCESSORS) - 1
    assert entry["seeds_sd"] == pytest.approx(0.01 / math.sqrt(2))


def test_chapters_measured_before_belong_to_the_model_of_those_measured_now(workspace, monkeypatch):
    """One chapter can be measured alone: what the others were measured to be says how variances scatter."""
    monkeypatch.setattr(measure.Workspace, "here", lambda: workspace)
    rng = np.random.default_rng(4)
    before = {f"n{k}": runs for k, runs in drawn(rng, [0.05] * 50, 3).items()}
    (workspace.root / "notebooks" / "02_other.ipynb").write_bytes(
        (workspace.root / "notebooks" / "01_tiny.ipynb").read_bytes()
    )
    path = measure.bands.baseline_path(workspace.root, "02_other", "live")
    usual = {"value": 0.8, "tolerance": 0.1, "source": "r", "reason": "before"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps(
            {name: usual | {"measured": dict(zip("abc", runs, strict=True))} for name, runs in before.items()}
        )
    )
    kept = path.read_text()
    runs = iter([0.50, 0.5001, 0.5002])

    def run_all(names, profile, parameters, *, workspace, workers):
        assert list(names) == ["01_tiny"]
        metrics = {"auroc": {"value": next(runs), "limits": [0, 1]}}
        yield RUN | {"profile": profile, "metrics": metrics}

    monkeypatch.setattr(measure, "run_all", run_all)
    three = list(measure.PROCESSORS)[:3]
    measure.measure("live", "one chapter", chapters=["01"], processors=three)
    assert path.read_text() == kept
    (entry,) = measure.bands.load(measure.bands.baseline_path(workspace.root, "01_tiny", "live")).values()
    assert list(entry["measured"].values()) == [0.50, 0.5001, 0.5002]
    assert list(entry["measured"])[1:] == three[1:]
    assert entry["sd"] > 0.01, "three runs close together are luck where such numbers scatter by 0.05"


def test_a_later_call_adds_processors_and_a_band_that_says_nothing_is_not_held(workspace, monkeypatch):
    monkeypatch.setattr(measure.Workspace, "here", lambda: workspace)

    def run_all(names, profile, parameters, *, workspace, workers):
        value = {"as-it-is": 0.7, "AVX2": 0.4}.get(workspace.folder.rpartition("/")[2], 0.9)
        metrics = {"auroc": {"value": value, "limits": [0, 1]}, "pca": {"value": 0.5, "limits": [0, 1]}}
        yield RUN | {"profile": profile, "metrics": metrics}

    monkeypatch.setattr(measure, "run_all", run_all)
    path = measure.bands.baseline_path(workspace.root, "01_tiny", "live")
    with pytest.raises(ValueError, match=r"auroc'\): 2, .* expected three"):
        measure.measure("live", "two", processors=["AVX convolutions"])
    with pytest.raises(ValueError, match=r"unknown processors \['Z80'\]"):
        measure.measure("live", "none", processors=["Z80"])
    earlier = {"some other": 0.79}
    usual = {"value": 0.8, "tolerance": 0.1, "source": "r", "reason": "before"}
    three = {"measured": earlier | {"a": 0.8, "b": 0.81}}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"auroc": usual | three}))
    with pytest.raises(ValueError, match=r"few runs, \('01_tiny', 'pca'\): 2;"):
        measure.measure("live", "added", processors=["AVX convolutions"], keep=True)
    measure.measure("live", "added", processors=["AVX convolutions", "AVX2"], keep=True)
    entries = measure.bands.load(path)
    assert len(entries["auroc"]["measured"]) == 6
    assert entries["auroc"]["held"] is False
    assert "held" not in entries["pca"]
    record = RUN | {"profile": "live", "metrics": {"auroc": {"value": 0.0}, "pca": {"value": 0.6}}}
    assert [each.metric for each in measure.bands.compare(record, entries)] == ["pca"]


def test_a_run_that_computed_like_an_earlier_one_is_not_counted_again(capsys):
    """A switch for one library says nothing where another does the work, but for the last digits of a score."""
    trained = {"as it is": 0.70, "AVX": 0.9, "AVX again": 0.90000001, "SSE": 0.8}
    values = {("01", "auroc"): trained, ("01", "pca"): dict.fromkeys(trained, 0.5)}
    values |= {
        ("01", "of one image"): dict.fromkeys(trained, 1.0),
        ("f4", "exact"): dict.fromkeys(trained, 0.3),
    }
    left = measure.without_twins(values)
    assert [*left["01", "auroc"]] == [*left["01", "pca"]] == ["as it is", "AVX", "SSE"]
    assert left["f4", "exact"] == values["f4", "exact"], "where nothing moves nothing is counted"
    assert "01, AVX again: computed here like AVX, left out" in capsys.readouterr().err


def test_a_band_waits_for_five_runs_and_the_runs_are_kept(workspace, monkeypatch, capsys):
    monkeypatch.setattr(measure.Workspace, "here", lambda: workspace)

    def run_all(names, profile, parameters, *, workspace, workers):
        value = 0.8 + 0.001 * list(measure.PROCESSORS).index(
            workspace.folder.rpartition("/")[2].replace("-", " ")
        )
        metrics = {"auroc": {"value": value, "limits": [0, 1]}, "pca": {"value": 0.5, "limits": [0, 1]}}
        yield RUN | {"profile": profile, "metrics": metrics}

    monkeypatch.setattr(measure, "run_all", run_all)
    path = measure.bands.baseline_path(workspace.root, "01_tiny", "live")
    path.parent.mkdir(exist_ok=True)
    by_hand = {"value": 0.85, "tolerance": 0.2, "source": "r", "reason": "by hand"}
    path.write_text(json.dumps({"auroc": by_hand, "pca": by_hand}))
    names = list(measure.PROCESSORS)
    lines = measure.measure("live", "three", processors=names[:3])
    assert "1 numbers have fewer than 5 runs, which are kept; their bands stay." in lines
    waits, pca = measure.bands.load(path).values()
    assert (waits["value"], waits["tolerance"], len(waits["measured"])) == (0.85, 0.2, 3)
    assert pca["tolerance"] == 5e-4, "what does not move needs no more runs"
    measure.measure("live", "two more", processors=names[3:5], keep=True)
    measured = measure.bands.load(path)["auroc"]
    assert (measured["value"], len(measured["measured"])) == (pytest.approx(0.802), 5)
    assert measured["tolerance"] < 0.1


def test_scores_and_ratios_are_pooled_in_their_own_scales():
    """Ratios of four that scatter by a tenth of their size, and scores that scatter by 0.1."""
    rng = np.random.default_rng(5)
    values = {("score", k): list(0.8 + 0.1 * rng.standard_normal(4)) for k in range(20)}
    values |= {("ratio", k): list(4 + 0.4 * rng.standard_normal(4)) for k in range(20)}
    scales = {
        key: measure.scale(runs, (0, 1) if key[0] == "score" else (0, None)) for key, runs in values.items()
    }
    apart, together = spreads(values, 1e-3), spreads(values, 1e-3, scales=scales)
    assert together["score", 0].half < apart["score", 0].half
    assert together["ratio", 0].half == pytest.approx(4 * together["score", 0].half, rel=0.6)


def test_the_key_of_a_run_knows_every_switch_that_makes_a_processor():
    assert {name for switches in measure.PROCESSORS.values() for name in switches} == {*SWITCHES}
