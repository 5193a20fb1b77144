"""The Colab edition of a notebook: the same chapter, without what only the built book can show.

Colab and JupyterLab print a directive such as {cite} or {exercise} as it stands. Here citations become links with
author and year, exercises and admonitions headings and folded text, solutions folded cells, and links between pages
lead to the book. The first cell installs what belongs to this notebook. Workflows put the editions on the branch
BRANCH, which the pages' Colab button names.
"""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote_plus

import nbformat
from nbformat import NotebookNode

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.nightly.history_branch import checkout, git
from adlib_book.runner.workspace import Workspace
from adlib_book.site.repository import pages_address, repository_setting

BRANCH = "colab"
WHEELS = "wheels"  # folder of the pages
VERSION = metadata.version("adlib-book")
WHEEL = f"adlib_book-{VERSION}-py3-none-any.whl"
LEFT = re.compile(r"`{3,}\{[\w:-]+\}|\{[\w:-]+\}`|^:{3,}", re.MULTILINE)  # a directive or a role
FENCE = re.compile(r"^(`{3,})\{([\w:-]+)\}[ ]*(.*)\n((?:.*\n)*?)\1[ ]*$", re.MULTILINE)
CITE = re.compile(r"\{cite(:t)?\}`([^`]+)`")
GLUE = re.compile(r"\{glue:text\}`([^`:]+)(?::[^`]*)?`")
LINK = re.compile(
    r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+?)\.(?:ipynb|md)(#[^)\s]*)?\)"
)  # to a page of ours
FIGURE = re.compile(r"\[([^\]]+)\]\(#figure-[\w-]+\)")  # the number alone: captions have no anchor there
INSTALL = """\
# Brings the package that belongs to this notebook, where it is not there yet.
from importlib.metadata import PackageNotFoundError, version

try:
    version("adlib-book")
except PackageNotFoundError:
    %pip install -q {requirement}
    try:
        version("adlib-book")
    except PackageNotFoundError:
        raise SystemExit(
            "{requirement} could not be installed. In a checkout of the book, `make wheel` makes the file "
            "_build/dist/adlib_book-{version}-py3-none-any.whl: upload it here and %pip install it."
        ) from None
"""


@dataclass(frozen=True)
class Reference:
    """One article: "Kim et al.", "2020", the whole entry in Markdown, and where to find it."""

    authors: str
    year: str
    entry: str
    address: str


def references(bibliography: Path) -> dict[str, Reference]:
    """The articles of a BibTeX file, by their keys."""
    from pybtex.database import parse_file

    articles = {}
    for key, entry in parse_file(str(bibliography)).entries.items():
        fields = {
            name: text if name in ("url", "doi", "eprint") else _plain(text)
            for name, text in entry.fields.items()
        }
        persons = entry.persons["author"]
        last = [" ".join(str(part) for part in person.rich_last_names) for person in persons]
        names = ", ".join(
            " ".join(str(part) for part in person.rich_first_names + person.rich_last_names)
            for person in persons
        )
        where = fields.get("journal") or fields.get("booktitle") or fields.get("note") or ""
        parts = [names, f"*{fields['title']}*", f"{where}, {fields['year']}" if where else fields["year"]]
        address = _address(fields)
        articles[key] = Reference(
            " and ".join(last) if len(last) < 3 else f"{last[0]} et al.",
            fields["year"],
            f"{'. '.join(parts).rstrip('.')}. [Find it]({address})",
            address,
        )
    return articles


def _address(fields: dict[str, str]) -> str:
    """The article's own address, or that of a search for its title."""
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return fields.get("url") or f"https://scholar.google.com/scholar?q={quote_plus(fields['title'])}"


def _plain(text: str) -> str:
    from pybtex.richtext import Text

    return str(Text.from_latex(text))


def colab_edition(
    notebook: NotebookNode, name: str, articles: dict[str, Reference], *, requirement: str, pages: str = ""
) -> NotebookNode:
    """A notebook as Colab and JupyterLab show it best.

    Args:
        notebook: as it stands in `notebooks/`.
        name: of the chapter.
        articles: see `references`.
        requirement: what pip installs in the first cell: a release or the address of a wheel.
        pages: address of the built book, ending in a slash, or "" if it has none; then links to other pages are plain.

    Returns:
        Another notebook; the one given stays as it is.

    Raises:
        ChapterError: a directive is left that this does not know; the message names it.
        KeyError: an article that the bibliography lacks.
    """
    edition = copy.deepcopy(notebook)
    cited = [
        key.strip()
        for cell in edition.cells
        for _, keys in CITE.findall(cell.source)
        for key in keys.split(",")
    ]
    titles = _titles(edition.cells)
    inside = ""  # title of the exercise whose solution these cells are
    first = True
    for cell in edition.cells:
        if cell.cell_type == "code":
            if first:
                cell.source = INSTALL.format(requirement=requirement, version=VERSION).rstrip("\n")
                first = False
            elif inside and not cell.source.startswith("%%"):
                cell.source = f"# @title Solution: {inside}\n{cell.source}"
                cell.metadata["cellView"] = "form"  # Colab hides the code until it is asked for
        if cell.cell_type != "markdown":
            continue
        pieces = []
        for piece in re.split(
            r"(^`{4}\{solution-(?:start|end)\}[^`]*`{4}[ ]*$)", cell.source, flags=re.MULTILINE
        ):
            if piece.startswith("````{solution-start}"):
                inside = titles[piece.split("}", 1)[1].split()[0]]
                pieces.append(f"**Solution: {inside}** Try first, then open the cells below.")
            elif piece.startswith("````{solution-end}"):
                inside = ""
            elif piece.strip():
                text = _markdown(piece.strip("\n"), articles, cited, pages)
                pieces.append(_folded("What the solution shows", text) if inside else text)
        cell.source = "\n\n".join(pieces)
        if left := LEFT.search(re.sub(r"```(?!\{).*?```", "", cell.source, flags=re.DOTALL)):
            raise ChapterError(
                f"{name}: the Colab edition does not know {left[0]!r}; teach {__name__} to write it."
            )
    edition.cells = [cell for cell in edition.cells if cell.source.strip()]
    if pages:
        edition.cells.insert(
            0,
            nbformat.v4.new_markdown_cell(f"*[Read this chapter in the book]({pages}notebooks/{name}.html)*"),
        )
        edition.cells[0]["id"] = "open-the-page"
    return edition


def _titles(cells: Iterable[NotebookNode]) -> dict[str, str]:
    """Titles of the exercises by their labels."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return {label: title for title, label in re.findall(r"\{exercise\} (.*)\n:label: (.*)\n", text)}


def _markdown(text: str, articles: dict[str, Reference], cited: list[str], pages: str) -> str:
    """Directives and roles as plain Markdown."""
    text = FENCE.sub(lambda match: _directive(match, articles, cited), text + "\n").rstrip("\n")
    text = CITE.sub(lambda match: _citation(match, articles), text)
    text = FIGURE.sub(r"\1", text)
    text = GLUE.sub(r"*\1*", text)  # a number of the built page: here by its name
    if not pages:
        return LINK.sub(r"\1", text)
    return LINK.sub(lambda match: f"[{match[1]}]({_page(pages, match[2])}.html{match[3] or ''})", text)


def _page(pages: str, target: str) -> str:
    return f"{pages}{target.removeprefix('../') if target.startswith('../') else f'notebooks/{target}'}"


def _directive(match: re.Match[str], articles: dict[str, Reference], cited: list[str]) -> str:
    _, kind, title, body = match.groups()
    options = dict(re.findall(r"^:(\w+):[ ]*(.*)$", body, re.MULTILINE))
    text = re.sub(r"^:\w+:.*\n", "", body, flags=re.MULTILINE).strip("\n")
    if kind == "bibliography":
        listed = sorted((articles[key] for key in {*cited}), key=lambda one: (one.authors, one.year))
        return "\n".join(f"* {one.entry}" for one in listed)
    if kind == "exercise":
        return f"**Exercise: {title}**\n\n{text}"
    if kind in ("admonition", "warning", "note", "tip", "important"):
        heading = title if kind == "admonition" else kind.capitalize()
        if "dropdown" in options.get("class", ""):
            return _folded(heading, text)
        return "\n".join(f"> {line}".rstrip() for line in [f"**{heading}**", "", *text.splitlines()])
    return match[0]  # is found again by what is left


def _folded(heading: str, text: str) -> str:
    return f"<details>\n<summary><b>{heading}</b></summary>\n\n{text}\n\n</details>"


def _citation(match: re.Match[str], articles: dict[str, Reference]) -> str:
    textual, keys = match.groups()
    every = [articles[key.strip()] for key in keys.split(",")]
    if textual:
        return ", ".join(f"[{one.authors}]({one.address}) ({one.year})" for one in every)
    return "(" + "; ".join(f"[{one.authors}, {one.year}]({one.address})" for one in every) + ")"


def write_editions(workspace: Workspace, folder: Path) -> list[Path]:
    """Write the edition of every chapter to `folder/notebooks/`, for the branch that Colab opens.

    The package comes from the wheel beside the pages where the repository's address is set, else from the index.

    Returns:
        The files.

    Raises:
        ChapterError, KeyError: as `colab_edition`.
    """
    pages = pages_address(repository_setting(workspace.root)["repository"])
    articles = references(workspace.root / "book" / "references.bib")
    requirement = f"{pages}{WHEELS}/{WHEEL}" if pages else f"adlib-book=={VERSION}"
    files = []
    for name, path in workspace.chapters().items():
        notebook = nbformat.read(path, as_version=4)
        edition = colab_edition(notebook, name, articles, requirement=requirement, pages=pages)
        files.append(write_atomic(folder / "notebooks" / path.name, nbformat.writes(edition) + "\n"))
    return files


def publish(root: Path) -> int:
    """Bring the branch BRANCH of the repository up to date with the editions.

    Returns:
        How many notebooks there are; 0 if the branch had them already.

    Raises:
        subprocess.CalledProcessError: the branch could not be pushed.
    """
    with tempfile.TemporaryDirectory(prefix="adlib-colab-") as place:
        branch = checkout(root, Path(place) / "branch", BRANCH)
        files = write_editions(Workspace(root), branch)
        git(branch, "add", ".")
        if not git(branch, "status", "--porcelain"):
            return 0
        git(branch, "commit", "--quiet", "-m", f"Colab editions of adlib-book {VERSION}")
        git(branch, "push", "--quiet", "origin", f"HEAD:{BRANCH}")
    return len(files)


def complete_pages(site: Path, workspace: Workspace) -> None:
    """Where the repository's address is set: Colab buttons that open the editions, and the wheel that these install.

    Args:
        site: the built pages.
        workspace: the checkout.

    Raises:
        subprocess.CalledProcessError: the wheel could not be built.
    """
    settings = repository_setting(workspace.root)
    if not settings["repository"]:
        return
    branch = re.escape(settings["branch"])
    button = re.compile(rf"(https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/){branch}/")
    for page in (site / "notebooks").glob("*.html"):
        text = page.read_text()
        if (pointed := button.sub(rf"\g<1>{BRANCH}/", text)) != text:
            write_atomic(page, pointed)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(site / WHEELS)]
    subprocess.run(command, cwd=workspace.root, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(f"{publish(Workspace.here().root)} editions published")
