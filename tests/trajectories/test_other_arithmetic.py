"""Trajectories under other kernels and numbers of threads: in float64 the same, in float32 not.

The second half is what makes the first one say something: a switch that changes nothing would prove nothing.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adlib.detectors import detector_names
from adlib_book.nightly import trajectories

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = {
    "kernels without vector instructions": {"ATEN_CPU_CAPABILITY": "default"},
    "another order of sums in matrix products": {"MKL_CBWR": "COMPATIBLE"},
    "convolutions for older processors": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "two threads": {"OMP_NUM_THREADS": "2"},
}
IN_FLOAT32 = ("began", "cae", "dual_discriminator", "ganomaly")
SCRIPT = f"""
import json, sys
from adlib_book.nightly import trajectories
exact = {{name: trajectories.trajectory(name) for name in sys.argv[1].split(",") if name}}
trajectories.SMALL["precision"] = "fp32"
print(json.dumps([exact, {{name: trajectories.trajectory(name) for name in {IN_FLOAT32}}}]))
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkl.is_available(),
        reason="the switches are those of Intel's libraries",
    ),
]


def run(exact: list[str], **switches: str) -> list[dict]:
    """Trajectories in float64 and float32 from a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | switches
    command = [sys.executable, "-c", SCRIPT, ",".join(exact)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def usual():
    """The same in float32, without a switch."""
    return run([])[1]


@pytest.mark.parametrize("switch", SWITCHES)
def test_float64_stays_and_float32_does_not(switch, usual):
    exact, rough = run(detector_names(), **SWITCHES[switch])
    for name, numbers in exact.items():
        assert trajectories.differences(trajectories.recorded(ROOT, name), numbers) == [], name
    assert any(trajectories.differences(usual[name], rough[name]) for name in IN_FLOAT32)
