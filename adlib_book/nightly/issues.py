"""One issue per failing chapter: opened once, closed when the chapter heals. Uses GitHub's command line, `gh`.

python -m adlib_book.nightly.issues       reads _build/collected/*/nightly/*/night.json, or _build/nightly/*/night.json

EXPECTED and EXPECTED_GPU may hold the chapters, as JSON, of which a machine without and one with a GPU should have sent
an outcome.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from adlib_book.nightly.record import EXIT_CODES, Night, Outcome

ROOT = Path(__file__).resolve().parents[2]
LABEL = "nightly"


def gh(*arguments: str) -> str:
    """Run GitHub's command line and return what it prints.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    return subprocess.run(["gh", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def title(chapter: str) -> str:
    """The title of a chapter's issue, by which the next night finds it."""
    return f"Nightly: {chapter} wants looking at"


def body(outcome: Outcome, address: str) -> str:
    """What the issue says."""
    parts = [f"Outcome: **{outcome.outcome}** after {outcome.attempts} attempt(s).", address]
    if outcome.message:
        parts.append(f"```\n{outcome.message[:4000]}\n```")
    for head, lines in (
        ("Outside their bands", outcome.deviations),
        ("Drifting inside their bands", outcome.drifts),
        ("Changed since the run before", outcome.changes),
    ):
        if lines:
            parts.append(f"{head}:\n" + "\n".join(f"- {line}" for line in lines))
    parts.append("This issue is closed by the first night in which the chapter passes on every machine.")
    return "\n\n".join(filter(None, parts))


def settle(outcomes: list[Outcome], run: Callable[..., str] = gh, address: str = "") -> list[str]:
    """Open, leave or close an issue for each chapter: the worst of its outcomes decides.

    Args:
        outcomes: of one night, one per chapter and machine.
        run: calls `gh`.
        address: of the run, for the reader.

    Returns:
        What was done, a line each.
    """
    run("label", "create", LABEL, "--force", "--description", "Found by the nightly run")
    listed = run(
        "issue", "list", "--label", LABEL, "--state", "open", "--limit", "500", "--json", "number,title"
    )
    there = {each["title"]: str(each["number"]) for each in json.loads(listed)}
    worst: dict[str, Outcome] = {}
    for each in sorted(outcomes, key=lambda each: -EXIT_CODES[each.outcome]):
        worst.setdefault(each.chapter, each)
    done = []
    for outcome in worst.values():
        name, number = title(outcome.chapter), there.get(title(outcome.chapter))
        if outcome.outcome == "passed" and number:
            run("issue", "close", number, "--comment", f"The chapter passes again. {address}".strip())
            done.append(f"closed {number}: {name}")
        elif outcome.outcome != "passed" and not number:
            run("issue", "create", "--title", name, "--label", LABEL, "--body", body(outcome, address))
            done.append(f"opened: {name}")
    return done


def nights(build: Path) -> list[Night]:
    """The nights that were collected from other machines, or this one's."""
    paths = sorted(build.glob("collected/*/nightly/*/night.json")) or sorted(
        build.glob("nightly/*/night.json")
    )
    return [night for path in paths if (night := Night.read(path))]


def missing(outcomes: list[Outcome], expected: list[str]) -> list[Outcome]:
    """An outcome for each chapter whose machine sent no report.

    Args:
        outcomes: that came back, one per chapter and machine.
        expected: chapters, each as often as there are machines that execute it.
    """
    words = "No report came back from its machine: look at the log of its job."
    silent = Counter(expected) - Counter(each.chapter for each in outcomes)
    return [Outcome(name, "infrastructure", 0, words) for name in silent.elements()]


if __name__ == "__main__":
    outcomes = [each for night in nights(ROOT / "_build") for each in night.outcomes.values()]
    expected = (json.loads(os.environ.get(key) or "[]") for key in ("EXPECTED", "EXPECTED_GPU"))
    outcomes += missing(outcomes, [*chain(*expected)])
    done = settle(outcomes, address=os.environ.get("RUN_ADDRESS", ""))
    print("\n".join(done) or "no issue was opened or closed")
