"""The reference: every public module has a page, a line in the index and a place in the table of contents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import adlib
from adlib_book.site import reference
from adlib_book.site.stage import page_names

ROOT = Path(adlib.__file__).parent.parent
# What readers do not call: the floor that all others stand on, and the command line.
FLOOR = {"adlib.errors", "adlib.files", "adlib.environment"}
FLOOR |= {"adlib_book.cli", "adlib_book.npm", "adlib_book.catalogue"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = tmp_path_factory.mktemp("stage")
    (stage / "book").mkdir()
    for name in ("api.md", "_toc.yml"):
        (stage / "book" / name).write_text((ROOT / "book" / name).read_text())
    (stage / "book" / "_toc.yml").rename(stage / "_toc.yml")
    reference.write_reference(stage)
    return stage


def public_files() -> set[str]:
    paths = [
        path.relative_to(ROOT)
        for package in ("adlib", "adlib_book")
        for path in (ROOT / package).rglob("[!_]*.py")
    ]
    names = {".".join(path.with_suffix("").parts) for path in paths}
    return {name for name in names if ".".join(name.split(".")[:2]) not in FLOOR}


def test_every_public_module_has_one_page_in_the_table_of_contents(stage):
    names = page_names(stage / "_toc.yml")
    assert len(names) == len(set(names))
    assert {reference.page_of(module) for module in public_files()} <= set(names)
    for name in names:
        if name.startswith("book/api/"):
            assert (stage / f"{name}.md").is_file(), name


def test_each_module_is_documented_on_its_own_page_and_on_no_other(stage):
    documented = {}
    for path in (stage / "book" / "api").rglob("*.md"):
        for module in re.findall(r"automodule:: (\S+)", path.read_text()):
            assert module not in documented
            documented[module] = path
    assert public_files() <= documented.keys()
    assert documented["adlib.data.splits"] == stage / "book" / "api" / "adlib" / "data" / "splits.md"


def test_every_link_of_the_index_and_the_rooms_leads_to_a_page(stage):
    for path in [stage / "book" / "api.md", *(stage / "book" / "api").rglob("*.md")]:
        for address in re.findall(r"\]\(([^)]+\.md)\)", path.read_text()):
            assert (path.parent / address).is_file(), (path, address)
    index = (stage / "book" / "api.md").read_text()
    assert re.search(
        r"^    \* \[`adlib\.data\.ranges`\]\(api/adlib/data/ranges\.md\): \w", index, re.MULTILINE
    )
    assert "| `Detector` | [`adlib.detectors.base`](api/adlib/detectors/base.md) |" in index
    room = (stage / "book" / "api" / "adlib" / "data.md").read_text()
    assert "[`adlib.data.ranges`](data/ranges.md)" in room


def test_what_stands_in_the_table_of_contents_beside_it_stays(stage):
    before = page_names(ROOT / "book" / "_toc.yml")
    assert [name for name in page_names(stage / "_toc.yml") if not name.startswith("book/api/")] == before
