"""What Colab opens: no directive that it would print as it stands; a first cell that installs what belongs to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from adlib.errors import ChapterError
from adlib_book.runner.workspace import Workspace
from adlib_book.site import colab
from adlib_book.site.repository import pages_address, repository_setting, set_repository

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = "https://owner.github.io/name/"


@pytest.fixture(scope="module")
def articles():
    return colab.references(ROOT / "book" / "references.bib")


def edition_of(articles, *texts, pages=PAGES):
    cells = [new_code_cell(text[1:]) if text.startswith("!") else new_markdown_cell(text) for text in texts]
    notebook = new_notebook(cells=[new_code_cell("install"), *cells])
    edition = colab.colab_edition(notebook, "01_tiny", articles, requirement="adlib-book==0", pages=pages)
    return edition.cells[2 if pages else 1 :]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_directive_is_left(path, articles):
    notebook = nbformat.read(path, as_version=4)
    edition = colab.colab_edition(notebook, path.stem, articles, requirement="adlib-book==0", pages=PAGES)
    nbformat.validate(edition)
    text = "\n".join(cell.source for cell in edition.cells if cell.cell_type == "markdown")
    assert "{" not in "".join(line for line in text.splitlines() if line.startswith("```"))
    assert not colab.CITE.search(text)
    assert not colab.LINK.search(text)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"][1:]
    edited = [cell.source for cell in edition.cells if cell.cell_type == "code"][1:]
    assert [
        source.split("\n", 1)[1] if source.startswith("# @title") else source for source in edited
    ] == code


def test_citations_lead_to_the_articles(articles):
    (cell,) = edition_of(
        articles, "As in {cite}`tang2020dagan,hinton2015distilling`; {cite:t}`tang2020dagan` say so."
    )
    assert "([Tang et al., 2020](https://doi.org/10.3390/s20123336); [Hinton et al., 2015](" in cell.source
    assert "[Tang et al.](https://doi.org/10.3390/s20123336) (2020) say so" in cell.source


def test_a_figure_is_named_where_it_has_no_anchor(articles):
    (cell,) = edition_of(articles, "As [Figure 1e.3](#figure-1e-3) shows.")
    assert cell.source == "As Figure 1e.3 shows."


def test_links_lead_to_the_book_or_are_plain_where_there_is_none(articles):
    text = "See [wood](02_dagan.ipynb#wood), [settings](../book/settings.md), [here](#a), [there](https://x.y/z.md)."
    (cell,) = edition_of(articles, text)
    assert cell.source == (
        f"See [wood]({PAGES}notebooks/02_dagan.html#wood), [settings]({PAGES}book/settings.html), [here](#a), "
        "[there](https://x.y/z.md)."
    )
    (cell,) = edition_of(articles, text, pages="")
    assert cell.source == "See wood, settings, [here](#a), [there](https://x.y/z.md)."


def test_exercises_and_their_solutions_are_folded(articles):
    exercise, start, code, end = edition_of(
        articles,
        "```{exercise} How many?\n:label: many\n\nCount them.\n```",
        "````{solution-start} many\n:class: dropdown\n````",
        "!print(1)",
        "One.\n\n````{solution-end}\n````",
    )
    assert exercise.source == "**Exercise: How many?**\n\nCount them."
    assert start.source.startswith("**Solution: How many?**")
    assert code.source == "# @title Solution: How many?\nprint(1)"
    assert code.metadata["cellView"] == "form"
    assert end.source == "<details>\n<summary><b>What the solution shows</b></summary>\n\nOne.\n\n</details>"


def test_admonitions_are_folded_or_quoted(articles):
    folded, quoted = edition_of(
        articles,
        "```{admonition} Why?\n:class: dropdown tip\nBecause.\n```",
        "```{warning}\nHot.\n\nVery.\n```",
    )
    assert folded.source == "<details>\n<summary><b>Why?</b></summary>\n\nBecause.\n\n</details>"
    assert quoted.source == "> **Warning**\n>\n> Hot.\n>\n> Very."


def test_an_unknown_directive_is_refused_by_name(articles):
    with pytest.raises(ChapterError, match=r"01_tiny: the Colab edition does not know '```\{margin\}'"):
        edition_of(articles, "```{margin}\nAside.\n```")
    with pytest.raises(ChapterError, match="term"):
        edition_of(articles, "A {term}`residual`.")


def test_the_first_cell_installs_what_belongs_to_the_notebook(tmp_path, workspace):
    assert set_repository(workspace.root, "Owner/name") == "https://github.com/Owner/name"
    (workspace.root / "book").mkdir(exist_ok=True)
    (workspace.root / "book" / "references.bib").write_text("")
    for path in colab.write_editions(workspace, tmp_path / "editions"):
        cells = nbformat.read(path, as_version=4).cells
        assert cells[0].source.endswith(f"({PAGES}notebooks/{path.stem}.html)*")
        first = next(cell for cell in cells if cell.cell_type == "code")
        assert f"%pip install -q {PAGES}wheels/adlib_book-" in first.source


def test_an_address_is_set_by_one_command_and_a_wrong_one_changes_nothing(workspace):
    before = (workspace.root / "pyproject.toml").read_text()
    with pytest.raises(ValueError, match="expected https://github"):
        set_repository(workspace.root, "https://x.example/a/b")
    assert (workspace.root / "pyproject.toml").read_text() == before
    set_repository(workspace.root, "https://gitlab.com/a/b/")
    assert repository_setting(workspace.root)["repository"] == "https://gitlab.com/a/b"
    assert pages_address("https://gitlab.com/a/b") == "https://a.gitlab.io/b/"
    set_repository(workspace.root, "")
    assert (workspace.root / "pyproject.toml").read_text() == before


def test_pages_with_an_address_open_the_editions_and_carry_the_wheel(tmp_path, workspace, monkeypatch):
    site = tmp_path / "site"
    page = site / "notebooks" / "01_tiny.html"
    page.parent.mkdir(parents=True)
    link = "https://colab.research.google.com/github/owner/name/blob/{}/notebooks/01_tiny.ipynb"
    page.write_text(link.format("main"))
    built = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: built.append((command, options["cwd"])))
    colab.complete_pages(site, workspace)
    assert (page.read_text(), built) == (link.format("main"), []), "without an address nothing is done"
    set_repository(workspace.root, "owner/name")
    colab.complete_pages(site, workspace)
    assert page.read_text() == link.format("colab")
    ((command, folder),) = built
    assert command[-1] == str(site / "wheels")
    assert folder == workspace.root


def test_the_editions_live_on_a_branch_that_changes_only_with_them(tmp_path, workspace):
    def git(folder, *arguments):
        return subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    (workspace.root / "book").mkdir(exist_ok=True)
    (workspace.root / "book" / "references.bib").write_text("")
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(workspace.root, "init", "--quiet")
    git(workspace.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    assert colab.publish(workspace.root) == 1
    assert colab.publish(workspace.root) == 0
    assert "notebooks/01_tiny.ipynb" in git(
        tmp_path / "origin.git", "ls-tree", "-r", "--name-only", colab.BRANCH
    )


def test_this_checkout_can_be_published(tmp_path):
    assert len(colab.write_editions(Workspace(ROOT), tmp_path)) == len(CHAPTERS)
