"""What a night leaves to be read: a page for people, JUnit XML for machines."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from adlib.files import write_atomic
from adlib_book.nightly.record import Night, Outcome

_WORDS = {
    "passed": "passed",
    "numbers": "numbers not as before",
    "failed": "failed",
    "infrastructure": "the machine failed",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
td.number, th.number { text-align: right; }
.passed { color: light-dark(#1a6b2d, #7ddc92); } .numbers { color: light-dark(#8a4b00, #ffc069); }
.failed, .infrastructure { color: light-dark(#a31515, #ff9b9b); }
td:has(.bar) { width: 50%; }
pre { overflow-x: auto; background: #8882; padding: 0.8rem; } .bar { background: #5a8fd6; height: 0.7em; }
"""


def write_reports(night: Night, folder: Path) -> Path:
    """Write `report.html` and `junit.xml` of a night.

    Returns:
        The page.
    """
    write_atomic(folder / "junit.xml", junit(night))
    return write_atomic(folder / "report.html", page(night))


def junit(night: Night) -> str:
    """The night as JUnit XML: a suite per chapter, a case for its execution and one per number."""
    root = ElementTree.Element("testsuites", name=f"adlib nightly {night.id}")
    suite = ElementTree.SubElement(root, "testsuite", name="environment", tests="1")
    case = ElementTree.SubElement(suite, "testcase", classname="environment", name="is what the lock says")
    if night.environment:
        _fault(suite, case, "failure", "environment", "\n".join(night.environment))
    suite = ElementTree.SubElement(root, "testsuite", name="trajectories", tests="1")
    case = ElementTree.SubElement(suite, "testcase", classname="trajectories", name="are the recorded ones")
    if night.trajectories:
        _fault(suite, case, "failure", "number", "\n".join(night.trajectories))
    suite = ElementTree.SubElement(root, "testsuite", name="together", tests="1")
    case = ElementTree.SubElement(
        suite, "testcase", classname="together", name="the numbers have not moved together"
    )
    if night.together:
        _fault(suite, case, "failure", "number", "\n".join(night.together))
    for outcome in night.outcomes.values():
        _suite(root, outcome)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, outcome: Outcome) -> None:
    record, name = outcome.record, outcome.chapter
    metrics = record.get("metrics", {})
    # A sentence begins with its metric, whose name may hold a colon of its own.
    wrong = {each.partition(": ")[0]: each for each in [*outcome.drifts, *outcome.deviations]}
    cases = list(dict.fromkeys([*metrics, *wrong]))
    seconds = f"{record.get('seconds', 0.0):.2f}"
    suite = ElementTree.SubElement(root, "testsuite", name=name, tests=str(1 + len(cases)), time=seconds)
    case = ElementTree.SubElement(suite, "testcase", classname=name, name="executes", time=seconds)
    if outcome.outcome == "failed":
        _fault(suite, case, "failure", "failed", outcome.message)
    elif outcome.outcome == "infrastructure":
        _fault(suite, case, "error", "infrastructure", outcome.message)
    for metric in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=metric)
        if metric in wrong:
            kind = "drift" if wrong[metric] in outcome.drifts else "number"
            _fault(suite, case, "failure", kind, wrong[metric])


def _fault(suite: ElementTree.Element, case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    ElementTree.SubElement(case, tag, type=kind, message=_legal(text.splitlines()[0])).text = _legal(text)
    counter = {"failure": "failures", "error": "errors"}[tag]
    suite.set(counter, str(int(suite.get(counter, "0")) + 1))


def _legal(text: str) -> str:
    """Without the control characters that XML has no way to write; tracebacks bring colours."""
    return "".join(sign for sign in text if sign in "\n\t" or sign >= " ")


def page(night: Night) -> str:
    """The night as one HTML page that needs nothing else."""
    outcomes = list(night.outcomes.values())
    bad = sum(each.outcome != "passed" for each in outcomes)
    verdict = f"{bad} of {len(outcomes)} chapters want looking at" if bad else "every chapter passed"
    if not night.finished:
        verdict = (
            f"not finished, {len(outcomes)} of {len(night.chapters)} chapters so far, {bad} want looking at"
        )
    minutes = sum(each.record.get("seconds", 0) for each in outcomes) / 60
    parts = [
        f"<h1>Nightly: {verdict}</h1>",
        f"<p>Night {_text(night.id)} · profile {_text(night.profile)} · adlib {_text(night.code)}"
        f" · {minutes:.0f} minutes · exit code {night.exit_code}</p>",
        _list("This environment is not the locked one", night.environment),
        _list("Detectors whose first training steps are not the recorded ones", night.trajectories),
        _list("All numbers together", night.together),
        _table(
            ["chapter", "verdict", "attempts", "minutes", "peak memory", "numbers"], map(_overview, outcomes)
        ),
        *map(_chapter, outcomes),
    ]
    body = "\n".join(filter(None, parts))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Nightly {_text(night.id)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _overview(outcome: Outcome) -> list[str]:
    record = outcome.record
    verdict = f'<span class="{outcome.outcome}">{_WORDS[outcome.outcome]}</span>'
    took = f"{record['seconds'] / 60:.1f}" if record else "–"
    numbers = str(len(record.get("metrics", {}))) if record else "–"
    link = f'<a href="#{_text(outcome.chapter)}">{_text(outcome.chapter)}</a>'
    return [link, verdict, str(outcome.attempts), took, _megabytes(record.get("peak_mb")), numbers]


def _chapter(outcome: Outcome) -> str:
    record = outcome.record
    parts = [f'<h2 id="{_text(outcome.chapter)}">{_text(outcome.chapter)}</h2>']
    if outcome.message:
        parts.append(f"<pre>{_text(outcome.message)}</pre>")
    parts.append(_list("Not inside a band", outcome.deviations))
    parts.append(_list("Drifting inside their bands", outcome.drifts))
    parts.append(_list("Changed since the run before", outcome.changes))
    if record:
        parts.append(f"<p>{_text(_origin(record))}</p>")
        longest = max((cell["seconds"] for cell in record["cells"]), default=0.0) or 1.0
        cells = sorted(record["cells"], key=lambda cell: -cell["seconds"])[:10]
        rows = (
            [
                str(cell["cell"]),
                f"{cell['seconds']:.1f}",
                _megabytes(cell["peak_mb"]),
                f'<div class="bar" style="width:{100 * cell["seconds"] / longest:.0f}%"></div>',
            ]
            for cell in cells
        )
        parts.append("<h3>The ten slowest cells</h3>")
        parts.append(_table(["cell", "seconds", "peak memory", ""], rows))
    return "\n".join(filter(None, parts))


def _origin(record: dict[str, Any]) -> str:
    versions = " · ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{record['id']} · commit {record['commit']} · {record['device']} · {versions}"


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    top = "".join(f"<th>{head}</th>" for head in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _list(title: str, sentences: list[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_text(each)}</li>" for each in sentences)
    return f"<h3>{title}</h3><ul>{items}</ul>"


def _megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} MB"


def _text(value: Any) -> str:
    return html.escape(str(value))
