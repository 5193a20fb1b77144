"""What is odd about a folder of images, before anything is trained."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.stats import mannwhitneyu

from adlib.data.collection import GOOD
from adlib.data.images import (
    ImageFileError,
    ValueRange,
    image_header,
    is_blank,
    is_coloured,
    parallel_map,
    pixel_digest,
    read_image,
    resize_image,
)
from adlib.files import as_path
from adlib.inspection.alignment import MISPLACED, MOST, THUMBNAIL, place_spread
from adlib.inspection.inputs import find_good, find_labelled, plural
from adlib.inspection.inspector import ENLARGED, measured_range, progress_bar
from adlib.inspection.threshold import Threshold, one_in

COPY = 0.15  # of the distance to the third nearest image: one that is nearer is a copy
CLEAR = 0.75  # an AUROC of brightness that is worth a word, where chance does not explain it (p < 0.01)


class Symptom(NamedTuple):
    """Something odd.

    Attributes:
        name: of the kind, e.g. "duplicates".
        words: what was seen, with counts and an example.
        remedy: what to do.
    """

    name: str
    words: str
    remedy: str


@dataclass(frozen=True)
class _Look:
    """One image: where it stands, and what can be seen of it at a glance."""

    file: Path
    side: str
    kind: str
    size: tuple[int, int]
    mode: str
    coloured: bool
    brightness: float
    blank: bool
    digest: str
    thumbnail: np.ndarray
    symmetric: np.ndarray


def diagnose(
    folder: str | Path, *, size: int = 256, false_alarms: float = 0.02, progress: bool = False
) -> list[Symptom]:
    """Look at every image of a folder, and say what is odd.

    Args:
        folder: good images, or a folder with train/ and test/ or OK/ and NG/.
        size: side of what the detector will see, pixels.
        false_alarms: the rate that a threshold is wanted for.
        progress: a bar with the time left.

    Returns:
        Symptoms, the worst first; none if nothing is odd. What cannot be read is the first of them, "unreadable".

    Raises:
        FileNotFoundError, ValueError: no such folder, or it cannot be told which images are good.
    """
    sources, symptoms = _listed(as_path(folder))
    value_range = measured_range([file for file, _, _ in sources])
    looks: list[_Look] = []
    errors: list[str] = []
    for first in progress_bar(range(0, len(sources), 16), "looking", -(-len(sources) // 16), progress):
        for look in parallel_map(lambda item: _look(item, value_range), sources[first : first + 16]):
            if isinstance(look, _Look):
                looks.append(look)
            else:
                errors.append(str(look).splitlines()[0])
    if errors:
        words = f"{plural(len(errors), 'file')} of {len(sources)}: {errors[0]}"
        symptoms.insert(0, Symptom("unreadable", words, "Replace them; `adlib fit` leaves them out."))
    if looks:
        checks: tuple[Callable[[list[_Look]], Iterator[Symptom]], ...] = (
            lambda these: _too_few(these, false_alarms),
            _duplicates,
            _copies,
            _brightness,
            _places,
            lambda these: _sizes(these, size),
            _kinds_of_file,
            _blank,
        )
        symptoms += [symptom for check in checks for symptom in check(looks)]
    return symptoms


def _listed(root: Path) -> tuple[list[tuple[Path, str, str]], list[Symptom]]:
    """(file, side, kind) of every image, and what was left out."""
    good = find_good(root)
    listed = [(file, "train", GOOD) for file in good.train] + [
        (file, "validation", GOOD) for file in good.validation
    ]
    notes = [note for note in good.notes if "Left out" in note]
    try:
        labelled, more = find_labelled(root)
    except ValueError:
        labelled, more = [], ()
    taken = {file for file, _, _ in listed}
    listed += [(source.file, "test", kind) for source, kind in labelled if source.file not in taken]
    remedy = "Move them, or name the folder that is meant."
    return listed, [Symptom("left out", note, remedy) for note in dict.fromkeys([*notes, *more])]


def _look(item: tuple[Path, str, str], value_range: ValueRange | None) -> _Look | ImageFileError:
    file, side, kind = item
    try:
        image = read_image(file, value_range)
    except ImageFileError as error:
        return error
    header, pixels = image_header(file), np.asarray(image)
    thumbnail = np.asarray(resize_image(image.convert("L"), THUMBNAIL), np.float32)
    return _Look(
        file,
        side,
        kind,
        image.size,
        mode=header.mode if header else image.mode,
        coloured=is_coloured(image),
        brightness=float(pixels.mean()),
        blank=is_blank(image),
        digest=pixel_digest(image),
        thumbnail=thumbnail,
        symmetric=_symmetric_thumbnail(image),
    )


def _too_few(looks: list[_Look], false_alarms: float) -> Iterator[Symptom]:
    aside = sum(look.side == "validation" for look in looks)
    good = aside or sum(look.side == "train" for look in looks)
    threshold = Threshold.from_scores(range(max(1, good)), false_alarms)
    if not threshold.enough:
        yield Symptom(
            "too few",
            f"{plural(good, 'good image')} for a threshold. {threshold.words()}",
            f"Add good images until there are {threshold.needed}, or ask for a larger rate: --false-alarms "
            f"{math.ceil(1e4 * threshold.expected) / 1e4}.",
        )


def _duplicates(looks: list[_Look]) -> Iterator[Symptom]:
    same: dict[str, list[_Look]] = defaultdict(list)
    for look in looks:
        same[look.digest].append(look)
    groups = [group for group in same.values() if len(group) > 1]
    across = [group for group in groups if len({(look.side, look.kind) for look in group}) > 1]
    if across:
        names = " and ".join(f"'{look.file}'" for look in across[0][:2])
        yield Symptom(
            "duplicates across sides",
            f"{plural(len(across), 'image')} stand on more than one side or under more than one kind, pixel by pixel: "
            f"{names}.",
            "Keep each on one side: what is trained on cannot test, and one image cannot be good and defective.",
        )
    if inside := [group for group in groups if group not in across]:
        names = " and ".join(f"'{look.file}'" for look in inside[0][:2])
        yield Symptom(
            "duplicates",
            f"{plural(len(inside), 'image')} are there more than once: {names}.",
            "Nothing to do; `adlib fit` takes each once. There are fewer images than files, though.",
        )


def _copies(looks: list[_Look]) -> Iterator[Symptom]:
    """Images on two sides that are much more alike than images here are: one compressed again, turned, mirrored, or
    changed in a small place. Looked for among the first MOST."""
    looks = [look for look in looks if not look.blank][:MOST]
    if len(looks) < 4:
        return
    small = np.array([look.symmetric for look in looks])
    turned = [np.rot90(each, quarter, (1, 2)) for each in (small, small[:, :, ::-1]) for quarter in range(4)]
    nearest = np.minimum.reduce([_distances(small, each) for each in turned])
    np.fill_diagonal(nearest, np.inf)
    limits = COPY * np.partition(nearest, 2, axis=1)[:, 2]  # two further copies may be nearer

    def differ(keys: list[str]) -> np.ndarray:
        numbers = np.unique(keys, return_inverse=True)[1]
        return numbers[:, None] != numbers

    across = differ([f"{look.side} {look.kind}" for look in looks]) & differ([look.digest for look in looks])
    pairs = np.argwhere(across & (nearest < np.minimum(limits[:, None], limits)))
    if len(pairs):
        first, second = min(pairs, key=lambda pair: nearest[pair[0], pair[1]])
        count = plural(len({frozenset(pair) for pair in pairs.tolist()}), "pair")
        yield Symptom(
            "copies across sides",
            f"{count} of images on two sides or of two kinds are nearly the same, much nearer than images here usually "
            f"are, as they stand or turned: '{looks[first].file}' and '{looks[second].file}'.",
            "Is it the same photograph, compressed again, turned or changed in one place? Then keep both on one side.",
        )


def _symmetric_thumbnail(image: Image.Image) -> np.ndarray:
    """(32, 32), grey: of a turned picture the turned one, which averaging over whole pixels does not give."""
    large = image.convert("L").resize((128, 128), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float32).reshape(32, 4, 32, 4).mean((1, 3))


def _distances(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Root mean square of the difference of each of (N, S, S) from each of (M, S, S), in grey values: (N, M)."""
    first, second = (images.reshape(len(images), -1).astype(np.float32) for images in (these, those))
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0) / first.shape[1])


def _brightness(looks: list[_Look]) -> Iterator[Symptom]:
    train = [look.brightness for look in looks if look.side != "test"]
    good = [look.brightness for look in looks if look.side == "test" and look.kind == GOOD]
    bad = [look.brightness for look in looks if look.kind != GOOD]
    if (auroc := _separates(train, good)) is not None:
        yield Symptom(
            "light",
            f"Good test images are {'brighter' if auroc > 0.5 else 'darker'} than the training images: brightness "
            f"alone tells them apart with an AUROC of {max(auroc, 1 - auroc):.2f}.",
            "Take both in the same light, or mix them before dividing; else good parts will be called defective.",
        )
    if (auroc := _separates(train + good, bad)) is not None:
        yield Symptom(
            "brightness decides",
            f"Defective images are {'brighter' if auroc > 0.5 else 'darker'} than good ones: brightness alone tells "
            f"them apart with an AUROC of {max(auroc, 1 - auroc):.2f}.",
            "If they were taken at another time or camera, a detector learns that and no defect: take them again "
            "together. If the defects are what is bright or dark, all is well.",
        )


def _separates(first: list[float], second: list[float]) -> float | None:
    """The AUROC of the second against the first, if it is clear and not chance."""
    if len(first) < 3 or len(second) < 3:
        return None
    result = mannwhitneyu(second, first)
    auroc = float(result.statistic) / (len(first) * len(second))
    return auroc if max(auroc, 1 - auroc) >= CLEAR and result.pvalue < 0.01 else None


def _places(looks: list[_Look]) -> Iterator[Symptom]:
    spread = place_spread(np.array([look.thumbnail for look in looks if look.side == "train"]))
    if spread > MISPLACED:
        yield Symptom(
            "misaligned",
            f"The part does not lie in the same place: it varies by {100 * spread:.0f} % of the image (standard "
            f"deviation, about {spread * looks[0].size[0]:.0f} pixels).",
            "Detectors that compare place by place (pca, auto-encoders) then score the rims; take patch_memory, "
            "which does not ask where, or align the images.",
        )


def _sizes(looks: list[_Look], size: int) -> Iterator[Symptom]:
    counts = Counter(look.size for look in looks)
    (width, height), _ = counts.most_common(1)[0]
    if len(counts) > 1:
        listed = ", ".join(f"{count} of {w} x {h}" for (w, h), count in counts.most_common(4))
        yield Symptom(
            "sizes",
            f"Images of {len(counts)} sizes: {listed}.",
            "Are all from one camera? Defects change size, too.",
        )
    if small := [look for look in looks if ENLARGED * max(look.size) <= size]:
        least = min(small, key=lambda look: math.prod(look.size))
        yield Symptom(
            "small",
            f"{plural(len(small), 'image')} of {len(looks)} will be enlarged at least twofold, to {size} x {size} "
            f"pixels: three of four pixels that a detector sees were never photographed. The smallest: '{least.file}', "
            f"{least.size[0]} x {least.size[1]}.",
            f"If most are so, --size {max(8, width, height)} is enough; if few are, look at them.",
        )
    oblong = sum(look.size[0] != look.size[1] for look in looks)
    if oblong:
        yield Symptom(
            "oblong",
            f"{plural(oblong, 'image')} of {len(looks)} are not square, most of {width} x {height} pixels: they will "
            f"be squeezed to {size} x {size}.",
            f"--tile {min(width, height)} keeps their shape.",
        )
    if max(width, height) >= 3 * size:
        factor = max(width, height) / size
        yield Symptom(
            "large",
            f"Most images have {width} x {height} pixels; at {size} x {size} what is thinner than {factor:.0f} of "
            "their pixels becomes thinner than one.",
            f"For small defects cut tiles: --tile {size}; or raise --size.",
        )


def _kinds_of_file(looks: list[_Look]) -> Iterator[Symptom]:
    modes = Counter(look.mode for look in looks)
    if len(modes) > 1:
        listed = ", ".join(f"{count} {mode}" for mode, count in modes.most_common())
        yield Symptom(
            "bit depths or channels",
            f"Files of several kinds (Pillow's modes): {listed}.",
            "Save all in the same way: another depth or an alpha channel changes the grey values that are seen.",
        )
    colours = Counter(look.coloured for look in looks)
    if len(colours) > 1:
        odd = next(look for look in looks if look.coloured == (colours[True] < colours[False]))
        yield Symptom(
            "colour",
            f"{colours[True]} coloured images and {colours[False]} grey ones, e.g. '{odd.file}'.",
            "Take all with the same camera setting.",
        )


def _blank(looks: list[_Look]) -> Iterator[Symptom]:
    if blank := [look for look in looks if look.blank]:
        yield Symptom(
            "blank",
            f"{plural(len(blank), 'image')} of one single value, e.g. '{blank[0].file}'.",
            "Leave them out, unless a good part looks so.",
        )


def described(symptoms: list[Symptom], false_alarms: float = 0.02) -> str:
    """Symptoms as text, one below the other."""
    if not symptoms:
        return f"Nothing odd; enough good images for a threshold with {one_in(false_alarms)} false alarms."
    return "\n\n".join(f"{each.name}\n  {each.words}\n  -> {each.remedy}" for each in symptoms)
