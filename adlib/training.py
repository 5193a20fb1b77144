"""The one training loop.

A detector knows how to take one step; the loop knows everything else: batches, progress, history,
checkpoints chosen on normal images only, early stopping, saving and going on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from adlib.data import Augment, Batches, StreamedBatches
from adlib.devices import COMPILATIONS, PRECISIONS, pick_compilation, pick_precision
from adlib.environment import in_notebook
from adlib.errors import unknown_name
from adlib.files import read_tensors, write_tensors

if TYPE_CHECKING:
    from adlib.detectors.base import Detector

PROGRESS = ("auto", "notebook", "terminal", "quiet")


@dataclass(frozen=True)
class Schedule:
    """How long and in what portions to train.

    steps: optimiser steps (one batch each).
    batch_size: images per step.
    checkpoints: how many times the validation error is measured, evenly spread, the last at the end.
    patience: stop when the validation error has not fallen for so many checkpoints, and go back to the
        best one; None trains to the end and keeps the end.
    precision: "fp32", "bf16" or "auto" (bf16 where a probe finds it clearly faster).
    compile: "on", "off" or "auto" (torch.compile for long runs where a probe finds it faster).
    """

    steps: int
    batch_size: int = 32
    checkpoints: int = 8
    patience: int | None = None
    precision: str = "auto"
    compile: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be 1 or more.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}; expected 1 or more checkpoints, or None.")
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.compile not in COMPILATIONS:
            raise unknown_name("compilation", self.compile, COMPILATIONS)

    def checkpoint_steps(self) -> set[int]:
        """Steps after which the validation error is measured."""
        count = min(self.checkpoints, self.steps)
        return {round(self.steps * (k + 1) / count) for k in range(count)}


@dataclass
class History:
    """What happened during training.

    losses: name -> one value per step in which that loss was computed; detectors that train in phases, or their
    players in turns, have fewer of some. gradients: optimiser name -> norm of its player's whole gradient, about
    a hundred of them, after the steps listed under "step". checkpoints: dicts with step, validation_error
    (of `Detector.validation_error`; absent without validation images, and where it would say nothing) and seconds.
    seconds: training time, without the checkpoints.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    gradients: dict[str, list[float]] = field(default_factory=dict)
    checkpoints: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    step: int = 0
    precision: str = "fp32"
    compiled: bool = False
    resumed: int = 0

    def add(self, losses: dict[str, float]) -> None:
        """Add one step's losses by name."""
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)
        self.step += 1

    def curves(self, points: int = 50) -> dict[str, list[float]]:
        """Losses and gradient norms, thinned for keeping: each value is the mean of its part of the run.

        Args:
            points: parts the run is cut into; a shorter series stays as it is.

        Returns:
            Loss name, or "gradient/" and optimiser name -> at most `points` values, four digits each.
        """
        series = self.losses | {f"gradient/{k}": v for k, v in self.gradients.items() if k != "step"}
        return {
            name: [float(f"{part.mean():.4g}") for part in np.array_split(values, min(points, len(values)))]
            for name, values in series.items()
            if values
        }

    def best_checkpoint(self) -> int | None:
        """Index of the checkpoint with the lowest validation-normal error, None if no checkpoint has one."""
        errors = {k: mark.get("validation_error", math.nan) for k, mark in enumerate(self.checkpoints)}
        errors = {k: error for k, error in errors.items() if not math.isnan(error)}
        return min(errors, key=errors.__getitem__) if errors else None


def fit(
    detector: Detector,
    images: Tensor | StreamedBatches,
    schedule: Schedule,
    *,
    validation: Tensor | None = None,
    augment: Augment | None = None,
    progress: str = "auto",
    on_checkpoint: Callable[[Detector, int], None] | None = None,
    resume: str | Path | None = None,
) -> History:
    """Train a detector by its own `training_step`.

    Args:
        detector: the detector; its networks end in evaluation mode.
        images: training images, uint8 (N, C, H, W), or batches of them streamed from disk.
        schedule: steps, batch size, checkpoints.
        validation: validation-normal images, uint8 (M, C, H, W); only their reconstruction error is used.
        augment: called with each uint8 batch (B, C, H, W), on the device, and a random generator of its own.
        progress: "auto", "notebook" (tqdm), "terminal" (rich) or "quiet".
        on_checkpoint: called with (detector, step) at every checkpoint, networks in evaluation mode.
        resume: a file that is written at every checkpoint and read, if present, before the first step. A
            run that is resumed takes exactly the steps that an uninterrupted one would have taken.

    Returns:
        The history.

    Raises:
        FloatingPointError: a loss became NaN or infinite; says which and at which step.
        ValueError: `resume` belongs to another detector or setting; or `patience` without validation images.
    """
    if progress not in PROGRESS:
        raise ValueError(f"unknown progress {progress!r}: use one of {', '.join(PROGRESS)}.")
    if schedule.patience is not None and validation is None:
        raise ValueError("patience needs validation images: pass validation=split.validation.")
    batches = _batches(detector, images, schedule, augment)
    dtype = pick_precision(schedule.precision, detector.device)
    history = History(precision="bf16" if dtype else "fp32")
    marks, best = schedule.checkpoint_steps(), _Best(schedule.patience)
    identity = f"{detector.identity()}-{_fingerprint(images)}"
    if resume is not None and Path(resume).is_file():
        history = _restore(detector, batches, best, identity, resume)
    stop = best.exhausted(history)
    gradient_stride = max(1, schedule.steps // 100)
    history.compiled = pick_compilation(schedule.compile, detector.device, schedule.steps)
    with (
        _compiled(detector.networks, history.compiled),
        _bar(progress, schedule.steps, history.step, detector.name) as bar,
    ):
        while history.step < schedule.steps and not stop:
            start = time.perf_counter()
            losses = _step(detector, next(batches), dtype)
            history.add(losses)
            _refuse_nonfinite(losses, history.step)
            if history.step % gradient_stride == 0:
                _note_gradients(detector, history)
            history.seconds += time.perf_counter() - start
            bar.advance(losses)
            if history.step in marks:
                _checkpoint(detector, history, validation, on_checkpoint)
                best.look(detector, history)
                stop = best.exhausted(history)
                if resume is not None:
                    _keep(detector, batches, best, history, identity, resume)
    best.restore(detector)
    detector.networks.eval()
    return history


@contextlib.contextmanager
def _compiled(networks: nn.ModuleDict, wanted: bool) -> Iterator[None]:
    """The networks compiled in place, and plain again afterwards: scoring sees batches of every size."""
    if not wanted:
        yield
        return
    for network in networks.values():
        network.compile()
    try:
        # Two losses walk back through one graph: its buffers must survive the first walk.
        with torch._functorch.config.patch(donated_buffer=False):
            yield
    finally:
        for network in networks.values():
            network._compiled_call_impl = None


def _batches(
    detector: Detector, images: Tensor | StreamedBatches, schedule: Schedule, augment: Augment | None
) -> Batches | StreamedBatches:
    if isinstance(images, Tensor):
        return Batches(
            images, schedule.batch_size, seed=detector.seed, device=detector.device, augment=augment
        )
    if augment is not None:
        raise ValueError("augment works on images in memory; streamed batches come as they are on disk.")
    told = {"batch_size": schedule.batch_size, "seed": detector.seed}
    for name, wanted in told.items():
        if (given := images.state_dict()[name]) != wanted:
            raise ValueError(
                f"the stream has {name}={given}, the detector {wanted}; give both the same, "
                f"stream_folder(..., {name}={wanted})."
            )
    images.load_state_dict(images.state_dict() | {"batches_drawn": 0})  # of an earlier fit
    return images


def _step(detector: Detector, batch: Tensor, dtype: torch.dtype | None) -> dict[str, float]:
    detector.networks.train()
    device = detector.device.type
    with torch.autocast(device, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        losses = detector.training_step(detector.normalise(batch))
    values = {name: float(value) for name, value in losses.items()}
    detector.after_step(values)
    return values


def _note_gradients(detector: Detector, history: History) -> None:
    """The length of each player's gradient, as the step just taken has left it."""
    history.gradients.setdefault("step", []).append(history.step)
    for name, optimiser in detector.optimisers.items():
        found = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        norm = float(torch.stack([g.float().norm() for g in found]).norm()) if found else 0.0
        history.gradients.setdefault(name, []).append(norm)


def _refuse_nonfinite(losses: dict[str, float], step: int) -> None:
    for name, value in losses.items():
        if not abs(value) < float("inf"):
            raise FloatingPointError(
                f"loss {name!r} became {value} at step {step}. Lower the learning rate, or train with "
                "precision='fp32'; the last checkpoint, if a resume file was given, is untouched."
            )


def _checkpoint(detector, history, validation, on_checkpoint) -> None:
    mark: dict[str, float] = {"step": history.step, "seconds": round(history.seconds, 3)}
    if validation is not None:
        error = detector.validation_error(validation)
        mark |= {} if error is None else {"validation_error": error}
    history.checkpoints.append(mark)
    if on_checkpoint is not None:
        detector.networks.eval()
        on_checkpoint(detector, history.step)


class _Best:
    """Early stopping on the validation-normal error."""

    def __init__(self, patience: int | None):
        self.patience, self.state = patience, None

    def look(self, detector: Detector, history: History) -> None:
        """Keep the networks if the newest checkpoint is the best."""
        if self.patience is None:
            return
        if history.best_checkpoint() == len(history.checkpoints) - 1:
            self.state = {k: v.detach().clone() for k, v in detector.networks.state_dict().items()}

    def exhausted(self, history: History) -> bool:
        """Whether the best checkpoint is `patience` checkpoints old; a run that is resumed asks this first."""
        if self.patience is None or (index := history.best_checkpoint()) is None:
            return False
        return len(history.checkpoints) - 1 - index >= self.patience

    def restore(self, detector: Detector) -> None:
        if self.state is not None:
            detector.networks.load_state_dict(self.state)


def _fingerprint(images: Tensor | StreamedBatches) -> str:
    """Ten hex digits of the SHA-256 of the pixels, or of a stream's files: a run is resumed on its own images only."""
    if not isinstance(images, Tensor):
        return images.fingerprint
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()[:10]


def _keep(detector, batches, best, history, identity, path) -> None:
    """Write networks, optimisers, batch order and history as one safetensors file."""
    tensors = {f"networks.{k}": v for k, v in detector.networks.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in (best.state or {}).items()}
    plain: dict[str, Any] = {}
    for name, optimiser in detector.optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimisers.{name}.{index}.{key}"] = torch.as_tensor(value)
    for key, value in batches.state_dict().items():
        if isinstance(value, Tensor):
            tensors[f"batches.{key}"] = value
        else:
            plain[key] = value
    tensors["generator"] = detector.generator.get_state()
    told = {
        "identity": identity,
        "history": json.dumps(asdict(history)),
        "batches": json.dumps(plain),
    }
    write_tensors(path, tensors, told)


def _restore(detector, batches, best, identity, path) -> History:
    tensors, told = read_tensors(path)
    if told.get("identity") != identity:
        raise ValueError(
            f"{path} was written by another run ({told.get('identity')}), not by {identity}. "
            "Give another resume file, or delete this one."
        )

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    detector.networks.load_state_dict(part("networks."))
    best.state = part("best.") or None
    for name, optimiser in detector.optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        for key, value in part(f"optimisers.{name}.").items():
            index, slot = key.split(".", 1)
            parameter = parameters[int(index)]
            if (
                value.shape == parameter.shape
            ):  # fused Adam walks memory: moments must lie as their weights do
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(index), {})[slot] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    batches.load_state_dict({**json.loads(told["batches"]), **part("batches.")})
    detector.generator.set_state(tensors["generator"])
    history = History(**json.loads(told["history"]))
    history.resumed += 1
    return history


class _Quiet:
    """No bar at all; also the base of the two that show one."""

    def __init__(self, steps: int, done: int, title: str):
        self.steps, self.done, self.title, self._shown = steps, done, title, 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, losses: dict[str, float]) -> None:
        pass

    def _due(self) -> bool:
        """True ten times a second at most: drawing must not cost more than training."""
        now = time.perf_counter()
        due = now - self._shown > 0.1
        self._shown = now if due else self._shown
        return due


class _Notebook(_Quiet):
    def __enter__(self):
        from tqdm.auto import tqdm

        self.bar = tqdm(total=self.steps, initial=self.done, desc=self.title, unit="step", mininterval=0.5)
        return self

    def __exit__(self, *_):
        self.bar.close()

    def advance(self, losses: dict[str, float]) -> None:
        if self._due():
            self.bar.set_postfix({k: f"{v:.3g}" for k, v in losses.items()}, refresh=False)
        self.bar.update(1)


class _Terminal(_Quiet):
    def __enter__(self):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            "{task.description}",
            BarColumn(),
            "{task.completed}/{task.total}",
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        self.bar = Progress(*columns, transient=True)
        self.bar.__enter__()
        self.task = self.bar.add_task(self.title, total=self.steps, completed=self.done, losses="")
        return self

    def __exit__(self, *stop):
        self.bar.__exit__(*stop)

    def advance(self, losses: dict[str, float]) -> None:
        if self._due():
            text = "  ".join(f"{k} {v:.3g}" for k, v in losses.items())
            self.bar.update(self.task, losses=text)
        self.bar.advance(self.task)


def _bar(progress: str, steps: int, done: int, title: str) -> _Quiet:
    """The bar that fits where we are: tqdm in a notebook, rich in a terminal, none elsewhere and in CI."""
    if progress == "auto":
        terminal = sys.stdout.isatty() and not os.environ.get("CI")  # rich draws on stdout
        progress = "notebook" if in_notebook() else "terminal" if terminal else "quiet"
    kinds = {"notebook": _Notebook, "terminal": _Terminal, "quiet": _Quiet}
    return kinds[progress](steps, done, title)
