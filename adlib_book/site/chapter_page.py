"""An executed notebook made into a page: its origin and warnings below the title, nothing of the machine it ran on."""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Mapping
from typing import Any

import nbformat

from adlib.errors import ChapterError
from adlib.viz import captions
from adlib_book.nightly import bands
from adlib_book.runner.workspace import Workspace
from adlib_book.site.checks import check_executed


def staged_notebook(
    notebook: nbformat.NotebookNode, record: Mapping[str, Any], below_title: str = ""
) -> nbformat.NotebookNode:
    """An executed notebook as a page: with its origin, without injected cell, progress bars and papermill's metadata.

    Args:
        notebook: as executed.
        record: of its run.
        below_title: Markdown that goes below the line saying when it was executed.

    Raises:
        ChapterError: a code cell was not executed or failed, or the whole run took no time.
    """
    check_executed(notebook, record)
    page = copy.deepcopy(notebook)
    page.metadata.pop("papermill", None)
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for cell in page.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress_bar(output)]
            _with_caption(cell)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
    title = next((cell for cell in page.cells if cell.cell_type == "markdown"), None)
    if title is None or not title.source.startswith("# "):
        raise ChapterError(
            f"{record['chapter']} does not begin with its title; expected '# Title' in a text cell."
        )
    heading, _, text = title.source.partition("\n")
    title.source = f"{heading}\n\n{last_verified(record)}\n{below_title}\n\n{text.lstrip()}"
    return page


def _with_caption(cell: nbformat.NotebookNode) -> None:
    """Make a figure of the book of what `viz.show` has shown: numbered, with an anchor, its caption part of it.

    Raises:
        ChapterError: the cell shows something else as well, which would get the same number.
    """
    figures = [
        each.metadata[captions.FIGURE] for each in cell.outputs if captions.FIGURE in each.get("metadata", {})
    ]
    if not figures:
        return
    cell.outputs = [each for each in cell.outputs if captions.CAPTION not in each.get("metadata", {})]
    if sum("data" in each for each in cell.outputs) > 1:
        raise ChapterError(f"a cell with a figure shows nothing else; cut this one in two:\n{cell.source}")
    (about,) = figures
    number, options = about["number"], cell.metadata.setdefault("mystnb", {})
    caption = f"**Figure {number}.** {about['caption']}"
    options["figure"] = {"name": figure_anchor(number), "caption": caption}
    if about["chart"]:
        options["image"] = {**options.get("image", {}), "classes": "chart"}


def figure_anchor(number: str) -> str:
    """Where a link to a figure leads: "figure-1-3" for the figure 1.3."""
    return f"figure-{number.lower().replace('.', '-')}"


def _is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar of tqdm's, which says nothing on a page that does not run."""
    data = output.get("data", {})
    is_widget = "application/vnd.jupyter.widget-view+json" in data
    return is_widget and bool(re.match(r".*\d+%\|", data.get("text/plain", ""), re.DOTALL))


def last_verified(record: Mapping[str, Any]) -> str:
    """The line below a chapter's title: when, from which commit, on what, and how long it was executed."""
    day = datetime.datetime.fromisoformat(record["started_at"])
    minutes = record["seconds"] / 60
    device = record["device"].split(":")[0]
    machine = record["hardware"].get("accelerator") or record["hardware"]["processor"]
    if device == "cpu":
        threads = record["hardware"]["threads"]
        machine += f", {threads} thread" + ("s" if threads > 1 else "")
    parts = [
        f"Last verified {day.day} {day:%B %Y}",
        f"commit {record['commit']}",
        f"{device.upper()} ({machine})",
        f"profile {record['profile']}",
        f"{minutes:.1f} minutes" if minutes >= 0.95 else f"{record['seconds']:.0f} seconds",
    ]
    return f'<p class="last-verified">{" · ".join(parts)}</p>'


def numbers_outside(record: Mapping[str, Any], workspace: Workspace) -> str:
    """A warning in Markdown that names each number of a run outside its band; empty where there is none."""
    outside = [each for each in bands.check(workspace.root, record) if each.low is not None]
    if not outside:
        return ""
    head = "A number on this page is" if len(outside) == 1 else f"{len(outside)} numbers on this page are"
    lines = [f"- `{each.metric}`: {str(each).removeprefix(f'{each.metric}: ')}" for each in outside]
    if (workspace.root / "book" / "watched_numbers.md").is_file():
        lines += ["", "[Watched numbers](../book/watched_numbers.md) shows the bands and the runs before."]
    return "\n".join(
        [
            ":::{warning}",
            f"{head} not what earlier runs gave; sentences that quote it may not hold.",
            "",
            *lines,
            ":::",
        ]
    )
