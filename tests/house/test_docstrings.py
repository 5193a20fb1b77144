"""Public names say what they take and give: shapes, errors, sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import adlib

PACKAGE = Path(adlib.__file__).parent
ARRAY = re.compile(r"\b(Tensor|ndarray|TrainImages|ValidationImages)\b")
SHAPE = re.compile(
    r"\([A-Z]\w*,[^)]*\)|\([a-z]+(?:, [a-z0-9]+)+\)|[Ss]calar|(?:any|same) shape|one per (?:image|class)"
)
SOURCE = re.compile(r"Source|et al\.|\bEq\.|\b(?:19|20)\d\d\b|[Tt]able|[Pp]apers?\b|released|code")
# Rooms in which every public name states an equation or a network that somebody has published.
PUBLISHED = ("losses.py", "scores.py", "models/", "detectors/")
# The frame around them, which is our own.
OURS = ("detectors/base.py", "detectors/registry.py", "detectors/trivial.py")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def annotations(function: Function) -> str:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    texts = [ast.unparse(each.annotation) for each in every if each.annotation]
    return " ".join([*texts, ast.unparse(function.returns) if function.returns else ""])


def raised(function: Function) -> set[str]:
    """Errors that the function itself raises; those of functions inside it are theirs."""
    names, open_nodes = set(), list(function.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            names.add(ast.unparse(node.exc.func).split(".")[-1])
        open_nodes += ast.iter_child_nodes(node)
    return names - {"NotImplementedError", "AttributeError", "StopIteration"}


def complaints(source: str, path: str, documented: set[str]) -> list[str]:
    """What is missing in one file.

    Args:
        source: the file's text.
        path: relative to the package.
        documented: names of methods that some class of the package documents: an override need not repeat it.
    """
    tree, missing = ast.parse(source), []
    if not ast.get_docstring(tree):
        missing.append(f"{path}: no docstring")

    def look(node: ast.stmt, owner: str, owner_doc: str) -> None:
        name = f"{path}:{node.lineno} {owner}{node.name}"
        doc = ast.get_docstring(node) or ""
        inherited = bool(owner) and (node.name in documented or node.name == "forward")
        if not doc and not inherited:
            missing.append(f"{name}: no docstring")
            return
        if isinstance(node, Function) and not (inherited and not doc):
            if ARRAY.search(annotations(node)) and not SHAPE.search(doc + owner_doc):
                missing.append(f"{name}: takes or gives arrays, and says no shape")
            if raised(node) and "Raises" not in doc:
                missing.append(f"{name}: raises {', '.join(sorted(raised(node)))}, and has no 'Raises:'")
        if (
            not owner
            and path.startswith(PUBLISHED)
            and path not in OURS
            and not SOURCE.search(doc + (ast.get_docstring(tree) or ""))
        ):
            missing.append(f"{name}: names no source (paper, equation, table)")
        if isinstance(node, ast.ClassDef):
            for inner in public(node.body):
                look(inner, f"{owner}{node.name}.", doc)

    for node in public(tree.body):
        look(node, "", "")
    return missing


def sources() -> dict[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def documented_methods(files: dict[str, str]) -> set[str]:
    classes = (
        node
        for text in files.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    )
    return {inner.name for each in classes for inner in public(each.body) if ast.get_docstring(inner)}


def test_every_public_name_says_what_it_takes_gives_and_raises():
    files = sources()
    known = documented_methods(files)
    missing = [line for path, text in files.items() for line in complaints(text, path, known)]
    assert not missing, "\n" + "\n".join(missing)


def test_the_check_itself_finds_what_is_missing():
    source = '''"""Module."""
def no_doc(): ...
def no_shape(x: Tensor) -> Tensor:
    """Source: a paper."""
def no_raises(x: int) -> int:
    """Source: a paper."""
    raise ValueError("x")
def good(x: Tensor) -> Tensor:
    """Gives (B,). Source: a paper. Raises: ValueError."""
    raise ValueError("x")
def _private(x: Tensor): ...
'''
    missing = "\n".join(complaints(source, "losses.py", set()))
    for name in ("no_doc", "no_shape", "no_raises"):
        assert name in missing
    assert "good" not in missing
    assert "_private" not in missing
