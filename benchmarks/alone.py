"""One measurement in a process of its own, whose memory is then nobody else's: `bench.py` starts it.

    python benchmarks/alone.py '{"what": "detector", "name": "ganomaly"}'

It prints numbers by name as one line of JSON: milliseconds, and megabytes of 10^6 bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch

from adlib import load, make_detector
from adlib.averaging import WeightAverage
from adlib.data import LabelledAnomalies
from adlib.detectors import Detector, detector_class

Numbers = dict[str, float]


def peak_mb() -> float:
    """The most memory that this process has held."""
    with contextlib.suppress(OSError):
        return _status(
            "VmHWM"
        )  # getrusage would say that of the process that started this one, if it was larger
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _status(key: str) -> float:
    """A line of /proc/self/status, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1.024e-3 * int(line.split()[1]) for line in lines if line.startswith(key))


def milliseconds(call: Callable[[], object], seconds: float = 1.0) -> float:
    """The median of calls that take so many seconds together, at least one, after one that does not count."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if times[0] > 3:  # of seconds each, the first will do
            break
    return 1e3 * statistics.median(times[1:] or times)


def pictures(count: int, side: int) -> torch.Tensor:
    """Random uint8 images (count, 3, side, side): what is in them changes no time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def detector(name: str, side: int = 64, batch: int = 32, images: int = 64, **changes: Any) -> Numbers:
    """A few steps, or the learning at once; scores; and the memory that all of it took."""
    torch.set_num_threads(1)
    start, train = peak_mb(), pictures(images, side)
    numbers, steps = {}, []
    by_steps = detector_class(name).training_step is not Detector.training_step
    if by_steps:
        changes |= {"steps": 5, "checkpoints": 1, "batch_size": batch}
    kind = make_detector(name, (3, side, side), "book", **changes)
    step = kind.training_step

    def timed(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        begin = time.perf_counter()
        losses = step(batch)
        steps.append(time.perf_counter() - begin)
        return losses

    kind.training_step = timed
    anomalies = {}
    if kind.learns_from_anomalies:
        anomalies = {"anomalies": LabelledAnomalies(train[:batch], ["hole"] * len(train[:batch]))}
    begin = time.perf_counter()
    kind.fit(train, progress="quiet", **anomalies)
    if by_steps:
        numbers["step"] = 1e3 * statistics.median(steps[1:])
    else:
        numbers["at_once"] = 1e3 * (time.perf_counter() - begin)
    many = train[:4] if kind.searches else train
    numbers["one"] = milliseconds(lambda: kind.anomaly_score(train[:1]))
    numbers["many"] = milliseconds(lambda: kind.anomaly_score(many)) / len(many)
    return numbers | {"memory": peak_mb(), "start": start}


def start() -> Numbers:
    """Python, torch and adlib."""
    return {"memory": peak_mb()}


def fit(folder: str) -> Numbers:
    """GANomaly of width 64, 5 steps of 32 images of 64 px from a folder."""
    torch.set_num_threads(1)
    ours = make_detector("ganomaly", (3, 64, 64), "paper", score="D0", steps=5, checkpoints=1)
    ours.fit(load("folder", path=folder, size=64).train, progress="quiet")
    return {"memory": peak_mb()}


def floor() -> Numbers:
    """What `fit` holds before it sees an image: the networks, their gradients, Adam's moments, the average."""
    ours = make_detector("ganomaly", (3, 64, 64), "paper", score="D0")
    for parameter in ours.networks.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimiser in ours.optimisers.values():
        optimiser.step()
    average = WeightAverage(ours.averaged_networks, 0.99)
    average.update(1)
    return {"memory": peak_mb()}


def engine(folder: str) -> Numbers:
    """The same by anomalib's Engine."""
    torch.set_num_threads(1)
    from bench import anomalib_engine

    with contextlib.redirect_stdout(sys.stderr):
        trainer, model, data = anomalib_engine(Path(folder), 5)
        trainer.fit(model, datamodule=data)
    return {"memory": peak_mb()}


def read(folder: str, size: int) -> Numbers:
    """A folder is loaded: what that takes beyond what was there before, and what its images take as uint8."""
    load("texture/wood", size=32, train_images=8)  # what is imported on the way is none of the folder's
    before = _status("VmRSS")
    split = load("folder", path=folder, size=size)
    images = split.train.images, split.validation.images, split.test.images
    return {"memory": peak_mb() - before, "images": sum(part.nbytes for part in images) / 1e6}


def main() -> None:
    """Measure what the argument, a JSON object, asks for."""
    asked = json.loads(sys.argv[1])
    what = {"detector": detector, "fit": fit, "floor": floor, "engine": engine, "read": read, "start": start}[
        asked.pop("what")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(json.dumps(what(**asked)))


if __name__ == "__main__":
    main()
