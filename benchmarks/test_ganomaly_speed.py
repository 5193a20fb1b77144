"""GANomaly's training step and scoring against the same thing written plainly, as ratios in one run.

    make bench

The plain step is the one of the released code: three forward passes through the discriminator, plain Adam, memory
as it comes, float32. Absolute times depend on the machine; the ratios are what to compare.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from adlib.detectors import make_detector
from adlib.detectors.ganomaly import VARIANTS
from adlib.devices import pick_precision
from adlib.environment import hardware, source_hash
from adlib.files import write_atomic
from adlib.models.ganomaly import Discriminator, Generator, initialise_dcgan

REPORT = Path(__file__).resolve().parent.parent / "_build" / "benchmarks" / "ganomaly.json"


def _plain_step(size: int, width: int, weight):
    generator = Generator(size, 3, 100, width).apply(initialise_dcgan)
    discriminator = Discriminator(size, 3, width).apply(initialise_dcgan)
    ours = torch.optim.Adam(generator.parameters(), weight.learning_rate, (0.5, 0.999), foreach=False)
    theirs = torch.optim.Adam(discriminator.parameters(), weight.learning_rate, (0.5, 0.999), foreach=False)
    bce = nn.BCEWithLogitsLoss()

    def step(images):
        generated = generator(images)
        real, fake = discriminator(images), discriminator(generated.image)
        loss = (
            weight.adversarial * nn.functional.mse_loss(fake[1], real[1])
            + weight.contextual * nn.functional.l1_loss(generated.image, images)
            + weight.latent * nn.functional.mse_loss(generated.latent_again, generated.latent)
        )
        ours.zero_grad()
        loss.backward(retain_graph=True)
        again = discriminator(generated.image.detach())
        theirs.zero_grad()
        ((bce(real[0], torch.ones_like(real[0])) + bce(again[0], torch.zeros_like(again[0]))) / 2).backward()
        ours.step()
        theirs.step()

    return step


def _alternate(first, second, rounds: int = 9) -> tuple[float, float]:
    """Median seconds of both, taken in turns so that a slow moment of the machine hits both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for seconds, call in zip(times, (first, second)):
            start = time.perf_counter()
            call()
            if number >= 2:
                seconds.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


@pytest.mark.parametrize("width", [16, 64])
def test_step_is_faster_than_the_plain_one(width):
    size, batch = 64, torch.randint(0, 256, (32, 3, 64, 64), dtype=torch.uint8)
    detector = make_detector("ganomaly", (3, size, size), "book", width=width)
    dtype = pick_precision("auto", detector.device)
    plain, images = _plain_step(size, width, VARIANTS["tang"]), batch.float() / 127.5 - 1

    def ours():
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            detector.training_step(detector.normalise(batch))

    fast, slow = _alternate(ours, lambda: plain(images))
    _keep(
        f"step, width {width}, {'bf16' if dtype else 'fp32'}",
        {"ours": fast, "plain": slow, "ratio": slow / fast},
    )
    assert slow / fast > 1.0


def test_scoring_speed():
    detector = make_detector("ganomaly", (3, 64, 64), "book")
    images = torch.randint(0, 256, (128, 3, 64, 64), dtype=torch.uint8)
    together, alone = _alternate(lambda: detector.examine(images), lambda: detector.examine(images[:1]))
    _keep(
        "scoring, width 16", {"images/s, portions of 64": 128 / together, "images/s, one by one": 1 / alone}
    )


def _keep(name: str, figures: dict[str, float]) -> None:
    print(name, {key: round(value, 4) for key, value in figures.items()})
    kept = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    kept[name] = {**figures, "adlib": source_hash(), "hardware": hardware()}
    write_atomic(REPORT, json.dumps(kept, indent=1))
