"""Scores of many files: a line each, a table, maps, and what a script wants to know at the end."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adlib.data.images import ImageFileError
from adlib.data.outputs import refuse_as_output, refuse_maps_among
from adlib.files import as_path, write_atomic
from adlib.inspection.drift import Appearance, unlike
from adlib.inspection.inputs import Source, plural
from adlib.inspection.inspector import Inspector, Verdict, expand, progress_bar

NOTHING_DEFECTIVE, FAILED, USAGE, UNREADABLE, DEFECTS = 0, 1, 2, 3, 10  # exit codes
SEEN = 10_000  # images, from the first, whose light and focus are looked at together
NOTHING_NAMED = "standard input, which was empty"  # stands for a path, at which nothing can be read
SEPARATORS = ",;\t|"  # of a table on standard input
# What its first column may be called, in any case.
HEADLINES = {"file", "files", "path", "paths", "name", "filename", "file name", "image", "images"}
COLUMNS = ("file", "score", "threshold", "defective", "error")


@dataclass
class Summary:
    """Counts over verdicts, and what was done to images or left out, each kind once.

    Attributes:
        good, defective, unreadable: counts of images.
        remarks: what was done to images -> how many.
        notes: what was left out, in sentences.
        fitted: what the images looked like that the detector was fitted to; `Inspector.appearances`.
        seen: what these look like.
        examples: remark -> of the smallest image that it was made of: pixels, and name and size in words.
        scores: the smallest and the largest.
    """

    good: int = 0
    defective: int = 0
    unreadable: int = 0
    remarks: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    fitted: Sequence[Appearance] = ()
    seen: list[Appearance] = field(default_factory=list)
    examples: dict[str, tuple[int, str]] = field(default_factory=dict)
    scores: tuple[float, float] = (math.inf, -math.inf)

    def add(self, verdict: Verdict) -> Verdict:
        """Count one verdict, and give it back."""
        self.unreadable += verdict.error is not None
        self.defective += bool(verdict.defective)
        self.good += verdict.defective is False
        self.remarks.update(verdict.remarks)
        width, height = verdict.size or (0, 0)
        for remark in verdict.remarks:
            here = width * height, f"'{verdict.file}', {width} x {height} pixels"
            self.examples[remark] = min(self.examples.get(remark, here), here, key=lambda each: each[0])
        if verdict.score is not None:
            self.scores = min(self.scores[0], verdict.score), max(self.scores[1], verdict.score)
        if verdict.appearance and len(self.seen) < SEEN:
            self.seen.append(verdict.appearance)
        return verdict

    def sentences(self) -> list[str]:
        """Notes and remarks, each once; and warnings where most images are defective or look otherwise."""
        read = self.good + self.defective
        counted = [
            f"{count} of {plural(read, 'image')} {what} (e.g. {self.examples[what][1]})."
            for what, count in self.remarks.items()
        ]
        if self.scores[0] == self.scores[1] and len(set(self.seen)) > 1:
            counted.append(
                f"All of these different images have the same score, {self.scores[0]:.6g}: the detector says nothing "
                "about them. Fit another one."
            )
        if read >= 10 and self.defective > read / 2:
            counted.append(
                f"{self.defective} of {read} images are called defective. Unless they are, these images are unlike the "
                "ones that the detector was fitted to: another camera, light or part? Then fit again."
            )
        return [*self.notes, *counted, *unlike(self.fitted, self.seen)]

    @property
    def exit_code(self) -> int:
        """3 if anything could not be read, else 10 if anything is defective, else 0."""
        return UNREADABLE if self.unreadable else DEFECTS if self.defective else NOTHING_DEFECTIVE

    def __str__(self) -> str:
        text = f"{plural(self.good + self.defective, 'image')}: {self.defective} defective, {self.good} good"
        return text + (f"; {self.unreadable} could not be read" if self.unreadable else "")


def score_files(
    inspector: Inspector,
    paths: Iterable[str | Path],
    say: Callable[[str], None] = print,
    *,
    scorer: Callable[[Iterable[Source | Verdict]], Iterator[Verdict]] | None = None,
    table: str | Path | None = None,
    maps: str | Path | None = None,
    as_json: bool = False,
    strict: bool = False,
    progress: bool = False,
) -> Summary:
    """Score files, folders and patterns, and say a line for each image.

    Args:
        inspector: fitted.
        paths: what to score; "-" stands for paths on standard input, one a line or in the first column of a
            table.
        say: takes each line: verdict, score and file; or JSON, an object per image and a last one with the summary.
        scorer: gives the verdicts on what was listed, in order; None: the inspector itself, in this process.
        table: a CSV file to write, with COLUMNS.
        maps: a folder for maps, one PNG per image at the photograph's own size; grey 128 is as suspicious as any place
            of a good image was, 255 twice that or more.
        strict: files that are no images count as unreadable, and the first unreadable file ends it.
        progress: a bar with the time left.

    Returns:
        The summary.

    Raises:
        ImageFileError: something could not be read, and strict is True.
        ValueError: table or maps would be written over what is read, or among the photographs.
        OSError: table or maps cannot be written.
    """
    summary, rows, places = Summary(fitted=inspector.appearances), [], _Places()
    named = list(paths)
    if table is not None:
        refuse_as_output(table, inspector.file, *named)
    if maps is not None:
        refuse_maps_among(maps, named)
    listed: Iterable[Source | Verdict] = expand(_with_standard_input(named, summary.notes), summary.notes)
    if "-" not in map(str, named):  # the bar knows the end only of what can be listed
        listed = list(listed)
    verdicts = progress_bar(
        scorer(listed) if scorer else inspector.score(listed, summary.notes),
        "scoring",
        len(listed) if isinstance(listed, list) else None,
        progress,
    )
    for verdict in map(summary.add, verdicts):
        if strict and (verdict.error or summary.notes):
            raise ImageFileError(verdict.error or summary.notes[0])
        if maps is not None and verdict.map is not None:
            write_map(verdict, as_path(maps) / places.of(verdict), inspector.detector.map_scale or 1.0)
        row = as_row(verdict, inspector.threshold.value)
        say(json.dumps(row) if as_json else _line(verdict))
        if table is not None:
            rows.append([row[name] for name in COLUMNS])
    if table is not None:
        stream = io.StringIO()
        csv.writer(stream).writerows([COLUMNS, *rows])
        write_atomic(as_path(table), stream.getvalue().encode("utf-8", "surrogateescape"))
    if as_json:
        counts = {name: getattr(summary, name) for name in ("good", "defective", "unreadable")}
        more = {
            "threshold": inspector.threshold.words(),
            "notes": summary.sentences(),
            "fitted": inspector.notes,
        }
        say(json.dumps({"summary": {**counts, **more}}))
    return summary


def as_row(verdict: Verdict, threshold: float) -> dict[str, Any]:
    """A verdict as plain values, for JSON and tables."""
    return {
        "file": verdict.file,
        "score": verdict.score,
        "threshold": threshold,
        "defective": verdict.defective,
        "size": verdict.size,
        "place": verdict.place if verdict.defective else None,
        "error": verdict.error,
        "remarks": verdict.remarks,
    }


def map_image(verdict: Verdict, scale: float, size: tuple[int, int] | None = None) -> Image.Image:
    """The map of a verdict as a grey image: 128 at `scale`, 255 at twice that or more.

    Args:
        verdict: with a map.
        scale: the map's value that good images reach, > 0: `detector.map_scale`.
        size: (width, height) of the image, pixels; by default the map's own.
    """
    assert verdict.map is not None
    grey = np.clip(verdict.map * (127.5 / max(scale, 1e-12)), 0, 255).round().astype(np.uint8)
    image = Image.fromarray(grey)
    return image if size is None or size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def write_map(verdict: Verdict, path: Path, scale: float) -> None:
    """The map as a PNG of the photograph's own size, see `map_image`; written atomically."""
    stream = io.BytesIO()
    map_image(verdict, scale, verdict.size).save(stream, "png")
    write_atomic(path, stream.getvalue())


def _line(verdict: Verdict) -> str:
    name = verdict.file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if verdict.error is not None:
        return f"unreadable             {name}  ({' '.join(verdict.error.split())})"
    return f"{'defective' if verdict.defective else 'good':<10} {verdict.score:<10.6g}  {name}"


def _with_standard_input(paths: Iterable[str | Path], notes: list[str]) -> Iterator[str | Path]:
    for path in paths:
        if str(path) == "-":
            names = _first_column(_names(getattr(sys.stdin, "buffer", None) or sys.stdin), notes)
            yield next(names, NOTHING_NAMED)
            yield from names
        else:
            yield path


def _first_column(lines: Iterable[str], notes: list[str]) -> Iterator[str]:
    """Of a line at which nothing lies, the first cell if that names a file; a headline is passed over and said."""
    said = False
    for number, line in enumerate(lines):
        if _is_there(line):
            yield line
            continue
        cells = [_first_cell(line, separator) for separator in SEPARATORS]
        if number == 0 and HEADLINES & {cell.lower() for cell in cells}:
            notes.append(f"Passed over as the headline of a list: '{line}'.")
            continue
        file = next((cell for cell in cells if _is_there(cell, Path.is_file)), None)
        if file and not said:
            notes.append(f"Standard input is a table, whose first column was taken: of '{line}' '{file}'.")
            said = True
        yield file or line


def _first_cell(line: str, separator: str) -> str:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))[0].strip()
    except csv.Error:  # longer than any cell
        return line


def _is_there(path: str, kind: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return bool(path) and kind(as_path(path))
    except (OSError, ValueError):  # said when it is read
        return False


def _names(lines: Iterable[bytes | str]) -> Iterator[str]:
    """Paths, one a line or with zero bytes between them, as `find -print0` writes, each as soon as it is there.

    A byte-order mark is passed over, UTF-16 is read as such, and a line that is no UTF-8 as the system's name of a file
    or, where there is none, in Windows' code page.
    """
    rest = iter(lines)
    first = next(rest, b"")
    rest = itertools.chain([first], rest)
    if isinstance(first, bytes) and first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        whole = b"".join(each for each in rest if isinstance(each, bytes))
        rest = iter(whole.decode("utf-16", "replace").splitlines())
    for number, line in enumerate(rest):
        text = line if isinstance(line, str) else "\0".join(map(_decoded, line.split(b"\0")))
        yield from filter(None, re.split(r"[\r\n\0]", text if number else text.removeprefix("\ufeff")))


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        named = os.fsdecode(name)
        return named if os.path.exists(named.rstrip("\r\n")) else name.decode("cp1252", "replace")


class _Places:
    """File names for maps: the path below the folder that was named; a second one of the same name is numbered."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def of(self, verdict: Verdict) -> str:
        name = verdict.file if verdict.source is None else verdict.source.name.as_posix()
        self.taken[name.lower()] += 1
        count = self.taken[name.lower()]
        return f"{name}.png" if count == 1 else f"{name}-{count}.png"
