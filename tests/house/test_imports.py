"""What is imported at the start: nobody waits for a library that the next line may not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = (
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "seaborn",
    "IPython",
    "ipywidgets",
    "torchvision",
    "sympy",
)


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> dict[str, set[str]]:
    """What one process has imported with the package's names, and after a saved detector's first verdict."""
    script = """
import sys, torch; before = {*sys.modules}
from adlib import load, make_detector, Detector, catalogue, detector_names
print(*{*sys.modules} - before)
file = make_detector('ganomaly', (3, 16, 16), 'smoke', device='cpu').save(sys.argv[1])
Detector.load(file, 'cpu').anomaly_score(torch.zeros((1, 3, 16, 16), dtype=torch.uint8))
print(*sys.modules)
"""
    command = [sys.executable, "-c", script, str(tmp_path_factory.mktemp("saved") / "detector.safetensors")]
    names, verdict = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {"names": {*names.split()}, "verdict": {*verdict.split()}}


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_slow_libraries_are_imported_where_they_are_needed(imported):
    assert "adlib" in roots(imported["names"])
    assert not roots(imported["names"]) & {*LATER}


def test_a_verdict_needs_no_library_that_training_needs(imported):
    """torch imports its compiler, for seconds, when the first optimiser is made; a saved detector needs none."""
    assert "torch._dynamo" not in imported["verdict"]
    assert not roots(imported["verdict"]) & {*LATER}


def test_the_package_alone_does_not_import_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, adlib; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
