"""The numbers that a run is held against: `baselines/<chapter>.<profile>.json`, reviewed in git.

One entry per metric: `value` and `tolerance`, the band around it; `limits`, the range of the metric, at which the band
ends; `source` (the record it came from) and `reason` (why the entry was last changed); where known, `device` and `at`
(when the run began). Where the band was measured, `measured` has the number's value as on each kind of processor, `sd`
is the standard deviation between them that the model makes of it, and `seeds_sd` the one between seeds; `held` is false
where the band would be so wide that it says nothing. They change by `adlib baselines update` and `adlib baselines
measure` only, never in passing.

How wide a band should be: as wide as the same run scatters over processors, see `adlib_book.nightly.spread`. On another
device the same seed gives other random numbers and other rounding, so there the band is twice as wide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adlib.files import write_atomic

OTHER_DEVICE = 2.0  # how many times wider a band is on another device than the one it was made on


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
        missing = [key for key in ("value", "tolerance", "source", "reason") if key not in entry]
        if missing:
            raise ValueError(f"baseline {metric!r} in {path} lacks {', '.join(missing)}.")
    return entries


def band(entry: Mapping[str, Any], device: str | None = None) -> tuple[float, float]:
    """Lowest and highest value that a baseline entry accepts, in the unit of the metric.

    Args:
        entry: one baseline.
        device: of the run to be judged, e.g. "cuda:0"; of another kind than the baseline's (the CPU where it does
            not say), the band is OTHER_DEVICE times as wide. None: the baseline's own.
    """
    half = entry["tolerance"]
    if device is not None and _kind(device) != _kind(entry.get("device", "cpu")):
        half *= OTHER_DEVICE
    least, most = entry.get("limits", (None, None))
    low, high = entry["value"] - half, entry["value"] + half
    return low if least is None else max(low, least), high if most is None else min(high, most)


def is_held(entry: Mapping[str, Any]) -> bool:
    """Whether a run outside the band is a deviation; not where the band would be too wide to say anything."""
    return bool(entry.get("held", True))


def _kind(device: str) -> str:
    return device.split(":")[0]


def check_reason(reason: str) -> None:
    """Refuse a change of baselines that is given no reason.

    Raises:
        ValueError: the reason is blank.
    """
    if not reason.strip():
        raise ValueError("a baseline changes for a reason; give one with --reason.")


def compare(record: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> list[Deviation]:
    """Hold the metrics of a run against baseline entries.

    A metric without a baseline is a deviation, and so is a baseline whose metric the run did not report: neither
    number could fail otherwise. One that is not held may have any value.

    Args:
        record: of a run, with "id" and "metrics".
        entries: as from `load`.

    Returns:
        What does not agree; empty if all is well.
    """
    deviations = []
    for metric, entry in record["metrics"].items():
        low, high = band(entries[metric], record.get("device")) if metric in entries else (None, None)
        value = entry["value"]
        # Half a unit in the twelfth digit: 0.3 must lie within 0.2 +- 0.1.
        slack = 1e-12 * max(1.0, abs(value))
        if low is None or (is_held(entries[metric]) and not low - slack <= value <= high + slack):
            deviations.append(Deviation(metric, value, low, high, record["id"]))
    for metric in entries.keys() - record["metrics"].keys():
        deviations.append(Deviation(metric, None, *band(entries[metric]), record["id"]))
    return sorted(deviations, key=lambda each: each.metric)


def check(root: Path, record: Mapping[str, Any]) -> list[Deviation]:
    """Hold a run against the baselines of its chapter and profile."""
    return compare(record, load(baseline_path(root, record["chapter"], record["profile"])))


def update(root: Path, record: Mapping[str, Any], reason: str, *, inside: bool = False) -> list[str]:
    """Write the numbers of a run as the new baselines of its chapter and profile.

    Only what lies outside its band, is new, or has gone is touched; a band keeps its width.

    Args:
        root: the checkout.
        record: of a run with the chapter's default parameters.
        reason: why the numbers are right now; kept in the file.
        inside: touch also numbers that have moved inside their bands, so that a drift is accepted.

    Returns:
        One line per change, with old and new value.

    Raises:
        ValueError: no reason was given.
    """
    entries = load(baseline_path(root, record["chapter"], record["profile"]))
    touched = {each.metric for each in compare(record, entries)}
    if inside:
        touched |= {name for name, old in entries.items() if _moved(old, record["metrics"].get(name))}
    new = {}
    for metric in touched & record["metrics"].keys():
        old, number = entries.get(metric), record["metrics"][metric]
        measured = {key: old[key] for key in MEASURED if key in old} if old else {}
        new[metric] = {"value": number["value"], "tolerance": _tolerance(old, number), **measured}
    return _write(root, record, reason, new, gone=touched - record["metrics"].keys())


def replace(
    root: Path, record: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]], reason: str
) -> list[str]:
    """Write measured values and widths as the baselines of a chapter and profile, all of them.

    Args:
        root: the checkout.
        record: of the chapter's run with its default parameters.
        measured: metric -> "value", "tolerance" and what else of MEASURED is known.
        reason: kept in the file.

    Returns:
        As `update`.

    Raises:
        ValueError: no reason was given.
    """
    entries = load(baseline_path(root, record["chapter"], record["profile"]))
    return _write(root, record, reason, measured, gone=entries.keys() - measured.keys())


MEASURED = ("sd", "measured", "held", "seeds_sd")


def _write(
    root: Path,
    record: Mapping[str, Any],
    reason: str,
    new: Mapping[str, Mapping[str, Any]],
    gone: Iterable[str],
) -> list[str]:
    """Change entries of a baseline file."""
    check_reason(reason)
    path = baseline_path(root, record["chapter"], record["profile"])
    entries = load(path)
    changes = [f"{metric}: {entries.pop(metric)['value']:.6g} -> gone" for metric in sorted(gone)]
    where = {"device": record.get("device"), "at": record.get("started_at")}
    known = {key: text for key, text in where.items() if text}
    for metric, numbers in sorted(new.items()):
        old = entries.get(metric)
        limits = record["metrics"][metric].get("limits")
        entries[metric] = {
            **numbers,
            **({"limits": limits} if limits else {}),
            **{"source": _source(record), "reason": reason.strip()},
            **known,
        }
        changes.append(_change(metric, old, numbers["value"], numbers["tolerance"]))
    if changes:
        ordered = {metric: entries[metric] for metric in sorted(entries)}
        write_atomic(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return changes


def _moved(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> bool:
    return new is not None and new["value"] != old["value"]


def _change(metric: str, old: Mapping[str, Any] | None, value: float, half: float) -> str:
    if old is None:
        return f"{metric}: none -> {value:.6g}"
    text = f"{metric}: {old['value']:.6g} -> {value:.6g}"
    before = old["tolerance"]
    return text if math.isclose(before, half) else f"{text}, band +-{before:.3g} -> +-{half:.3g}"


def _tolerance(old: Mapping[str, Any] | None, number: Mapping[str, Any]) -> float:
    """Width of a new band until it is measured: as before, else as reported, else the larger of 0.05 and a tenth."""
    return old["tolerance"] if old else number.get("tolerance", max(0.05, math.fabs(number["value"]) / 10))


def _source(record: Mapping[str, Any]) -> str:
    versions = record.get("versions", {})
    return (
        f"{record['id']}: adlib {record['adlib']}, commit {record['commit']}, "
        f"{record['device']}, torch {versions.get('torch', 'unknown')}"
    )
