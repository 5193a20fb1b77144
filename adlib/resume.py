"""The file that a training is resumed from: networks, average, optimisers, batch order, random state and history."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adlib.averaging import WeightAverage
from adlib.data import Batches, StreamedBatches
from adlib.files import read_tensors, write_tensors

if TYPE_CHECKING:
    from adlib.training import History, Trainable


def run_identity(detector: Trainable, images: Tensor | StreamedBatches) -> str:
    """Name of a run: equal for the same detector, settings, seed and images, uint8 (N, C, H, W) or a stream."""
    return f"{detector.identity()}-{_fingerprint(images)}"


def _fingerprint(images: Tensor | StreamedBatches) -> str:
    """Ten hex digits of the SHA-256 of the pixels, or of a stream's files: a run is resumed on its own images only."""
    if not isinstance(images, Tensor):
        return images.fingerprint
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()[:10]


def save_run(
    path: str | Path,
    identity: str,
    detector: Trainable,
    batches: Batches | StreamedBatches,
    average: WeightAverage | None,
    history: History,
) -> None:
    """Write everything that the next step depends on as one safetensors file, atomically.

    Args:
        path: the file. identity: from `run_identity`.
        detector, batches, average, history: of the run as it stands.
    """
    tensors = {f"networks.{k}": v for k, v in detector.networks.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{k}": v for k, v in average.weights.items()}
    for name, optimiser in detector.optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimisers.{name}.{index}.{key}"] = torch.as_tensor(value)
    tensors["generator"] = detector.generator.get_state()
    metadata = {
        "identity": identity,
        "history": json.dumps(asdict(history)),
        "batches": json.dumps(batches.state_dict()),
    }
    write_tensors(path, tensors, metadata)


def restore_run(
    path: str | Path,
    identity: str,
    detector: Trainable,
    batches: Batches | StreamedBatches,
    average: WeightAverage | None,
) -> dict[str, Any]:
    """Put a run back to where `save_run` has written it.

    Returns:
        The fields of its `History`.

    Raises:
        ValueError: the file was written by another run.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("identity") != identity:
        raise ValueError(
            f"{path} was written by another run ({metadata.get('identity')}), not by {identity}. "
            "Give another resume file, or delete this one."
        )

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    detector.networks.load_state_dict(part("networks."))
    if average is not None:
        average.load(part("average."))
    for name, optimiser in detector.optimisers.items():
        _restore_optimiser(optimiser, part(f"optimisers.{name}."))
    batches.load_state_dict(json.loads(metadata["batches"]))
    detector.generator.set_state(tensors["generator"])
    return json.loads(metadata["history"])


def _restore_optimiser(optimiser: torch.optim.Optimizer, values: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, value in values.items():
        index, slot = key.split(".", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:  # fused Adam walks memory: moments must lie as their weights do
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
