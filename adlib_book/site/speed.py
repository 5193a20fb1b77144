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

from adlib.detectors import detector_titles
from adlib.files import write_atomic

GROUPS = {
    "Training": ("step", "engine/fit", "loop", "average", "dual", "ssim"),
    "Scoring": ("score", "engine/test", "engine/limit", "anogan", "pyod"),
    "Memory": ("memory",),
    "How much of the processor is used": ("peak",),
    "The first verdict": ("import", "verdict"),
    "Threads and neighbours": ("threads", "beside"),
    "Metrics of pixels": ("metrics",),
    "Folders of images": ("load",),
}
# Why a goal is missed, by how the row's name begins; the page says it where the goal is missed. Counts of operations
# are the same on every machine; what depends on the machine stands in the rows that are named.
WHY = {
    "step/": "Nearly all of a step is convolutions, in the kernels that the peer uses, too. Ours does one pass less;"
    " more would change the arithmetic, and with it every recorded number.",
    "dual": "The textbook's step takes 1.65e9 operations and ours 1.38e9 (*Roofline*): with the same kernels the"
    " ceiling is 1.2, and what is above it is overhead saved.",
    "score/64/1": "One image reads all weights once; what the peer spends beside that is all there is to gain.",
    "score/": "The convolutions run in the kernels that the peer uses, and D1 needs a third more of them.",
    "anogan": "64 images at once take 64 times the 0.23e9 operations of one. *Roofline* has the share of the"
    " processor's peak that one image alone reaches; its inverse is the ceiling.",
    "engine/fit": "Five training steps are most of it, and a step is ahead by what the row of one step says.",
    "engine/test": "Decoding the files and the peer's bare model, with nothing around them, come to the ratio in the"
    " row below it: more than that takes several free cores.",
    "memory/fit": "Four fifths are there before the first image (row below): torch, the compiler that its optimisers"
    " import, and four bytes a weight for itself, its gradient, Adam's two moments and the average. The rest is what a"
    " step keeps between forward and backward pass.",
    "load/cold": "Decoding the PNG files, which both leave to Pillow, is nearly all of the peer's time: the row about"
    " decoding alone has the ceiling on one core. Ours decodes on threads, and gains where cores are free.",
}


@dataclass(frozen=True)
class Row:
    """One claim: ours beside a peer.

    title: what is measured. peer: what stands beside it; "" for a row of `tables`, whose numbers are its columns.
    goal: the ratio wanted, None if there is none. goal_ms, goal_mb: the milliseconds or megabytes wanted. unit: of ours
    and theirs, "ms" or "MB". numbers: ours, theirs, ratio (theirs over ours: above 1, ours is better) with its
    quartiles low and high, turns; empty if it was not measured. why: it was not. profile: of ours, share of the time by
    torch's operator, the largest first.
    """

    title: str
    peer: str = ""
    goal: float | None = None
    goal_ms: float | None = None
    goal_mb: float | None = None
    unit: str = "ms"
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
        most = self.goal_ms if self.goal_mb is None else self.goal_mb
        if not self.numbers or (self.goal is None and most is None):
            return None
        if most is not None:
            return self.numbers["ours"] <= most
        return self.goal is not None and self.numbers["ratio"] >= self.goal

    @property
    def value(self) -> str:
        """What is held against the goal: the ratio, or ours with its unit."""
        if self.goal_ms is None and self.goal_mb is None:
            return f"{self.numbers['ratio']:g}"
        return f"{self.numbers['ours']:g} {self.unit}"

    def sentence(self) -> str:
        """For a terminal."""
        if not self.numbers:
            return f"not measured: {self.why}"
        if not self.peer:
            return ", ".join(f"{key} {value:g}" for key, value in self.numbers.items())
        one, two, ratio, low, high = (self.numbers[key] for key in ("ours", "theirs", "ratio", "low", "high"))
        goal = f", goal {_goal(self)}" if _goal(self) else ""
        unit = self.unit
        return f"ours {one:g} {unit}, theirs {two:g} {unit}, ratio {ratio:g} ({low:g} to {high:g}){goal}"


@dataclass(frozen=True)
class Table:
    """Rows without a peer. about: what is measured. columns: key of a number -> what it is. titles: by row's name."""

    about: str
    columns: Mapping[str, str]
    titles: Mapping[str, str]


_OF_A_DETECTOR = {
    "step": "training step, ms",
    "at_once": "learning at once, ms",
    "one": "score of one image, ms",
    "many": "score among many, ms an image",
    "memory": "peak memory, MB",
    "start": "of it Python and torch, MB",
}
# GANomaly with the book's settings, one of which is changed: setting -> its values.
GROWTH: dict[str, tuple[int, ...]] = {
    "side": (32, 64, 128),
    "width": (16, 32, 64),
    "batch": (8, 32, 128),
    "images": (64, 512, 4096),
}
_GROWN = {"side": "images of {} px", "width": "width {}", "batch": "batches of {}", "images": "{} images"}
ROOFLINE = {
    "ganomaly/64/step": "GANomaly of width 64: a training step of 32 images, 64 px",
    "ganomaly/64/score": "GANomaly of width 64: the score of 32 images, 64 px",
    "ganomaly/64/one": "GANomaly of width 64: the score of one image, 64 px",
    "ganomaly/16/step": "GANomaly of the book's width, 16: a training step of 32 images, 64 px",
    "dual/ours": "dual discriminator: a training step of 32 + 32 images, 32 px",
    "dual/textbook": "dual discriminator: the same step as a textbook writes it",
    "anogan/64": "AnoGAN: 10 steps of the search for 64 images at once, 32 px",
    "anogan/1": "AnoGAN: 10 steps of the search for one image, 32 px",
}


def tables() -> dict[str, Table]:
    """The tables of rows without a peer, by their headlines."""
    grown = {
        f"growth/{setting}/{value}": _GROWN[setting].format(f"{value:,}")
        for setting, values in GROWTH.items()
        for value in values
    }
    return {
        "Every detector": Table(
            "The book's settings, colour images of 64 px, batches of 32, each detector in a fresh process. Detectors"
            " that search for a code score 4 images, the others 64.",
            _OF_A_DETECTOR,
            {f"detector/{name}": title for name, title in detector_titles().items()},
        ),
        "How time and memory grow": Table(
            "GANomaly with the book's settings, one of which is changed: 64 px, width 16, batches of 32, 64 images that"
            " are trained on and scored.",
            {key: words for key, words in _OF_A_DETECTOR.items() if key not in ("at_once", "start")},
            grown,
        ),
        "Roofline": Table(
            "What a processor that only multiplied, and a memory that only copied, would take, beside what it takes."
            " The peaks are products of 1,024 x 1,024 matrices and copies of 256 MB. Traffic counts inputs and outputs"
            " of each operator once, as if there were no cache. Reached is the larger of the two by the time taken.",
            {
                "gflop": "arithmetic, GFLOP",
                "gbyte": "traffic, GB",
                "arithmetic": "at the peak of products, ms",
                "traffic": "at the peak of copies, ms",
                "taken": "taken, ms",
                "reached": "reached",
            },
            {f"roofline/{name}": title for name, title in ROOFLINE.items()},
        ),
    }


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
        own = [
            (
                *_cells(each),
                f"{busy[name][0].numbers['ratio']:g}" if name in busy and busy[name][0].numbers else "",
            )
            for name, (each, _) in measured.items()
            if name.startswith(names)
        ]
        header = ("what", "beside", "goal", "ours", "theirs", "ratio", "quartiles", "ratio, busy")
        parts += [f"### {group}", "", *_markdown(header, own), ""]
    for headline, table in tables().items():
        lines = [
            (title, *_columns(measured[name][0] if name in measured else Row(title), table))
            for name, title in table.titles.items()
        ]
        titles = "what", *table.columns.values()
        parts += [f"### {headline}", "", table.about, "", *_markdown(titles, lines), ""]
    parts += ["### Where ours spends its time", ""]
    for each, _ in measured.values():
        if each.profile:
            shares = ", ".join(f"`{name}` {share:.0%}" for name, share in each.profile.items())
            parts.append(f"* {each.title}: {shares}.")
    parts += [""]
    parts += [_origin(measured, "nothing else ran on it")]
    if busy:
        parts += ["", "*ratio, busy*: " + _origin(busy, "other work had a core")]
    claims = {name: each for name, (each, _) in measured.items() if each.peer}
    text = page.read_text().replace("<!-- verdict -->", verdict(claims))
    write_atomic(page, text + "\n" + "\n".join(parts) + "\n")


def _origin(measured: Mapping[str, tuple[Row, Mapping[str, Any]]], words: str) -> str:
    """When and on which machine, in a sentence."""
    about = [noted for _, noted in measured.values()]
    machines = sorted(
        {"{processor}, {cores} cores, {instructions}".format(**noted["machine"]) for noted in about}
    )
    days = sorted({noted["on"] for noted in about})
    return f"Measured on {' and '.join(days)}, on: {'; '.join(machines)}; {words}."


def verdict(claims: Mapping[str, Row]) -> str:
    """How many goals are reached, which are not and why, and what was not measured, in Markdown.

    Args:
        claims: rows with a peer, by name.
    """
    reached = [each for each in claims.values() if each.reached]
    missed = {name: each for name, each in claims.items() if each.reached is False}
    text = f"**Of {len(reached) + len(missed)} goals with a number {len(reached)} are reached.**"
    text += f" {sum(not each.numbers for each in claims.values())} rows could not be measured here."
    if missed:
        text += "\n\nMissed, as ratios to the peer or in milliseconds or megabytes:\n\n"
        for name, each in missed.items():
            why = next((f". {words}" for start, words in WHY.items() if name.startswith(start)), "")
            text += f"* {each.title}: {each.value}, wanted {_goal(each)}{why}\n"
    return text


def _goal(row: Row) -> str:
    """The goal in words, "" if there is none."""
    goal = "" if row.goal is None else f"{row.goal:g}"
    goal += "" if row.goal_ms is None else f"{row.goal_ms:g} ms"
    return goal + ("" if row.goal_mb is None else f"{row.goal_mb:g} MB")


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *lines)]


def _cells(row: Row) -> tuple[str, ...]:
    """One line of a table; a goal that is reached is in bold."""
    if not row.numbers:
        return row.title, row.peer, _goal(row), f"not measured: {row.why}", "", "", ""
    numbers = row.numbers
    ratio = f"**{numbers['ratio']:g}**" if row.reached else f"{numbers['ratio']:g}"
    both = (f"{numbers[key]:,.{0 if numbers[key] > 99 else 1}f} {row.unit}" for key in ("ours", "theirs"))
    return row.title, row.peer, _goal(row), *both, ratio, f"{numbers['low']:g} to {numbers['high']:g}"


def _columns(row: Row, table: Table) -> tuple[str, ...]:
    """One line of a table without peers; a number that does not apply is left out."""
    if not row.numbers:
        return "not measured" + (f": {row.why}" if row.why else ""), *[""] * (len(table.columns) - 1)
    present = ((key, row.numbers.get(key)) for key in table.columns)
    return tuple(
        "" if number is None else f"{number:.0%}" if key == "reached" else _three_digits(number)
        for key, number in present
    )


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
