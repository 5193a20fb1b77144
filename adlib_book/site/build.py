"""From executed chapters to pages: stage, build with warnings as errors, check, and put in place of the old ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.nightly import bands
from adlib_book.runner.parallel import run_all
from adlib_book.runner.terminal import say
from adlib_book.runner.workspace import Workspace, pages_lock
from adlib_book.site import colab, pages
from adlib_book.site.checks import check_pages, check_weight, make_reachable
from adlib_book.site.stage import make_stage, page_names


def build_book(profile: str, workers: int | None = None) -> list[bands.Deviation]:
    """Execute every chapter and build the pages.

    Numbers that have left their bands do not stop it: their pages say so at the top, and so does the last line.

    Args:
        profile: "smoke", "live" or "paper".
        workers: chapters at once; by default as many as cores and memory allow.

    Returns:
        Every number outside its band; also printed.

    Raises:
        ValueError: unknown profile.
        ChapterError: chapters failed, or the pages are not fit to publish.
    """
    workspace = Workspace.here()
    records = list(run_all(workspace.chapters(), profile, workspace=workspace, workers=workers))
    deviations = [each for record in records for each in bands.check(workspace.root, record)]
    say("building the pages")
    # Pages of another profile never take the place of the book's.
    name = "html" if profile == "live" else f"html-{profile}"
    site = build_site(records, name=name, workspace=workspace)
    if deviations:
        listed = "; ".join(f"{each.record.partition('.')[0]}: {each}" for each in deviations)
        count = f"{len(deviations)} number" + ("s differ" if len(deviations) > 1 else " differs")
        say(f"{count} from the baselines, as the pages say: {listed}")
    say(f"done: {site / 'index.html'}")
    return deviations


def build_site(
    records: Iterable[Mapping[str, Any]], *, name: str = "html", workspace: Workspace | None = None
) -> Path:
    """Build the pages from the executed chapters.

    Args:
        records: of the runs whose executed notebooks shall be the pages, as from `run_chapter`.
        name: the site's folder below `_build`.
        workspace: another checkout than this one.

    Returns:
        The folder with the finished site. It is replaced only when everything has succeeded.

    Raises:
        ChapterError: a chapter was not fully executed, the build gave a warning, or a page is missing.
    """
    workspace = workspace or Workspace.here()
    with pages_lock(workspace):
        stage = make_stage(list(records), workspace)
        built = _render(stage, workspace.build)
        names = page_names(stage / "_toc.yml")
        for source_map in built.rglob("*.map"):  # of the theme's scripts, for those who write it
            source_map.unlink()
        make_reachable(built)
        check_pages(built, names)
        pages.write_whole_book(built, names)
        colab.complete_pages(built, workspace)
        check_weight(built)
        final = workspace.build / name
        shutil.rmtree(final, ignore_errors=True)
        os.replace(built, final)
    return final


def _render(stage: Path, build: Path) -> Path:
    """Run Jupyter Book on the stage; any warning is an error."""
    output = build / "site"
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(stage)]
    command += ["--config", str(stage / "_config.yml"), "--toc", str(stage / "_toc.yml")]
    command += ["--path-output", str(output), "-W", "--keep-going"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    log = write_atomic(build / "site.log", result.stdout + result.stderr)
    if result.returncode:
        raise ChapterError(
            f"the pages could not be built (exit {result.returncode}):\n{_complaints(result)}\n"
            f"Full log: {log}; what was built from: {stage}"
        )
    return output / "_build" / "html"


def _complaints(result: subprocess.CompletedProcess[str]) -> str:
    """What Sphinx complained about, without its progress report."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout + "\n" + result.stderr)
    lines = [
        line for line in text.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Exception|Error:", line)
    ]
    return "\n".join(lines[:40]) or text[-2000:]
