"""The numbers that a run is held against: `baselines/<chapter>.<profile>.json`, reviewed in git.

One entry per metric: `value`, either `tolerance` or `low` and `high`, `source` (the record it came from) and
`reason` (why it has that value now). They change by `adlib baselines update` only, never in passing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import write_atomic


@dataclass(frozen=True)
class Deviation:
    """One number of a run that does not agree with its baseline.

    Args:
        metric: name of the metric.
        value: what the run gave; None if it gave nothing.
        low, high: the band; None if there is no baseline.
        record: id of the run.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    record: str

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.metric}: {self.value:.6g} has no baseline (run {self.record})"
        band = f"[{self.low:.6g}, {self.high:.6g}]"
        if self.value is None:
            return f"{self.metric}: missing from run {self.record}; its baseline is {band}"
        return f"{self.metric}: {self.value:.6g} is outside {band} (run {self.record})"


def baseline_path(root: Path, chapter: str, profile: str) -> Path:
    """Where the baselines of a chapter and profile are kept."""
    return root / "baselines" / f"{chapter}.{profile}.json"


def load(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a baseline file; an empty dict if there is no file.

    Raises:
        ValueError: the file is no JSON, or an entry has no value, band, source or reason.
    """
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no valid JSON ({error}). Restore it from git.") from error
    for metric, entry in entries.items():
        missing = [key for key in ("value", "source", "reason") if key not in entry]
        if "tolerance" not in entry and not {"low", "high"} <= entry.keys():
            missing.append("tolerance (or low and high)")
        if missing:
            raise ValueError(f"baseline {metric!r} in {path} lacks {', '.join(missing)}.")
    return entries


def band(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Lowest and highest value that a baseline entry accepts, in the unit of the metric."""
    if "tolerance" in entry:
        return entry["value"] - entry["tolerance"], entry["value"] + entry["tolerance"]
    return entry["low"], entry["high"]


def compare(record: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> list[Deviation]:
    """Hold the metrics of a run against baseline entries.

    A metric without a baseline is a deviation, and so is a baseline whose metric the run did not report:
    either way nobody would be watching that number.

    Args:
        record: of a run, with "id" and "metrics".
        entries: as from `load`.

    Returns:
        What does not agree; empty if all is well.
    """
    deviations = []
    for metric, found in record["metrics"].items():
        low, high = band(entries[metric]) if metric in entries else (None, None)
        value = found["value"]
        # Half a unit in the twelfth digit: 0.3 must lie within 0.2 +- 0.1.
        slack = 1e-12 * max(1.0, abs(value))
        if low is None or not low - slack <= value <= high + slack:
            deviations.append(Deviation(metric, value, low, high, record["id"]))
    for metric in entries.keys() - record["metrics"].keys():
        deviations.append(Deviation(metric, None, *band(entries[metric]), record["id"]))
    return sorted(deviations, key=lambda each: each.metric)


def check(root: Path, record: Mapping[str, Any]) -> list[Deviation]:
    """Hold a run against the baselines of its chapter and profile."""
    return compare(record, load(baseline_path(root, record["chapter"], record["profile"])))


def update(root: Path, record: Mapping[str, Any], reason: str) -> list[str]:
    """Write the numbers of a run as the new baselines of its chapter and profile.

    Only what lies outside its band, is new, or has gone is touched; a band keeps its width.

    Args:
        root: the checkout.
        record: of a run with the chapter's default parameters.
        reason: why the numbers are right now; kept in the file.

    Returns:
        One line per change, with old and new value.

    Raises:
        ValueError: no reason was given.
    """
    if not reason.strip():
        raise ValueError("a baseline changes for a reason; give one with --reason.")
    path = baseline_path(root, record["chapter"], record["profile"])
    entries = load(path)
    changes = []
    for deviation in compare(record, entries):
        metric, old = deviation.metric, entries.get(deviation.metric)
        if deviation.value is None:
            changes.append(f"{metric}: {entries.pop(metric)['value']:.6g} -> gone")
            continue
        entries[metric] = {
            "value": deviation.value,
            "tolerance": _tolerance(old, record["metrics"][metric]),
            "source": _source(record),
            "reason": reason.strip(),
        }
        before = f"{old['value']:.6g}" if old else "none"
        changes.append(f"{metric}: {before} -> {deviation.value:.6g}")
    if changes:
        ordered = {metric: entries[metric] for metric in sorted(entries)}
        write_atomic(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return changes


def _tolerance(old: Mapping[str, Any] | None, found: Mapping[str, Any]) -> float:
    """Width of a new band: as before, else what the chapter asked for, else the larger of 0.05 and a tenth."""
    if old:
        low, high = band(old)
        return (high - low) / 2
    if found.get("tolerance") is not None:
        return found["tolerance"]
    return max(0.05, math.fabs(found["value"]) / 10)


def _source(record: Mapping[str, Any]) -> str:
    versions = record.get("versions", {})
    return (
        f"{record['id']}: adlib {record['adlib']}, commit {record['commit']}, "
        f"{record['device']}, torch {versions.get('torch', 'unknown')}"
    )
