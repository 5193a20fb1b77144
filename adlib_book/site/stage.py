"""The stage `_build/stage/`: a fresh copy of everything that Jupyter Book reads.

It holds `book/`, the executed notebooks, the scripts for maths and widgets, and the configuration with the repository's
buttons. It is made anew every time, because Sphinx does not read a page again that it has read before, and so would not
repeat its warnings.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.nightly import divergence
from adlib_book.runner.workspace import Workspace
from adlib_book.site import numbers, pages, reference, speed, symptoms, tree, try_it
from adlib_book.site.chapter_page import numbers_outside, staged_notebook
from adlib_book.site.repository import repository_setting, with_repository
from adlib_book.site.scripts import fetch_scripts


def make_stage(records: Sequence[Mapping[str, Any]], workspace: Workspace) -> Path:
    """Lay out everything that Jupyter Book reads, afresh.

    Returns:
        The stage, `_build/stage`.

    Raises:
        ChapterError: a chapter was executed again since its record was made.
    """
    stage = workspace.build / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(workspace.root / "book", stage / "book", ignore=ignored)
    (stage / "book" / "_toc.yml").rename(stage / "_toc.yml")
    notebooks = [_stage_chapter(record, stage, workspace) for record in records]
    fetch_scripts(stage / "book" / "_static" / "vendor")
    if (stage / "book" / "api.md").is_file():
        reference.write_reference(stage)
    if (stage / "book" / "family.md").is_file():
        tree.write_figure(stage)
    if (stage / "book" / "data.md").is_file():
        pages.write_data(stage)
    if (stage / "book" / "settings.md").is_file():
        pages.write_settings(stage)
    if (stage / "book" / "printed_tables.md").is_file():
        pages.write_printed_tables(stage)
    if (stage / "book" / "try_it.md").is_file():
        try_it.write_page(stage)
    if (stage / "book" / "speed.md").is_file():
        speed.write_page(stage / "book" / "speed.md", workspace.root)
    if (stage / "book" / "watched_numbers.md").is_file():
        numbers.write_page(stage / "book" / "watched_numbers.md", records, workspace)
    if (stage / "book" / "own_images.md").is_file():
        symptoms.write_pictures(stage)
    if divergence.path(workspace.root).is_file():
        divergence.write_figure(workspace.root, stage)
    pages.write_landing(stage, notebooks)
    _write_config(stage, workspace)
    return stage


def _stage_chapter(record: Mapping[str, Any], stage: Path, workspace: Workspace) -> nbformat.NotebookNode:
    """The executed notebook of a run as a page on the stage."""
    source, _ = workspace.executed(record["chapter"], record["profile"])
    data = source.read_bytes()
    if hashlib.sha256(data).hexdigest() != record["notebook_sha256"]:
        raise ChapterError(f"{record['chapter']} was executed again meanwhile; build the pages once more.")
    below_title = f"{pages.write_numbers(stage, record)}\n\n{numbers_outside(record, workspace)}"
    notebook = staged_notebook(nbformat.reads(data.decode(), as_version=4), record, below_title)
    write_atomic(stage / "notebooks" / source.name, nbformat.writes(notebook))
    return notebook


def _write_config(stage: Path, workspace: Workspace) -> None:
    config = yaml.safe_load((workspace.root / "_config.yml").read_text())
    settings = repository_setting(workspace.root)
    # In the order of the file: require.js has to be loaded before what needs it.
    text = yaml.safe_dump(with_repository(config, **settings), sort_keys=False, allow_unicode=True)
    write_atomic(stage / "_config.yml", text)


def page_names(toc: Path) -> list[str]:
    """Every page in a table of contents, as a path without suffix."""

    def walk(node: Any) -> Iterable[str]:
        if isinstance(node, list):
            for each in node:
                yield from walk(each)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in ("root", "file"):
                    yield value
                elif isinstance(value, (list, dict)):
                    yield from walk(value)

    return list(walk(yaml.safe_load(toc.read_text())))
