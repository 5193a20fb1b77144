"""The history of the chapters' numbers: one line per chapter and night, never rewritten, and the drifts in it.

Lines lie in `_build/history/<profile>.jsonl`, where this machine's nights go, and in `history/<profile>.jsonl`, which
is committed. Both are read; a run that stands in both counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adlib_book.ledger import results
from adlib_book.nightly.bands import band, baseline_path, load

if TYPE_CHECKING:
    from adlib_book.runner.workspace import Workspace

WINDOW = 30  # nights over which a drift is looked for
FEWEST = 8  # nights below which no drift is looked for
_CHANCE = 0.001  # p-value: how often a number that only jitters is taken for one that drifts
_SHARE = 0.25  # of half the band: a smaller movement is not reported


@dataclass(frozen=True)
class Drift:
    """A number that has moved inside its band, one way, over the last nights.

    Args:
        chapter, metric: which number.
        first, last: medians of the first and of the last quarter of those nights.
        nights: how many were looked at.
        low, high: the band.
    """

    chapter: str
    metric: str
    first: float
    last: float
    nights: int
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.metric}: moved from {self.first:.6g} to {self.last:.6g} over {self.nights} nights, inside its "
            f"band [{self.low:.6g}, {self.high:.6g}]"
        )


def path(workspace: Workspace, profile: str) -> Path:
    """Where this machine's nights are appended."""
    return workspace.build / "history" / f"{profile}.jsonl"


def committed_path(workspace: Workspace, profile: str) -> Path:
    """Where the nights lie that are committed with the checkout."""
    return workspace.root / "history" / f"{profile}.jsonl"


def line(record: Mapping[str, Any], night: str, outcome: str) -> dict[str, Any]:
    """One run as a line of the history.

    Args:
        record: of a chapter's run, from `run_chapter`.
        night: id of the night.
        outcome: see `adlib_book.nightly.night`.
    """
    copied = ("id", "chapter", "profile", "started_at", "seconds", "peak_mb", "adlib", "commit", "device")
    return {
        **{key: record[key] for key in copied if record.get(key) is not None},
        "night": night,
        "outcome": outcome,
        "hardware": record.get("hardware", {}),
        "versions": record.get("versions", {}),
        "metrics": {name: entry["value"] for name, entry in record.get("metrics", {}).items()},
    }


def runs(workspace: Workspace, profile: str) -> list[dict[str, Any]]:
    """Every run in the history, oldest first, each once; of a chapter and night the last.

    A night that was killed between a chapter's line and its own record repeats that chapter.
    """
    by_night: dict[tuple[str, str], dict[str, Any]] = {}
    for source in (committed_path(workspace, profile), path(workspace, profile)):
        if source.is_file():
            by_night |= {
                (each["chapter"], each.get("night", each["id"])): each for each in results.read(source)
            }
    return sorted(by_night.values(), key=lambda each: each["started_at"])


def keep(workspace: Workspace, profile: str, sources: Iterable[Path] = ()) -> int:
    """Copy nights into the checkout's own history, to be committed; those that are there stay as they are.

    Args:
        workspace: the checkout.
        profile: "live", usually.
        sources: history files from elsewhere; by default this machine's, if a night has written one.

    Returns:
        How many lines were added.

    Raises:
        FileNotFoundError: a source that was named is not there; nothing is added.
    """
    own, named = path(workspace, profile), list(sources)
    for source in named:
        if not source.is_file():
            raise FileNotFoundError(f"no history file {source}; a night writes such a file, here {own}.")
    ledger = results.Ledger(committed_path(workspace, profile))
    every = named or [own] * own.is_file()
    return sum(ledger.add(each) for source in every for each in results.read(source))


def comparable(history: Sequence[Mapping[str, Any]], like: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs of the same chapter on the same kind of machine: another device is no drift.

    Args:
        history: from `runs`.
        like: a line of the history.
    """

    def machine(run: Mapping[str, Any]) -> tuple[Any, ...]:
        hardware = run.get("hardware", {})
        details = [hardware.get(key) for key in ("processor", "instructions", "accelerator", "threads")]
        return run["chapter"], run.get("device"), *details

    return [run for run in history if machine(run) == machine(like)]


def drift(values: Sequence[float], low: float, high: float) -> tuple[float, float] | None:
    """Whether numbers move one way.

    They do if Kendall's rank correlation with time is significant (p < 0.001) and the medians of the first and the last
    quarter differ by at least a quarter of half the band.

    Args:
        values: one per night, oldest first.
        low, high: the band.

    Returns:
        (median of the first quarter, of the last quarter), or None.
    """
    from scipy.stats import kendalltau

    values = list(values)
    if len(values) < FEWEST or min(values) == max(values):
        return None
    quarter = max(2, len(values) // 4)
    first, last = _median(values[:quarter]), _median(values[-quarter:])
    if abs(last - first) < _SHARE * (high - low) / 2 or not high > low:
        return None
    chance = kendalltau(range(len(values)), values).pvalue
    return (first, last) if not math.isnan(chance) and chance < _CHANCE else None


def drifts(
    workspace: Workspace, profile: str, chapter: str, history: Sequence[Mapping[str, Any]]
) -> list[Drift]:
    """Numbers of a chapter that drift inside their bands, judged on the machine of its newest run.

    Nights before the baseline was last set are excluded.

    Args:
        workspace: the checkout.
        profile: "live", usually.
        chapter: full name.
        history: from `runs`.
    """
    own = [run for run in history if run["chapter"] == chapter and run.get("metrics")]
    if not own:
        return []
    own = comparable(own, own[-1])
    drifting = []
    for metric, entry in load(baseline_path(workspace.root, chapter, profile)).items():
        values = [
            run["metrics"][metric]
            for run in own
            if metric in run["metrics"] and run["started_at"] >= entry.get("at", "")
        ]
        low, high = band(entry, own[-1].get("device"))
        # A quick drift shows in the last nights, a slow one over all since the baseline was set.
        for stretch in (values[-WINDOW:], values) if len(values) > WINDOW else (values,):
            thinned = stretch[:: max(1, -(-len(stretch) // WINDOW))]
            if medians := drift(thinned, low, high):
                drifting.append(Drift(chapter, metric, *medians, len(stretch), low, high))
                break
    return drifting


def changes(history: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> list[str]:
    """Versions, code and machine that differ from the last run of the same chapter.

    Args:
        history: from `runs`.
        run: a line of the history.

    Returns:
        Such as "torch 2.13.0 -> 2.14.1"; empty if nothing has changed or there was no run before.
    """
    before = [
        each
        for each in history
        if each["chapter"] == run["chapter"]
        and each["started_at"] < run["started_at"]
        and each.get("versions")
    ]
    if not before:
        return []

    def conditions(each: Mapping[str, Any]) -> dict[str, Any]:
        machine = {key: each.get("hardware", {}).get(key) for key in ("processor", "cores", "accelerator")}
        code = {key: each.get(key) for key in ("adlib", "commit", "device")}
        return {**each.get("versions", {}), **code, **machine}

    old, new = conditions(before[-1]), conditions(run)
    return [
        f"{key} {old.get(key, 'none')} -> {new.get(key, 'none')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
