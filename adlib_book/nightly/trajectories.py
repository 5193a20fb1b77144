"""Trajectories: ten training steps of every detector, number by number, in `baselines/trajectories/<detector>.json`.

Bands around a chapter's results are as wide as seeds scatter, so a slightly wrong loss may stay inside them. A
trajectory is exact: in float64 the losses of a short run agree between processors and numbers of threads to eleven
digits (in float32 only to one, after ten steps), so that whatever changes the arithmetic of a detector is noticed at
the step where it does.

Images are made of whole numbers, without a file, and without arithmetic that rounds. A trajectory changes by
`adlib baselines trajectories` only, with a reason.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adlib import environment
from adlib.data import LabelledAnomalies, ValidationImages
from adlib.detectors import Detector, Examination, detector_class, detector_names, make_detector
from adlib.detectors.collapse import CollapseWarning
from adlib.errors import unknown_name
from adlib.files import write_atomic
from adlib_book.nightly import bands
from adlib_book.runner.workspace import Workspace

TOLERANCE = 1e-8  # relative
SMALLEST = 1e-3  # of a series' largest number: smaller ones are held to the tolerance of that much
STEPS = 10
SIDE = 16  # pixels
LARGER = {"dual_discriminator": 32}  # its smallest side
# Settings of the smoke profile made smaller, for those detectors that have them.
SMALL = {
    "steps": STEPS,
    "batch_size": 4,
    "checkpoints": 1,
    "precision": "fp64",
    "width": 4,
    "discriminator_width": 4,
    "widths": (4, 8, 8),
    "latent": 8,
    "code": 8,
    "search_steps": 4,
    "trees": 4,
    "entries": 4,
    "drawings": 6,
    "training_windows": 16,
    "candidates": 16,
    "memory": 4,
    "dimensions": 4,
}

Numbers = dict[str, list[float]]


def trajectory(name: str) -> Numbers:
    """Train a detector for ten steps and list what can be read off.

    Args:
        name: of the detector, as `make_detector` takes it.

    Returns:
        Series of numbers by name: "loss/...", one per step in which the loss was computed; "gradient/...", the norm
        of each optimiser's gradient after every step; "last/..." and "averaged/...", the scores, statistics of the
        map and the validation error before and after the averaged weights take the place of the last ones;
        "threshold/..." and "map_scale".

    Raises:
        ValueError: unknown detector.
    """
    detector = small_detector(name)
    side = detector.image_shape[-1]
    train, validation = images(12, side, seed=1), ValidationImages(images(6, side, seed=2))
    test = torch.cat([images(2, side, seed=3), images(2, side, seed=4, defects=True)])
    anomalies = LabelledAnomalies(images(4, side, seed=5, defects=True), ["square"] * 4)
    numbers: Numbers = {}

    def before_averaging(detector: Detector, step: int) -> None:
        numbers.update(_examined("last", detector.examine(test)))

    extra: dict[str, Any] = {"anomalies": anomalies} if detector.learns_from_anomalies else {}
    if detector.optimisers:
        extra["on_checkpoint"] = before_averaging
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # after ten steps all answers may well be alike
        detector.fit(train, validation, progress="quiet", **extra)
    numbers.update(_examined("averaged", detector.examine(test)))
    numbers.update(_history(detector))
    return dict(sorted(numbers.items()))


def small_detector(name: str) -> Detector:
    """A detector of the smoke profile with narrow networks and ten steps, in float64 on the processor."""
    known = {field.name for field in fields(detector_class(name).Config)}
    changes = {setting: value for setting, value in SMALL.items() if setting in known}
    side = LARGER.get(name, SIDE)
    return make_detector(name, (3, side, side), "smoke", seed=0, device="cpu", **changes)


def images(count: int, side: int, seed: int, defects: bool = False) -> Tensor:
    """Stripes at random places with grain, another pattern in each colour; with a defect, one square is bright.

    Args:
        count: N. side: S, pixels. seed: of the random numbers, whole ones. defects: one in each image.

    Returns:
        uint8 (N, 3, S, S), the same on every machine.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(side)[:, None], torch.arange(side)
    shift = torch.randint(0, 256, (count, 3, 1, 1), generator=generator)
    stripes = (24 * columns + 8 * rows + shift).remainder(256).sub(128).abs()  # 0 to 128 and back
    pixels = 48 + stripes + torch.randint(0, 32, (count, 3, side, side), generator=generator)
    if defects:
        corners = torch.randint(0, side - 6, (count, 2), generator=generator).tolist()
        for image, (row, column) in zip(pixels, corners):
            image[:, row : row + 6, column : column + 6] = 240
    return pixels.to(torch.uint8)


def _examined(prefix: str, examination: Examination) -> Numbers:
    """Scores of every image; of each map its mean and largest value, and the first one averaged to 4 x 4."""
    maps = examination.maps.double()
    coarse = torch.nn.functional.avg_pool2d(maps[:1], maps.shape[-1] // 4)
    series = {f"score/{name}": score for name, score in examination.scores.items()}
    series |= {"map/mean": maps.mean((1, 2)), "map/largest": maps.amax((1, 2)), "map/first": coarse}
    return {f"{prefix}/{name}": values.double().flatten().tolist() for name, values in series.items()}


def _history(detector: Detector) -> Numbers:
    history = detector.history
    assert history is not None  # every fit leaves one
    numbers = {f"loss/{name}": values for name, values in history.losses.items()}
    numbers |= {f"gradient/{name}": values for name, values in history.gradients.items() if name != "step"}
    errors = {"last": history.checkpoints[-1] if history.checkpoints else {}, "averaged": history.averaged}
    for weights, marks in errors.items():
        numbers |= {f"{weights}/{name}": [marks[name]] for name in ("validation_error",) if name in marks}
    numbers |= {f"threshold/{name}": [value] for name, value in detector.thresholds.items()}
    return numbers if detector.map_scale is None else {**numbers, "map_scale": [detector.map_scale]}


# ---------------------------------------------------------------------- comparing
def differences(
    expected: Mapping[str, Sequence[float]], measured: Mapping[str, Sequence[float]]
) -> list[str]:
    """Where a trajectory has left the recorded one.

    Args:
        expected: series by name, as recorded. measured: as from `trajectory`.

    Returns:
        One sentence per series that differs, naming its first number that does; empty if all is well.
    """
    sentences = [f"{name}: recorded, but no longer there" for name in expected.keys() - measured.keys()]
    sentences += [f"{name}: not recorded" for name in measured.keys() - expected.keys()]
    for name in expected.keys() & measured.keys():
        old, new = expected[name], measured[name]
        if len(old) != len(new):
            sentences.append(f"{name}: {len(new)} numbers instead of {len(old)}")
            continue
        floor = SMALLEST * max(map(abs, old), default=0.0)
        moved = [k for k, pair in enumerate(zip(old, new)) if not _agree(*pair, floor)]
        if moved:
            first = moved[0]
            sentences.append(
                f"{name}: number {first + 1} is {new[first]:.12g} instead of {old[first]:.12g} "
                f"({len(moved)} of {len(old)} differ)"
            )
    return sorted(sentences)


def _agree(old: float, new: float, floor: float) -> bool:
    return math.isfinite(new) and abs(new - old) <= TOLERANCE * max(abs(old), floor)


# ---------------------------------------------------------------------- files
def trajectory_path(root: Path, name: str) -> Path:
    """Where the trajectory of a detector is kept."""
    return root / "baselines" / "trajectories" / f"{name}.json"


def recorded(root: Path, name: str) -> Numbers:
    """The recorded trajectory of a detector; empty if there is none."""
    path = trajectory_path(root, name)
    return json.loads(path.read_text())["numbers"] if path.is_file() else {}


def recorded_names(root: Path) -> list[str]:
    """Detectors with a recorded trajectory."""
    return sorted(path.stem for path in trajectory_path(root, "").parent.glob("*.json"))


def check_trajectories(root: Path) -> list[str]:
    """Run every detector and hold it against its recorded trajectory.

    Returns:
        Sentences that begin with the detector's name; empty if all is well, and in a checkout without trajectories. A
        detector that raises an error is named with it.
    """
    if not (there := recorded_names(root)):
        return []
    sentences = [
        f"{name}: recorded, but there is no such detector" for name in set(there) - set(detector_names())
    ]
    for name in detector_names():
        try:
            changes = differences(recorded(root, name), trajectory(name))
        except Exception as error:  # the other detectors are run all the same
            changes = [f"{type(error).__name__}: {error}"]
        sentences += [f"{name}: {each}" for each in changes]
    return sorted(sentences)


def update_trajectories(
    reason: str, names: Iterable[str] = (), workspace: Workspace | None = None
) -> list[str]:
    """Record the trajectories that differ from the recorded ones, or are new; remove those of detectors that are gone.

    Args:
        reason: why the numbers are right now; kept in the file.
        names: detectors; by default all.
        workspace: another checkout than this one.

    Returns:
        One line per series that was changed.

    Raises:
        ValueError: no reason, or an unknown detector.
    """
    bands.check_reason(reason)
    root, known = (workspace or Workspace.here()).root, detector_names()
    for name in (names := list(names)):
        if name not in known:
            raise unknown_name("detector", name, known)
    lines = []
    for name in names or known:
        numbers = trajectory(name)
        changes = differences(recorded(root, name), numbers)
        if changes:
            write_atomic(trajectory_path(root, name), _text(numbers, reason))
        lines += [f"{name}: {each}" for each in changes]
    for name in set(recorded_names(root)) - set(known):
        trajectory_path(root, name).unlink()
        lines.append(f"{name}: removed, there is no such detector")
    return lines or ["every trajectory is as recorded; nothing was changed"]


def _text(numbers: Numbers, reason: str) -> str:
    """A file that can be read and compared: one series a line, every digit of its numbers."""
    versions, hardware = environment.versions(), environment.hardware()
    source = (
        f"adlib {environment.source_hash()}, commit {environment.git_commit()}, torch {versions['torch']}, "
        f"{hardware['instructions']}"
    )
    head = {"reason": reason.strip(), "source": source}
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in head.items()]
    series = [f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in numbers.items()]
    return "\n".join(["{", *lines, ' "numbers": {', ",\n".join(series), " }", "}"]) + "\n"
