"""What is fit to publish: executed from top to bottom, complete, images described, no other host, not too heavy."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from adlib.errors import ChapterError
from adlib.files import write_atomic

SMALLEST_PAGE = 4000  # bytes; a page with nothing on it is all frame
LARGEST_PAGE = 3_000_000  # bytes, without the state of its widgets; for phones on slow connections
# Bytes, all files; a tenth of them the reference, a page per module, and 5 MB what "Try it" loads at a reader's click.
LARGEST_SITE = 75_000_000


def check_executed(notebook: nbformat.NotebookNode, record: Mapping[str, Any]) -> None:
    """Refuse to publish a notebook that was not executed from top to bottom.

    Raises:
        ChapterError: naming the cell.
    """
    name = record["chapter"]
    outputs = 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None:
            raise ChapterError(f"cell {index} of {name} was not executed; run the chapter again.")
        if any(output.output_type == "error" for output in cell.outputs):
            raise ChapterError(
                f"cell {index} of {name} ended in an error; mend it and run the chapter again."
            )
        outputs += len(cell.outputs)
    if not outputs or not record["seconds"] > 0:
        raise ChapterError(
            f"{name} has {outputs} outputs after {record['seconds']} s; an executed chapter has some."
        )


_OUTPUT = '<div class="cell_output docutils container"'
_ARROW = '<span class="toctree-toggle"'
_SECOND_NUMBER = re.compile(r'<span class="caption-number">Fig\. \d+ ?</span>')


def make_reachable(site: Path) -> None:
    """Mend what keeps keyboards and screen readers out of what Sphinx and its theme write.

    Outputs that hold tables or widgets get a place in the tab order, since they may have to be scrolled; the
    arrows that unfold the navigation get a name. Figures lose the number that Sphinx gives them (sphinx-exercise
    switches that on): their captions bring their own, which is the same in Jupyter and Colab.
    """
    for page in site.rglob("*.html"):
        text = page.read_text()
        named = text.replace("<summary>" + _ARROW, '<summary aria-label="Pages of this part">' + _ARROW)
        before, *outputs = _SECOND_NUMBER.sub("", named).split(_OUTPUT + ">")
        parts = [before]
        for output in outputs:
            content = output.split('<div class="cell ')[0]
            scrolls = "<table" in content or "widget-view" in content
            parts += [_OUTPUT, ' tabindex="0">' if scrolls else ">", output]
        if "".join(parts) != text:
            write_atomic(page, "".join(parts))


def check_pages(site: Path, expected: Iterable[str]) -> None:
    """Refuse a site with a missing or empty page, an image without alternative text, or a request to another host.

    Raises:
        ChapterError: naming every page and what is wrong with it.
    """
    wrong = []
    for name in expected:
        page = site / f"{Path(name).with_suffix('') if name.endswith(('.md', '.ipynb')) else name}.html"
        if not page.is_file():
            wrong.append(f"{name}: there is no page {page}")
            continue
        text = page.read_text()
        if len(text) < SMALLEST_PAGE:
            wrong.append(f"{name}: the page has {len(text)} bytes only")
        if name.startswith("notebooks/") and "cell_output" not in text:
            wrong.append(f"{name}: the page shows no output of any cell")
        wrong += [f"{name}: asks another host for {address}" for address in foreign_resources(text)]
        wrong += [
            f"{name}: an image has no alternative text: {source}" for source in images_without_alt(text)
        ]
    if wrong:
        raise ChapterError("the built pages are not fit to publish:\n" + "\n".join(wrong))


def check_weight(site: Path) -> None:
    """Refuse a site that is too heavy for a slow connection.

    Raises:
        ChapterError: naming the page or the largest files, and their sizes.
    """
    for page in site.rglob("*.html"):
        if page.name == "print.html":  # made for printing, not for a phone
            continue
        size = len(re.sub(_WIDGET_STATE, "", page.read_text()).encode())
        if size > LARGEST_PAGE:
            raise ChapterError(f"{page.name} has {size:,} bytes without widgets; at most {LARGEST_PAGE:,}.")
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    if sum(sizes.values()) > LARGEST_SITE:
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:5]
        listed = ", ".join(f"{path.relative_to(site)} ({sizes[path]:,})" for path in largest)
        raise ChapterError(
            f"the site has {sum(sizes.values()):,} bytes; at most {LARGEST_SITE:,}. Largest: {listed}"
        )


_WIDGET_STATE = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>', re.DOTALL
)


def images_without_alt(page: str) -> list[str]:
    """Sources of images in a page's article whose alternative text tells nothing.

    Sphinx writes the file's address where none was given, so an address does not count.
    """
    article = re.search(r'<article class="bd-article".*?</article>', page, re.DOTALL)
    sources = []
    for image in re.findall(r"<img\b[^>]*>", article[0] if article else ""):
        alt = html.unescape((re.search(r'\balt="([^"]*)"', image) or ["", ""])[1])
        if len(alt) < 10 or re.fullmatch(r"\S+\.(png|jpe?g|svg|gif|webp)", alt):
            sources.append((re.search(r'\bsrc="([^"]{0,80})', image) or ["", image[:80]])[1])
    return sources


def foreign_resources(page: str) -> list[str]:
    """Addresses on other hosts from which a page loads scripts, styles or images; links do not count."""
    loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"((?:https?:)?//[^\"]+)", page)
    loaded += re.findall(
        r"<link\b(?=[^>]*\brel=\"(?:stylesheet|preload|icon)\")[^>]*?\bhref=\"((?:https?:)?//[^\"]+)", page
    )
    loaded += re.findall(r"@import\s+(?:url\()?[\"']?((?:https?:)?//[^\"')]+)", page)
    return [html.unescape(address) for address in loaded]
