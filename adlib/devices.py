"""Which device computes, and in which precision."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from adlib.errors import unknown_name

PRECISIONS = ("auto", "fp32", "fp64", "bf16")
# Weights x pixels x images of a batch. Found by measuring steps of the book's networks (1e10 to 2.5e11), of which none
# gains a third from a second thread, and of networks of the published width (1.8e12 and more), which gain nearly all.
MANY_OPERATIONS = 1e12


def pick_device(device: str | torch.device = "auto", precision: str = "fp32") -> torch.device:
    """The device to compute on.

    Args:
        device: "auto" takes CUDA, then MPS, then the CPU; anything torch knows ("cuda:1", "cpu", "meta") is
            taken as is.
        precision: one of PRECISIONS. With "fp64" "auto" takes the CPU: MPS has no float64, and cards that have it
            sum in an order of their own, while fp64 is there for runs that agree between machines.

    Raises:
        ValueError: torch does not know the name, the device is not on this machine, or the precision is for
            CPUs only.
    """
    if device == "auto" and precision == "fp64":
        return torch.device("cpu")
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"unknown device {device!r}: use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'."
        ) from error
    missing = (chosen.type == "cuda" and not torch.cuda.is_available()) or (
        chosen.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ValueError(f"device {device!r} is not on this machine; use device='auto' or 'cpu'.")
    if precision == "fp64" and chosen.type not in ("cpu", "meta"):
        raise ValueError(
            f"precision 'fp64' is for the CPU, not for device {device!r}: use device='cpu', or precision='fp32'."
        )
    return chosen


def pick_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for training: torch.bfloat16, or None where the networks' own type is computed in.

    Args:
        precision: "fp32", "fp64", "bf16", or "auto", which times both on this device and takes bf16 only where it is at
            least 1.2 times faster (on processors and cards without bf16 arithmetic it is many times slower).
        device: where training will run.

    Raises:
        ValueError: another name.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if precision in ("fp32", "fp64") or device.type == "meta":
        return None
    if precision == "bf16":
        return torch.bfloat16
    return torch.bfloat16 if _bf16_gain(device) >= 1.2 else None


@contextlib.contextmanager
def threads_for(work: float, device: torch.device) -> Iterator[None]:
    """torch's threads while a batch is computed: one below MANY_OPERATIONS, else as many as there were; then put back.

    Small networks gain little from a second thread, and two threads wait for each other whenever another program has
    one of the cores: a step may then take forty times as long. The rule looks at network and batch and at no clock, so
    that the same call computes alike on every run. Where OMP_NUM_THREADS is set, it counts; the environment variable
    ADLIB_THREADS, a whole number, counts before everything.

    Args:
        work: weights x pixels x images, see MANY_OPERATIONS. device: where it runs; other devices have no threads.

    Raises:
        ValueError: ADLIB_THREADS is no whole number from 1 on.
    """
    asked, before = os.environ.get("ADLIB_THREADS", ""), torch.get_num_threads()
    if asked and not (asked.isdecimal() and int(asked) > 0):
        raise ValueError(f"ADLIB_THREADS is {asked!r}; expected a whole number from 1 on, or nothing.")
    count = int(asked or 1)
    free = "OMP_NUM_THREADS" in os.environ or work >= MANY_OPERATIONS
    if device.type != "cpu" or count == before or (free and not asked):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def network_dtype(precision: str) -> torch.dtype:
    """Type of weights, scores and maps: float64 with "fp64", else float32 (bf16 is a matter of autocast)."""
    return torch.float64 if precision == "fp64" else torch.float32


def at_least_float32(tensor: Tensor) -> Tensor:
    """A tensor of any shape in the precision that sums are taken in: half precision becomes float32, float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@functools.cache
def _bf16_gain(device: torch.device) -> float:
    """How many times faster a convolutional step is in bf16 than in float32 on this device.

    On one thread, in turns, and the best of each: another program on the machine must not decide for us, and
    timings with several threads reflect other programs.
    """
    if device.type not in ("cpu", "cuda"):
        return 0.0
    network, images = _small_network(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Where bf16 is emulated a step takes twenty times as long: two images are enough to see that.
        first = [_step_seconds(network, images[:2], dtype, 1) for dtype in (None, torch.bfloat16)]
        if first[1] > 3 * first[0]:
            return first[0] / first[1]
        turns = [(_step_seconds(network, images, None, 2), _step_seconds(network, images, torch.bfloat16, 2))
                 for _ in range(4)]  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    plain, half = (min(times) for times in zip(*turns))
    return plain / half


def _small_network(device: torch.device) -> tuple[nn.Sequential, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        layers = nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(128, 256, 4, 2, 1)
        network, images = nn.Sequential(*layers), torch.randn(16, 64, 32, 32)
    network.to(device).to(memory_format=torch.channels_last)
    return network, images.to(device, memory_format=torch.channels_last)


def _step_seconds(
    network: nn.Sequential, images: torch.Tensor, dtype: torch.dtype | None, rounds: int = 6
) -> float:
    """The fastest of a few steps, after one that does not count."""
    seconds, weights = [], next(network.parameters())
    for _ in range(rounds + 1):
        start = time.perf_counter()
        with torch.autocast(images.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            network(images).float().square().mean().backward()
        assert weights.grad is not None
        weights.grad[0, 0, 0, 0].item()  # a card is done when its last value can be read
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
