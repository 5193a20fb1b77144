"""Imports run downward only, in no circles, never from `adlib` to `adlib_book`; lists of sources are complete."""

from __future__ import annotations

import ast
import functools
import json
import sys
from pathlib import Path

import pytest

import adlib
import adlib_book
from adlib import environment
from adlib_book.runner import inputs

ROOT = Path(adlib.__file__).parent.parent
PACKAGES = [Path(package.__file__).parent for package in (adlib, adlib_book)]
ROOMS = [
    ("adlib.errors", "adlib.files", "adlib.environment", "adlib.devices"),
    ("adlib.losses", "adlib.scores", "adlib.metrics", "adlib.transforms"),
    ("adlib.models",),
    ("adlib.data",),
    ("adlib.averaging", "adlib.features", "adlib.folding", "adlib.progress"),
    ("adlib.resume",),
    ("adlib.training",),
    ("adlib.detectors",),
    ("adlib.viz", "adlib.experiment"),
    ("adlib.inspection",),
    ("adlib_book.reading", "adlib_book.published", "adlib_book.npm", "adlib_book.catalogue"),
    ("adlib_book.ledger",),
    ("adlib_book.runner",),
    ("adlib_book.nightly",),
    ("adlib_book.site",),
    ("adlib_book.distributed_scoring",),
    ("adlib_book.inspection",),
    ("adlib_book.cli",),
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
# Downward, and yet not allowed: a data set that knows a network would be made for it.
STRANGERS = {
    ("adlib.data", "adlib.models"),
    ("adlib.models", "adlib.losses"),
    ("adlib.models", "adlib.scores"),
    ("adlib.models", "adlib.metrics"),
}

FILES = sorted(
    path for package in PACKAGES for path in package.rglob("*.py") if path != package / "__init__.py"
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES} | {
    package.name: package / "__init__.py" for package in PACKAGES
}


@functools.cache
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
    return {name for name in found if name.split(".")[0] in ("adlib", "adlib_book")}


def room(name: str) -> str:
    """The room of a module: its package and what lies directly below it."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_room_imports_only_rooms_below_it(path):
    here = room(module_name(path))
    assert here in LEVEL, f"{here} has no level; give it one in ROOMS and in the design"
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
    source = "import adlib_book.cli\nfrom ..viz import style\nfrom .batches import Batches\n"
    source += "def later():\n    from adlib.metrics import aupro\n"
    found = imports(ROOT / "adlib" / "data" / "splits.py", source)
    assert found == {"adlib_book.cli", "adlib.viz.style", "adlib.data.batches", "adlib.metrics"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(PACKAGES[0])], ids=module_name
)
def test_adlib_never_imports_the_machinery_beside_it(path):
    assert not [name for name in imports(path) if name.startswith("adlib_book")]


def test_tools_need_the_standard_library_and_pip_only():
    tools = list((ROOT / "tools").glob("*.py"))
    allowed = {*sys.stdlib_module_names, *(path.stem for path in tools), "pip"}
    for path in tools:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                first = name.split(".")[0]
                assert first in allowed, f"{path.name} imports {name}"


def test_every_room_of_the_package_is_either_computing_or_drawing_or_apart():
    there = {
        path.name
        for path in PACKAGES[0].iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    lists = [*environment.COMPUTING, *environment.DRAWING, *environment.APART]
    assert sorted(lists) == sorted(there)


def test_what_computes_imports_nothing_of_what_draws_and_nothing_else_what_stands_apart():
    for path in FILES:
        here = room(module_name(path)).removeprefix("adlib.")
        if path.is_relative_to(PACKAGES[0]) and here not in environment.APART:
            others = {room(name).removeprefix("adlib.") for name in imports(path)}
            assert here in environment.DRAWING or not others & set(environment.DRAWING), path
            assert not others & set(environment.APART), path


def reached_from_notebooks() -> set[Path]:
    """Files of adlib_book that chapters import, and what those import in turn."""
    waiting = set()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(notebook.read_text())["cells"]
        lines = [
            line
            for cell in cells
            if cell["cell_type"] == "code"
            for line in "".join(cell["source"]).split("\n")
        ]
        source = "\n".join(
            line.strip() for line in lines if line.strip().startswith(("from adlib", "import adlib"))
        )
        waiting |= imports(ROOT / "adlib" / "errors.py", source)
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name.startswith("adlib_book") and name not in reached:
            reached.add(name)
            parts = name.split(".")
            waiting |= imports(MODULES[name]) | {".".join(parts[:end]) for end in range(1, len(parts))}
    return {MODULES[name] for name in reached}


def test_what_chapters_read_is_listed_and_nothing_else():
    listed = {PACKAGES[1] / part for part in inputs.READ_BY_CHAPTERS}
    reached = reached_from_notebooks()
    assert all(path in listed or path.parent in listed for path in reached), sorted(reached)
    assert all(any(path == part or path.parent == part for path in reached) for part in listed), sorted(
        listed
    )
