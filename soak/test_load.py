"""A hundred thousand photographs through one detector in flat memory, and four processes on one file at once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IMAGES = int(os.environ.get("ADLIB_IMAGES", "100000"))
FEW = 1000
ADLIB = [sys.executable, "-m", "adlib_book.cli"]


def photographs(folder: Path, count: int) -> Path:
    """A folder of grey noise: sixteen photographs, each under many names."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:06}.png"
        if number < 16:
            Image.fromarray(random.integers(0, 256, (32, 32), dtype=np.uint8)).save(path)
        else:
            os.link(folder / f"{number % 16:06}.png", path)
    return folder


def score(detector: Path, folder: Path, table: Path) -> tuple[int, list[dict[str, str]]]:
    """Score a folder in a process of its own: the most memory that it held, in bytes, and the rows of its table."""
    command = [*ADLIB, "score", str(detector), str(folder), "--csv", str(table)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 10), errors
    with table.open() as lines:
        return 1024 * usage.ru_maxrss, list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    path = folder / "part.safetensors"
    good = photographs(folder / "good", 16)
    command = [*ADLIB, "fit", str(good), "-o", str(path), "--detector", "pca", "--size", "32"]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.timeout(5400)
def test_memory_does_not_grow_with_the_number_of_photographs(detector, tmp_path):
    few, rows = score(detector, photographs(tmp_path / "few", FEW), tmp_path / "few.csv")
    assert len(rows) == FEW
    many, rows = score(detector, photographs(tmp_path / "many", IMAGES), tmp_path / "many.csv")
    assert len({row["file"] for row in rows}) == len(rows) == IMAGES
    print(f"{FEW:,} photographs: {few / 2**20:.0f} MiB, {IMAGES:,}: {many / 2**20:.0f} MiB")
    assert many < few + 2000 * (IMAGES - FEW) + 50 * 2**20, "more than a name and a row of the table for each"


@pytest.mark.timeout(600)
def test_four_processes_read_one_detector_at_once(detector, tmp_path):
    folder = photographs(tmp_path / "photographs", 200)
    commands = [
        [*ADLIB, "score", str(detector), str(folder), "--csv", str(tmp_path / f"{number}.csv")]
        for number in range(4)
    ]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert {process.wait() for process in running} <= {0, 10}
    tables = {(tmp_path / f"{number}.csv").read_text() for number in range(4)}
    assert len(tables) == 1
