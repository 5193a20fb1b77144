"""How soon the same training parts company on two processors: in float32 at once, in float64 later or not at all.

    python -m adlib_book.nightly.divergence

trains each of DETECTORS as its chapter's live cell does, on this processor's instructions and on plain ones, in both
precisions, and writes what the preface draws into `results/divergence.json`. A quarter of an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from adlib.files import write_atomic
from adlib_book.nightly.measure import PROCESSORS
from adlib_book.runner.kernel import import_path
from adlib_book.runner.workspace import Workspace

# The loss that is drawn, and the data set of the chapter.
DETECTORS = {
    "ganomaly": ("contextual", "elpv/mono"),
    "dagan": ("generator_error", "texture/wood"),
    "ssim_ae": ("reconstruction", "texture/wood"),
}
SIDE = 64
OTHER = "AVX and no vector instructions"
TEXT_AT = {"fp32": 2.0, "fp64": 1e-9}  # where the lines leave room for their names


def losses(detector: str, precision: str) -> list[float]:
    """The loss of every step of a chapter's live training with its default seed.

    Args:
        detector: one of DETECTORS. precision: "fp32" or "fp64".
    """
    from adlib.data import load
    from adlib.detectors import make_detector

    name, dataset = DETECTORS[detector]
    split = load(dataset, size=SIDE, seed=0)
    changes: dict[str, Any] = {"precision": precision, "checkpoints": 1}
    model = make_detector(detector, split.image_shape, "live", seed=0, device="cpu", **changes)
    model.fit(split.train, split.validation, progress="quiet")
    assert model.history is not None  # every fit leaves one
    return model.history.losses[name]


def elsewhere(detector: str, precision: str, processor: str) -> list[float]:
    """As `losses`, in a process that computes as on one of PROCESSORS."""
    command = [sys.executable, "-m", "adlib_book.nightly.divergence", detector, precision]
    environment = os.environ | PROCESSORS[processor] | {"OMP_NUM_THREADS": "1", "PYTHONPATH": import_path()}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def relative_differences(one: list[float], other: list[float]) -> list[float]:
    """|a - b| / |a| of each step, at least the smallest number that float64 tells from 0 beside 1."""
    first, second = np.array(one), np.array(other)
    return list(np.maximum(np.abs(first - second) / np.abs(first), np.finfo(float).eps))


def write_figure(root: Path, stage: Path) -> None:
    """Draw the measurement onto the stage, `book/_static/made/divergence.png`: one panel per detector.

    Args:
        root: the checkout, with `results/divergence.json`.
        stage: what the pages are built from.
    """
    import io

    from adlib.detectors import detector_titles
    from adlib.viz.style import ANOMALOUS, NORMAL, drawing, stamp

    measured, titles = json.loads(path(root).read_text()), detector_titles()
    colours, words = {"fp32": ANOMALOUS, "fp64": NORMAL}, {"fp32": "32 bits", "fp64": "64 bits"}
    with drawing(1, len(DETECTORS), size=(9.0, 3.1), sharey=True) as (figure, axes):
        panels = dict(zip(DETECTORS, axes))
        for run in measured["runs"]:
            axis, precision = panels[run["detector"]], run["precision"]
            steps = range(1, len(run["difference"]) + 1)
            axis.semilogy(steps, run["difference"], color=colours[precision], linewidth=1.2)
            axis.set_title(f"{titles[run['detector']]}, {run['dataset']}")
            axis.set_xlabel("training step")
            axis.text(
                steps[-1] * 0.98, TEXT_AT[precision], words[precision], ha="right", color=colours[precision]
            )
        axes[0].set_ylabel("difference of the losses")
        axes[0].set_ylim(1e-17, 10)
    stamp(figure, f"{measured['side']} px · live profile · seed 0 · two kinds of processor")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomic(stage / "book" / "_static" / "made" / "divergence.png", buffer.getvalue())


def main() -> None:
    """Measure all, and write the file; with two arguments: print the losses of one training."""
    if len(sys.argv) > 1:
        print(json.dumps(losses(*sys.argv[1:])))
        return
    about: dict[str, Any] = {"side": SIDE, "processors": ["as it is", OTHER], "runs": []}
    for detector, (_, dataset) in DETECTORS.items():
        for precision in ("fp32", "fp64"):
            pair = [elsewhere(detector, precision, processor) for processor in about["processors"]]
            run = {"detector": detector, "dataset": dataset, "precision": precision}
            about["runs"].append(run | {"difference": relative_differences(*pair)})
            print(f"{detector}, {precision}: {len(pair[0])} steps", flush=True)
    write_atomic(path(Workspace.here().root), json.dumps(about) + "\n")


def path(root: Path) -> Path:
    """Where the measurement is kept."""
    return root / "results" / "divergence.json"


if __name__ == "__main__":
    main()
