"""The one training loop.

A detector knows how to take one step; the loop knows everything else: batches, progress, history, checkpoints looked
at on normal images only, a running average of the weights, saving and going on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from adlib import progress as bars
from adlib.averaging import WeightAverage
from adlib.data import Augment, Batches, StreamedBatches
from adlib.devices import PRECISIONS, at_least_float32, pick_precision
from adlib.errors import unknown_name
from adlib.resume import restore_run, run_identity, save_run


class Trainable(Protocol):
    """What the loop needs of a detector.

    Attributes:
        name: for the progress bar.
        seed: of the batch order.
        device: where batches go.
        generator: every random draw of a step comes from it; saved and resumed.
        networks, optimisers: by name; saved and resumed.
        averaged_networks: those of the networks whose weights are averaged.
    """

    seed: int
    device: torch.device
    generator: torch.Generator
    networks: nn.ModuleDict

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See above."""
        ...

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def averaged_networks(self) -> nn.Module:
        """See above."""
        ...

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) on the device -> what `training_step` takes."""
        ...

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        """One update; returns scalar losses by name."""
        ...

    def after_step(self, losses: dict[str, float]) -> None:
        """Called after every step with its losses as numbers."""
        ...

    def validation_error(self, images: Tensor) -> float | None:
        """Error on validation-normal images, uint8 (M, C, H, W); None where it says nothing."""
        ...

    def identity(self) -> str:
        """Equal for equal settings and seed."""
        ...


D = TypeVar("D", bound=Trainable)


@dataclass(frozen=True)
class Schedule:
    """How long and in what portions to train.

    steps: optimiser steps (one batch each).
    batch_size: images per step.
    checkpoints: how many times the validation error is measured, evenly spread, the last at the end.
    precision: "fp32", "bf16", "auto" (bf16 where a probe finds it clearly faster) or, on CPUs, "fp64".
    ema_decay: of the running average of the weights that the detector ends with (see
        `adlib.averaging.WeightAverage`); 0 ends with the last weights.
    """

    steps: int
    batch_size: int = 32
    checkpoints: int = 8
    precision: str = "fp32"
    ema_decay: float = 0.99

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be 1 or more.")
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if not 0 <= self.ema_decay < 1:
            raise ValueError(
                f"ema_decay is {self.ema_decay}; expected 0 (no average) or a number below 1, such as 0.99."
            )

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
    averaged: the same for the averaged weights at the end: "validation_error"; empty where there are none.
    seconds: training time, without the checkpoints.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    gradients: dict[str, list[float]] = field(default_factory=dict)
    checkpoints: list[dict[str, float]] = field(default_factory=list)
    averaged: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    step: int = 0
    precision: str = "fp32"
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
    detector: D,
    images: Tensor | StreamedBatches,
    schedule: Schedule,
    *,
    validation: Tensor | None = None,
    augment: Augment | None = None,
    progress: str = "auto",
    on_checkpoint: Callable[[D, int], None] | None = None,
    resume: str | Path | None = None,
) -> History:
    """Train a detector by its own `training_step`.

    Args:
        detector: the detector; its networks end in evaluation mode, with averaged weights if the schedule has any.
        images: training images, uint8 (N, C, H, W), or batches of them streamed from disk.
        schedule: steps, batch size, checkpoints.
        validation: validation-normal images, uint8 (M, C, H, W); only their reconstruction error is used.
        augment: called with each uint8 batch (B, C, H, W), on the device, and a random generator of its own.
        progress: "auto", "notebook" (tqdm), "terminal" (rich) or "quiet".
        on_checkpoint: called with (detector, step) at every checkpoint, networks in evaluation mode, with the
            weights of that step and not their average.
        resume: a file that is written at every checkpoint and read, if present, before the first step. A
            run that is resumed takes exactly the steps that an uninterrupted one would have taken.

    Returns:
        The history.

    Raises:
        FloatingPointError: a loss became NaN or infinite; says which and at which step.
        ValueError: `resume` belongs to another detector or setting; unknown `progress`.
    """
    batches = _batches(detector, images, schedule, augment)
    dtype = pick_precision(schedule.precision, detector.device)
    average = WeightAverage(detector.averaged_networks, schedule.ema_decay) if schedule.ema_decay else None
    own = "fp64" if schedule.precision == "fp64" else "fp32"
    history = History(precision="bf16" if dtype else own)
    marks, identity = schedule.checkpoint_steps(), run_identity(detector, images)
    if resume is not None and Path(resume).is_file():
        history = History(**restore_run(resume, identity, detector, batches, average))
        history.resumed += 1
    gradient_stride = max(1, schedule.steps // 100)
    with bars.bar(progress, schedule.steps, history.step, detector.name) as bar:
        while history.step < schedule.steps:
            start = time.perf_counter()
            losses = _step(detector, next(batches), dtype)
            history.add(losses)
            _refuse_nonfinite(losses, history.step)
            if average is not None:
                average.update(history.step)
            if history.step % gradient_stride == 0:
                _note_gradients(detector, history)
            history.seconds += time.perf_counter() - start
            bar.advance(losses)
            if history.step in marks:
                _checkpoint(detector, history, validation, on_checkpoint)
                if resume is not None:
                    save_run(resume, identity, detector, batches, average, history)
    if average is not None:
        average.copy_into_networks()
        history.averaged = _validation_mark(detector, validation)
    detector.networks.eval()
    return history


def _batches(
    detector: Trainable, images: Tensor | StreamedBatches, schedule: Schedule, augment: Augment | None
) -> Batches | StreamedBatches:
    if isinstance(images, Tensor):
        return Batches(
            images, schedule.batch_size, seed=detector.seed, device=detector.device, augment=augment
        )
    if augment is not None:
        raise ValueError("augment works on images in memory; streamed batches come as they are on disk.")
    for name, expected in {"batch_size": schedule.batch_size, "seed": detector.seed}.items():
        if (given := images.state_dict()[name]) != expected:
            raise ValueError(
                f"the stream has {name}={given}, the detector {expected}; give both the same, "
                f"stream_folder(..., {name}={expected})."
            )
    images.load_state_dict(images.state_dict() | {"batches_drawn": 0})  # of an earlier fit
    return images


def _step(detector: Trainable, batch: Tensor, dtype: torch.dtype | None) -> dict[str, float]:
    detector.networks.train()
    device = detector.device.type
    with torch.autocast(device, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        losses = detector.training_step(detector.normalise(batch))
    values = {name: float(value) for name, value in losses.items()}
    detector.after_step(values)
    return values


def _note_gradients(detector: Trainable, history: History) -> None:
    """The length of each player's gradient, as the step just taken has left it."""
    history.gradients.setdefault("step", []).append(history.step)
    for name, optimiser in detector.optimisers.items():
        gradients = [
            p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None
        ]
        norms = [at_least_float32(gradient).norm() for gradient in gradients]
        history.gradients.setdefault(name, []).append(float(torch.stack(norms).norm()) if norms else 0.0)


def _refuse_nonfinite(losses: dict[str, float], step: int) -> None:
    for name, value in losses.items():
        if not abs(value) < float("inf"):
            raise FloatingPointError(
                f"loss {name!r} became {value} at step {step}. Lower the learning rate, or train with "
                "precision='fp32'; the last checkpoint, if a resume file was given, is untouched."
            )


def _checkpoint(
    detector: D, history: History, validation: Tensor | None, on_checkpoint: Callable[[D, int], None] | None
) -> None:
    mark = {"step": history.step, "seconds": round(history.seconds, 3)}
    history.checkpoints.append(mark | _validation_mark(detector, validation))
    if on_checkpoint is not None:
        detector.networks.eval()
        on_checkpoint(detector, history.step)


def _validation_mark(detector: Trainable, validation: Tensor | None) -> dict[str, float]:
    """The validation error by its name; empty without images, and where it would say nothing."""
    error = None if validation is None else detector.validation_error(validation)
    return {} if error is None else {"validation_error": error}
