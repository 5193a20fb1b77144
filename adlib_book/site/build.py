"""From executed chapters to pages: stage, build with warnings as errors, and guard against empty pages.

The stage `_build/stage/` is a fresh copy of everything that Jupyter Book reads: `book/`, the executed
notebooks, the scripts for maths and widgets, and the configuration with the repository's buttons. It is
made anew every time, because Sphinx does not read a page again that it has read before, and so forgets its
warnings.
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.nightly import bands
from adlib_book.nightly.check import say
from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import Workspace, one_at_a_time
from adlib_book.site import numbers, pages
from adlib_book.site.checks import check_executed, check_pages, check_weight, let_keyboards_scroll
from adlib_book.site.scripts import fetch_scripts


def build_book(profile: str) -> list[bands.Deviation]:
    """Execute every chapter and build the pages.

    Numbers that have left their bands do not stop it: their pages say so at the top, and so does the last line.

    Returns:
        Every number outside its band; also printed.

    Raises:
        ValueError: unknown profile.
        ChapterError: a chapter failed, or the pages are not fit to publish.
    """
    workspace = Workspace.here()
    records, deviations = [], []
    for name in workspace.chapters():
        say(f"executing {name} ({profile})")
        record = run_chapter(name, profile, workspace=workspace)
        say(f"  {record['id']}: {record['seconds']:.0f} s, {len(record['metrics'])} numbers")
        records.append(record)
        deviations += bands.check(workspace.root, record)
    say("building the pages")
    # Pages of another profile never take the place of the book's.
    name = "html" if profile == "book" else f"html-{profile}"
    pages = build_site(records, name=name, workspace=workspace)
    if deviations:
        each = "; ".join(f"{one.record.partition('.')[0]}: {one}" for one in deviations)
        count = f"{len(deviations)} number" + ("s differ" if len(deviations) > 1 else " differs")
        say(f"{count} from the baselines, as the pages say: {each}")
    say(f"done: {pages / 'index.html'}")
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
    with one_at_a_time(workspace):
        stage = make_stage(list(records), workspace)
        built = _render(stage, workspace.build)
        names = page_names(stage / "_toc.yml")
        let_keyboards_scroll(built)
        check_pages(built, names)
        pages.write_whole_book(built, names)
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


def make_stage(records: list[Mapping[str, Any]], workspace: Workspace) -> Path:
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
    notebooks = []
    for record in records:
        source, _ = workspace.executed(record["chapter"], record["profile"])
        if hashlib.sha256(source.read_bytes()).hexdigest() != record["notebook_sha256"]:
            raise ChapterError(
                f"{record['chapter']} was executed again meanwhile; build the pages once more."
            )
        below_title = f"{pages.write_numbers(stage, record)}\n\n{numbers_outside(record, workspace)}"
        notebooks.append(staged_notebook(nbformat.read(source, as_version=4), record, below_title))
        write_atomic(stage / "notebooks" / source.name, nbformat.writes(notebooks[-1]))
    fetch_scripts(stage / "book" / "_static" / "vendor")
    if (stage / "book" / "api.md").is_file():
        pages.write_api(stage / "book" / "api.md")
    if (stage / "book" / "data.md").is_file():
        pages.write_data(stage)
    if (stage / "book" / "watched_numbers.md").is_file():
        numbers.write_page(stage / "book" / "watched_numbers.md", records, workspace)
    pages.write_landing(stage, notebooks)
    config = yaml.safe_load((workspace.root / "_config.yml").read_text())
    settings = repository_setting(workspace.root)
    # In the order of the file: require.js has to be loaded before what needs it.
    text = yaml.safe_dump(with_repository(config, **settings), sort_keys=False, allow_unicode=True)
    write_atomic(stage / "_config.yml", text)
    return stage


def staged_notebook(
    notebook: nbformat.NotebookNode, record: Mapping[str, Any], below_title: str = ""
) -> nbformat.NotebookNode:
    """An executed notebook as a page: where it was made, no injected cell, no progress bars, no machine's traces.

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


def _is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a bar of tqdm's: on a page that does not run it says nothing that the text does not."""
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
        machine += f", {record['hardware']['cores']} cores"
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


def repository_setting(root: Path) -> dict[str, str]:
    """The owner's one setting, `[tool.adlib]` in pyproject.toml.

    Returns:
        {"repository": address, or "" for none, "branch": name}.

    Raises:
        ValueError: the address is not of the form https://HOST/OWNER/REPOSITORY.
    """
    import tomllib

    settings = tomllib.loads((root / "pyproject.toml").read_text()).get("tool", {}).get("adlib", {})
    address = settings.get("repository", "").rstrip("/")
    if address and not re.fullmatch(r"https://(github|gitlab)\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"[tool.adlib] repository in pyproject.toml is {address!r}; "
            "expected https://github.com/OWNER/REPOSITORY (or gitlab.com), or an empty text for none."
        )
    return {"repository": address, "branch": settings.get("branch", "main")}


def with_repository(config: dict[str, Any], repository: str, branch: str) -> dict[str, Any]:
    """The Jupyter Book configuration with Colab, source and issue buttons; with none without an address."""
    # Jupyter Book's own default is its own repository, which must not appear on our pages.
    html_settings = {**config.get("html", {})}
    for button in ("use_repository_button", "use_edit_page_button", "use_issues_button"):
        html_settings[button] = bool(repository) and button != "use_edit_page_button"
    settings: dict[str, Any] = {"url": repository, "branch": branch, "path_to_book": ""}
    colab = "https://colab.research.google.com" if repository.startswith("https://github.com/") else ""
    sphinx_config = config.get("sphinx", {}).get("config", {})
    theme = {**sphinx_config.get("html_theme_options", {}), "use_source_button": bool(repository)}
    if not repository:
        theme |= {"repository_url": "", "repository_branch": ""}
    return {
        **config,
        "html": html_settings,
        "repository": settings,
        "launch_buttons": {"colab_url": colab, "thebe": False, "notebook_interface": "classic"},
        "sphinx": {**config.get("sphinx", {}), "config": {**sphinx_config, "html_theme_options": theme}},
    }


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


def _complaints(result: subprocess.CompletedProcess[str]) -> str:
    """What Sphinx complained about, without its progress report."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout + "\n" + result.stderr)
    lines = [
        line for line in text.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Exception|Error:", line)
    ]
    return "\n".join(lines[:40]) or text[-2000:]
