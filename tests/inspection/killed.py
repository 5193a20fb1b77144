"""Commands for own images, killed at a random moment: what is under a final name is whole, or was there before."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from discs import write_discs

from adlib.inspection import Inspector

ROOT = Path(__file__).resolve().parents[2]


def commands(folder: Path) -> dict[str, tuple[list[str], Path]]:
    """Command -> its arguments, and the file that it writes; the first makes what the others read."""
    parts, model = folder / "parts", folder / "part.safetensors"
    fit = ["fit", str(parts / "train/good"), "-o", str(model), "--detector", "pca", "--size", "32"]
    return {
        "fit": (fit, model),
        "score": (
            ["score", str(model), str(parts), "--csv", str(folder / "scores.csv")],
            folder / "scores.csv",
        ),
        "report": (
            ["report", str(model), str(parts), "-o", str(folder / "report.html")],
            folder / "report.html",
        ),
    }


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "adlib_book.cli", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def whole(name: str, path: Path) -> bool:
    """Whether a file is what its command writes when nothing stops it."""
    if name == "fit":
        return Inspector.load(path).images > 0
    end = b"</html>" if name == "report" else b"\n"
    return path.read_bytes().rstrip(b" \n").endswith(end.strip()) and path.stat().st_size > 100


def kill_often(folder: Path, times: int, seed: int = 0) -> list[str]:
    """Kill the commands in turn, after a random share of the time that they take.

    Returns:
        What was wrong: a final name with half a file, or something left beside it. Empty if all is well.
    """
    write_discs(folder / "parts", 12, 2)
    made, wrong = commands(folder), []
    takes = {}
    for name, (arguments, output) in made.items():
        begin = time.monotonic()
        start(arguments).wait()
        takes[name] = time.monotonic() - begin
        assert output.is_file(), name
    draw = random.Random(seed)
    for number in range(times):
        name = [*made][number % len(made)]
        arguments, output = made[name]
        before = {path for path in folder.rglob("*") if path.is_file()}
        process = start(arguments)
        time.sleep(takes[name] * draw.uniform(0.3, 1.05))
        process.kill()
        process.wait()
        if not (output.is_file() and whole(name, output)):
            wrong.append(f"{name}, kill {number}: {output.name} is not whole")
        odd = {path.name for path in folder.rglob("*") if path.is_file()} - {path.name for path in before}
        wrong += [f"{name}, kill {number}: {each} was left" for each in odd if not each.startswith(".")]
    return wrong
