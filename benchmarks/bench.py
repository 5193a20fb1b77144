"""How fast the package is, beside what a user would take in its place: a row per claim, kept in results/.

    make bench                               every row, twenty minutes
    make bench ROWS="score step/64/fp32"     the rows whose names begin so; the others stay as they were measured

Where the machine is busy with other work at the start, the rows go into results/bench_beside.json and the page shows
them as such; results/bench.json is of a machine with nothing else to do.

Two things that are compared run in turns, in one process, with one torch and on one thread, so that a slow moment of
the machine meets both. A ratio is above 1 where ours is faster: the median over the turns, with its quartiles. The
peers live in an environment of their own (`python3 tools/environment.py peers`). What could not be measured is written
down as such, with the reason.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from adlib import load, losses, make_detector, metrics
from adlib.averaging import WeightAverage
from adlib.detectors import detector_names
from adlib.devices import pick_device
from adlib.environment import git_commit, hardware, versions
from adlib.files import write_atomic
from adlib_book.site.speed import GROWTH, ROOFLINE, Row, path, tables

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 12.0  # for the turns of a row, at least three of them
Call = Callable[[], Any]
ROWS: dict[str, Callable[[str], Row]] = {}


class NotMeasured(Exception):
    """This machine cannot say; the reason goes into the table."""


def row(*names: str) -> Callable[[Callable[[str], Row]], Callable[[str], Row]]:
    """Enter a function under the names of its rows."""

    def enter(measure: Callable[[str], Row]) -> Callable[[str], Row]:
        ROWS.update(dict.fromkeys(names, measure))
        return measure

    return enter


def in_turns(*calls: Call, seconds: float = SECONDS, least: int = 3) -> list[list[float]]:
    """Seconds of each, taken in turns after one turn that does not count."""
    times: list[list[float]] = [[] for _ in calls]
    begin = time.perf_counter()
    for turn in itertools.count():
        for taken, call in zip(times, calls):
            start = time.perf_counter()
            call()
            synchronise()
            taken.append(time.perf_counter() - start)
        if (turn >= least and time.perf_counter() - begin > seconds) or turn == 300:
            return [taken[1:] for taken in times]


def synchronise() -> None:
    """Wait for the card, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compared(ours: Call, theirs: Call, scale: float = 1.0, **how: Any) -> dict[str, Any]:
    """Milliseconds of both (medians) and the ratio with its quartiles; `scale` times theirs counts."""
    one, two = in_turns(ours, theirs, **how)
    return ratios(one, [scale * seconds for seconds in two])


def ratios(one: list[float], two: list[float]) -> dict[str, Any]:
    """Milliseconds of both (medians) and the ratio with its quartiles, from seconds of the same turns."""
    low, middle, high = statistics.quantiles([b / a for a, b in zip(one, two)], n=4)
    numbers = {"ours": 1e3 * statistics.median(one), "theirs": 1e3 * statistics.median(two)}
    return {
        key: digits(value) for key, value in {**numbers, "ratio": middle, "low": low, "high": high}.items()
    } | {"turns": len(one)}


def profile(call: Call, operators: int = 4) -> dict[str, float]:
    """Share of the time by torch's operator, the largest first."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        call()
    events = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    return {event.key: digits(event.self_cpu_time_total / whole) for event in events[:operators]}


def digits(value: float) -> float:
    """Three of them."""
    return float(f"{value:.3g}")


def pictures(count: int, side: int, seed: int = 0) -> torch.Tensor:
    """Random uint8 images (count, 3, side, side): what is in them changes no time."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


# ---------------------------------------------------------------------- training steps
def anomalib_ganomaly(side: int) -> nn.Module:
    """anomalib's model of width 64, as its defaults have it."""
    from anomalib.models.image.ganomaly.torch_model import GanomalyModel

    return GanomalyModel((side, side), 3, 64, 100, 0, True).to(pick_device())


def anomalib_step(side: int) -> Callable[[torch.Tensor], None]:
    """The step of anomalib's LightningModule, without Lightning; its losses, its order, its two optimisers."""
    from anomalib.models.image.ganomaly.loss import DiscriminatorLoss, GeneratorLoss

    model, of_generator, of_discriminator = (
        anomalib_ganomaly(side).train(),
        GeneratorLoss(),
        DiscriminatorLoss(),
    )
    second, first = (
        torch.optim.Adam(part.parameters(), lr=0.0002, betas=(0.5, 0.999))
        for part in (model.discriminator, model.generator)
    )

    def step(images: torch.Tensor) -> None:
        padded, fake, latent, latent_again = model(images)
        real, _ = model.discriminator(padded)
        judged, _ = model.discriminator(fake)
        loss = of_generator(latent, latent_again, padded, fake, real, judged)
        first.zero_grad()
        loss.backward(retain_graph=True)
        first.step()
        judged, _ = model.discriminator(fake.detach())
        second.zero_grad()
        of_discriminator(real, judged).backward()
        second.step()

    return step


def processor_has_bf16() -> bool:
    """Whether the arithmetic is there, not emulated."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    with contextlib.suppress(OSError):
        return any(flag in Path("/proc/cpuinfo").read_text() for flag in ("avx512_bf16", "amx_bf16"))
    return False


@row("step/64/fp32", "step/64/bf16", "step/128/fp32", "step/128/bf16")
def step(name: str) -> Row:
    _, side, precision = name.split("/")
    half, batch = precision == "bf16", pictures(32, int(side))
    goal = {"64/fp32": 1.5, "64/bf16": 2.5, "128/fp32": 1.6, "128/bf16": 3.0}[f"{side}/{precision}"]
    about = Row(
        f"GANomaly, one training step of 32 images, {side} px, width 64, {precision}",
        "anomalib 2.7's step in fp32, without its Engine",
        goal=goal,
    )
    if half and not processor_has_bf16():
        raise NotMeasured("this processor has no bf16 arithmetic", about)
    detector = make_detector("ganomaly", (3, int(side), int(side)), "paper")
    peer, images = anomalib_step(int(side)), batch.to(detector.device).float() / 127.5 - 1

    def ours() -> None:
        with torch.autocast(detector.device.type, dtype=torch.bfloat16, enabled=half):
            detector.training_step(detector.normalise(batch))

    return about.with_numbers(compared(ours, lambda: peer(images)), profile(ours))


def dual_steps() -> tuple[Any, Call, Call]:
    """The dual discriminator, its step, and the same equations as a textbook writes them."""
    detector = make_detector("dual_discriminator", (3, 32, 32), "book")
    detector.anomalies, batch = pictures(64, 32, seed=1), pictures(32, 32)
    plain = make_detector("dual_discriminator", (3, 32, 32), "book")
    plain.networks.to(memory_format=torch.contiguous_format)
    nets, weight = plain.networks, plain.config
    optimisers = {
        key: torch.optim.Adam(net.parameters(), 1e-3, foreach=False)
        for key, net in nets.items()
        if key != "counter"
    }

    def move(player: str, loss: torch.Tensor) -> None:
        optimisers[player].zero_grad()
        loss.backward()
        optimisers[player].step()

    def textbook() -> None:
        for group, images in (("normal", batch), ("anomaly", detector.anomalies[:32])):
            real, judge = images.to(plain.device).float() / 127.5 - 1, nets[f"{group}_discriminator"]
            redrawn = nets["generator"](real).image.detach()
            move(f"{group}_discriminator", losses.lsgan_discriminator_loss(judge(real), judge(redrawn)))
            redrawn, latent = nets["generator"](real)
            errors = losses.reconstruction_errors(real, redrawn)
            if group == "normal":
                again = nets["generator"].encode(redrawn)[-1]
                loss = weight.reconstruction * errors.mean() + weight.patch * losses.patch_loss(real, redrawn)
                loss = loss + weight.latent * losses.latent_l1_loss(latent, again)
                loss = loss + weight.adversarial * losses.normal_adversarial_loss(judge(redrawn))
            else:
                loss = weight.abc * losses.abc_loss(errors)
                loss = loss + weight.anomaly_adversarial * losses.anomaly_adversarial_loss(judge(redrawn))
            move("generator", loss)

    return detector, lambda: detector.training_step(detector.normalise(batch)), textbook


@row("dual")
def dual(name: str) -> Row:
    about = Row(
        "Dual discriminator, one update for normal images and one for anomalies, 32 + 32 images of 32 px",
        "the same equations as a textbook writes them: a pass for each term, plain Adam",
        goal=3.0,
    )
    _, ours, textbook = dual_steps()
    return about.with_numbers(compared(ours, textbook, least=9), profile(ours, 8))


@row("ssim")
def ssim(name: str) -> Row:
    about = Row(
        "DSSIM loss of 32 images of 64 px, there and back",
        "1 - SSIM of torchmetrics, with the same Gaussian",
    )
    from torchmetrics.functional.image import structural_similarity_index_measure

    images, others = (torch.rand(32, 3, 64, 64, device=pick_device()) for _ in range(2))
    others.requires_grad_()

    def ours() -> None:
        losses.dssim_loss(2 * images - 1, 2 * others - 1, 11).backward()

    def theirs() -> None:
        (1 - structural_similarity_index_measure(others, images, sigma=1.5, data_range=1.0)).backward()

    return about.with_numbers(compared(ours, theirs, seconds=6, least=9))


@row("average")
def average(name: str) -> Row:
    about = Row(
        "Running average of the weights, GANomaly of width 16",
        "the training step it comes after: 50 means two per cent of it",
        goal=50.0,
    )
    detector, batch = make_detector("ganomaly", (3, 64, 64), "book"), pictures(32, 64)
    mean = WeightAverage(detector.averaged_networks, 0.99)
    return about.with_numbers(
        compared(lambda: mean.update(100), lambda: detector.training_step(detector.normalise(batch)), least=9)
    )


@row("loop")
def loop(name: str) -> Row:
    about = Row(
        "The training loop around 10 steps of GANomaly, width 16: batches, history, gradients, averaged weights",
        "its own steps, timed inside it; 0.97 means that the loop costs three per cent",
        goal=0.97,
    )
    detector = make_detector("ganomaly", (3, 64, 64), "book", steps=10, checkpoints=1)
    images, step, inside = pictures(64, 64), detector.training_step, []

    def timed(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        begin = time.perf_counter()
        losses = step(batch)
        synchronise()
        inside.append(time.perf_counter() - begin)
        return losses

    detector.training_step = timed
    (whole,) = in_turns(lambda: detector.fit(images, progress="quiet"), least=5)
    # The first turn does not count.
    bare = [sum(inside[first : first + 10]) for first in range(10, len(inside), 10)]
    return about.with_numbers(ratios(whole, bare))


# ---------------------------------------------------------------------- scoring
@row("score/64/1", "score/64/32", "score/128/32", "score/64/1/D1", "score/64/32/D1", "score/128/32/D1")
def score(name: str) -> Row:
    _, side, count, *other = name.split("/")
    kind = "D1, Tang et al.'s, with a discriminator more" if other else "D0, the score that both compute"
    about = Row(
        f"GANomaly of width 64 scores {count} image{'s' * (count != '1')}, {side} px: {kind}",
        "anomalib 2.7's model",
        goal=1.5 if count == "1" else 2.0,
    )
    shape = (3, int(side), int(side))
    detector = make_detector("ganomaly", shape, "paper", score=other[0] if other else "D0")
    images, peer = pictures(int(count), int(side)), anomalib_ganomaly(int(side)).eval()
    floats = images.to(detector.device).float() / 127.5 - 1

    @torch.inference_mode()
    def theirs() -> None:
        peer(floats)

    numbers = compared(lambda: detector.anomaly_score(images), theirs)
    return about.with_numbers(numbers, profile(lambda: detector.anomaly_score(images)))


@row("peak/step/64", "peak/score/64/1", "peak/score/64/32")
def peak(name: str) -> Row:
    """How far the arithmetic is from what this processor can do: the share that no other code could save."""
    _, kind, _, *count = name.split("/")
    images = pictures(int(count[0]) if count else 32, 64)
    about = Row(
        "GANomaly of width 64: "
        + ("a training step" if kind == "step" else "the score D0")
        + f" of {len(images)} image{'s' * (len(images) > 1)}, 64 px",
        "the same number of multiplications as products of 1,024 x 1,024 matrices",
    )
    detector = make_detector("ganomaly", (3, 64, 64), "paper", score="D0")
    plain = detector.normalise(images)

    def call() -> None:
        detector.training_step(plain) if kind == "step" else detector.anomaly_score(images)

    with Counted() as counted:
        detector.training_step(plain) if kind == "step" else plain_score(detector, plain)
    square = torch.rand(1024, 1024, device=detector.device)
    return about.with_numbers(compared(call, lambda: square @ square, counted.operations / (2 * 1024**3)))


@torch.no_grad()
def plain_score(detector: Any, images: torch.Tensor) -> None:
    """The score by the networks as they were trained, whose operations torch can count."""
    detector.networks.eval()
    detector.score_step(images, detector.config.score)


@row("anogan")
def anogan(name: str) -> Row:
    about = Row(
        "AnoGAN's search for 64 images at once, 32 px, width 16, 10 steps",
        "one image after the other",
        goal=20.0,
    )
    detector = make_detector("anogan", (3, 32, 32), "book", width=16, search_steps=10)
    images = pictures(64, 32)

    def one_by_one() -> None:
        for image in images:
            detector.anomaly_score(image[None])

    return about.with_numbers(compared(lambda: detector.anomaly_score(images), one_by_one))


@row("pyod")
def pyod(name: str) -> Row:
    about = Row(
        "The convolutional auto-encoder scores 256 grey images of 32 px",
        "PyOD's AutoEncoder as it comes, on the pixels: dense layers, another and a smaller network",
    )
    from pyod.models.auto_encoder import AutoEncoder

    images = pictures(256, 32)[:, :1]
    table = images.flatten(1).numpy().astype(np.float32) / 255
    peer = AutoEncoder(epoch_num=1, verbose=0, device="cpu")
    peer.fit(table)
    detector = make_detector("cae", (1, 32, 32), "book", device="cpu")
    return about.with_numbers(
        compared(lambda: detector.anomaly_score(images), lambda: peer.decision_function(table))
    )


# ---------------------------------------------------------------------- roofline
class Counted(TorchDispatchMode):
    """Operations of products and convolutions inside, and bytes of the inputs and outputs of all that is no view."""

    operations = moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=result)
        alias = func._schema.returns[0].alias_info if func._schema.returns else None
        if alias is None or alias.is_write:
            tensors = (leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor))
            self.moved += sum(tensor.nbytes for tensor in tensors)
        return result


def roofline_calls(name: str) -> tuple[Call, Call]:
    """What is timed, and the same with operations that torch can count."""
    kind, which, *rest = name.split("/")
    if kind == "dual":
        _, ours, textbook = dual_steps()
        call = ours if which == "ours" else textbook
        return call, call
    if kind == "anogan":
        searching = make_detector("anogan", (3, 32, 32), "book", width=16, search_steps=10)
        images = pictures(int(which), 32)
        plain = searching.normalise(images)
        return lambda: searching.anomaly_score(images), lambda: plain_score(searching, plain)
    profile_name = "paper" if which == "64" else "book"
    detector, images = make_detector("ganomaly", (3, 64, 64), profile_name), pictures(32, 64)
    if rest == ["step"]:
        plain = detector.normalise(images)
        return lambda: detector.training_step(plain), lambda: detector.training_step(plain)
    detector = make_detector("ganomaly", (3, 64, 64), profile_name, score="D0")
    images = images[: 1 if rest == ["one"] else 32]
    plain = detector.normalise(images)
    return lambda: detector.anomaly_score(images), lambda: plain_score(detector, plain)


@row(*(f"roofline/{name}" for name in ROOFLINE))
def roofline(name: str) -> Row:
    call, plain = roofline_calls(name.removeprefix("roofline/"))
    with Counted() as counted:
        plain()
    square, source = (torch.rand(1024, side, device=pick_device()) for side in (1024, 65536))
    target = torch.empty_like(source)
    times = in_turns(call, lambda: square @ square, lambda: target.copy_(source), seconds=6, least=5)
    taken, product, copy = map(statistics.median, times)
    products = product * counted.operations / (2 * 1024**3)
    copies = copy * counted.moved / (2 * source.nbytes)
    numbers = {
        "gflop": counted.operations / 1e9,
        "gbyte": counted.moved / 1e9,
        "arithmetic": 1e3 * products,
        "traffic": 1e3 * copies,
        "taken": 1e3 * taken,
        "reached": max(products, copies) / taken,
    }
    return table_row(name).with_numbers({key: digits(value) for key, value in numbers.items()})


def table_row(name: str) -> Row:
    """A row without a peer."""
    return Row(next(table.titles[name] for table in tables().values() if name in table.titles))


# ---------------------------------------------------------------------- each alone: time and memory
def alone(**asked: Any) -> dict[str, float]:
    """What `alone.py` measures in a fresh process."""
    command = [sys.executable, str(ROOT / "benchmarks" / "alone.py"), json.dumps(asked)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@row(*(f"detector/{name}" for name in detector_names()))
def every_detector(name: str) -> Row:
    numbers = alone(what="detector", name=name.split("/")[1])
    return table_row(name).with_numbers({key: digits(value) for key, value in numbers.items()})


@row(*(f"growth/{setting}/{value}" for setting, values in GROWTH.items() for value in values))
def growth(name: str) -> Row:
    _, setting, value = name.split("/")
    numbers = alone(what="detector", name="ganomaly", **{setting: int(value)})
    return table_row(name).with_numbers({key: digits(value) for key, value in numbers.items()})


def compared_memory(turns: list[tuple[float, float]]) -> dict[str, float]:
    """Megabytes of both (medians), and the ratio with its extremes."""
    ours, theirs = (statistics.median(values) for values in zip(*turns))
    ratios = sorted(other / own for own, other in turns)
    numbers = {"ours": ours, "theirs": theirs, "ratio": statistics.median(ratios)}
    numbers |= {"low": ratios[0], "high": ratios[-1]}
    return {key: digits(value) for key, value in numbers.items()} | {"turns": len(turns)}


@row("memory/fit", "memory/floor", "memory/load")
def memory(name: str) -> Row:
    if name == "memory/floor":
        about = Row(
            "Of it, before the first image: torch and its optimisers' code, weights, gradients, moments, average",
            "of that, Python with torch and adlib imported",
            unit="MB",
        )
        turns = [(alone(what="floor")["memory"], alone(what="start")["memory"]) for _ in range(3)]
        return about.with_numbers(compared_memory(turns))
    if name == "memory/load":
        about = Row(
            "190 PNG files of 512 px, kept at that size: the most that `load` takes",
            "the images as uint8; 0.77 means 1.3 times as much",
            goal=0.77,
            unit="MB",
        )
        with folder_of_images() as folder:
            seen = [alone(what="read", folder=str(folder), size=512) for _ in range(3)]
        return about.with_numbers(compared_memory([(one["memory"], one["images"]) for one in seen]))
    about = Row(
        "GANomaly of width 64 at 64 px from a folder: 190 files read, 5 steps of 32 images; peak of a fresh process",
        "anomalib 2.7's `engine.fit`, 5 batches",
        goal_mb=800.0,
        unit="MB",
    )
    with folder_of_images() as folder:
        turns = [
            (
                alone(what="fit", folder=str(folder))["memory"],
                alone(what="engine", folder=str(folder))["memory"],
            )
            for _ in range(2)
        ]
    return about.with_numbers(compared_memory(turns))


# ---------------------------------------------------------------------- import
def timed_process(script: str, *arguments: str) -> list[float]:
    """The numbers that a fresh interpreter prints."""
    command = [sys.executable, "-c", script, *arguments]
    return [
        float(word)
        for word in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    ]


CLOCK = "import time; a = time.perf_counter(); import torch; b = time.perf_counter(); "


@row("import", "verdict")
def start(name: str) -> Row:
    script, words, goal = {
        "import": ("from adlib import load, make_detector; ", "from adlib import load, make_detector", 8.0),
        "verdict": (
            "import sys; from adlib import Detector; Detector.load(sys.argv[1]).predict(sys.argv[2]); ",
            "A saved detector, loaded, and its verdict on a file",
            1.6,
        ),
    }[name]
    about = Row(
        f"{words}, after import torch",
        "import torch itself; the goal is seconds on a machine that takes 2.4",
        goal=goal,
    )
    times = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = load("texture/wood", size=64, train_images=48)
        detector = make_detector("ganomaly", split.image_shape, "book", steps=2, checkpoints=1)
        detector.fit(split.train, split.validation, progress="quiet").save(f"{folder}/detector.safetensors")
        from torchvision.io import write_png

        write_png(split.test.images[0], f"{folder}/image.png")
        for _ in range(5):
            end = "c = time.perf_counter(); print(b - a, c - b)"
            times.append(
                timed_process(CLOCK + script + end, f"{folder}/detector.safetensors", f"{folder}/image.png")
            )
    theirs, ours = zip(*times[1:])
    low, middle, high = statistics.quantiles([b / a for a, b in zip(ours, theirs)], n=4)
    numbers = {"ours": 1e3 * statistics.median(ours), "theirs": 1e3 * statistics.median(theirs)}
    numbers |= {"ratio": middle, "low": low, "high": high}
    return about.with_numbers({key: digits(value) for key, value in numbers.items()} | {"turns": len(ours)})


# ---------------------------------------------------------------------- threads and neighbours
NETS = {
    "ganomaly": 64,
    "unet": 64,
    "dual_discriminator": 32,
    "ssim_ae": 64,
    "dagan": 64,
    "vae": 64,
}  # and their side


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """So many of torch's threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def book_step(name: str) -> Call:
    """One training step of a detector with its book settings."""
    shape = (3, NETS[name], NETS[name])
    detector = make_detector(name, shape, "book", device="cpu")
    batch = pictures(detector.config.batch_size, NETS[name])
    if detector.learns_from_anomalies:
        detector.anomalies = batch
    return lambda: detector.training_step(detector.normalise(batch))


@row(*(f"threads/{name}" for name in NETS))
def two_threads(name: str) -> Row:
    about = Row(
        f"A training step of `{name.split('/')[1]}` with its book settings: one thread", "two threads"
    )
    if (os.cpu_count() or 1) < 2:
        raise NotMeasured("this machine has one core", about)
    call = book_step(name.split("/")[1])

    def two() -> None:
        with threads(2):
            call()

    return about.with_numbers(compared(call, two, seconds=6))


def crowded() -> bool:
    """Whether other work has the cores that a measurement of minutes, or of neighbours, would need."""
    return os.getloadavg()[0] > (os.cpu_count() or 1) - 0.5


@row("beside/one", "beside/two")
def beside(name: str) -> Row:
    count = {"one": 1, "two": 2}[name.split("/")[1]]
    about = Row(
        f"A training step of `unet` on {'one thread' if count == 1 else 'two threads'} beside one busy process",
        "the same alone: 0.67 means half as long again",
        goal=0.67 if count == 1 else None,
    )
    if crowded():
        raise NotMeasured("other work filled this machine's cores already", about)
    call = book_step("unet")
    busy = "import torch; torch.set_num_threads(1); a = torch.rand(512, 512)\nwhile True: a @ a"

    def measured() -> float:
        with threads(count):
            return statistics.median(in_turns(call, seconds=2)[0])

    alone, pressed = [], []
    for _ in range(3):
        alone.append(measured())
        neighbour = subprocess.Popen([sys.executable, "-c", busy])
        try:
            time.sleep(3)
            pressed.append(measured())
        finally:
            neighbour.kill()
            neighbour.wait()
    ratios = sorted(a / b for a, b in zip(alone, pressed))
    numbers = {"ours": 1e3 * statistics.median(pressed), "theirs": 1e3 * statistics.median(alone)}
    numbers |= {"low": ratios[0], "ratio": ratios[1], "high": ratios[2]}
    return about.with_numbers({key: digits(value) for key, value in numbers.items()} | {"turns": 3})


# ---------------------------------------------------------------------- metrics
@row("metrics/auroc", "metrics/aupro")
def metric(name: str) -> Row:
    titles = {"auroc": "Pixel AUROC", "aupro": "AUPRO"}
    kind = name.split("/")[1]
    about = Row(
        f"{titles[kind]} of 200 maps of 256 x 256 pixels",
        {
            "auroc": "scikit-learn's roc_auc_score of all pixels",
            "aupro": "all pixels ordered by score, then summed",
        }[kind],
        goal_ms=1000.0,
    )
    generator = np.random.default_rng(0)
    maps, masks = generator.random((200, 256, 256), dtype=np.float32), np.zeros((200, 256, 256), bool)
    for mask in masks[:140]:
        for row_, column, height, width in generator.integers((0, 0, 4, 4), (220, 220, 36, 36), (3, 4)):
            mask[row_ : row_ + height, column : column + width] = True
    maps += 0.2 * masks
    if kind == "aupro":
        return about.with_numbers(
            compared(lambda: metrics.aupro(masks, maps), lambda: ordered_aupro(masks, maps))
        )
    from sklearn.metrics import roc_auc_score

    return about.with_numbers(
        compared(lambda: metrics.pixel_auroc(masks, maps), lambda: roc_auc_score(masks.ravel(), maps.ravel()))
    )


def ordered_aupro(masks: np.ndarray, maps: np.ndarray, limit: float = 0.3) -> float:
    """AUPRO by its definition: every pixel in order of its score."""
    from scipy import ndimage

    structure = np.zeros((3, 3, 3), bool)
    structure[1] = True
    regions, count = ndimage.label(masks, structure)
    sizes = np.bincount(regions.ravel())
    weights = np.where(regions, 1 / (sizes[regions] * count), 0).ravel()
    order = np.argsort(-maps.ravel())
    rates = np.cumsum(~masks.ravel()[order]) / (~masks).sum()
    overlap = np.cumsum(weights[order])
    inside = rates <= limit
    return float(np.trapezoid(overlap[inside], rates[inside]) / limit)


# ---------------------------------------------------------------------- folders
@contextlib.contextmanager
def folder_of_images(good: int = 150) -> Iterator[Path]:
    """A folder in MVTec's layout: PNG files of 512 x 512, half of the tests with a square."""
    from PIL import Image

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for part, count in (("train/good", good), ("test/good", 20), ("test/hole", 20)):
            place = Path(name) / "set" / part
            place.mkdir(parents=True)
            for number in range(count):
                coarse = Image.fromarray(generator.integers(0, 255, (40, 40, 3), dtype=np.uint8))
                coarse.resize((512, 512), Image.Resampling.BICUBIC).save(place / f"{number:03}.png")
        yield Path(name) / "set"


def linked(folder: Path, number: int) -> str:
    """The same files under another name, of which no cache knows."""
    return str(shutil.copytree(folder, folder.with_name(f"copy{number}"), copy_function=os.link))


def image_folder(folder: Path, side: int = 64) -> Any:
    """torchvision's loader, as its tutorials have it: a transform per Pillow image, batches of 32."""
    from torchvision import datasets, transforms

    change = transforms.Compose(
        [transforms.Resize((side, side)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    return torch.utils.data.DataLoader(datasets.ImageFolder(str(folder), change), batch_size=32, shuffle=True)


@row("load/cold", "load/again")
def folders(name: str) -> Row:
    again = name.endswith("again")
    about = Row(
        f"190 PNG files of 512 px to 64 px: `load`, {'a second time' if again else 'the first time'}",
        "torchvision's ImageFolder with transforms, read once",
        goal=None if again else 3.0,
        goal_ms=100.0 if again else None,
    )
    with folder_of_images() as folder:
        copies = itertools.count()

        def ours() -> None:
            if again:
                load("folder", path=str(folder), size=64)
                return
            load("folder", path=linked(folder, next(copies)), size=64)

        def theirs() -> None:
            for part in ("train", "test"):
                for _ in image_folder(folder / part):
                    pass

        ours()
        return about.with_numbers(compared(ours, theirs))


def decoded(folder: Path) -> None:
    """Every PNG file below a folder through Pillow's decoder, one after the other, and nothing else."""
    from PIL import Image

    for file in sorted(folder.rglob("*.png")):
        with Image.open(file) as image:
            image.load()


@row("load/limit")
def decoding(name: str) -> Row:
    about = Row(
        "The same 190 files decoded by Pillow and nothing else: what no loader on one core can beat",
        "torchvision's ImageFolder with transforms, read once",
    )
    with folder_of_images() as folder:

        def theirs() -> None:
            for part in ("train", "test"):
                for _ in image_folder(folder / part):
                    pass

        return about.with_numbers(compared(lambda: decoded(folder), theirs, seconds=6))


def anomalib_engine(folder: Path, batches: int) -> tuple[Any, Any, Any]:
    """anomalib's engine, its GANomaly and its data module for a folder, quiet, at 64 pixels."""
    import logging

    from anomalib.data import Folder
    from anomalib.engine import Engine
    from anomalib.models import Ganomaly
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Resize

    logging.disable(logging.WARNING)
    parts = {"normal_dir": "train/good", "abnormal_dir": "test/hole", "normal_test_dir": "test/good"}
    data = Folder("set", root=folder, **parts, num_workers=0, train_batch_size=32, eval_batch_size=32)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    engine = Engine(max_steps=2 * batches, default_root_dir=str(folder.parent / "engine"), **quiet)
    return engine, Ganomaly(pre_processor=PreProcessor(transform=Resize((64, 64)))), data


@row("engine/fit", "engine/test")
def engine(name: str) -> Row:
    test = name.endswith("test")
    about = Row(
        "GANomaly of width 64 scores the 40 test files of a folder, 64 px"
        if test
        else "GANomaly of width 64 at 64 px from a folder: 190 files read, 5 steps of 32 images",
        "anomalib 2.7's `engine.test`, with its metrics"
        if test
        else "anomalib 2.7's `engine.fit`, 5 batches",
        goal=10.0 if test else 2.3,
    )
    if crowded() and not test:
        raise NotMeasured("minutes a turn beside the other work on this machine", about)
    detector = make_detector("ganomaly", (3, 64, 64), "paper", score="D0", steps=5, checkpoints=1)
    with folder_of_images() as folder, contextlib.redirect_stdout(sys.stderr):
        copies, peer = itertools.count(), anomalib_engine(folder, 5)

        def ours() -> None:
            fresh = linked(folder, next(copies))
            if test:
                detector.anomaly_score([f"{fresh}/test/good", f"{fresh}/test/hole"])
            else:
                detector.fit(load("folder", path=fresh, size=64).train, progress="quiet")

        def theirs() -> None:
            trainer, model, data = peer if test else anomalib_engine(folder, 5)
            (trainer.test if test else trainer.fit)(model, datamodule=data)

        return about.with_numbers(compared(ours, theirs, seconds=20, least=2))


@row("engine/limit")
def engine_limit(name: str) -> Row:
    about = Row(
        "The 40 test files decoded by Pillow, one after the other, and scored by anomalib's bare model",
        "anomalib 2.7's `engine.test`, with its metrics",
    )
    with folder_of_images() as folder, contextlib.redirect_stdout(sys.stderr):
        trainer, model, data = anomalib_engine(folder, 5)
        bare, floats = anomalib_ganomaly(64).eval(), torch.rand(40, 3, 64, 64, device=pick_device())

        @torch.inference_mode()
        def least() -> None:
            decoded(folder / "test")
            for part in floats.split(32):
                bare(part)

        return about.with_numbers(
            compared(least, lambda: trainer.test(model, datamodule=data), seconds=15, least=2)
        )


# ---------------------------------------------------------------------- all of it
def main() -> None:
    """Measure the rows whose names begin with one of the arguments; without any, all."""
    asked = sys.argv[1:]
    chosen = [name for name in ROWS if not asked or any(name.startswith(word) for word in asked)]
    if not chosen:
        raise SystemExit(f"no row begins with {' or '.join(asked)}; there are: {', '.join(ROWS)}.")
    torch.set_num_threads(1)
    file = path(ROOT, beside=os.getloadavg()[0] > 0.5)
    print(f"into {file.relative_to(ROOT)}", flush=True)
    for name in chosen:
        begin = time.perf_counter()
        try:
            measured = ROWS[name](name)
        except NotMeasured as reason:
            measured = reason.args[1].not_measured(str(reason.args[0]))
        except ModuleNotFoundError as missing:
            raise SystemExit(
                f"{missing}. Run it by make bench, in the environment of the peers."
            ) from missing
        about = {
            "machine": hardware() | {"threads": 1},
            "torch": versions()["torch"],
            "commit": git_commit(),
            "on": time.strftime("%Y-%m-%d"),
        }
        results = json.loads(file.read_text()) if file.is_file() else {}
        results[name] = measured.as_json() | about
        results = {key: results[key] for key in ROWS if key in results}
        write_atomic(file, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(f"{name:24} {measured.sentence()}  [{time.perf_counter() - begin:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
