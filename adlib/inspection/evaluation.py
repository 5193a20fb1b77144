"""How good the verdicts are, where labels exist: counts with their uncertainty, beside the brightness alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adlib import metrics
from adlib.data.collection import GOOD
from adlib.data.images import ImageFileError, read_mask
from adlib.data.layout import Item, Layout, with_masks
from adlib.files import as_path
from adlib.inspection.inputs import Source, find_labelled, plural
from adlib.inspection.inspector import Inspector, Verdict, progress_bar
from adlib.inspection.scoring import Summary
from adlib.inspection.threshold import proportion_interval


@dataclass
class Evaluation:
    """Verdicts held against labels.

    Attributes:
        defective: kind -> (called defective, images); "good" are the false alarms.
        auroc: of the scores; None where one of the two classes is missing.
        brightness_auroc: of the distance from the good images' mean brightness, for comparison.
        inside: (hottest place of the map inside the defect's mask, defective images with a mask).
        summary: counts, notes and remarks.
    """

    defective: dict[str, tuple[int, int]]
    auroc: float | None
    brightness_auroc: float | None
    inside: tuple[int, int]
    summary: Summary = field(default_factory=Summary)

    def lines(self) -> list[str]:
        """The evaluation in words, a line each."""
        lines = []
        for kind, (count, total) in sorted(
            self.defective.items(), key=lambda item: (item[0] != GOOD, item[0])
        ):
            low, high = proportion_interval(count, total)
            what = "good, called defective (false alarms)" if kind == GOOD else f"{kind}, called defective"
            lines.append(
                f"{what}: {count} of {total} ({count / total:.0%}; 95 % confidence {low:.1%} to {high:.0%})"
            )
        if self.auroc is None:
            lines.append("AUROC: cannot be measured, it needs good and defective images.")
        else:
            lines.append(f"AUROC: {self.auroc:.3f}; the brightness alone: {self.brightness_auroc:.3f}")
            if self.auroc < 0.7:
                lines.append(
                    "Hardly better than chance, if at all: `adlib doctor` names what may be the cause."
                )
        if self.inside[1]:
            without = (
                sum(total for kind, (_, total) in self.defective.items() if kind != GOOD) - self.inside[1]
            )
            more = f"; {plural(without, 'defective image')} without a mask" if without else ""
            lines.append(
                f"hottest place of the map inside the mask: {self.inside[0]} of {self.inside[1]}{more}"
            )
        else:
            lines.append("Whether the maps point to the defects cannot be measured: there are no masks.")
        return [*lines, *self.summary.sentences()]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; what cannot be measured is absent."""
        values: dict[str, Any] = {"called_defective": self.defective, "notes": self.summary.sentences()}
        if self.auroc is not None:
            values |= {"image_auroc": self.auroc, "image_auroc/brightness": self.brightness_auroc}
        if self.inside[1]:
            values["hottest_place_inside_mask"] = self.inside
        return values | {"unreadable": self.summary.unreadable}


def evaluate(inspector: Inspector, folder: str | Path, progress: bool = False) -> Evaluation:
    """Hold an inspector's verdicts against the labels of a folder.

    Args:
        inspector: fitted; nothing about it changes, the threshold least of all.
        folder: see `adlib.inspection.inputs.find_labelled`; masks as `adlib.data.layout` finds them. Images that the
            detector was fitted to are left out, and that is said.
        progress: a bar with the time left.

    Raises:
        FileNotFoundError, ValueError: no such folder, or no labels in it.
        ImageFileError: none of the images can be read.
    """
    labelled, notes = find_labelled(folder)
    summary = Summary(notes=list(notes), fitted=inspector.appearances)
    masks = _masks(as_path(folder), labelled, summary.notes)
    kinds = {str(source.file): kind for source, kind in labelled}
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    labels, scores, brightness, inside = [], [], [], [0, 0]
    known: list[str] = []
    verdicts = progress_bar(
        inspector.score([source for source, _ in labelled]), "scoring", len(labelled), progress
    )
    for verdict in verdicts:
        if verdict.known:
            known.append(verdict.file)
            continue
        summary.add(verdict)
        if verdict.score is None or verdict.brightness is None:
            summary.notes.append(f"Not read: {str(verdict.error).splitlines()[0]}")
            continue
        kind = kinds[verdict.file]
        counts[kind][0] += bool(verdict.defective)
        counts[kind][1] += 1
        labels.append(kind != GOOD)
        scores.append(verdict.score)
        brightness.append(abs(verdict.brightness - inspector.brightness))
        hit = None if kind == GOOD else _points_inside(verdict, masks, summary.notes)
        inside = [inside[0] + bool(hit), inside[1] + (hit is not None)]
    if known:
        summary.notes.append(
            f"Left out, because the detector was fitted to them: {len(known)} of {plural(len(labelled), 'image')} "
            f"(e.g. '{known[0]}'). About false alarms: {inspector.threshold.words()}"
        )
    if len(known) < len(labelled) and not scores:
        raise ImageFileError(f"none of the {plural(len(labelled), 'image')} in '{folder}' can be used.")
    both = len(set(labels)) == 2
    return Evaluation(
        {kind: (count, total) for kind, (count, total) in counts.items()},
        metrics.image_auroc(labels, scores) if both else None,
        metrics.image_auroc(labels, brightness) if both else None,
        (inside[0], inside[1]),
        summary,
    )


def _masks(root: Path, labelled: list[tuple[Source, str]], notes: list[str]) -> dict[str, Path]:
    """Image -> its mask, where there is one; what could not be used goes to `notes`."""
    layout = Layout(root, [Item(source.file, "test", kind) for source, kind in labelled])
    try:
        items = with_masks(layout)
    except ValueError as error:
        notes.append(f"No mask is used: {' '.join(str(error).split())}")
        return {}
    notes += layout.notes
    return {str(item.path): item.mask for item in items if item.mask is not None}


def _points_inside(verdict: Verdict, masks: dict[str, Path], notes: list[str]) -> bool | None:
    """Whether the hottest place lies in the mask; None without one that can be used, which goes to `notes`."""
    file = masks.get(verdict.file)
    if file is None or verdict.place is None or verdict.size is None:
        return None
    try:
        mask = read_mask(file, verdict.size)
    except ImageFileError as error:
        notes.append(f"Not used: {str(error).splitlines()[0]}")
        return None
    if not mask.any():
        notes.append(f"Not used: mask '{file}' is empty.")
        return None
    x, y = verdict.place
    return bool(mask[y, x])
