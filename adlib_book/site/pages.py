"""Pages and parts of pages that are made from the package and its runs, not written by hand.

the data        one row per entry of the catalogue, and pictures of the sets that are in the installation
the settings    one table per detector: what is printed, and what our profiles have in its place
the landing     the figure of the cell tagged `landing-figure`, from the run whose page is published
the numbers     what a chapter has reported, as JSON and CSV beside its page
the whole book  every page behind the other in one, for printing
"""

from __future__ import annotations

import base64
import csv
import functools
import io
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from adlib.environment import source_hash
from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book.site import reference

MADE = Path("book") / "_static" / "made"  # below the stage; copied to the site with everything else static

# ---------------------------------------------------------------- data


def write_data(stage: Path) -> None:
    """Append the catalogue to the page about the data: pictures of what is installed, then one table of all."""
    from adlib.data import catalogue

    page = stage / "book" / "data.md"
    entries = catalogue()
    parts = ["## In the installation", ""]
    for entry in entries:
        if not entry.pictured:
            continue
        picture = MADE / f"data-{entry.pictured.replace('/', '-')}.png"
        # Reading all sets takes longer than the pages; the pictures change with the code alone.
        cached = stage.parent / "samples" / f"{picture.stem}-{source_hash()}.png"
        if not cached.is_file():
            write_atomic(cached, _samples(entry.pictured))
        write_atomic(stage / picture, cached.read_bytes())
        parts += [f"### `{entry.name}`", "", f"{entry.title}: {entry.count}; {entry.image_size}.", ""]
        number = sum(part.startswith("```{figure}") for part in parts) + 1
        parts += [
            f"```{{figure}} {posixpath.relpath(picture.as_posix(), 'book')}",
            f":name: figure-d-{number}",
        ]
        parts += [f':alt: "{entry.caption}"', "", f"**Figure D.{number}.** Above, normal; below, anomalous."]
        parts += [f"From: {entry.source}. Licence: {entry.licence}.", "```", ""]
    parts += [*_mvtec_counts(), ""]
    parts += ["## All sets by name", "", "| name | what | images | size | licence |", "|---|---|---|---|---|"]
    for each in entries:
        cells = (f"`{each.name}`", each.title, each.count, each.image_size, each.licence)
        parts.append("| " + " | ".join(cells) + " |")
    remedies: dict[str, list[str]] = {}
    for each in entries:
        remedies.setdefault(each.how_to_get, []).append(f"`{each.name}`")
    parts += ["", "## How to get them", ""]
    parts += [f"{', '.join(names)}\n: {' '.join(remedy.split())}\n" for remedy, names in remedies.items()]
    write_atomic(page, page.read_text() + "\n" + "\n".join(parts) + "\n")


def _mvtec_counts() -> list[str]:
    """What MVTec AD holds, as printed: a table, one row per category and one of totals."""
    from adlib_book import published

    counts = published.mvtec_counts()
    numbers = counts.drop(columns=["kind", "side"])
    lines = ["## MVTec AD, as printed", "", "| category | kind | side | " + " | ".join(numbers) + " |"]
    lines[-1] = lines[-1].replace("_", " ")
    lines.append("|---" * (3 + numbers.shape[1]) + "|")
    for name, row in counts.iterrows():
        first = [str(name).removeprefix("mvtec/").replace("_", " "), row["kind"], row["side"]]
        lines.append("| " + " | ".join(map(str, [*first, *row[numbers.columns]])) + " |")
    lines.append("| all | | | " + " | ".join(f"{total:,}" for total in numbers.sum()) + " |")
    return [*lines, "", "Source: the table of the data in {cite:t}`bergmann2019mvtec`; sides in pixels."]


def _samples(name: str, each: int = 8, size: int = 96) -> bytes:
    """Normal images above anomalous ones, as a PNG; every kind of anomaly has its turn."""
    import numpy as np
    from PIL import Image

    from adlib.data import load

    split = load(name, size=size)
    truth = split.test.open("the page about the data: pictures")
    kinds = np.array(truth.kinds)
    members = [np.flatnonzero(kinds == kind) for kind in sorted(set(kinds[truth.labels]))]
    turns = [own[turn] for turn in range(each) for own in members if turn < len(own)][:each]
    groups = [split.train.images[:each].numpy(), split.test.images[turns].numpy()]
    rows = []
    for images in groups:
        framed = np.pad(images, ((0, 0), (0, 0), (0, 4), (0, 4)), constant_values=255)
        rows.append(np.concatenate(list(framed), axis=2))
    pixels = np.concatenate(rows, axis=1).transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


# ---------------------------------------------------------------- settings


def write_settings(stage: Path) -> None:
    """Append a table per detector to the page about settings: printed, `paper`, `book`, and why they differ."""
    from adlib.detectors import detector_titles
    from adlib_book import published

    page, table, titles = stage / "book" / "settings.md", published.settings(), detector_titles()
    ours = table[table["setting"] == "every setting"]["detector"].map(titles)
    parts = [f"Without a paper, and so without a table: {', '.join(ours)}.", ""]
    for name, rows in table[table["setting"] != "every setting"].groupby("detector", sort=False):
        usual = rows.apply(_source, axis=1).mode()[0]
        parts += [f"## {titles.get(str(name), 'Every detector')}", ""]
        parts += [f"Where the last column is empty: {usual}.", ""]
        parts += ["| setting | printed | `paper` | `book` | from |", "|---|---|---|---|---|"]
        parts += ["| " + " | ".join(_cells(row, usual)) + " |" for row in rows.to_dict("records")]
        departures = rows[rows["deviation"] != ""]
        if len(departures):
            parts += ["", "Where `paper` departs, and why:", ""]
        parts += [f"* {_setting(row)}: {row['deviation']}" for row in departures.to_dict("records")]
        parts += [""]
    write_atomic(page, page.read_text() + "\n" + "\n".join(parts) + "\n")


def write_printed_tables(stage: Path) -> None:
    """Append every printed table to the page about them, whole, each cell with its mark."""
    from adlib.detectors import detector_titles
    from adlib_book import published

    titles, parts = detector_titles(), []
    for name, (title, source) in published.TITLES.items():
        table = published.marked(name).rename(columns=titles, index=titles)
        if len(table.columns) > 8:  # rather long than wide: a class in each row
            table = table.T.rename_axis(table.index.name)
        kinds = [
            kind
            for kind in ("printed", "cited", "recalled", "lost")
            if kind in published.origins(name).to_numpy()
        ]
        parts += [f"## {title}", "", f"*{source}; {', '.join(kinds)}.* `published.marked({name!r})`", ""]
        parts += [
            f"| {table.index.name} | {' | '.join(table.columns)} |",
            "|---" * (len(table.columns) + 1) + "|",
        ]
        parts += [
            f"| {' | '.join((str(row), *cells))} |" for row, cells in zip(table.index, table.to_numpy())
        ]
        parts += [""]
    page = stage / "book" / "printed_tables.md"
    write_atomic(page, page.read_text() + "\n" + "\n".join(parts) + "\n")


def _cells(row: Mapping[str, Any], usual: str) -> tuple[str, ...]:
    """One row of the page about settings; a setting in words has no value in our profiles."""
    printed = f"{'~' if row['origin'] == 'recalled' else ''}{row['printed']}" if row["printed"] else "–"
    note = f" ({row['note']})" if row["note"] else ""
    words = row["paper"] is None and row["book"] is None
    values = ["" if words else _value(row, profile) for profile in ("paper", "book")]
    source = _source(row)
    return _setting(row), printed + note, *values, "" if source == usual else source


def _source(row: Mapping[str, Any]) -> str:
    if row["origin"] == "ours":
        return "ours"
    return row["source"] + (" (not the authors')" if row["origin"] == "re-implementation" else "")


def _setting(row: Mapping[str, Any]) -> str:
    return row["setting"] if " " in row["setting"] else f"`{row['setting']}`"


def _value(row: Mapping[str, Any], profile: str) -> str:
    """What a profile has, in bold where that is not what is printed."""
    value = row[profile]
    text = f"{value}"
    if isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    return text if row["origin"] == "ours" or value == row["value"] else f"**{text}**"


# ---------------------------------------------------------------- landing page, numbers


def write_landing(stage: Path, notebooks: Iterable[nbformat.NotebookNode]) -> None:
    """Put the picture of the cell tagged `landing-figure` onto the landing page, in place of its comment.

    Raises:
        ChapterError: the landing page asks for the figure, and no executed chapter has it with words.
    """
    page = stage / "book" / "index.md"
    comment = "<!-- landing-figure -->"
    if comment not in page.read_text():
        return
    for notebook in notebooks:
        for cell in notebook.cells:
            if "landing-figure" not in cell.metadata.get("tags", []):
                continue
            words = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
            pictures = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
            if words and any(pictures):
                write_atomic(stage / MADE / "landing.png", base64.b64decode(next(filter(None, pictures))))
                write_atomic(page, page.read_text().replace(comment, f"![{words}](_static/made/landing.png)"))
                return
    raise ChapterError(
        "no executed chapter has the figure of the landing page; expected a cell tagged 'landing-figure' with "
        "an image and mystnb.image.alt in its metadata."
    )


def write_numbers(stage: Path, record: Mapping[str, Any]) -> str:
    """Write what a chapter has reported as JSON and CSV.

    Returns:
        The line of links that goes below the chapter's title.
    """
    name = record["chapter"]
    fields = ("id", "commit", "adlib", "device", "started_at", "seconds", "profile", "parameters", "versions")
    numbers = {key: value["value"] for key, value in record["metrics"].items()}
    whole = {key: record[key] for key in fields if key in record} | {"metrics": numbers}
    write_atomic(stage / MADE / f"{name}.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("metric", "value", "run"))
    writer.writerows((key, repr(value), record.get("id", "")) for key, value in numbers.items())
    write_atomic(stage / MADE / f"{name}.csv", table.getvalue())
    links = {"executed notebook": f"../_sources/notebooks/{name}.ipynb"}
    if numbers:
        links |= {"numbers as CSV": f"../_static/made/{name}.csv", "as JSON": f"../_static/made/{name}.json"}
    text = " · ".join(f'<a download href="{href}">{words}</a>' for words, href in links.items())
    return f'<p class="downloads">Download: {text}</p>'


# ---------------------------------------------------------------- the whole book as one page

_LOCAL = re.compile(r"""\b(src|href|poster)=(["'])(?![a-z][a-z0-9+.-]*:|//|\#)([^"']+)\2""")


def write_whole_book(site: Path, names: Sequence[str]) -> Path:
    """All pages behind each other in one, `print.html`, from which a browser makes the PDF of the book.

    The pages about single modules are left out: they are looked up, not read.

    Args:
        site: the built pages.
        names: of the pages in reading order, without suffix.

    Returns:
        The page.

    Raises:
        ChapterError: a page has no article to take over.
    """
    frame, articles = "", []
    for name in names:
        if name.startswith(f"{reference.INDEX}/"):
            continue
        text = (site / f"{name}.html").read_text()
        match = re.search(r'<article class="bd-article"[^>]*>.*?</article>', text, re.DOTALL)
        if not match:
            raise ChapterError(f"{name}.html has no article; expected <article class='bd-article'>.")
        from_root = functools.partial(_from_root, folder=posixpath.dirname(name))
        articles.append(_LOCAL.sub(from_root, match[0]))
        frame = frame or _LOCAL.sub(from_root, text)
    frame = frame.replace('data-content_root="../"', 'data-content_root="./"')
    start = frame.index('<article class="bd-article"')
    end = frame.index("</article>", start) + len("</article>")
    body = "\n".join(f'<div class="whole-book-page">{article}</div>' for article in articles)
    return write_atomic(site / "print.html", frame[:start] + body + frame[end:])


def _from_root(match: re.Match[str], folder: str) -> str:
    """An attribute with its address as seen from the site's root."""
    attribute, quote, address = match.groups()
    return f"{attribute}={quote}{posixpath.normpath(posixpath.join(folder, address))}{quote}"
