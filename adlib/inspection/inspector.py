"""A fitted detector with everything that a verdict on a photograph needs: how to cut it, and a threshold that knows
how sure it is. One safetensors file."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from adlib.data import ValidationImages
from adlib.data.images import (
    CHANGES,
    ImageFileError,
    Opened,
    ValueRange,
    checked_range,
    deep_values,
    depth_range,
    describe_changes,
    is_coloured,
    open_image,
    opened_picture,
    parallel_map,
    pixel_digest,
    resize_image,
)
from adlib.data.inputs import SHAPES, frames_of, open_frame
from adlib.detectors import Detector, detector_class, make_detector
from adlib.detectors.base import MAP_QUANTILE
from adlib.files import as_path, read_tensors
from adlib.inspection.alignment import ANYWHERE, MISPLACED, MOST, THUMBNAIL, place_spread
from adlib.inspection.drift import MOST as REMEMBERED
from adlib.inspection.drift import Appearance, appearance
from adlib.inspection.inputs import Source, find_good, list_sources, plural
from adlib.inspection.threshold import Threshold
from adlib.inspection.tiles import Examined, Tiling, crop_to_tensor, examine_tiled, examine_whole

DEFAULT_DETECTOR = "patch_memory"  # asks what a place looks like, not where it is
DEFAULT_SIZE = 256  # pixels
FOLDS = 4
# How many times larger than its image a detector's view has to be for a word. From twofold on, three of four pixels
# that it looks at, or more, were never photographed; below, enlarging changes less than reading at another size does.
ENLARGED = 2
CROSS_FIT = 500  # up to so many images each has its say in the threshold; of more, those set aside are enough
MEMORY = 2**30  # bytes of training crops
FORMAT = 1  # of what a file holds beside the detector

Picture = str | os.PathLike[str] | Image.Image | np.ndarray
Item = TypeVar("Item")


@dataclass(frozen=True)
class Verdict:
    """What is said of one photograph.

    Attributes:
        file: as it was named or listed; "image 3" for pictures in memory, counted from 0.
        score: larger is more anomalous; None if the file could not be read.
        defective: whether the score is above the threshold.
        size: (width, height) of the photograph, pixels.
        map: (h, w), float32, larger is more anomalous, covering the photograph at a resolution of its own.
        error: why there is no score.
        brightness: mean of the photograph's pixels, 0 to 255.
        appearance: its brightness, contrast and sharpness; see `adlib.inspection.drift.appearance`.
        remarks: what was done to the photograph before it was looked at.
        source: where it was listed from, for files.
        known: whether the detector was fitted to this very photograph, pixel by pixel.
    """

    file: str
    score: float | None = None
    defective: bool | None = None
    size: tuple[int, int] | None = None
    map: np.ndarray | None = None
    error: str | None = None
    brightness: float | None = None
    appearance: Appearance | None = None
    remarks: tuple[str, ...] = ()
    source: Source | None = None
    known: bool = False

    @property
    def place(self) -> tuple[int, int] | None:
        """(x, y) of the most suspicious place, in the photograph's pixels."""
        if self.map is None or self.size is None:
            return None
        row, column = np.unravel_index(int(self.map.argmax()), self.map.shape)
        width, height = self.size
        return int((column + 0.5) / self.map.shape[1] * width), int((row + 0.5) / self.map.shape[0] * height)


@dataclass
class Inspector:
    """A fitted detector, how to show it photographs, and the threshold; made by `fit_inspector`.

    Attributes:
        detector: for square images.
        threshold: from good images that the detector was not trained on.
        tiling: how photographs are cut; None: they are squeezed to the detector's size.
        images: how many good images it learnt from.
        fingerprint: 16 hex digits of these images' pixels.
        brightness: their mean brightness, 0 to 255: the baseline that an evaluation stands beside.
        notes: what was dropped, squeezed, converted or left out, in plain sentences.
        appearances: of up to 500 of them, which incoming images are compared with; see `adlib.inspection.drift`.
        learnt: digests of all images that it was fitted to or that the threshold comes from; see `pixel_digest`.
        file: where it was loaded from or saved to last; nothing that it is asked for is written there.
    """

    detector: Detector
    threshold: Threshold
    tiling: Tiling | None = None
    images: int = 0
    fingerprint: str = ""
    brightness: float = 0.0
    notes: tuple[str, ...] = ()
    appearances: tuple[Appearance, ...] = ()
    learnt: frozenset[str] = frozenset()
    file: Path | None = field(default=None, compare=False)

    def score(
        self, pictures: Picture | Iterable[Picture | Source | Verdict], notes: list[str] | None = None
    ) -> Iterator[Verdict]:
        """Verdicts on photographs, one after the other, a few in memory at a time.

        Args:
            pictures: files, folders (searched recursively), patterns such as "*.png"; Pillow images; numpy arrays,
                uint8 or uint16, (H, W) or (H, W, 3) in RGB order (OpenCV gives BGR: pass frame[..., ::-1]), or
                (N, H, W, 3); see `adlib.data.as_images`.
            notes: takes sentences about files that are no images.

        Yields:
            One verdict per photograph, in order; one with `error` for what cannot be read.
        """
        notes = [] if notes is None else notes
        for portion in _portions(_pictures(pictures, notes), 1 if self.tiling else 32):
            opened = parallel_map(self._open, portion)
            readable = [each for each in opened if isinstance(each, _Shrunk)]
            seen = iter(self._examine(readable))
            for each in opened:
                yield self._judge(each, next(seen)) if isinstance(each, _Shrunk) else each

    def _open(self, named: _Named | Verdict) -> _Shrunk | Verdict:
        if isinstance(named, Verdict):  # of a path at which nothing can be read
            return named
        source = named.picture if isinstance(named.picture, Source) else None
        try:
            image, changes = open_picture(named.picture, self.detector.value_range)
            if self.detector.image_shape[0] == 1 and is_coloured(image):
                raise ImageFileError(
                    f"'{named.name}' is coloured; this detector was fitted to grey images.\n"
                    "Convert it the way the good images were converted, or fit again with coloured ones."
                )
        except ImageFileError as error:
            return Verdict(named.name, error=str(error), source=source)
        channels, size, _ = self.detector.image_shape
        if channels == 3 and image.mode == "L":
            changes |= {"grey"}
        remarks = [CHANGES[change] for change in sorted(changes)]
        if self.tiling is None and image.width != image.height:
            remarks.append(f"are not square and were squeezed to {size} x {size} pixels")
        if self.tiling is None and ENLARGED * max(image.size) <= size:
            remarks.append(f"were enlarged at least twofold, to {size} x {size} pixels")
        if self.tiling is not None and min(image.size) < self.tiling.side:
            remarks.append(
                f"are smaller than a tile of {self.tiling.side} pixels and were continued by their mirror image"
            )
        known = bool(self.learnt) and pixel_digest(image) in self.learnt
        if known:
            remarks.append("are among those that the detector was fitted to")
        full = image.size
        # Squeezed at once: the photographs of a portion need not be in memory together.
        small = image if self.tiling else resize_image(image, size)
        return _Shrunk(named.name, small, full, appearance(image), tuple(remarks), source, known)

    def _examine(self, opened: list[_Shrunk]) -> Iterator[Examined]:
        if not opened:
            return
        if self.tiling is not None:
            yield from (examine_tiled(self.detector, each.image, self.tiling) for each in opened)
            return
        channels, size, _ = self.detector.image_shape
        crops = torch.stack([crop_to_tensor(each.image, size, channels) for each in opened])
        yield from examine_whole(self.detector, crops)

    def _judge(self, opened: _Shrunk, seen: Examined) -> Verdict:
        if not math.isfinite(seen.score) or not np.isfinite(seen.map).all():
            what = (
                "score is"
                if not math.isfinite(seen.score)
                else "map holds values that are no numbers, its score is"
            )
            return Verdict(opened.name, error=f"its {what} {seen.score}; fit again.", source=opened.source)
        return Verdict(
            opened.name,
            seen.score,
            seen.score > self.threshold.value,
            opened.size,
            seen.map,
            brightness=float(np.asarray(opened.image).mean()),
            appearance=opened.appearance,
            remarks=opened.remarks,
            source=opened.source,
            known=opened.known,
        )

    def save(self, path: str | Path) -> Path:
        """Write everything as one safetensors file, atomically; `Detector.load` reads it, too.

        Raises:
            ValueError: the path has the ending of a photograph.
        """
        beside = {
            "format": FORMAT,
            "threshold": self.threshold.to_dict(),
            "tiling": None if self.tiling is None else asdict(self.tiling),
            "images": self.images,
            "fingerprint": self.fingerprint,
            "brightness": self.brightness,
            "notes": self.notes,
            "appearances": self.appearances,
        }
        # Beside the rest, where versions that do not know it pass over it.
        learnt = " ".join(sorted(self.learnt))
        self.file = self.detector.save(path, inspection=json.dumps(beside), learnt=learnt)
        return self.file

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "auto") -> Inspector:
        """The inspector that `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file of another kind, damaged, changed since, or of a newer version; or a detector
                that was saved without an inspector.
        """
        detector = Detector.load(path, device)
        header = read_tensors(path)[1]
        if "inspection" not in header:
            raise ValueError(
                f"{path} holds a {detector.name} without a threshold from `adlib fit`. Make one with `adlib fit FOLDER "
                f"-o {Path(path).name}`."
            )
        try:
            beside = json.loads(header["inspection"])
            if beside["format"] > FORMAT:
                raise ValueError(
                    f"{path} was written by a newer version of adlib (inspection format {beside['format']}; this one "
                    f"reads up to {FORMAT}). Update adlib-book, or fit again."
                )
            threshold, tiling = Threshold.from_dict(beside.pop("threshold")), beside.pop("tiling")
            beside |= {
                "tiling": None if tiling is None else Tiling(**tiling),
                "notes": tuple(beside["notes"]),
            }
            beside["appearances"] = tuple(map(tuple, beside.get("appearances", ())))
            del beside["format"]
            learnt = frozenset(header.get("learnt", "").split())
            return cls(detector, threshold, **beside, learnt=learnt, file=as_path(path))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} holds no inspector that can be read ({type(error).__name__}: {error}). It was not written by "
                "`adlib fit`, or changed since; fit again."
            ) from error

    def __repr__(self) -> str:
        how = "squeezed" if self.tiling is None else f"tiles of {self.tiling.side}"
        images = f"{self.images} good images"
        return f"Inspector({self.detector.name}, {images}, {how}, threshold {self.threshold.value:.6g})"


def fit_inspector(
    source: str | Path | Sequence[Picture],
    detector: str = DEFAULT_DETECTOR,
    *,
    size: int = DEFAULT_SIZE,
    tile: int | None = None,
    overlap: float = 0.25,
    false_alarms: float = 0.02,
    value_range: ValueRange | None = None,
    profile: str = "book",
    seed: int = 0,
    device: str | torch.device = "auto",
    strict: bool = False,
    progress: bool = False,
    **settings: Any,
) -> Inspector:
    """Learn what good images look like, and a threshold from good images only.

    For detectors that learn at once, and up to 500 images, every image has its say in the threshold: it is scored by a
    detector that was fitted to the other three quarters. Otherwise the threshold comes from images set aside.

    Args:
        source: a folder, see `adlib.inspection.inputs.find_good`; or good images: files, Pillow images, arrays as in
            `Inspector.score`.
        detector: by name; those that learn from labelled anomalies are refused.
        size: side of what the detector looks at, pixels: the photograph, squeezed, or a tile of it.
        tile: side of the tiles in the photograph's pixels; None: no tiles.
        overlap: of neighbouring tiles, a share of their side.
        false_alarms: share of good images that may be called defective, between 0 and 1.
        value_range: what becomes black and white in images of more than 8 bits, e.g. (0, 4095); None: the depth that
            the good images fill.
        profile, seed, device, settings: see `adlib.make_detector`.
        strict: stop at an image that cannot be used, and where there are too few for this rate of false alarms.
        progress: bars with the time left, on stderr if that is a terminal.

    Returns:
        The inspector.

    Raises:
        FileNotFoundError: no image there.
        ImageFileError: an image cannot be read and strict is True, or none can.
        ValueError: fewer than two good images, a setting out of range, or (strict) too few images for the threshold.
    """
    if detector_class(detector).learns_from_anomalies:
        raise ValueError(
            f"{detector} learns from labelled anomalies, and here are good images only; take {DEFAULT_DETECTOR} or "
            "another that learns from normal images."
        )
    tiling = None if tile is None else Tiling(tile, overlap)
    needed = Threshold.from_scores(
        [0.0], false_alarms
    ).needed  # refuses an impossible rate before the work begins
    train, validation, notes = _good_pictures(source)
    value_range = checked_range(value_range) or measured_range([*train, *validation])
    if value_range is not None:
        low, high = value_range
        notes.append(
            f"In images of more than 8 bits {low:g} is black and {high:g} is white, here and when scoring."
        )
    reader = _Reader(size, tiling, seed, strict, progress, value_range)
    learnt, aside = reader.read(train, "reading"), reader.read(validation, "reading validation")
    if len(learnt) < 2:
        raise ValueError(f"{len(learnt)} good images; expected at least 2, and better {needed} or more.")
    if tiling is None and detector not in ANYWHERE:
        small = F.interpolate(_stack(learnt[:MOST], 3).float().mean(1, keepdim=True), THUMBNAIL, mode="area")
        if (spread := place_spread(small[:, 0].numpy())) > MISPLACED:
            notes.append(
                f"The part does not lie in the same place (standard deviation {100 * spread:.0f} % of the image), and "
                f"{detector} compares place by place: it will score rims. Take {DEFAULT_DETECTOR}, or align the images."
            )
    coloured = sum(crops.coloured for crops in [*learnt, *aside])
    channels = 3 if coloured else 1
    if 0 < coloured < (total := len(learnt) + len(aside)):
        notes.append(
            f"{total - coloured} of {total} images are grey, the others coloured: all have three channels."
        )
    digests = frozenset(crops.digest for crops in [*learnt, *aside])

    def make() -> Detector:
        made = make_detector(detector, (channels, size, size), profile, seed, device, **settings)
        made.value_range = value_range
        return made

    fitted, how = make(), {"progress": "auto" if progress else "quiet"}
    order = np.random.default_rng(seed).permutation(len(learnt))
    seen: list[tuple[float, float]] = []
    if not aside and not fitted.optimisers and len(learnt) <= CROSS_FIT:
        folds = [order[first::FOLDS] for first in range(min(FOLDS, len(order)))]
        for number, fold in enumerate(folds, 1):
            others = np.setdiff1d(order, fold)
            part = make().fit(_stack([learnt[i] for i in others], channels), **how)  # type: ignore[arg-type]
            title = f"threshold, part {number} of {len(folds)}"
            seen += _score_good(part, tiling, [learnt[i].picture for i in fold], title, progress)
    elif not aside:
        count = max(1, min(len(learnt) // 3, max(len(learnt) // 7, 2 * needed)))
        aside, learnt = ([learnt[i] for i in part] for part in (order[:count], np.sort(order[count:])))
        notes.append(f"{count} of the good images were set aside for the threshold.")
    # Where training goes by steps, the images set aside choose the checkpoint, too.
    checkpoints = ValidationImages(_stack(aside, channels)) if fitted.optimisers else None
    fitted.fit(_stack(learnt, channels), checkpoints, **how)  # type: ignore[arg-type]
    seen = seen or _score_good(fitted, tiling, [crops.picture for crops in aside], "threshold", progress)
    threshold = Threshold.from_scores([score for score, _ in seen], false_alarms)
    if strict and not threshold.enough:
        raise ValueError(threshold.words())
    fitted.thresholds = {fitted.config.score: threshold.value}
    fitted.map_scale = max(scale for _, scale in seen)
    digest = hashlib.sha256("".join(sorted(crops.digest for crops in learnt)).encode()).hexdigest()[:16]
    brightness = float(np.mean([crops.brightness for crops in learnt]))
    remembered = tuple(crops.appearance for crops in learnt[:: -(-len(learnt) // REMEMBERED)])
    notes += reader.notes()
    return Inspector(
        fitted, threshold, tiling, len(learnt), digest, brightness, tuple(notes), remembered, digests
    )


def open_picture(picture: Picture | Source | Frame, value_range: ValueRange | None = None) -> Opened:
    """A photograph as an 8-bit Pillow image of mode "L" or "RGB", and what reading did to it.

    Args:
        picture: a file, a Pillow image, or an array as `adlib.data.as_images` takes it: uint8 or uint16, (H, W) or
            (H, W, 3), RGB.
        value_range: what becomes black and white in images of more than 8 bits; `detector.value_range`.

    Raises:
        ImageFileError: it cannot be read, or is an array of another type or shape; the message has the remedy.
    """
    if isinstance(picture, Source):
        return open_image(picture.file, value_range)
    if isinstance(picture, str | os.PathLike):
        return open_image(as_path(picture), value_range)
    if isinstance(picture, Image.Image):
        return opened_picture(picture, "the image", value_range)
    if isinstance(picture, Frame):
        return open_frame(picture.pixels, "the image", value_range)
    if not hasattr(picture, "__array__"):
        raise ImageFileError(
            f"an image is {type(picture).__name__}; expected a path, an array or a Pillow image. {SHAPES}"
        )
    try:
        frame, *others = frames_of(np.asanyarray(picture))
    except (TypeError, ValueError) as error:
        raise ImageFileError(str(error)) from error
    if others:
        raise ImageFileError(
            f"an array holds {1 + len(others)} frames; expected one. Pass them one by one: list(frames). {SHAPES}"
        )
    return open_frame(frame, "the image", value_range)


def measured_range(pictures: Sequence[Any]) -> ValueRange | None:
    """(0, 2^bits - 1) of the depth that the values of images of more than 8 bits fill; None where there are none."""

    def largest(picture: Any) -> float:
        if isinstance(picture, np.ndarray):
            deep = picture.dtype.kind == "u" and picture.dtype.itemsize == 2  # of either byte order
            return float(picture.max()) if deep and picture.size else -1.0
        if not isinstance(picture, Source | str | os.PathLike):
            return -1.0
        values = deep_values(picture.file if isinstance(picture, Source) else as_path(picture))
        return -1.0 if values is None else values[1]

    top = max(parallel_map(largest, pictures), default=-1.0)
    return None if top < 0 else depth_range(top)


def progress_bar(items: Iterable[Item], title: str, total: int | None, show: bool) -> Iterable[Item]:
    """The items, with a bar and the time left on stderr where that is a terminal and `show` is True."""
    from tqdm import tqdm

    disable = None if show else True  # None: where there is no terminal
    return tqdm(items, title, total, file=sys.stderr, unit="image", leave=False, disable=disable)


# ---------------------------------------------------------------- reading
class Frame(NamedTuple):
    """A frame of an array that held several, (H, W), (H, W, 3) or (H, W, 4): its shape has been looked at there."""

    pixels: np.ndarray


@dataclass(frozen=True)
class _Named:
    name: str
    picture: Picture | Source | Frame


@dataclass(frozen=True)
class _Shrunk:
    name: str
    image: Image.Image
    size: tuple[int, int]
    appearance: Appearance
    remarks: tuple[str, ...]
    source: Source | None
    known: bool


@dataclass(frozen=True)
class _Crops:
    """What is learnt from one photograph: uint8 (n, 3, S, S)."""

    picture: Any
    crops: Tensor
    coloured: bool
    digest: str
    brightness: float
    appearance: Appearance
    tiles: int
    size: tuple[int, int]
    changes: frozenset[str]


class _Reader:
    """Reads good images, and counts what was done to them."""

    def __init__(
        self, size: int, tiling: Tiling | None, seed: int, strict: bool, progress: bool, value_range: Any
    ):
        self.value_range = value_range
        self.changes: list[frozenset[str]] = []
        self.size, self.tiling, self.seed, self.strict, self.progress = size, tiling, seed, strict, progress
        self.errors: list[str] = []
        self.twice: list[str] = []
        self.squeezed = self.cut = self.taken = 0
        self.enlarged: list[tuple[int, int]] = []
        self.digests: set[str] = set()

    def read(self, pictures: list[Any], title: str) -> list[_Crops]:
        """Crops of every image that can be used and is not there already."""
        quota = max(1, MEMORY // (3 * self.size**2) // max(1, len(pictures)))
        result = []
        seeds = np.random.SeedSequence(self.seed).spawn(len(pictures))
        # Few large photographs at a time: they are all in memory until they are cut.
        portions = _portions(zip(pictures, seeds), 8 if self.tiling is None else 2)
        crops_of = (
            zip(portion, parallel_map(lambda pair: self._crops(*pair, quota), portion))
            for portion in portions
        )
        pairs = (pair for portion in crops_of for pair in portion)
        for (picture, _), crops in progress_bar(pairs, title, len(pictures), self.progress):
            if isinstance(crops, ImageFileError):
                if self.strict:
                    raise crops
                self.errors.append(str(crops))
            elif crops.digest in self.digests:
                self.twice.append(str(picture.file if isinstance(picture, Source) else "an array"))
            else:
                self.digests.add(crops.digest)
                if self.tiling is None:
                    self.squeezed += crops.size[0] != crops.size[1]
                    self.enlarged += [crops.size] * (ENLARGED * max(crops.size) <= self.size)
                self.changes.append(crops.changes)
                self.cut += crops.tiles
                self.taken += len(crops.crops)
                result.append(crops)
        if self.errors and not result and pictures:
            raise ImageFileError(f"none of the {len(pictures)} images can be used: {self.errors[0]}")
        return result

    def _crops(self, picture: Any, seed: np.random.SeedSequence, quota: int) -> _Crops | ImageFileError:
        try:
            image, changes = open_picture(picture, self.value_range)
        except ImageFileError as error:
            return error
        places = [None] if self.tiling is None else self.tiling.places(image.height, image.width)
        chosen = sorted(
            np.random.default_rng(seed).choice(len(places), min(quota, len(places)), replace=False)
        )
        crops = torch.stack(
            [
                crop_to_tensor(
                    image if self.tiling is None else self.tiling.cut(image, *places[i]), self.size, 3
                )
                for i in chosen
            ]
        )
        mean = float(np.asarray(image).mean())
        return _Crops(
            picture, crops, is_coloured(image), pixel_digest(image), mean, appearance(image), len(places), image.size,
            changes,
        )  # fmt: skip

    def notes(self) -> list[str]:
        """In sentences, each once."""
        sentences = describe_changes(self.changes, self.size, self.size)
        if self.errors:
            sentences.append(
                f"Not readable and left out: {plural(len(self.errors), 'file')} ({self.errors[0].splitlines()[0]})"
            )
        if self.twice:
            twice = plural(len(self.twice), "image")
            sentences.append(f"There twice, pixel by pixel, and taken once: {twice} (e.g. {self.twice[0]}).")
        if self.squeezed:
            squeezed = plural(self.squeezed, "image")
            sentences.append(
                f"Not square, squeezed to {self.size} x {self.size} pixels: {squeezed}; --tile keeps their shape."
            )
        if self.enlarged:
            width, height = min(self.enlarged, key=math.prod)
            sentences.append(
                f"Enlarged at least twofold, to {self.size} x {self.size} pixels: "
                f"{plural(len(self.enlarged), 'image')}, the smallest from {width} x {height}."
            )
        if self.taken < self.cut:
            sentences.append(f"{self.taken:,} of {self.cut:,} tiles were learnt from, drawn at random.")
        return sentences


def _stack(crops: Sequence[_Crops], channels: int) -> Tensor:
    return torch.cat([each.crops for each in crops])[:, :channels].contiguous()


def _good_pictures(source: str | Path | Sequence[Picture]) -> tuple[list[Any], list[Any], list[str]]:
    """Images to train on, images for the threshold alone, and notes."""
    source = _listed(source)
    if isinstance(source, np.ndarray) and (
        source.ndim < 3 or (source.ndim == 3 and source.shape[-1] in (1, 3, 4))
    ):
        raise ValueError(
            f"an array of shape {source.shape} is one image; expected several: (N, H, W), (N, H, W, 3) or a list."
        )
    if isinstance(source, Image.Image):
        raise ValueError("that is one image; expected several: a list of images, or their folder.")
    if not isinstance(source, str | os.PathLike):
        return list(source), [], []
    good, root = find_good(source), as_path(source)
    train, validation = ([Source(file, root) for file in files] for files in (good.train, good.validation))
    return train, validation, list(good.notes)


def _score_good(
    detector: Detector, tiling: Tiling | None, pictures: list[Any], title: str, progress: bool
) -> list[tuple[float, float]]:
    """Score and map scale of good images, looked at in the way that all others will be."""
    inspector = Inspector(detector, Threshold(math.inf, 0.5, (0.0,)), tiling)
    seen = []
    for verdict in progress_bar(inspector.score(pictures), title, len(pictures), progress):
        if verdict.score is None or verdict.map is None:
            raise ValueError(f"good image '{verdict.file}' cannot set the threshold: {verdict.error}")
        seen.append((verdict.score, float(np.quantile(verdict.map, MAP_QUANTILE))))
    return seen


def _pictures(pictures: Any, notes: list[str]) -> Iterator[_Named | Verdict]:
    """Every photograph with the name that its verdict carries."""
    pictures = _listed(pictures)
    if isinstance(pictures, np.ndarray) and pictures.ndim > 3:
        yield from _frames(pictures, "")
        return
    if isinstance(pictures, str | os.PathLike | Image.Image | np.ndarray):
        pictures = [pictures]
    seen: set[str] = set()
    for number, picture in enumerate(pictures):
        if isinstance(picture, str | os.PathLike | Source):
            yield from (_Named(str(each.file), each) if isinstance(each, Source) else each
                        for each in expand([picture], notes, seen))  # fmt: skip
        elif isinstance(picture, np.ndarray) and picture.ndim == 4:
            yield from _frames(picture, f"{number}.")
        else:
            yield picture if isinstance(picture, Verdict) else _Named(f"image {number}", picture)


def _listed(pictures: Any) -> Any:
    """An array of paths as a list, a tensor (N, C, H, W) as frames with colours last; what holds no images is refused.

    Raises:
        TypeError: it can hold none.
    """
    if isinstance(pictures, Tensor):
        pictures = pictures.detach().cpu().numpy()
        return (
            pictures.transpose(0, 2, 3, 1) if pictures.ndim == 4 and pictures.shape[1] in (1, 3) else pictures
        )
    if isinstance(pictures, np.ndarray) and pictures.dtype.kind in "OUS":
        return pictures.tolist()
    known = isinstance(pictures, Iterable | os.PathLike | Image.Image) and not isinstance(pictures, bytes)
    if not known:
        raise TypeError(
            f"images are {type(pictures).__name__}; expected paths, arrays or Pillow images. {SHAPES}"
        )
    return pictures


def _frames(array: np.ndarray, before: str) -> Iterator[_Named | Verdict]:
    """The frames of an array, named "image 0" and so on, `before` in front of the number."""
    try:
        yield from (_Named(f"image {before}{n}", Frame(each)) for n, each in enumerate(frames_of(array)))
    except (TypeError, ValueError) as error:
        yield Verdict(f"image {before}0", error=str(error))


def expand(
    paths: Iterable[str | os.PathLike[str] | Source], notes: list[str], seen: set[str] | None = None
) -> Iterator[Source | Verdict]:
    """The images behind files, folders and patterns, each file once, in order.

    Args:
        paths: what was named; see `adlib.inspection.inputs.list_sources`.
        notes: takes sentences about what was left out.
        seen: files that have been listed before, by their real path.

    Yields:
        A source, or a verdict with `error` for a path at which nothing can be read.
    """
    seen = set() if seen is None else seen
    for path in paths:
        for source in [path] if isinstance(path, Source) else list_sources(str(path), notes):
            if isinstance(source, ImageFileError):
                yield Verdict(str(path), error=str(source))
            elif (real := _real(str(source.file))) not in seen:
                seen.add(real)
                yield source


def _real(file: str) -> str:
    """The file's path without links; that of its folder is looked up once."""
    if os.path.islink(file):
        return os.path.realpath(file)
    folder, name = os.path.split(file)
    return os.path.join(_real_folder(folder), name)


_real_folder = functools.lru_cache(maxsize=10_000)(os.path.realpath)


def _portions(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    portion: list[Item] = []
    for item in items:
        portion.append(item)
        if len(portion) == count:
            yield portion
            portion = []
    if portion:
        yield portion
