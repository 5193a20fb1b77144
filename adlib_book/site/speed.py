"""The rows of the page "Speed", as `benchmarks/bench.py` measures them.

They are kept in `results/bench.json` where nothing else ran on the machine, and in `results/bench_beside.json` where
other work did, so that neither replaces the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from adlib.files import write_atomic

GROUPS = {
    "Training": ("step", "engine/fit", "loop", "average", "dual", "ssim"),
    "Scoring": ("score", "engine/test", "anogan", "pyod"),
    "How much of the processor is used": ("peak",),
    "The first verdict": ("import", "verdict"),
    "Threads and neighbours": ("threads", "beside"),
    "Metrics of pixels": ("metrics",),
    "Folders of images": ("load",),
}


@dataclass(frozen=True)
class Row:
    """One claim: ours beside a peer.

    title: what is measured. peer: what stands beside it. goal: the ratio wanted, None if there is none. goal_ms: the
    milliseconds wanted. numbers: ours and theirs in milliseconds, ratio (theirs over ours: above 1, ours is faster)
    with its quartiles low and high, turns; empty if it was not measured. why: it was not. profile: of ours, share of
    the time by torch's operator, the largest first.
    """

    title: str
    peer: str
    goal: float | None = None
    goal_ms: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    profile: Mapping[str, float] = field(default_factory=dict)

    def with_numbers(self, numbers: Mapping[str, float], profile: Mapping[str, float] | None = None) -> Row:
        """The same claim, measured."""
        return replace(self, numbers=numbers, profile=profile or {})

    def not_measured(self, why: str) -> Row:
        """The same claim, and why there is no number."""
        return replace(self, why=why)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without goal or number."""
        if not self.numbers or (self.goal is None and self.goal_ms is None):
            return None
        if self.goal_ms is not None:
            return self.numbers["ours"] <= self.goal_ms
        return self.goal is not None and self.numbers["ratio"] >= self.goal

    def sentence(self) -> str:
        """For a terminal."""
        if not self.numbers:
            return f"not measured: {self.why}"
        one, two, ratio, low, high = (self.numbers[key] for key in ("ours", "theirs", "ratio", "low", "high"))
        goal = f", goal {_goal(self)}" if _goal(self) else ""
        return f"ours {one:g} ms, theirs {two:g} ms, ratio {ratio:g} ({low:g} to {high:g}){goal}"


def path(root: Path, beside: bool = False) -> Path:
    """Where a measurement is kept in a checkout; `beside`: one that was made beside other work."""
    return root / "results" / ("bench_beside.json" if beside else "bench.json")


def rows(root: Path, beside: bool = False) -> dict[str, tuple[Row, dict[str, Any]]]:
    """Every row by name, with what was noted with it: machine, torch, commit, day; empty without a file."""
    fields = Row.__dataclass_fields__
    if not path(root, beside).is_file():
        return {}
    return {
        name: (
            Row(**{key: value for key, value in noted.items() if key in fields}),
            {key: value for key, value in noted.items() if key not in fields},
        )
        for name, noted in json.loads(path(root, beside).read_text()).items()
    }


def write_page(page: Path, root: Path) -> None:
    """Put the verdict into the page "Speed" and append the tables: one per group, and which machine they are of.

    Args:
        page: on the stage. root: the checkout, with `results/bench.json`.
    """
    measured, busy, parts = rows(root), rows(root, beside=True), []
    for group, names in GROUPS.items():
        parts += [
            f"### {group}",
            "",
            "| what | beside | goal | ours | theirs | ratio | quartiles | ratio, busy |",
            "|---" * 8 + "|",
        ]
        for name, (each, _) in measured.items():
            if name.startswith(names):
                other = busy[name][0].numbers if name in busy else {}
                parts.append("| " + " | ".join((*_cells(each), f"{other['ratio']:g}" if other else "")) + " |")
        parts += [""]
    parts += ["### Where ours spends its time", ""]
    for each, _ in measured.values():
        if each.profile:
            shares = ", ".join(f"`{name}` {share:.0%}" for name, share in each.profile.items())
            parts.append(f"* {each.title}: {shares}.")
    parts += [""]
    parts += [_origin(measured, "nothing else ran on it")]
    if busy:
        parts += ["", "*ratio, busy*: " + _origin(busy, "other work had a core")]
    text = page.read_text().replace("<!-- verdict -->", verdict([each for each, _ in measured.values()]))
    write_atomic(page, text + "\n" + "\n".join(parts) + "\n")


def _origin(measured: Mapping[str, tuple[Row, Mapping[str, Any]]], words: str) -> str:
    """When and on which machine, in a sentence."""
    about = [noted for _, noted in measured.values()]
    machines = sorted(
        {"{processor}, {cores} cores, {instructions}".format(**noted["machine"]) for noted in about}
    )
    days = sorted({noted["on"] for noted in about})
    return f"Measured on {' and '.join(days)}, on: {'; '.join(machines)}; {words}."


def verdict(claims: Sequence[Row]) -> str:
    """How many goals are reached, which are not, and what was not measured, in Markdown."""
    reached = [each for each in claims if each.reached]
    missed = [each for each in claims if each.reached is False]
    text = f"**Of {len(reached) + len(missed)} goals with a number {len(reached)} are reached.**"
    text += f" {sum(not each.numbers for each in claims)} rows could not be measured here."
    if missed:
        text += "\n\nMissed, as ratios to the peer or in milliseconds:\n\n"
        for each in missed:
            value = f"{each.numbers['ratio']:g}" if each.goal_ms is None else f"{each.numbers['ours']:g} ms"
            text += f"* {each.title}: {value}, wanted {_goal(each)}\n"
    return text


def _goal(row: Row) -> str:
    """The goal in words, "" if there is none."""
    goal = "" if row.goal is None else f"{row.goal:g}"
    return goal + ("" if row.goal_ms is None else f"{row.goal_ms:g} ms")


def _cells(row: Row) -> tuple[str, ...]:
    """One line of a table; a goal that is reached is in bold."""
    if not row.numbers:
        return row.title, row.peer, _goal(row), f"not measured: {row.why}", "", "", ""
    numbers = row.numbers
    ratio = f"**{numbers['ratio']:g}**" if row.reached else f"{numbers['ratio']:g}"
    milliseconds = (f"{numbers[key]:,.{0 if numbers[key] > 99 else 1}f} ms" for key in ("ours", "theirs"))
    return row.title, row.peer, _goal(row), *milliseconds, ratio, f"{numbers['low']:g} to {numbers['high']:g}"
