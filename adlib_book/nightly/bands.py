"""The numbers that a run is held against: `baselines/<chapter>.<profile>.json`, reviewed in git.

One entry per metric: `value`, either `tolerance` or `low` and `high`, `source` (the record it came from), `reason`
(why the entry was last changed), and, where known, `device` and `at` (when the run began). They change by
`adlib baselines update` and `adlib baselines bands` only, never in passing.

How wide a band should be: as wide as runs with other seeds scatter. `spread` takes the interval in which one more such
run falls with 99 % probability (Student's t, for few runs). On another device the same seed gives other random numbers
and other rounding, so there the band is twice as wide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adlib.files import write_atomic

OTHER_DEVICE = 2.0  # how many times wider a band is on another device than the one it was made on
SMALLEST_BAND = 1e-3  # of the value: rounding differs between processors


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


def band(entry: Mapping[str, Any], device: str | None = None) -> tuple[float, float]:
    """Lowest and highest value that a baseline entry accepts, in the unit of the metric.

    Args:
        entry: one baseline.
        device: of the run to be judged, e.g. "cuda:0"; of another kind than the baseline's (the CPU where it does
            not say), the band is OTHER_DEVICE times as wide. None: the baseline's own.
    """
    if "tolerance" in entry:
        low, high = entry["value"] - entry["tolerance"], entry["value"] + entry["tolerance"]
    else:
        low, high = entry["low"], entry["high"]
    if device is not None and _kind(device) != _kind(entry.get("device", "cpu")):
        middle, half = (low + high) / 2, (high - low) / 2 * OTHER_DEVICE
        low, high = middle - half, middle + half
    return low, high


def _kind(device: str) -> str:
    return device.split(":")[0]


def check_reason(reason: str) -> None:
    """Refuse a change of baselines that is given no reason.

    Raises:
        ValueError: the reason is blank.
    """
    if not reason.strip():
        raise ValueError("a baseline changes for a reason; give one with --reason.")


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse seeds whose runs have no spread.

    Raises:
        ValueError: fewer than three, or one twice.
    """
    if len(seeds) < 3 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds {list(seeds)}; expected at least three, all different: a spread needs them.")


def spread(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Half the width of the band for each metric, from runs that differ in their seed only.

    The band lies around one run, and 99 of 100 further runs shall fall into it: t(0.995, n - 1) * s * sqrt(2), where s
    is the standard deviation over n runs, and two runs differ by sqrt(2) times as much.

    Args:
        records: at least three.

    Returns:
        Metric -> half-width; at least SMALLEST_BAND times the largest value, for numbers that no seed moves.

    Raises:
        ValueError: fewer than three runs, or two with the same seed.
    """
    import statistics

    from scipy.stats import t

    check_seeds([record["parameters"]["seed"] for record in records])
    count, widths = len(records), {}
    factor = t.ppf(0.995, count - 1) * math.sqrt(2)
    for metric in set.intersection(*(set(record["metrics"]) for record in records)):
        values = [record["metrics"][metric]["value"] for record in records]
        least = SMALLEST_BAND * max(map(abs, values))
        widths[metric] = max(factor * statistics.stdev(values), least)
    return widths


def compare(record: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> list[Deviation]:
    """Hold the metrics of a run against baseline entries.

    A metric without a baseline is a deviation, and so is a baseline whose metric the run did not report: neither
    number could fail otherwise.

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
        if low is None or not low - slack <= value <= high + slack:
            deviations.append(Deviation(metric, value, low, high, record["id"]))
    for metric in entries.keys() - record["metrics"].keys():
        deviations.append(Deviation(metric, None, *band(entries[metric]), record["id"]))
    return sorted(deviations, key=lambda each: each.metric)


def check(root: Path, record: Mapping[str, Any]) -> list[Deviation]:
    """Hold a run against the baselines of its chapter and profile."""
    return compare(record, load(baseline_path(root, record["chapter"], record["profile"])))


def update(
    root: Path,
    record: Mapping[str, Any],
    reason: str,
    *,
    widths: Mapping[str, float] | None = None,
    inside: bool = False,
) -> list[str]:
    """Write the numbers of a run as the new baselines of its chapter and profile.

    Only what lies outside its band, is new, or has gone is touched; a band keeps its width.

    Args:
        root: the checkout.
        record: of a run with the chapter's default parameters.
        reason: why the numbers are right now; kept in the file.
        widths: new half-widths by metric, as from `spread`; these metrics are touched too.
        inside: touch also numbers that have moved inside their bands, so that a drift is accepted.

    Returns:
        One line per change, with old and new value.

    Raises:
        ValueError: no reason was given.
    """
    check_reason(reason)
    path = baseline_path(root, record["chapter"], record["profile"])
    entries, widths = load(path), widths or {}
    changes = []
    touched = {each.metric for each in compare(record, entries)} | widths.keys() & record["metrics"].keys()
    if inside:
        touched |= {name for name, old in entries.items() if _moved(old, record["metrics"].get(name))}
    for metric in sorted(touched):
        old, new = entries.get(metric), record["metrics"].get(metric)
        if new is None:
            changes.append(f"{metric}: {entries.pop(metric)['value']:.6g} -> gone")
            continue
        half = widths.get(metric, _tolerance(old, new))
        entries[metric] = _entry(record, new["value"], half, reason)
        changes.append(_change(metric, old, new["value"], half))
    if changes:
        ordered = {metric: entries[metric] for metric in sorted(entries)}
        write_atomic(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return changes


def _moved(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> bool:
    return new is not None and new["value"] != old["value"]


def _entry(record: Mapping[str, Any], value: float, half: float, reason: str) -> dict[str, Any]:
    entry = {"value": value, "tolerance": half, "source": _source(record), "reason": reason.strip()}
    where = {"device": record.get("device"), "at": record.get("started_at")}
    return entry | {key: text for key, text in where.items() if text}


def _change(metric: str, old: Mapping[str, Any] | None, value: float, half: float) -> str:
    if old is None:
        return f"{metric}: none -> {value:.6g}"
    low, high = band(old)
    text = f"{metric}: {old['value']:.6g} -> {value:.6g}"
    before = (high - low) / 2
    return text if math.isclose(before, half) else f"{text}, band +-{before:.3g} -> +-{half:.3g}"


def _tolerance(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> float:
    """Width of a new band: as before, else what the chapter asked for, else the larger of 0.05 and a tenth."""
    if old:
        low, high = band(old)
        return (high - low) / 2
    if new.get("tolerance") is not None:
        return new["tolerance"]
    return max(0.05, math.fabs(new["value"]) / 10)


def _source(record: Mapping[str, Any]) -> str:
    versions = record.get("versions", {})
    return (
        f"{record['id']}: adlib {record['adlib']}, commit {record['commit']}, "
        f"{record['device']}, torch {versions.get('torch', 'unknown')}"
    )
