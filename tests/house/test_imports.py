"""What is imported at the start: nobody waits for a library that the next line may not need."""

from __future__ import annotations

import subprocess
import sys

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


def test_slow_libraries_are_imported_where_they_are_needed():
    line = "from adlib import load, make_detector, Detector, catalogue, detector_names"
    script = f"import sys, torch; before = {{*sys.modules}}; {line}; print(*{{*sys.modules}} - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    early = {name.partition(".")[0] for name in done.stdout.split()}
    assert not early & {*LATER}


def test_the_package_alone_does_not_import_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, adlib; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_a_verdict_needs_no_library_that_training_needs(tmp_path):
    """torch imports its compiler, for seconds, when the first optimiser is made; a saved detector needs none."""
    line = (
        "import sys, torch; from adlib import Detector, make_detector; "
        "file = make_detector('ganomaly', (3, 16, 16), 'smoke', device='cpu').save(sys.argv[1]); "
        "Detector.load(file, 'cpu').anomaly_score(torch.zeros((1, 3, 16, 16), dtype=torch.uint8)); print(*sys.modules)"
    )
    command = [sys.executable, "-c", line, str(tmp_path / "detector.safetensors")]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "torch._dynamo" not in modules
    assert not {name.partition(".")[0] for name in modules} & {*LATER}
