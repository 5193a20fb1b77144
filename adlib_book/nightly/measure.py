"""Bands from measurement: chapters are executed as on other processors and with other seeds, and their spread is kept.

What a night holds is the default run on another machine, so the bands come from runs with the default seed under
PROCESSORS. Runs with other seeds say how much of a number is luck; that is kept beside the band, and not held.

Runs lie below `_build/measured/`, one folder for each processor and seed. A call that was interrupted goes on there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from adlib_book.nightly import bands
from adlib_book.nightly.spread import spreads
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
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
}
# Least half-width of a band, relative: in float64 the arithmetic moves the tenth digit, in float32 a pair of images.
SMALLEST = {"smoke": 1e-6, "live": 1e-3, "paper": 1e-3}

Records = dict[str, dict[str, Any]]  # by chapter


def measure(
    profile: str,
    reason: str,
    *,
    chapters: Iterable[str] = (),
    processors: int = len(PROCESSORS),
    seeds: Iterable[int] = (),
    workers: int | None = None,
) -> list[str]:
    """Execute chapters as on each processor, then with each seed, and write what follows as their baselines.

    The model is of the numbers of all chapters: of those that are not executed it takes what their baselines say they
    were when they were measured. A number's value becomes the mean over the processors, its band the one of
    `adlib_book.nightly.spread`. A processor as which this one computes no differently than as an earlier one is left
    out.

    Args:
        profile: "smoke", "live" or "paper".
        reason: kept in the files.
        chapters: their names or beginnings of names; by default all.
        processors: how many of PROCESSORS, from the first; at least three.
        seeds: further seeds of the chapters that declare one.
        workers: chapters at once; by default as many as cores and memory allow.

    Returns:
        One line per number that was changed, then the widths in words.

    Raises:
        ValueError: no reason, fewer than three processors that differ, an unknown profile or chapter.
        ChapterError: chapters failed; what was run is kept.
    """
    bands.check_reason(reason)
    workspace = Workspace.here()
    asked = sorted({workspace.chapter(name).stem for name in chapters}) or list(workspace.chapters())
    runs = distinct(
        {
            name: _run(workspace, asked, profile, name, PROCESSORS[name], {}, workers)
            for name in [*PROCESSORS][:processors]
        }
    )
    others = [_run(workspace, asked, profile, f"seed {seed}", {}, {"seed": seed}, workers) for seed in seeds]
    values = _values(runs.values())
    measured = spreads(_recorded(workspace, profile, asked) | values, SMALLEST[profile])
    by_seed = (
        {key: float(np.std(values, ddof=1)) for key, values in _values(others).items()}
        if len(others) > 1
        else {}
    )
    lines = []
    for chapter, record in runs["as it is"].items():
        new = {}
        for (name, metric), each in measured.items():
            if name == chapter:
                luck = {"seeds_sd": by_seed[name, metric]} if (name, metric) in by_seed else {}
                new[metric] = {
                    "value": each.mean,
                    "tolerance": each.half,
                    "sd": each.sd,
                    "runs": each.runs,
                    "measured": values[name, metric],
                } | luck
        lines += [f"{chapter}: {line}" for line in bands.replace(workspace.root, record, new, reason)]
    return [*lines, summary([measured[key].half for key in values])]


def summary(halves: list[float]) -> str:
    """The half-widths of all bands, in words."""
    wide = sum(half > 0.1 for half in halves)
    return f"{len(halves)} bands: median half-width {np.median(halves):.3g}, widest {max(halves):.3g}, {wide} above 0.1"


def distinct(runs: Mapping[str, Records]) -> dict[str, Records]:
    """Runs without those whose numbers are all those of an earlier one: the same arithmetic under another name."""
    different: dict[str, Records] = {}
    seen = []
    for name, records in runs.items():
        if (numbers := _values([records])) in seen:
            say(f"{name}: computed here like an earlier one, left out")
            continue
        seen.append(numbers)
        different[name] = records
    return different


def _values(runs: Iterable[Records]) -> dict[tuple[str, str], list[float]]:
    """(chapter, metric) -> its value in each run."""
    values: dict[tuple[str, str], list[float]] = {}
    for records in runs:
        for chapter, record in records.items():
            for metric, entry in record["metrics"].items():
                values.setdefault((chapter, metric), []).append(entry["value"])
    return values


def _recorded(workspace: Workspace, profile: str, but: Iterable[str]) -> dict[tuple[str, str], list[float]]:
    """As `_values`, of what the baselines of the other chapters were made from."""
    return {
        (chapter, metric): entry["measured"]
        for chapter in workspace.chapters()
        if chapter not in but
        for metric, entry in bands.load(bands.baseline_path(workspace.root, chapter, profile)).items()
        if len(entry.get("measured", ())) > 2
    }


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
