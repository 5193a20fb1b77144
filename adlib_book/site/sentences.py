"""Every decimal in a chapter's prose is bound to where it comes from, and held to it.

`notebooks/numbers/<chapter>.yml` lists, cell by cell and in order, the decimals and percentages of the prose, each with
a Python expression for it ("text of cell-35": the words of that cell's figure):

    cell-37:
    - '0.07': gains.loc[("AUROC", "best checkpoint on test"), "mean"]
    - '0.2': module("adlib.experiment").RELEASED_THRESHOLD
    - '0.5': given by the definition of the AUROC
    - six sets of eight: (by_set("f1/D1@test_minmax") < by_set("f1_all_positive")).sum() == 6

An expression sees what the chapter's code above it defines, as far as that follows from the ledger, the printed tables
and the settings alone. What loads data, trains or draws is not executed; so a number that only a live cell could
vouch for cannot be bound, and has to be said by that cell (`adlib_book.reading.say`). "cell-36 | expression" takes the
state after that cell, `module(name)` imports, `written(cell or module, number)` finds a number in source code, and
functions under "helpers" keep expressions short. "given ..." says why a decimal has no source. The last line is a
claim, since its left side is no decimal: words that stand in the cell, and an expression that has to be true.

A chapter's expressions also see what the code and the helpers of its evidence page define (`evidence_of`), as if that
page stood above the chapter: what the chapter says in short, the page shows at length.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import importlib
import inspect
import io
import re
import textwrap
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import nbformat
import yaml

from adlib.files import write_atomic

DECIMAL = re.compile(
    r"(?<![Ff]igure )(?<![\w.,])[+−-]?(?:\d[\d,]*\.\d+(?: ?%)?|\d+ ?%|\d+(?= (?:to|and) \d+ ?%))"
)
NUMBER = re.compile(r"[+−-]?\d[\d,.]*(?: ?%)?")  # what is bound and is no number is a claim
# Imported from adlib, these lead to numbers that differ from machine to machine, or to figures.
LIVE = {"load", "make_detector", "run_experiment", "Detector", "viz"}
UNBOUND = "?"


@dataclass
class Decimal:
    """One decimal or claim of the prose, or one binding that has lost its own.

    cell: where it stands. written: as in the prose, or "" where it is gone. expression: as bound, or UNBOUND. start:
    its place in the text. words: around it.
    """

    cell: str
    written: str
    expression: str = UNBOUND
    start: int = 0
    words: str = ""


def texts(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """Each Markdown cell and each alternative text, in order: (cell, text)."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield cell.id, cell.source
        elif "image" in cell.metadata.get("mystnb", {}):
            yield f"text of {cell.id}", cell.metadata["mystnb"]["image"]["alt"]


def decimals(notebook: nbformat.NotebookNode, bindings: dict[str, Any]) -> list[Decimal]:
    """Every decimal and claim of the prose with its expression, and the bindings that have lost theirs.

    Args:
        notebook: a chapter.
        bindings: from `read`.
    """
    every, prose = [], dict(texts(notebook))
    for cell in [*prose, *(set(bindings) - set(prose) - {"helpers"})]:
        text = prose.get(cell, "")
        here = [
            Decimal(cell, match[0], start=match.start(), words=_words(text, match))
            for match in DECIMAL.finditer(text)
        ]
        bound = [pair for entry in bindings.get(cell, []) for pair in entry.items()]
        claims = [pair for pair in bound if not NUMBER.fullmatch(pair[0])]
        lost = dict(enumerate(pair for pair in bound if NUMBER.fullmatch(pair[0])))
        known, written = [literal for literal, _ in lost.values()], [each.written for each in here]
        for block in SequenceMatcher(None, written, known, False).get_matching_blocks():
            for step in range(block.size):
                here[block.a + step].expression = lost.pop(block.b + step)[1]
        here += [
            Decimal(cell, words if words in text else "", expression, text.find(words), words)
            for words, expression in claims
        ]
        here += [Decimal(cell, "", expression, words=literal) for literal, expression in lost.values()]
        every += sorted(here, key=lambda each: each.start)
    return every


def read(path: Path) -> dict[str, Any]:
    """The bindings of a chapter: cell -> [{decimal: expression}], and "helpers"; empty where there is no file."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader) if path.is_file() else {}


def path_of(notebook: Path) -> Path:
    """Where the bindings of a chapter lie."""
    return notebook.parent / "numbers" / f"{notebook.stem}.yml"


def evidence_of(notebook: Path) -> Path | None:
    """The evidence page of a chapter: of 04_cae_vs_sdn.ipynb, the notebook beside it whose name begins with 04e_."""
    number, _, _ = notebook.stem.partition("_")
    return next(notebook.parent.glob(f"{number}e_*.ipynb"), None)


def chapter_at(path: Path) -> Chapter:
    """What evaluates the bindings of the chapter at a path: its own code, with its evidence page above it."""

    def opened(page: Path) -> tuple[nbformat.NotebookNode, str]:
        return nbformat.read(page, as_version=4), read(path_of(page)).get("helpers", "")

    evidence = evidence_of(path)
    return Chapter(*opened(path), above=opened(evidence) if evidence else None)


def findings(
    notebook: nbformat.NotebookNode, bindings: dict[str, Any], chapter: Chapter | None = None
) -> list[str]:
    """Each decimal that is bound to nothing or is not what its expression gives, and each binding left over.

    Args:
        notebook: a chapter.
        bindings: from `read`.
        chapter: from `chapter_at`; by default made of notebook and bindings, without an evidence page.
    """
    chapter = chapter or Chapter(notebook, bindings.get("helpers", ""))
    return [fault for each in decimals(notebook, bindings) if (fault := chapter.fault(each))]


def rewrite(
    notebook: nbformat.NotebookNode, bindings: dict[str, Any], chapter: Chapter | None = None
) -> list[str]:
    """Bring prose and bindings to what the expressions give now.

    What has no expression is entered as UNBOUND, and what has lost its decimal or claim is left out.

    The words around a number are left as they are: read each sentence that is returned.

    Args:
        notebook, bindings: as for `findings`; both are changed.
        chapter: as for `findings`.

    Returns:
        One line per number that has changed, and per binding that was left out.
    """
    chapter = chapter or Chapter(notebook, bindings.get("helpers", ""))
    changes: list[str] = []
    by_cell: dict[str, list[Decimal]] = {cell: [] for cell, _ in texts(notebook)}
    for each in decimals(notebook, bindings):
        if each.written:
            by_cell[each.cell].append(each)
        else:
            changes.append(f"left out: {chapter.fault(each)}")
    for cell in set(bindings) - {"helpers"}:
        del bindings[cell]
    for cell in notebook.cells:
        place = cell.id if cell.cell_type == "markdown" else f"text of {cell.id}"
        for each in reversed(by_cell.get(place, [])):
            now = each.written
            if chapter.fault(each) and each.expression != UNBOUND and NUMBER.fullmatch(each.written):
                now = _as(each.written, chapter.value(each.expression, each.cell))
                changes.append(f"{each.cell}: {each.written} is now {now}: {each.words}")
                text = dict(texts(notebook))[place]
                text = text[: each.start] + now + text[each.start + len(each.written) :]
                if cell.cell_type == "markdown":
                    cell.source = text
                else:
                    cell.metadata["mystnb"]["image"]["alt"] = text
            bindings[place] = [{now: each.expression}, *bindings.get(place, [])]
    return changes


def write(path: Path, bindings: dict[str, Any]) -> None:
    """Write bindings, in the order of the cells."""
    helpers = bindings.get("helpers", "")
    parts = ["helpers: |\n" + textwrap.indent(helpers, "  ")] if helpers else []
    cells = {cell: bound for cell, bound in bindings.items() if cell != "helpers"}
    parts += [
        yaml.safe_dump({cell: bound}, allow_unicode=True, width=10_000) for cell, bound in cells.items()
    ]
    write_atomic(path, "\n".join(parts))


def _as(written: str, value: float) -> str:
    """A value with the digits, the sign and the percent sign of a decimal as written."""
    number = written.rstrip("% ")
    unit = written.removeprefix(number)
    places = len(number.partition(".")[2])
    value = value * 100 if unit else value
    if number[0] in "+−-":
        return f"{value:+.{places}f}".replace("-", "-" if number[0] == "-" else "−") + unit
    return f"{abs(value):,.{places}f}" + unit


def agrees(written: str, value: float) -> bool:
    """Whether a value, rounded as the prose rounds, is the decimal; a sign counts only where it is written.

    Args:
        written: for instance "0.07", "−0.19" or "9 %".
        value: what it should be; a fraction where `written` has a percent sign.
    """
    digits = written.replace("−", "-").replace(",", "").rstrip("% ")
    value = value * 100 if written.endswith("%") else value
    value = value if written[0] in "+−-" else abs(value)
    return abs(float(digits) - value) <= 0.5 * 10.0 ** -len(digits.partition(".")[2]) + 1e-9


class LiveCell(NameError):
    """A number rests on something that a chapter loads, trains or draws."""


class Chapter:
    """What a chapter's cells define without data, training and drawing, found out as far as it is asked for.

    The top level of a notebook is straight-line code, so each statement is executed once, after those that define
    what it reads.

    Args:
        notebook: a chapter.
        helpers: Python functions for expressions; they see the same names as the expression.
        above: notebook and helpers of its evidence page, taken to stand above the chapter.

    Raises:
        ValueError: the two notebooks have a cell id in common.
    """

    def __init__(
        self,
        notebook: nbformat.NotebookNode,
        helpers: str = "",
        above: tuple[nbformat.NotebookNode, str] | None = None,
    ):
        earlier, more = (above[0].cells, above[1]) if above else ([], "")
        if shared := {cell.id for cell in earlier} & {cell.id for cell in notebook.cells}:
            raise ValueError(f"chapter and evidence page share the cell ids {', '.join(sorted(shared))}.")
        cells = [*earlier, *notebook.cells]
        self._helpers = {
            name: each
            for each in map(_Statement, ast.parse(f"{more}\n{helpers}").body)
            for name in each.binds
        }
        self._code = {cell.id: cell.source for cell in cells if cell.cell_type == "code"}
        self._statements: list[_Statement] = []
        self._end: dict[str, int] = {}  # of each cell, in statements
        self._names_after: dict[int, dict[str, Any]] = {}
        self._helped: dict[tuple[str, int], Any] = {}
        self._values: dict[tuple[str, str], float] = {}
        for cell in cells:
            if cell.cell_type == "code" and "starter" not in cell.metadata.get("tags", []):
                source = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE)
                self._statements += map(_Statement, ast.parse(source).body)
            self._end[cell.id] = len(self._statements)

    def fault(self, decimal: Decimal) -> str | None:
        """What is wrong with a decimal, in words."""
        if not decimal.written:
            return f"{decimal.cell}: {decimal.words} is bound to {decimal.expression} and not in the prose"
        where = f"{decimal.cell}: the prose says {decimal.written}, "
        if decimal.expression == UNBOUND:
            return f"{where}which is bound to nothing: {decimal.words}"
        if decimal.expression.startswith("given "):
            return None
        try:
            value = self.value(decimal.expression, decimal.cell)
        except Exception as error:
            return f"{where}but {decimal.expression} fails ({type(error).__name__}: {error}): {decimal.words}"
        if agrees(decimal.written, value) if NUMBER.fullmatch(decimal.written) else value:
            return None
        return f"{where}but {decimal.expression} is {value:.6g}: {decimal.words}"

    def value(self, expression: str, cell: str) -> float:
        """What an expression gives at a cell.

        Args:
            expression: Python; "cell-36 | expression" takes the state after that cell.
            cell: its id, of either kind; "text of ..." for the words of its figure.

        Raises:
            LiveCell: it rests on a live cell.
            Exception: whatever evaluating it raises.
        """
        cell = cell.removeprefix("text of ")
        if (expression, cell) not in self._values:
            place, _, rest = expression.partition(" | ")
            at, code = (place, rest) if place in self._end else (cell, expression)
            asked = _Statement(ast.parse(f"_value = float({code.strip()})").body[0])
            self._values[expression, cell] = self._execute(asked, self._end[at])["_value"]
        return self._values[expression, cell]

    def _execute(self, statement: _Statement, place: int) -> dict[str, Any]:
        """The names after a statement that stands at a place; those it reads are looked up first."""
        if statement.live:
            raise LiveCell(f"it rests on {', '.join(statement.live)}; let the live cell say it")
        names: dict[str, Any] = {"written": self._written, "module": importlib.import_module}
        for name in statement.reads:
            helper = self._helpers.get(name)
            if helper and helper is not statement:
                if (name, place) not in self._helped:
                    self._helped[name, place] = self._execute(helper, place)[name]
                names[name] = self._helped[name, place]
                continue
            for earlier in reversed(range(place)):
                if name in self._statements[earlier].leaves:
                    if earlier not in self._names_after:
                        self._names_after[earlier] = self._execute(self._statements[earlier], earlier)
                    names[name] = self._names_after[earlier][name]
                    break
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            exec(statement.code, names)
        return names

    def _written(self, where: str, number: str) -> float:
        """A number as it stands in the code of a cell or of a module."""
        code = self._code.get(where) or inspect.getsource(importlib.import_module(where))
        if not re.search(rf"(?<![\w.]){re.escape(number)}(?![\w.])", code):
            raise ValueError(f"{number} is not in the code of {where}")
        return float(number)


class _Statement:
    """A statement with the global names that it reads, binds and leaves (binds or changes in place)."""

    def __init__(self, tree: ast.stmt):
        self.code = compile(ast.Module([tree], []), "<chapter>", "exec")
        self.reads, self.binds = _globals(self.code)
        changed = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):  # rows.append(...)
                changed.add(_root(node.value.func))
            elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
                changed.add(_root(node))  # rows[name] = ...
        self.leaves = self.binds | (self.reads & changed)
        of_adlib = isinstance(tree, ast.ImportFrom) and (tree.module or "").split(".")[0] == "adlib"
        self.live = self.binds & LIVE if of_adlib else set()


def _root(node: ast.AST) -> str:
    """The name that an expression such as `rows[name].append` begins with; "" for a name alone."""
    inner = node
    while isinstance(inner, (ast.Subscript, ast.Attribute)):
        inner = inner.value
    return inner.id if isinstance(inner, ast.Name) and inner is not node else ""


def _globals(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Global names that compiled code reads before it binds them, and those that it binds."""
    reads: set[str] = set()
    binds: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
            reads |= {step.argval} - binds
        elif step.opname in ("STORE_NAME", "STORE_GLOBAL"):
            binds.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            reads |= _globals(constant)[0] - binds
        elif isinstance(constant, str):
            reads |= set(re.findall(r"(?<!\w)@(\w+)", constant))  # a query of pandas reads names, too
    return reads, binds


def _words(text: str, match: re.Match[str]) -> str:
    return "…" + " ".join(text[max(0, match.start() - 60) : match.end() + 30].split()) + "…"
