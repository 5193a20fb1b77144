"""Imports inside the package run downward only, and in no circles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import adlib

PACKAGE = Path(adlib.__file__).parent
ROOMS = [
    ("errors", "files", "environment", "devices"),
    ("losses", "scores", "metrics", "ranking", "transforms"),
    ("models",),
    ("data",),
    ("training",),
    ("detectors",),
    ("results", "viz", "cost", "experiment", "published", "weight_search"),
    ("sweep", "plans", "cluster"),
    ("chapters",),
    ("cli",),
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
# Downward, and yet not allowed: a data set that knows a network would be made for it.
STRANGERS = {("data", "models"), ("models", "losses"), ("models", "scores"), ("models", "metrics")}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES} | {"adlib": PACKAGE / "__init__.py"}


def imports(path: Path, source: str | None = None) -> set[str]:
    """Names of the package's modules that a file imports, wherever in the file, but for annotations alone."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    tree, found = ast.parse(source or path.read_text()), set()
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{stem}.{alias.name}"
                found.add(inner if inner in MODULES else stem)
    return {name for name in found if name == "adlib" or name.startswith("adlib.")}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else name


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_room_imports_only_rooms_below_it(path):
    here = room(module_name(path))
    assert here in LEVEL, f"adlib/{here} has no level; give it one in ROOMS and in the design"
    for name in imports(path):
        there = room(name)
        assert there in LEVEL, f"{path} imports {name}: take names from the module that defines them"
        assert LEVEL[there] <= LEVEL[here], (
            f"{path} (level {LEVEL[here]}) imports {name} (level {LEVEL[there]})"
        )
        assert (here, there) not in STRANGERS, f"{path} imports {name}: {here} must not know {there}"


def test_no_import_goes_in_a_circle():
    graph = {module_name(path): imports(path) - {module_name(path)} for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "circle: " + " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_the_finder_of_imports_sees_every_form():
    source = "import adlib.cli\nfrom ..chapters import run\nfrom .batches import Batches\n"
    source += "def later():\n    from adlib.metrics import aupro\n"
    found = imports(PACKAGE / "data" / "splits.py", source)
    assert found == {"adlib.cli", "adlib.chapters.run", "adlib.data.batches", "adlib.metrics"}
