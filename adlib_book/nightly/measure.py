"""Bands from measurement: chapters are executed as on other processors and with other seeds, and their spread is kept.

What a night holds is the default run on another machine, so the bands come from runs with the default seed under
PROCESSORS. Runs with other seeds say how much of a number is luck; that is kept beside the band, and not held.

Runs lie below `_build/measured/`, one folder for each processor and seed. A call that was interrupted goes on there.
The baselines keep every run's values under the processor's name, so that a later call, on this machine or another, can
add processors (`keep`).

A number whose band would be wider than WIDEST is shown with it and not held: a band that nearly everything passes says
nothing. The smoke profile and the trajectories hold the same code to many digits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from adlib import environment
from adlib_book.nightly import bands
from adlib_book.nightly.spread import left_out, moves, scale, spreads
from adlib_book.runner.parallel import run_all
from adlib_book.runner.terminal import say
from adlib_book.runner.workspace import Workspace

# Each makes torch's libraries compute as on another processor; those of newer processors are what is there by default.
# The first three differ in float64 too, and the first two take hardly longer than the usual run.
PROCESSORS: dict[str, dict[str, str]] = {
    "as it is": {},
    "AVX and no vector instructions": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX"},
    "no vector instructions": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"},
    "AVX convolutions": {"ONEDNN_MAX_CPU_ISA": "AVX"},
    "SSE 4.1 convolutions": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "an old processor": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
    "SSE 4.2": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX", "ONEDNN_MAX_CPU_ISA": "AVX"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
}
# Least half-width of a band, relative: in float64 the arithmetic moves the tenth digit, in float32 a pair of images.
SMALLEST = {"smoke": 1e-6, "live": 1e-3, "paper": 1e-3}

AS_IT_IS = "as it is"
# Fewer runs than this are kept, and the band stays as it was: with two degrees of freedom Student's t makes any band of
# a number that moves wider than what is held.
LEAST_RUNS = 5
WIDEST = 0.1  # half-width of a band, in the number's scale, above which it is not held

_BAND = ("value", "tolerance", "sd", "held", "seeds_sd")

Records = dict[str, dict[str, Any]]  # by chapter


def measure(
    profile: str,
    reason: str,
    *,
    chapters: Iterable[str] = (),
    processors: Iterable[str] = tuple(PROCESSORS),
    keep: bool = False,
    seeds: Iterable[int] = (),
    workers: int | None = None,
) -> list[str]:
    """Execute chapters as on each processor, then with each seed, and write what follows as their baselines.

    The model is of the numbers of all chapters: of those that are not executed it takes what their baselines say they
    were when they were measured. A number's value becomes the mean over the processors, its band the one of
    `adlib_book.nightly.spread`. A processor as which this one computes no differently than as an earlier one is left
    out (`without_twins`). A number that moves and has fewer than LEAST_RUNS runs so far keeps its band, and its runs.

    Args:
        profile: "smoke", "live" or "paper".
        reason: kept in the files.
        chapters: their names or beginnings of names; by default all.
        processors: names of PROCESSORS; the first, with the default run, is always among them.
        keep: take also the runs under other processors that the baselines hold of these chapters. Right where no code
            that the numbers depend on has changed since.
        seeds: further seeds of the chapters that declare one.
        workers: chapters at once; by default as many as cores and memory allow.

    Returns:
        One line per number that was changed, then the widths in words.

    Raises:
        ValueError: no reason, fewer than three processors that differ, an unknown profile or chapter.
        ChapterError: chapters failed; what was run is kept.
    """
    bands.check_reason(reason)
    if unknown := [name for name in processors if name not in PROCESSORS]:
        raise ValueError(f"unknown processors {unknown}; known: {', '.join(PROCESSORS)}.")
    workspace = Workspace.here()
    asked = sorted({workspace.chapter(name).stem for name in chapters}) or list(workspace.chapters())
    runs = {
        name: _run(workspace, asked, profile, name, PROCESSORS[name], {}, workers)
        for name in dict.fromkeys([AS_IT_IS, *processors])
    }
    others = {
        f"seed {seed}": _run(workspace, asked, profile, f"seed {seed}", {}, {"seed": seed}, workers)
        for seed in seeds
    }
    now = _values(runs)
    before = _recorded(workspace, profile)
    values = {key: runs for key, runs in before.items() if key[0] not in asked}
    values |= without_twins({key: (before.get(key, {}) if keep else {}) | runs for key, runs in now.items()})
    lists = {key: [*runs.values()] for key, runs in values.items()}
    limits = _limits(workspace, profile) | {
        (chapter, metric): entry.get("limits")
        for chapter, record in runs[AS_IT_IS].items()
        for metric, entry in record["metrics"].items()
    }
    scales = {key: scale(runs, limits.get(key)) for key, runs in lists.items()}
    measured = spreads(lists, SMALLEST[profile], scales=scales)
    by_seed = {
        key: float(np.std([*values.values()], ddof=1))
        for key, values in _values(others).items()
        if len(values) > 1
    }
    lines, waiting, entries = [], 0, _entries(workspace, profile)
    for chapter, record in runs[AS_IT_IS].items():
        new = {}
        for key, each in measured.items():
            if key[0] == chapter and each.sd and each.runs < LEAST_RUNS and key in entries:
                unchanged = {name: entries[key][name] for name in _BAND if name in entries[key]}
                new[key[1]] = unchanged | {"measured": values[key]}
                waiting += 1
            elif key[0] == chapter:
                held = {} if each.half <= WIDEST * scales[key] else {"held": False}
                luck = {"seeds_sd": by_seed[key]} if key in by_seed else {}
                new[key[1]] = {
                    "value": each.mean,
                    "tolerance": each.half,
                    "sd": each.sd,
                    "measured": values[key],
                    **held,
                    **luck,
                }
        lines += [f"{chapter}: {line}" for line in bands.replace(workspace.root, record, new, reason)]
    if waiting:
        lines.append(
            f"{waiting} numbers have fewer than {LEAST_RUNS} runs, which are kept; their bands stay."
        )
    return [*lines, summary([measured[key].half / scales[key] for key in now])]


def clean_runs(workspace: Workspace, profile: str) -> dict[str, tuple[int, list[tuple[str, str]]]]:
    """Every kind of run that the baselines keep, held against the bands of all others: (numbers, those outside)."""
    values = _recorded(workspace, profile)
    limits = _limits(workspace, profile)
    scales = {key: scale([*runs.values()], limits.get(key)) for key, runs in values.items()}
    return left_out(values, SMALLEST[profile], WIDEST, scales)


def summary(halves: list[float]) -> str:
    """Half-widths, in the scale of their numbers, in words."""
    held = [half for half in halves if half <= WIDEST]
    widths = f"median half-width {np.median(held):.3g}, widest {max(held):.3g}; " if held else ""
    return (
        f"{len(held)} of {len(halves)} numbers are held: {widths}the others would have bands above {WIDEST}"
    )


def without_twins(
    values: Mapping[tuple[str, str], Mapping[str, float]],
) -> dict[tuple[str, str], dict[str, float]]:
    """Runs without those that are an earlier run under another name, and would be counted twice.

    A training that rounds once in another way ends elsewhere. So two runs of a chapter all of whose numbers agree to
    `adlib_book.nightly.spread.SAME` computed alike, though one switch may be set in one of them only. A chapter
    whose numbers no arithmetic moves keeps all its runs.

    Args:
        values: (chapter, metric) -> name of a run -> value.
    """
    result: dict[tuple[str, str], dict[str, float]] = {}
    for chapter in dict.fromkeys(chapter for chapter, _ in values):
        numbers = {key: runs for key, runs in values.items() if key[0] == chapter}
        moving = [runs for runs in numbers.values() if moves([*runs.values()])]
        kept: list[str] = []
        for name in dict.fromkeys(name for runs in numbers.values() for name in runs):
            if twin := next((other for other in kept if _alike(moving, name, other)), None):
                say(f"{chapter}, {name}: computed here like {twin}, left out")
            else:
                kept.append(name)
        result |= {key: {name: runs[name] for name in kept if name in runs} for key, runs in numbers.items()}
    return result


def _alike(numbers: list[Mapping[str, float]], one: str, other: str) -> bool:
    """Whether two runs agree in every number that both have, of those that move."""
    pairs = [(runs[one], runs[other]) for runs in numbers if one in runs and other in runs]
    # Two ones are equal, though `moves` takes a number at the end of its range for one that may move.
    return bool(pairs) and not any(moves(pair) for pair in pairs if pair[0] != pair[1])


def _values(runs: Mapping[str, Records]) -> dict[tuple[str, str], dict[str, float]]:
    """(chapter, metric) -> name of a run -> value; the usual run's name has this machine's instructions."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    for name, records in runs.items():
        title = f"{AS_IT_IS}, {environment.hardware()['instructions']}" if name == AS_IT_IS else name
        for chapter, record in records.items():
            for metric, entry in record["metrics"].items():
                values.setdefault((chapter, metric), {})[title] = entry["value"]
    return values


def _entries(workspace: Workspace, profile: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (chapter, metric): entry
        for chapter in workspace.chapters()
        for metric, entry in bands.load(bands.baseline_path(workspace.root, chapter, profile)).items()
    }


def _recorded(workspace: Workspace, profile: str) -> dict[tuple[str, str], dict[str, float]]:
    """As `_values`, of what the baselines were made from."""
    entries = _entries(workspace, profile)
    return {key: entry["measured"] for key, entry in entries.items() if len(entry.get("measured", ())) > 2}


def _limits(workspace: Workspace, profile: str) -> dict[tuple[str, str], Any]:
    """(chapter, metric) -> range of the metric, as the baselines have it."""
    return {key: entry.get("limits") for key, entry in _entries(workspace, profile).items()}


def _run(
    workspace: Workspace,
    chapters: Iterable[str],
    profile: str,
    name: str,
    variables: Mapping[str, str],
    parameters: Mapping[str, Any],
    workers: int | None,
) -> Records:
    """Chapters as on one processor or with one seed; those that are there already are taken as they are."""
    say(f"{profile}, {name}")
    place = Workspace(workspace.root, f"_build/measured/{name.replace(' ', '-')}")
    with _environment(variables):
        records = list(run_all(chapters, profile, parameters, workspace=place, workers=workers))
    return {record["chapter"]: record for record in records}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
