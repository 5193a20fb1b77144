"""Ten steps of every detector, number by number: a change of its arithmetic is noticed at the step where it occurs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adlib.detectors import detector_names
from adlib_book.nightly import trajectories

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", detector_names())
def test_the_trajectory_is_the_recorded_one(name):
    """If a change was meant: `adlib baselines trajectories --reason "..."` records the new numbers."""
    assert trajectories.differences(trajectories.recorded(ROOT, name), trajectories.trajectory(name)) == []


def test_every_detector_has_one_and_they_are_small():
    assert trajectories.recorded_names(ROOT) == detector_names()
    folder = trajectories.trajectory_path(ROOT, "").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000


def test_the_images_are_the_same_on_every_machine():
    """Made of whole numbers: their sum, and a pixel, worked out once and written down here."""
    pixels = trajectories.images(3, 16, seed=1, defects=True)
    assert pixels.dtype == torch.uint8
    assert (int(pixels.long().sum()), pixels[2, 1, 8, :4].tolist()) == (330_461, [143, 153, 188, 180])


# ---------------------------------------------------------------------- comparing and recording
SERIES = {"loss/a": [1.0, 0.5, 0.0], "last/score/b": [-2.0]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"loss/a": [1.0, 0.5 + 1e-7, 0.0]}, "loss/a: number 2 is 0.5000001 instead of 0.5 (1 of 3 differ)"),
        ({"loss/a": [1.0, 0.5, 1e-10]}, "loss/a: number 3 is 1e-10 instead of 0 (1 of 3 differ)"),
        ({"loss/a": [1.0, 0.5, float("nan")]}, "loss/a: number 3 is nan instead of 0 (1 of 3 differ)"),
        ({"loss/a": [1.0, 0.5]}, "loss/a: 2 numbers instead of 3"),
        ({"loss/c": [1.0]}, "loss/c: not recorded"),
        ({"last/score/b": [2.0]}, "last/score/b: number 1 is 2 instead of -2 (1 of 1 differ)"),
    ],
)
def test_what_differs_is_named(changes, sentence):
    assert trajectories.differences(SERIES, SERIES | changes) == [sentence]


def test_rounding_is_no_difference_and_a_missing_series_is_one():
    assert (
        trajectories.differences(SERIES, {name: [v * (1 + 1e-10) for v in SERIES[name]] for name in SERIES})
        == []
    )
    assert trajectories.differences(SERIES, {"loss/a": SERIES["loss/a"]}) == [
        "last/score/b: recorded, but no longer there"
    ]


def test_recording_needs_a_reason_and_touches_only_what_has_changed(workspace, monkeypatch):
    numbers = {"pca": {"score": [1.0 / 3]}, "vae": {"score": [2.0]}}
    monkeypatch.setattr(trajectories, "detector_names", lambda: sorted(numbers))
    monkeypatch.setattr(trajectories, "trajectory", numbers.__getitem__)
    with pytest.raises(ValueError, match="--reason"):
        trajectories.update_trajectories(" ", workspace=workspace)
    with pytest.raises(ValueError, match="Did you mean 'pca'"):
        trajectories.update_trajectories("first", ["pcb"], workspace=workspace)
    assert trajectories.check_trajectories(workspace.root) == []  # a checkout without any
    lines = trajectories.update_trajectories("first", workspace=workspace)
    assert lines == ["pca: score: not recorded", "vae: score: not recorded"]
    assert trajectories.recorded(workspace.root, "pca") == numbers["pca"]  # every digit
    numbers["vae"] = {"score": [2.1]}
    assert trajectories.check_trajectories(workspace.root) == [
        "vae: score: number 1 is 2.1 instead of 2 (1 of 1 differ)"
    ]
    del numbers["pca"]
    assert "pca: recorded, but there is no such detector" in trajectories.check_trajectories(workspace.root)
    lines = trajectories.update_trajectories("a better score", workspace=workspace)
    assert [line.partition(":")[0] for line in lines] == ["vae", "pca"]
    entry = json.loads(trajectories.trajectory_path(workspace.root, "vae").read_text())
    assert (entry["reason"], entry["numbers"]) == ("a better score", numbers["vae"])
    assert trajectories.recorded_names(workspace.root) == ["vae"]
    assert trajectories.update_trajectories("again", workspace=workspace) == [
        "every trajectory is as recorded; nothing was changed"
    ]
