"""Trajectories under other kernels and numbers of threads: in float64 the same, in float32 not.

The second half is what makes the first one say something: switches that change nothing would prove nothing. That
holds of all of them together on every machine; which of them do it alone depends on the processor (two threads on
one physical core add up in the order of one).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adlib.detectors import detector_names
from adlib_book.nightly import trajectories

ROOT = Path(__file__).resolve().parents[2]
ALL_AT_ONCE = {
    "ATEN_CPU_CAPABILITY": "default",  # kernels without vector instructions
    "MKL_CBWR": "COMPATIBLE",  # another order of sums in matrix products
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # convolutions for older processors
    "OMP_NUM_THREADS": "2",
    "MKL_DYNAMIC": "FALSE",  # else MKL counts physical cores
}
SCRIPT = """
import json, sys
from adlib_book.nightly import trajectories
print(json.dumps({name: trajectories.trajectory(name) for name in sys.argv[1].split(",")}))
"""
IN_FLOAT32 = """
import json
from adlib_book.nightly import trajectories
trajectories.SIDE = 64  # work enough for two threads to share it
trajectories.SMALL |= {"precision": "fp32", "batch_size": 12, "width": 16, "discriminator_width": 16, "steps": 3}
print(json.dumps([trajectories.trajectory(name) for name in ("ganomaly", "vae")]))
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkl.is_available(),
        reason="the switches are those of Intel's libraries",
    ),
]


def run(script: str, *arguments: str, **switches: str) -> Any:
    """What a script prints, from a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | switches
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def test_float64_stays_with_all_switches_at_once():
    for name, numbers in run(SCRIPT, ",".join(detector_names()), **ALL_AT_ONCE).items():
        assert trajectories.differences(trajectories.recorded(ROOT, name), numbers) == [], name


def test_float32_does_not():
    assert run(IN_FLOAT32, **ALL_AT_ONCE) != run(IN_FLOAT32)
