"""The page of watched numbers: per headline number its value, its band, the last runs, and where they were made."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adlib.files import write_atomic
from adlib_book.nightly import history, measure
from adlib_book.nightly.bands import band, baseline_path, compare, is_held, load
from adlib_book.runner.workspace import Workspace

SPARKLINE_RUNS = 60
_WIDTH, _HEIGHT = 150, 30  # of a sparkline, in pixels


def watched_numbers(records: Iterable[Mapping[str, Any]], workspace: Workspace) -> str:
    """One section per chapter, in Markdown with tables in HTML.

    Args:
        records: of the runs that the pages are made from, as from `run_chapter`.
        workspace: for baselines and history.
    """
    sections, past = [], {}
    for record in filter(lambda each: each["metrics"], records):  # an evidence page reports no number
        profile, name = record["profile"], record["chapter"]
        if profile not in past:
            past[profile] = history.runs(workspace, profile)
        table = chapter_table(record, past[profile], workspace)
        sections.append(f"## {_title(name, workspace)}\n\n{table}")
    return "\n\n".join(sections) + "\n"


def chapter_table(record: Mapping[str, Any], past: Sequence[Mapping[str, Any]], workspace: Workspace) -> str:
    """The table of one chapter.

    Args:
        record: of the run that its page is made from.
        past: the history, oldest first.
        workspace: for the baselines.
    """
    name, profile = record["chapter"], record["profile"]
    entries = load(baseline_path(workspace.root, name, profile))
    now = history.line(record, "", "")
    earlier = [
        run for run in history.comparable(past, now) if run.get("metrics") and run["id"] != record["id"]
    ]
    drifting = {each.metric for each in history.drifts(workspace, profile, name, [*earlier, now])}
    outside = {each.metric for each in compare(record, entries)}
    rows = []
    for metric, entry in record["metrics"].items():
        low, high = band(entries[metric], record.get("device")) if metric in entries else (None, None)
        values = [run["metrics"][metric] for run in earlier if metric in run["metrics"]][-SPARKLINE_RUNS:]
        verdict = "outside" if metric in outside else "drifts" if metric in drifting else "inside"
        if low is None:
            verdict = "no band yet"
        elif not is_held(entries[metric]):
            verdict = "not held"
        luck = entries.get(metric, {}).get("seeds_sd")
        rows.append(_row(metric, verdict, [*values, entry["value"]], low, high, luck))
    heads = "".join(f"<th>{head}</th>" for head in ("number", "verdict", "value", "band", "seeds", "runs"))
    table = (
        f"<table class='table'><thead><tr>{heads}</tr></thead><tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table>"
    )
    return f'{_origin(record, len(earlier))}\n\n<div class="watched-numbers">\n{table}\n</div>'


def _row(
    metric: str,
    verdict: str,
    values: Sequence[float],
    low: float | None,
    high: float | None,
    luck: float | None,
) -> str:
    cells = [
        f"<code>{_breakable(metric)}</code>",
        verdict,
        f"{values[-1]:.4g}",
        "none" if low is None else f"{low:.4g} to {high:.4g}",
        "" if luck is None else f"± {luck:.2g}",
        sparkline(values, low, high),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _breakable(metric: str) -> str:
    """A number's name as HTML that may break after a slash or a low line, and nowhere else."""
    return re.sub("([/_])", r"\1<wbr>", html.escape(metric))


def _title(name: str, workspace: Workspace) -> str:
    """The chapter's own title, or its name where it has none."""
    cells = json.loads(workspace.chapter(name).read_text())["cells"]
    first = "".join(cells[0]["source"]) if cells else ""
    return first.partition("\n")[0].removeprefix("# ") if first.startswith("# ") else name


def _origin(record: Mapping[str, Any], nights: int) -> str:
    versions = record.get("versions", {})
    packages = ", ".join(
        f"{key} {versions[key]}" for key in ("torch", "numpy", "scikit-learn") if key in versions
    )
    before = (
        f"{nights} earlier runs on this kind of machine"
        if nights
        else "no earlier run on this kind of machine"
    )
    return (
        f"Run of {record['started_at'][:10]}, commit `{record['commit']}`, on {record['device']}"
        f" ({record.get('hardware', {}).get('processor', 'unknown processor')}), {packages}; {before}."
    )


def sparkline(values: Sequence[float], low: float | None, high: float | None) -> str:
    """A small line of the last runs over a band, as SVG that follows the page's colours.

    Args:
        values: oldest first, at least one.
        low, high: the band, drawn as a pale bar; None for none.
    """
    known = [*values, *(each for each in (low, high) if each is not None)]
    # A margin above and below the band: a bar that fills the whole cell does not look like a bar.
    margin = 0 if low is None or high is None else 0.2 * (high - low)
    bottom, top = min(known) - margin, max(known) + margin
    span = (top - bottom) or 1.0

    def y(value: float) -> float:
        return _HEIGHT - 3 - (value - bottom) / span * (_HEIGHT - 6)

    step = (_WIDTH - 8) / max(1, len(values) - 1)
    start = _WIDTH - 4 - step * (len(values) - 1)  # the newest run stands at the right, alone or not
    points = [(start + index * step, y(value)) for index, value in enumerate(values)]
    bar = ""
    if low is not None and high is not None:
        bar = (
            f'<rect x="0" y="{y(high):.1f}" width="{_WIDTH}" height="{max(1.0, y(low) - y(high)):.1f}"'
            ' fill="currentColor" opacity="0.12"/>'
        )
    path = " ".join(f"{x:.1f},{each:.1f}" for x, each in points)
    label = f"{len(values)} runs, from {values[0]:.4g} to {values[-1]:.4g}"
    return (
        f'<svg role="img" aria-label="{label}" width="{_WIDTH}" height="{_HEIGHT}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}">{bar}<polyline points="{path}" fill="none" stroke="currentColor"'
        f' stroke-width="1.5"/><circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.5"'
        ' fill="currentColor"/></svg>'
    )


def write_page(page: Path, records: Iterable[Mapping[str, Any]], workspace: Workspace) -> None:
    """Put what is known of the instrument onto a staged page, and append the sections of `watched_numbers`."""
    records = list(records)
    text = page.read_text()
    text = text.replace("<!-- widths -->", widths(records, workspace))
    text = text.replace("<!-- faults -->", faults(workspace))
    text = text.replace("<!-- clean runs -->", clean_runs(records, workspace))
    write_atomic(page, text + "\n" + watched_numbers(records, workspace))


def widths(records: Iterable[Mapping[str, Any]], workspace: Workspace) -> str:
    """How wide the bands of these runs' chapters are, in one sentence; below it, by chapter, what is not held."""
    by_chapter = {
        record["chapter"]: load(baseline_path(workspace.root, record["chapter"], record["profile"]))
        for record in records
        if record["metrics"]
    }
    entries = [entry for chapter in by_chapter.values() for entry in chapter.values()]
    halves = sorted(entry["tolerance"] for entry in entries if is_held(entry))
    if not halves:
        return "No number has a band yet."
    measured = sum("sd" in entry for entry in entries)
    wide = sum(half > 0.1 for half in halves)
    text = (
        f"**{len(halves)} numbers are held. Half of their bands reach at most {halves[len(halves) // 2]:.2g} to either "
        f"side; {wide} reach further than 0.1.** Of all {len(entries)} numbers {measured} have a measured band"
    )
    text += "." if measured == len(entries) else "; those that are not measured yet were set by hand."
    if loose := len(entries) - len(halves):
        text += (
            f" {loose} numbers move so much between processors that a band would say nothing, and are shown only:\n\n"
            "| chapter | held | shown only |\n|---|---|---|\n"
        )
        text += "\n".join(
            f"| {_title(name, workspace)} | {sum(map(is_held, chapter.values()))} of {len(chapter)} | "
            + (", ".join(f"`{metric}`" for metric, entry in chapter.items() if not is_held(entry)) or "none")
            + " |"
            for name, chapter in by_chapter.items()
        )
    return text


def clean_runs(records: Iterable[Mapping[str, Any]], workspace: Workspace) -> str:
    """How every run that the bands were made from fares against the bands that the others give, as a table."""
    profile = next((record["profile"] for record in records if record["metrics"]), "live")
    runs = measure.clean_runs(workspace, profile)
    if not runs:
        return "Too few runs are kept to say."
    held, outside = (
        sum(count for count, _ in runs.values()),
        sum(len(numbers) for _, numbers in runs.values()),
    )
    rows = [
        f"| {kind} | {count} | "
        + (", ".join(f"`{metric}` ({chapter})" for chapter, metric in numbers) or "none")
        + " |"
        for kind, (count, numbers) in runs.items()
    ]
    return (
        f"**Of {held:,} values {outside} lay outside.**\n\n| run | values | outside |\n|---|---|---|\n"
        + "\n".join(rows)
    )


def faults(workspace: Workspace) -> str:
    """How many faults put in on purpose were noticed, by whom, and the names of the others."""
    path = workspace.root / "baselines" / "faults.json"
    if not path.is_file():
        return "The faults have not been put in yet."
    rows = json.loads(path.read_text())
    unnoticed = [row["fault"] for row in rows if not row["noticed_by"]]
    by_steps = sum(any("trajectories" in check for check in row["noticed_by"]) for row in rows)
    training = [row for row in rows if row["touches"] == "training"]
    steps_of_training = sum(any("trajectories" in check for check in row["noticed_by"]) for row in training)
    text = (
        f"**{len(rows) - len(unnoticed)} of {len(rows)} faults were noticed**: {by_steps} by the trajectories, the "
        f"others by unit tests. Of the {len(training)} that touch training the trajectories noticed "
        f"{steps_of_training}."
    )
    return text + (" Nobody noticed: " + "; ".join(unnoticed) + "." if unnoticed else "")
