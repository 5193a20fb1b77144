"""The package's own code in a chapter: the lines that run, not a copy of them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from IPython.display import Markdown

from adlib.errors import unknown_name


def show_source(obj: Any, *, only: str | Iterable[str] | None = None, docstring: bool = False) -> Markdown:
    """The real source of a function or class of the package, as a highlighted block: the lines that run.

    Args:
        obj: a function, method or class.
        only: name(s) of methods or fields of a class; the rest becomes "...".
        docstring: keep the docstrings; without them the equation and the code stand closer together.

    Returns:
        Markdown: the value of a cell, or for `IPython.display.display`.

    Raises:
        ValueError: only names something that the class does not have, or obj is not a class.
    """
    node, lines = _parsed(obj)
    dropped = set() if docstring else _docstring_lines(node, lines)

    def text(first: int, last: int) -> list[str]:
        return [lines[number - 1] for number in range(first, last + 1) if number not in dropped]

    excerpt = text(1, len(lines)) if only is None else _chosen_members(node, only, text)
    block = "\n".join(excerpt).strip("\n")
    return Markdown(f"```python\n{block}\n```\n\n*{obj.__module__}, line {inspect.getsourcelines(obj)[1]}*")


def _parsed(obj: Any) -> tuple[ast.stmt, list[str]]:
    source = textwrap.dedent(inspect.getsource(obj))
    return ast.parse(source).body[0], source.splitlines()


def _docstring_lines(node: ast.AST, lines: list[str]) -> set[int]:
    """Line numbers of all docstrings below a node, each with the blank line after it."""
    numbers: set[int] = set()
    for scope in ast.walk(node):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        first = scope.body[0]
        if ast.get_docstring(scope) is None or len(scope.body) == 1:  # a body must not become empty
            continue
        end = _last_line(first)
        numbers.update(range(first.lineno, end + 1 + (not lines[end].strip())))
    return numbers


def _chosen_members(
    node: ast.stmt, only: str | Iterable[str], text: Callable[[int, int], list[str]]
) -> list[str]:
    """The head of a class and the members asked for, "..." for each run of members left out."""
    if not isinstance(node, ast.ClassDef):
        name = getattr(node, "name", "this")
        raise ValueError(f"only={only!r} was given for {name!r}, which is not a class. Leave only out.")
    requested = {only} if isinstance(only, str) else set(only)
    members = {_member_name(child): child for child in node.body}
    for name in sorted(requested - set(members)):
        raise unknown_name(f"member of {node.name}", name, [m for m in members if m])
    has_docstring = ast.get_docstring(node) is not None
    excerpt = text(1, _last_line(node.body[0]) if has_docstring else _first_line(node.body[0]) - 1)
    gap = False
    for child in node.body[has_docstring:]:
        if _member_name(child) not in requested:
            gap = True
            continue
        if gap:
            excerpt += ["    ..."]
        excerpt += ["", *text(_first_line(child), _last_line(child))]
        gap = False
    return excerpt + ["    ..."] * gap


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _member_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        return getattr(target, "id", None)
    return getattr(node, "name", None)
