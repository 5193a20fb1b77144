"""The reference: a page per public module, a page per room, and an index of them all, from the docstrings."""

from __future__ import annotations

import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from adlib.files import write_atomic

INDEX = "book/api"
# Imports run downward only, so this order reads from the ground up.
ROOMS = (
    *("adlib.devices", "adlib.losses", "adlib.scores", "adlib.metrics", "adlib.transforms", "adlib.models"),
    *(
        "adlib.data",
        "adlib.averaging",
        "adlib.resume",
        "adlib.progress",
        "adlib.features",
        "adlib.folding",
        "adlib.training",
    ),
    *("adlib.detectors", "adlib.experiment", "adlib.viz", "adlib.inspection"),
    *("adlib_book.reading", "adlib_book.published", "adlib_book.ledger", "adlib_book.runner"),
    *("adlib_book.nightly", "adlib_book.site", "adlib_book.inspection", "adlib_book.distributed_scoring"),
)


def public_modules() -> dict[str, list[str]]:
    """Room -> its public modules, in reading order; a room that is one module holds itself."""
    return {room: _modules(room) for room in ROOMS}


def write_reference(stage: Path) -> None:
    """Write every page of the reference onto the stage, and name them in its table of contents.

    Args:
        stage: holds `book/api.md`, which is continued, and `_toc.yml`.
    """
    index = stage / f"{INDEX}.md"
    write_atomic(index, index.read_text() + "\n" + "\n".join([*_imported_from_adlib(), *_index()]) + "\n")
    for room, modules in public_modules().items():
        if modules != [room]:
            text = f"# `{room}`\n\n{_first_line(room)}\n\n" + "\n".join(_line(each, room) for each in modules)
            write_atomic(stage / f"{page_of(room)}.md", text + "\n")
        for module in modules:
            write_atomic(stage / f"{page_of(module)}.md", _module_page(module))
    contents = stage / "_toc.yml"
    toc = yaml.safe_load(contents.read_text())
    _add_sections(toc)
    write_atomic(contents, yaml.safe_dump(toc, sort_keys=False, allow_unicode=True))


def page_of(name: str) -> str:
    """The page about a module or room: "adlib.data.splits" -> "book/api/adlib/data/splits"."""
    return f"{INDEX}/{name.replace('.', '/')}"


def _modules(room: str) -> list[str]:
    root = Path(__file__).resolve().parents[2]
    folder = root / room.replace(".", "/")
    files = [path for path in sorted(folder.rglob("*.py")) if not path.name.startswith("_")]
    return [".".join(path.relative_to(root).with_suffix("").parts) for path in files] or [room]


def _module_page(module: str) -> str:
    directive = f".. automodule:: {module}\n   :members:\n   :show-inheritance:"
    return f"# `{module}`\n\n```{{eval-rst}}\n{directive}\n```\n"


def _index() -> list[str]:
    """One line per module, below a heading per package."""
    lines, package = [], ""
    for room, modules in public_modules().items():
        if room.partition(".")[0] != package:
            package = room.partition(".")[0]
            lines += ["", f"## `{package}`", ""]
        lines.append(_line(room, "book"))
        if modules != [room]:
            lines += [f"    {_line(module, 'book')}" for module in modules]
    return lines


def _imported_from_adlib() -> list[str]:
    package = import_module("adlib")
    lines = ["## From `adlib` itself", "", "| `from adlib import` | documented in |", "|---|---|"]
    for name in sorted(set(package.__all__) - {"__version__"}, key=str.lower):
        module = getattr(package, name).__module__
        lines.append(f"| `{name}` | [`{module}`]({_address(module, 'book')}) |")
    return lines


def _line(name: str, seen_from: str) -> str:
    """A module with a link, and what its docstring says first."""
    return f"* [`{name}`]({_address(name, seen_from)}): {_first_line(name)}"


def _address(name: str, seen_from: str) -> str:
    """A page's address as seen from the index ("book") or from a room's page."""
    folder = seen_from if seen_from == "book" else posixpath.dirname(page_of(seen_from))
    return posixpath.relpath(f"{page_of(name)}.md", folder)


def _first_line(name: str) -> str:
    """The first sentence of a module's docstring, as Markdown that looks like it."""
    text = (import_module(name).__doc__ or "").partition("\n\n")[0]
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(
        part if index % 2 else re.sub(r"([\\*_<\[|$])", r"\\\1", part) for index, part in enumerate(parts)
    )


def _add_sections(node: Any) -> None:
    """Name the reference's pages below its index, wherever that is in a table of contents."""
    if isinstance(node, list):
        for each in node:
            _add_sections(each)
    elif isinstance(node, dict):
        if node.get("file") == INDEX:
            node["sections"] = [_section(room, modules) for room, modules in public_modules().items()]
            return
        for each in node.values():
            _add_sections(each)


def _section(room: str, modules: list[str]) -> dict[str, Any]:
    if modules == [room]:
        return {"file": page_of(room)}
    return {"file": page_of(room), "sections": [{"file": page_of(module)} for module in modules]}
