"""Every chapter runs in the smoke profile, inside its bands, and the pages can be built from it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from adlib.viz.captions import FIGURE
from adlib_book.nightly import bands
from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import Workspace
from adlib_book.site import sentences

ROOT = Path(__file__).resolve().parents[2]
WORKSPACE = Workspace(ROOT)


@pytest.mark.parametrize("name", WORKSPACE.chapters())
def test_a_chapter_runs_and_its_numbers_are_inside_their_bands(name):
    record = run_chapter(name, "smoke", workspace=WORKSPACE)
    outside = bands.check(ROOT, record)
    assert not outside, "\n".join(map(str, outside))
    assert record["seconds"] < 600, (
        "a smoke run takes seconds, or a few minutes; ten on a machine with other work"
    )


@pytest.mark.parametrize("name", WORKSPACE.chapters())
def test_every_image_of_a_chapter_has_words_and_a_caption_of_its_own(name):
    run_chapter(name, "smoke", workspace=WORKSPACE)
    executed = nbformat.read(WORKSPACE.executed(name, "smoke")[0], as_version=4)
    captions = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if "image/png" not in output.get("data", {}):
                continue
            assert FIGURE in output.metadata, (
                f"show it with viz.show, its number and a caption:\n{cell.source}"
            )
            captions.append(output.metadata[FIGURE]["caption"])
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, (
                f"say in the cell's metadata, mystnb.image.alt, what this shows:\n{cell.source}"
            )
    assert len(set(captions)) == len(captions), "two figures of a page show two things"
    for caption in captions:
        assert len(caption.split()) <= 35, caption
        assert re.fullmatch(r"[A-Zk0-9*].*\.", caption), caption
        assert len(re.findall(r"[.?!] (?=[A-Z])", caption)) <= 1, f"two sentences at most: {caption}"


@pytest.mark.parametrize("name", WORKSPACE.chapters())
def test_the_decimals_of_an_executed_page_are_what_they_claim_to_be(name):
    """Those of its prose have their bindings; those that its cells show are rounded for a reader."""
    run_chapter(name, "smoke", workspace=WORKSPACE)
    bindings = sentences.read(sentences.path_of(WORKSPACE.chapter(name)))
    for profile in ("smoke", "live"):
        path = WORKSPACE.executed(name, profile)[0]
        if not path.is_file():
            continue
        executed = nbformat.read(path, as_version=4)
        if profile == "smoke":  # an older page of another profile gets its prose when it is built
            chapter = sentences.chapter_at(WORKSPACE.chapter(name))
            assert not sentences.findings(executed, bindings, chapter)
        for cell in executed.cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                text = output.get("text", "") + data.get("text/markdown", "") + data.get("text/html", "")
                assert not re.findall(
                    r"(?<![\w.])\d+\.\d{6,}(?!\w)", re.sub("<style.*?</style>", "", text, flags=re.S)
                )


@pytest.mark.parametrize("name", WORKSPACE.chapters())
def test_beginnings_of_exercises_fail_for_the_right_reason(name):
    """Any other failure stops the run; a beginning that does not fail has no dots to replace."""
    run_chapter(name, "smoke", workspace=WORKSPACE)
    executed = nbformat.read(WORKSPACE.executed(name, "smoke")[0], as_version=4)
    for cell in executed.cells:
        if "starter" in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            assert printed.splitlines()[-1].startswith("Your turn ("), cell.source


def test_the_pages_can_be_built_from_it(smoke_site):
    assert (smoke_site / "index.html").is_file()
