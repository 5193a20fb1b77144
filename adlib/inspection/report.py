"""One self-contained page about a folder: verdicts, a histogram with a movable threshold, photographs with maps."""

from __future__ import annotations

import base64
import heapq
import html
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from adlib.data.images import ImageFileError, ValueRange
from adlib.data.outputs import refuse_as_output
from adlib.files import as_path, write_atomic
from adlib.inspection.inputs import plural
from adlib.inspection.inspector import Inspector, Verdict, expand, open_picture, progress_bar
from adlib.inspection.scoring import Summary, map_image
from adlib.inspection.threshold import proportion_interval

LARGEST = 2400  # pixels of a photograph's longer side on the page; larger ones are reduced, and that is said
HEAT = np.array([[255, 190, 0], [220, 0, 60]], float)  # from suspicious to most suspicious


def write_report(
    inspector: Inspector,
    paths: Iterable[str | Path],
    output: str | Path,
    *,
    pictures: int = 60,
    progress: bool = False,
) -> Summary:
    """Score files and folders, and write one HTML page that needs nothing else.

    Args:
        inspector: fitted.
        paths: files, folders (searched recursively) and patterns.
        output: the page.
        pictures: so many photographs are in the page itself, those with the highest scores; 0 for none.
        progress: a bar with the time left.

    Returns:
        The counts, notes and remarks.

    Raises:
        ValueError: the page would be written over what is read, or has the ending of a photograph.
        OSError: the page cannot be written.
    """
    named = list(paths)
    refuse_as_output(output, inspector.file, *named)
    summary = Summary(fitted=inspector.appearances)
    worst: list[tuple[float, int, Verdict]] = []  # a heap
    listed = list(expand(named, summary.notes))
    rows: list[tuple[float, str]] = []
    verdicts = progress_bar(inspector.score(listed, summary.notes), "scoring", len(listed), progress)
    for number, verdict in enumerate(map(summary.add, verdicts)):
        if verdict.score is None:
            summary.notes.append(f"Not read: {str(verdict.error).splitlines()[0]}")
            continue
        rows.append((verdict.score, verdict.file))
        heapq.heappush(worst, (verdict.score, -number, verdict))
        if len(worst) > pictures:
            heapq.heappop(worst)
    page = _page(inspector, summary, rows, [verdict for *_, verdict in sorted(worst, reverse=True)])
    write_atomic(as_path(output), page.encode("utf-8", "replace"))
    return summary


def _page(inspector: Inspector, summary: Summary, rows: list[tuple[float, str]], worst: list[Verdict]) -> str:
    threshold, detector = inspector.threshold, inspector.detector
    scores, good = [score for score, _ in rows], list(threshold.scores)
    figures = []
    for verdict in worst:
        try:
            figures.append(_figure(verdict, detector.map_scale or 1.0, detector.value_range))
        except ImageFileError as error:  # it was there when it was scored
            summary.notes.append(f"Not shown: {str(error).splitlines()[0]}")
    notes = [*summary.sentences(), *(f"At fit: {note}" for note in inspector.notes)] or ["Nothing."]
    how = (
        "squeezed to" if inspector.tiling is None else f"in tiles of {inspector.tiling.side} pixels, seen at"
    )
    size = detector.image_shape[1]
    limits = [*(np.quantile(scores, [0, 0.995]) if scores else []), good[0], good[-1], threshold.value]
    values = {
        "title": "Inspection report",
        "verdict": f"<strong>{html.escape(str(summary))}.</strong>",
        "threshold": f"{threshold.value:.5g}",
        "words": html.escape(threshold.words()),
        "notes": "".join(f"<li>{html.escape(note)}</li>" for note in notes),
        "shown": f"{plural(len(figures), 'photograph')} of {len(rows):,}. Click one to see it at its own size.",
        "gallery": "".join(figures),
        "rows": "".join(_row(score, name, threshold.value) for score, name in sorted(rows, reverse=True)),
        "about": html.escape(
            f"{detector.title}, fitted to {inspector.images} good images (fingerprint {inspector.fingerprint}), {how} "
            f"{size} x {size} pixels."
        ),
        "data": _json(
            scores=scores,
            good=good,
            threshold=threshold.value,
            limits=[float(limit) for limit in limits],
            rates=[proportion_interval(above, len(good)) for above in range(len(good) + 1)],
        ),
    }
    page = (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
    head, *parts = page.split("{{")  # in one pass: what is put in is not searched for more
    return head + "".join(values[name] + rest for name, rest in (part.split("}}", 1) for part in parts))


def _json(**values: object) -> str:
    return json.dumps(values).replace("<", "\\u003c")


def _row(score: float, name: str, threshold: float) -> str:
    verdict = "defective" if score > threshold else "good"
    return f'<tr data-score="{score!r}"><td>{score:.5g}</td><td><b>{verdict}</b></td><td>{html.escape(name)}</td></tr>'


def _figure(verdict: Verdict, scale: float, value_range: ValueRange | None) -> str:
    assert verdict.score is not None
    image = open_picture(verdict.source or verdict.file, value_range).image
    reduced = ""
    if max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
        reduced = f", here reduced to {image.width} x {image.height}"
    width, height = verdict.size or image.size
    name, word = html.escape(verdict.file), "defective" if verdict.defective else "good"
    place = "" if verdict.place is None else f", most suspicious at {verdict.place[0]}, {verdict.place[1]}"
    return (
        f'<figure data-score="{verdict.score!r}"><button type="button" class="picture"><span>'
        f'<img src="{_uri(image, "jpeg")}" alt="{name}"><img src="{_uri(_heat(verdict, scale), "png")}" alt="">'
        f"</span></button><figcaption><b>{word}</b>, {verdict.score:.5g}: {name} "
        f"({width} x {height} pixels{reduced}{place})</figcaption></figure>"
    )


def _heat(verdict: Verdict, scale: float) -> Image.Image:
    """The map as a coloured veil, clear where it is no hotter than half of what good images reach."""
    heat = np.asarray(map_image(verdict, scale), float)[..., None] / 255
    strength = np.clip((heat - 0.25) / 0.75, 0, 1)
    colours = HEAT[0] + (HEAT[1] - HEAT[0]) * strength
    return Image.fromarray(np.concatenate([colours, 200 * strength], 2).round().astype(np.uint8), "RGBA")


def _uri(image: Image.Image, kind: str) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 88} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
