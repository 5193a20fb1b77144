"""What scoring costs: time and memory, measured on this machine with the detector at hand."""

from __future__ import annotations

import time

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from adlib.detectors import Detector


def seconds_per_image(detector: Detector, images: Tensor, rounds: int = 3) -> float:
    """How long `examine` takes for one image of this batch: the fastest of a few rounds, after one look at two images.

    Args:
        detector: fitted or not; what an image costs does not depend on what was learnt.
        images: uint8 (N, C, H, W).
        rounds: at least 1; 1 is enough for a detector that searches.

    Raises:
        ValueError: rounds below 1. TypeError, ValueError: images that the detector refuses.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; expected 1 or more.")
    detector.examine(images[:2])
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        detector.examine(images)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / len(images)


def scoring_parameters(detector: Detector, images: Tensor) -> int:
    """Number of parameters of the layers that scoring runs: a discriminator that only training uses is left out.

    Args:
        detector: fitted or not.
        images: uint8 (N, C, H, W); two are enough.
    """
    used, layers = set(), list(detector.networks.modules())
    handles = [layer.register_forward_hook(lambda layer, *_: used.add(layer)) for layer in layers]
    detector.networks.eval()
    try:
        with torch.no_grad():  # not `examine`, which scores with a copy of the networks
            detector.inference_step(detector.normalise(images))
    finally:
        for handle in handles:
            handle.remove()
    return sum(parameter.numel() for layer in used for parameter in layer.parameters(recurse=False))


def peak_bytes(detector: Detector, images: Tensor) -> int:
    """The most that torch held at one time while the images were scored, beyond what was there before, in bytes.

    Not counted: weights, what libraries without torch hold (the support vectors of an SVM), and what an operation
    needs for itself between its start and its end.

    Args:
        detector: fitted or not, on the CPU.
        images: uint8 (N, C, H, W), scored as one batch of at most 64.

    Raises:
        ValueError: the detector is on another device.
    """
    if detector.device.type != "cpu":
        raise ValueError(f"the detector is on {detector.device}; peak memory is measured on the CPU.")
    detector.examine(images[:1])  # a copy of the networks that scores is made once
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        detector.examine(images)
    changes = []  # (when, bytes): an operation holds its result from its start on, and lets go at its end
    for event in measured.events():
        if event.name == "[memory]":
            changes.append((event.time_range.start, event.cpu_memory_usage))
        elif freed_or_held := event.self_cpu_memory_usage:
            when = event.time_range.start if freed_or_held > 0 else event.time_range.end
            changes.append((when, freed_or_held))
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most
