"""A notebook alone in an empty folder, in a world like Colab's, brings itself up by its own first cell.

In the whole suite one notebook does so, and the others are held to the same first cell. `make colab` runs them all.
That the code computes on whatever device there is is tested in tests/detectors/test_contract.py: there every detector
takes a step wholly on torch's `meta` device, which fails on any tensor left on the CPU.
"""

from __future__ import annotations

import json
import os
import shutil

import nbformat
import pytest
from colab_like import ABSENT, ROOT, Colab, build_wheel, canonical, needed, pack_again, package_index
from nbformat.v4 import new_code_cell

import adlib
from adlib_book.site.colab import colab_edition, references

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST = [path for path in CHAPTERS if path.stem.startswith("f4")]  # runs in seconds
RUN = CHAPTERS if os.environ.get("ADLIB_COLAB") == "all" else FIRST
pytestmark = pytest.mark.slow

BEFORE = """\
import json, sys
from importlib import metadata
def _versions():
    return {each.metadata["Name"]: each.version for each in metadata.distributions()}
_before, _imported = _versions(), set(sys.modules)
"""
AFTER = """\
import torch, numpy, pandas, adlib
_files = {each.__name__: each.__file__ for each in (torch, numpy, pandas, adlib)}
print("COLAB " + json.dumps({"before": _before, "after": _versions(), "files": _files}))
"""


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colab")
    wheels = folder / "wheels"
    wheels.mkdir()
    build_wheel(wheels)
    for distribution in needed(sorted(ABSENT)).values():
        if canonical(distribution.name) in ABSENT:
            pack_again(distribution, wheels)
    with package_index(wheels) as (address, asked):
        made = Colab(folder, address)
        made.asked = asked
        yield made


def first_code_cell(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == "code").source


def edition(path):
    """What the Colab button opens."""
    articles = references(ROOT / "book" / "references.bib")
    release = f"adlib-book=={adlib.__version__}"
    return colab_edition(nbformat.read(path, as_version=4), path.stem, articles, requirement=release)


def test_every_chapter_brings_itself_up_by_the_same_cell():
    assert len({first_code_cell(edition(path)) for path in CHAPTERS}) == 1, "it is tested once for all"
    assert len({first_code_cell(nbformat.read(path, as_version=4)) for path in CHAPTERS}) == 1


def test_nothing_of_ours_is_there_before(colab):
    assert "adlib-book" not in colab.preinstalled
    assert {"torch", "numpy", "pandas", "ipywidgets"} <= colab.preinstalled.keys()
    assert not {"papermill", "jupyter-book", "pytest", "distributed"} & colab.preinstalled.keys()


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_chapter_runs_alone(colab, path, tmp_path, monkeypatch):
    import papermill

    site = next((colab.folder / "venv" / "lib").glob("python*/site-packages"))
    for leftover in site.glob("adlib*"):  # each chapter finds the world as it was
        shutil.rmtree(leftover)
    notebook = edition(path)
    notebook.cells = [new_code_cell(BEFORE), *notebook.cells, new_code_cell(AFTER)]
    place = tmp_path / "content"
    place.mkdir()
    nbformat.write(notebook, place / path.name)
    world = colab.environment() | {"JUPYTER_PATH": str(colab.kernel())}
    for key in os.environ.keys() - world.keys():
        monkeypatch.delenv(key)
    for key, value in world.items():
        monkeypatch.setenv(key, value)
    done = papermill.execute_notebook(
        str(place / path.name), str(place / "done.ipynb"), {"profile": "smoke"},
        kernel_name="colab", language="python", cwd=str(place), progress_bar=False, execution_timeout=600,
    )  # fmt: skip

    report = _report(done)
    changed = {name for name, version in report["before"].items() if report["after"].get(name) != version}
    assert not changed, "packages that were there have other versions now: Colab would ask for a restart"
    assert report["after"].keys() - report["before"].keys() <= {
        "adlib-book",
        *ABSENT,
        *map(_underscored, ABSENT),
    }
    assert str(site) in report["files"]["adlib"], "the package came from the index, not from this checkout"
    for name in ("torch", "numpy", "pandas"):
        assert str(colab.folder / "preinstalled") in report["files"][name]
    assert set(colab.asked) <= {"adlib-book", *ABSENT}, "pip wanted something that the index does not offer"


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _report(notebook) -> dict:
    (text,) = [
        output["text"]
        for output in notebook.cells[-1].outputs
        if output.output_type == "stream" and output["text"].startswith("COLAB ")
    ]
    return json.loads(text.removeprefix("COLAB "))
