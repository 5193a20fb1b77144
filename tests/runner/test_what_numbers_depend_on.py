"""What a number depends on, room by room: touching a file re-executes what depends on it, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from tiny_checkout import make_workspace

from adlib import environment
from adlib_book.nightly.night import night_inputs
from adlib_book.runner import inputs
from adlib_book.runner.inputs import cache_key, code_hash, data_listing

PACKAGES = Path(environment.__file__).parent.parent

# touched in the packages or in a checkout     a record of   a chapter is    an interrupted
#                                              the ledger    executed anew   night starts over
TABLE = [
    ("adlib/losses.py", True, True, True),
    ("adlib/detectors/dagan.py", True, True, True),
    ("adlib/viz/style.py", False, True, True),
    ("adlib/viz/front/widgets.css", False, True, True),
    ("adlib/inspection/*.py", False, False, False),
    ("adlib_book/reading.py", False, True, True),
    ("adlib_book/published/*.csv", False, True, True),
    ("adlib_book/ledger/results.py", False, True, True),
    ("adlib_book/ledger/sweep.py", False, False, False),
    ("adlib_book/nightly/report.py", False, False, False),
    ("adlib_book/nightly/*.py", False, False, False),
    ("adlib_book/site/*.py", False, False, False),
    ("adlib_book/cli.py", False, False, False),
    ("checkout: results/chapter1.jsonl", False, True, True),
    ("checkout: requirements.lock", False, True, True),
    ("checkout: baselines/01_tiny.live.json", False, False, True),
    ("checkout: notebooks/01_tiny.ipynb, code", False, True, True),
    ("checkout: notebooks/01_tiny.ipynb, prose", False, False, True),
    ("checkout: book/index.md", False, False, False),
    ("checkout: _config.yml", False, False, False),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of both packages beside a checkout in miniature."""
    root = tmp_path_factory.mktemp("house")
    for package in ("adlib", "adlib_book"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGES / package, root / package, ignore=ignored)
    workspace = make_workspace(root / "checkout")
    for path in ("results/chapter1.jsonl", "baselines/01_tiny.live.json"):
        (workspace.root / path).parent.mkdir()
        (workspace.root / path).write_text("{}\n")
    return root, workspace


def touch(path: Path, what: str) -> None:
    if path.suffix != ".ipynb":
        path.write_bytes(path.read_bytes() + b"\n")
        return
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell("1 + 1") if what == "code" else new_markdown_cell("More words."))
    nbformat.write(notebook, path)


@pytest.mark.parametrize(
    ("touched", "record", "chapter", "night"), TABLE, ids=[touched for touched, *_ in TABLE]
)
def test_touching_a_file_re_executes_what_depends_on_it_and_nothing_else(
    house, monkeypatch, touched, record, chapter, night
):
    root, workspace = house
    monkeypatch.setattr(environment, "__file__", str(root / "adlib" / "environment.py"))
    monkeypatch.setattr(inputs, "__file__", str(root / "adlib_book" / "runner" / "inputs.py"))
    place, _, what = touched.removeprefix("checkout: ").partition(", ")
    files = sorted((workspace.root if touched.startswith("checkout") else root).glob(place))
    assert files, f"{touched} is not there any more"

    def state() -> tuple[str, str, str]:
        environment.clear_cached_sources()
        notebook = nbformat.read(workspace.chapter("01"), as_version=4)
        key = cache_key(notebook, {"seed": 0}, workspace) + code_hash()
        return environment.source_hash(), key, night_inputs(["01_tiny"], workspace)

    before, contents = state(), {path: path.read_bytes() for path in files}
    try:
        for path in files:
            touch(path, what)
        after = state()
    finally:
        for path, content in contents.items():
            path.write_bytes(content)
        environment.clear_cached_sources()
    assert [old != new for old, new in zip(before, after)] == [record, chapter, night]


# ---------------------------------------------------------------- a reader's own folder


def replaced_by_another_of_the_same_size(folder: Path) -> None:
    (folder / "new").write_bytes(b"IMAGE B")
    shutil.copystat(folder / "a.png", folder / "new")
    (folder / "new").replace(folder / "a.png")


def renamed_to_and_fro(folder: Path) -> None:
    for old, new in (("a.png", "c.png"), ("b.png", "a.png"), ("c.png", "b.png")):
        (folder / old).rename(folder / new)


CHANGES = {
    "a file more": lambda folder: (folder / "c.png").write_bytes(b"IMAGE C"),
    "a file less": lambda folder: (folder / "b.png").unlink(),
    "another file of the same size and time": replaced_by_another_of_the_same_size,
    "two files that change their names": renamed_to_and_fro,
    "a file in a subfolder": lambda folder: (folder / "test" / "crack" / "d.png").write_bytes(b"IMAGE D"),
    "the file that a link leads to": lambda folder: (folder.parent / "elsewhere.png").write_bytes(b"IMAGE F"),
}


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A reader's folder of images, in the home, with a subfolder and a link."""
    home = tmp_path / "home"
    (home / "parts" / "test" / "crack").mkdir(parents=True)
    (home / "elsewhere.png").write_bytes(b"IMAGE E")
    (home / "parts" / "e.png").symlink_to(home / "elsewhere.png")
    for name in ("a.png", "b.png"):
        (home / "parts" / name).write_bytes(f"IMAGE {name[0].upper()}".encode())
        shutil.copystat(home / "elsewhere.png", home / "parts" / name)
    monkeypatch.setenv("HOME", str(home))
    return home / "parts"


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_is_noticed_however_it_is_written(workspace, parts, change):
    notebook = nbformat.read(workspace.chapter("01"), as_version=4)
    ways = [{"folder": str(parts)}, {"folder": "~/parts"}]
    before = [cache_key(notebook, way, workspace) for way in ways]
    assert [cache_key(notebook, way, workspace) for way in ways] == before
    CHANGES[change](parts)
    after = [cache_key(notebook, way, workspace) for way in ways]
    assert all(old != new for old, new in zip(before, after))


def test_a_link_that_leads_nowhere_is_listed_too(parts):
    (parts.parent / "elsewhere.png").unlink()
    assert any("e.png" in line for line in data_listing({"folder": str(parts)}))
