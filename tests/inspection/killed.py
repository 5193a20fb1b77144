"""Work that is killed at a random moment: what is under a final name is whole, what was finished stays, and what is
gone on with ends as an undisturbed run does.

Started as a program it does the work that no command does in small: python killed.py sweep|night|train FOLDER
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent


@dataclass(frozen=True)
class Work:
    """What is started and killed.

    Attributes:
        arguments: of Python.
        outputs: what it writes under final names, to be taken away before it begins anew.
        finished: name -> content of every part that is done; raises where half of one lies under a final name.
        codes: what it may end with.
    """

    arguments: list[str]
    outputs: tuple[Path, ...]
    finished: Callable[[], dict[str, Any]]
    codes: tuple[int, ...] = (0,)


def work(kind: str, folder: Path) -> Work:
    """One of KINDS, in a folder that `prepare` has filled."""
    parts, model, place = folder / "parts", folder / "part.safetensors", folder / kind
    command = ["-m", "adlib_book.cli", kind]
    if kind == "fit":
        output = place / "again.safetensors"
        options = ["-o", str(output), "--detector", "pca", "--size", "32"]
        return Work([*command, str(parts / "train/good"), *options], (output,), lambda: tensors(output))
    if kind == "score":
        output = place / "scores.csv"
        return Work(
            [*command, str(model), str(parts), "--csv", str(output)],
            (output,),
            lambda: whole(output),
            (0, 10),
        )
    if kind == "report":
        output = place / "report.html"
        return Work(
            [*command, str(model), str(parts), "-o", str(output)], (output,), lambda: whole(output), (0, 10)
        )
    if kind == "export":
        output = place / "part.onnx"
        return Work([*command, str(model), str(output)], (output,), lambda: whole(output))
    outputs, finished = {
        "train": ((place / "run.safetensors", place / "trained.safetensors"), trained),
        "sweep": ((place / "ledger.jsonl",), recorded),
        "night": ((place / "_build/nightly/smoke/night.json",), judged),
    }[kind]
    return Work(
        [__file__, kind, str(place)], outputs, lambda: finished(place), (0, 1) if kind == "night" else (0,)
    )


RESUMED = ("train", "sweep", "night")  # begin anew only where their outputs are taken away
KINDS = ("fit", "score", "report", "export", "train", "sweep", "night")


def prepare(folder: Path) -> None:
    """Photographs, a detector fitted to them, and a checkout in miniature with two chapters."""
    from discs import write_discs
    from tiny_checkout import CELLS, make_workspace, write_notebook

    from adlib.inspection import fit_inspector

    write_discs(folder / "parts", 12, 2)
    inspector = fit_inspector(folder / "parts/train/good", "pca", size=32)
    inspector.save(folder / "part.safetensors")
    make_workspace(folder / "night")
    for name in ("01_tiny", "02_tiny"):
        write_notebook(folder / f"night/notebooks/{name}.ipynb", CELLS[:3])


# ---------------------------------------------------------------- the work
def train(folder: Path) -> None:
    """A short training that is saved as it goes, gone on with if it was interrupted."""
    import torch

    from adlib import make_detector

    images = torch.randint(
        0, 256, (24, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    detector = make_detector("cae", (1, 32, 32), "smoke", device="cpu", steps=120, checkpoints=12)
    detector.fit(images, progress="quiet", resume=folder / "run.safetensors")
    detector.save(folder / "trained.safetensors")


def sweep(folder: Path) -> None:
    """Four runs of PCA into a ledger."""
    from adlib_book.ledger import sweep as sweeping
    from adlib_book.ledger.plans import Task

    tiny = {"detector": "pca", "dataset": "texture/wood", "size": 32, "data": {"train": 60}}
    tasks = [Task.of(**tiny, changes={"components": 4}, seed=seed) for seed in range(4)]
    sweeping.sweep(tasks, folder / "ledger.jsonl", "cpu")


def night(folder: Path) -> None:
    """A night of two chapters."""
    from adlib_book.nightly.night import exit_code_of_night
    from adlib_book.runner.workspace import Workspace

    sys.exit(exit_code_of_night((), profile="smoke", workers=1, workspace=Workspace(folder)))


# ---------------------------------------------------------------- what is done
def whole(path: Path) -> dict[str, Any]:
    """A file that is written at once: there, with all of its content, or not there."""
    return {path.name: path.read_bytes()} if path.is_file() else {}


def tensors(path: Path) -> dict[str, Any]:
    """A file of tensors, whose header has no fixed order: what it holds, held against its digest."""
    from adlib.files import read_tensors

    if not path.is_file():
        return {}
    held, metadata = read_tensors(path)
    return {path.name: (metadata, {name: tensor.numpy().tobytes() for name, tensor in held.items()})}


def trained(folder: Path) -> dict[str, Any]:
    """The steps that the last checkpoint holds, and the detector."""
    from adlib.files import read_tensors

    parts = tensors(folder / "trained.safetensors")
    if (folder / "run.safetensors").is_file():
        history = json.loads(read_tensors(folder / "run.safetensors")[1]["history"])
        (losses,) = history["losses"].values()
        parts |= {f"step {number}": loss for number, loss in enumerate(losses, 1)}
    return parts


def recorded(folder: Path) -> dict[str, Any]:
    """The metrics in the ledger by id, each once; a torn last line counts as none, as it does for whoever reads it."""
    from adlib_book.ledger import results

    path = folder / "ledger.jsonl"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ledger.* is not whole JSON")
        records = results.read(path) if path.is_file() else []
    assert len({record["id"] for record in records}) == len(records), "a run is recorded twice"
    return {record["id"]: record["metrics"] for record in records}


def judged(folder: Path) -> dict[str, Any]:
    """Outcome and numbers of each chapter of the night; its reports, records and history are whole."""
    from adlib_book.nightly import history
    from adlib_book.runner.workspace import Workspace

    workspace = Workspace(folder)
    place = workspace.build / "nightly/smoke"
    for path in (workspace.build / "executed").rglob("*.json"):
        json.loads(path.read_text())
        json.loads(path.with_suffix(".ipynb").read_text())
    if (place / "report.html").is_file():
        assert (place / "report.html").read_text().rstrip().endswith("</html>"), "half a report"
        ElementTree.parse(place / "junit.xml")
    if not (place / "night.json").is_file():
        return {}
    saved = json.loads((place / "night.json").read_text())
    lines = [line["chapter"] for line in history.runs(workspace, "smoke") if line["night"] == saved["id"]]
    assert len(set(lines)) == len(lines), "a chapter stands in the history twice for one night"
    assert set(saved["outcomes"]) <= set(lines), "an outcome is not in the history"
    return {
        name: (outcome["outcome"], outcome["record"].get("metrics"))
        for name, outcome in saved["outcomes"].items()
    }


# ---------------------------------------------------------------- killing it
def start(one: Work) -> subprocess.Popen[bytes]:
    """The work in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, *one.arguments]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, **silent)


def visible_files(folder: Path) -> set[str]:
    """Files below a folder that are not hidden, and lie in no hidden folder."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)}


def kill_often(folder: Path, kind: str, times: int, seed: int = 0) -> list[str]:
    """Kill the work after a random share of the time that it takes, go on with it, and kill it again.

    Args:
        folder: see `prepare`. kind: one of KINDS. times: how often. seed: of the moments.

    Returns:
        What was wrong: a final name with half a file, something left beside it, something finished that was lost, an
        end that is not that of an undisturbed run. Empty if all is well.
    """
    one, place, wrong = work(kind, folder), folder / kind, []
    place.mkdir(exist_ok=True)
    begin = time.monotonic()
    code = start(one).wait()
    takes = time.monotonic() - begin
    assert code in one.codes, f"{kind} ended with {code}"
    undisturbed, files = one.finished(), visible_files(place)
    assert undisturbed, kind
    draw, killed, done = random.Random(f"{kind} {seed}"), 0, undisturbed
    # What is gone on with may end, the last time; what begins anew would only repeat the undisturbed run.
    while killed < times + (kind in RESUMED):
        if done == undisturbed and (kind in RESUMED or draw.random() < 0.5):
            for output in one.outputs:
                output.unlink()
            done = {}
        process = start(one)
        try:
            process.wait(takes * draw.uniform(0.3, 1.05) if killed < times else None)
        except subprocess.TimeoutExpired:
            process.kill()
        ended = process.wait() >= 0
        what = f"{kind}, {'end' if ended else f'kill {killed}'}"
        killed += not ended or killed == times
        try:
            now = one.finished()
        except Exception as error:
            return [*wrong, f"{what}: {type(error).__name__}: {error}"]
        wrong += [f"{what}: {name} was lost" for name in done if name not in now]
        wrong += [
            f"{what}: {name} is not that of an undisturbed run"
            for name in now
            if now[name] != undisturbed.get(name)
        ]
        wrong += [f"{what}: {name} was left" for name in visible_files(place) - files]
        if ended and (process.returncode not in one.codes or now != undisturbed):
            wrong.append(f"{what}: ended with {process.returncode}, {len(now)} of {len(undisturbed)} parts")
        done = now
    return wrong


if __name__ == "__main__":
    {"train": train, "sweep": sweep, "night": night}[sys.argv[1]](Path(sys.argv[2]))
