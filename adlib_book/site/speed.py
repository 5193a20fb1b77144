"""The rows of the page "Speed", as `benchmarks/bench.py` measures them and keeps them in `results/bench.json`."""

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


def path(root: Path) -> Path:
    """Where the measurement is kept: `results/bench.json` of a checkout."""
    return root / "results" / "bench.json"


def rows(root: Path) -> dict[str, tuple[Row, dict[str, Any]]]:
    """Every row by name, with what was noted beside it: machine, torch, commit, day, and what else ran."""
    fields = Row.__dataclass_fields__
    return {
        name: (
            Row(**{key: value for key, value in noted.items() if key in fields}),
            {key: value for key, value in noted.items() if key not in fields},
        )
        for name, noted in json.loads(path(root).read_text()).items()
    }


def write_page(page: Path, root: Path) -> None:
    """Put the verdict into the page "Speed" and append the tables: one per group, and which machine they are of.

    Args:
        page: on the stage. root: the checkout, with `results/bench.json`.
    """
    measured, parts = rows(root), []
    for group, names in GROUPS.items():
        own = [each for name, (each, _) in measured.items() if name.startswith(names)]
        parts += [
            f"### {group}",
            "",
            "| what | beside | goal | ours | theirs | ratio | quartiles |",
            "|---" * 7 + "|",
        ]
        parts += ["| " + " | ".join(_cells(each)) + " |" for each in own] + [""]
    parts += ["### Where ours spends its time", ""]
    for each, _ in measured.values():
        if each.profile:
            shares = ", ".join(f"`{name}` {share:.0%}" for name, share in each.profile.items())
            parts.append(f"* {each.title}: {shares}.")
    parts += [""]
    about = [noted for _, noted in measured.values()]
    machines = sorted(
        {"{processor}, {cores} cores, {instructions}".format(**noted["machine"]) for noted in about}
    )
    days, beside = (sorted({noted[key] for noted in about}) for key in ("on", "beside"))
    parts += [
        f"Measured on {' and '.join(days)}, on: {'; '.join(machines)}. Beside it ran {' or '.join(beside)}."
    ]
    text = page.read_text().replace("<!-- verdict -->", verdict([each for each, _ in measured.values()]))
    write_atomic(page, text + "\n" + "\n".join(parts) + "\n")


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
