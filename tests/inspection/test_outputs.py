"""Nothing that is read is written over, whoever asks for it: a command, or five lines of Python."""

from __future__ import annotations

import os

import pytest
from discs import disc

from adlib.inspection import Inspector, fit_inspector
from adlib.inspection.export import export_onnx
from adlib.inspection.report import write_report
from adlib.inspection.scoring import score_files


@pytest.fixture(scope="module")
def fitted():
    return fit_inspector([disc(seed) for seed in range(4)], "pca", size=16, profile="smoke")


@pytest.fixture
def place(fitted, tmp_path):
    """A folder with a detector, a photograph, and one without an ending."""
    fitted.save(tmp_path / "part.safetensors")
    (tmp_path / "photographs").mkdir()
    for name in ("a.png", "IMG_0001"):
        disc(9).save(tmp_path / "photographs" / name, "png")
    os.symlink(tmp_path / "part.safetensors", tmp_path / "link")
    return tmp_path


OUTPUTS = ("part.safetensors", "link", "photographs/a.png", "photographs/IMG_0001", "new.jpg", "photographs")
WRITERS = {
    "table": lambda inspector, paths, output: score_files(inspector, paths, lambda line: None, table=output),
    "report": write_report,
    "export": lambda inspector, paths, output: export_onnx(inspector, output),
    "save": lambda inspector, paths, output: inspector.save(output),
    "detector": lambda inspector, paths, output: inspector.detector.save(output),
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_read_is_not_written_over(place, writer, output):
    inspector = Inspector.load(place / "part.safetensors")
    paths = [place / "photographs" / "IMG_0001", place / "photographs" / "a.png"]
    if writer in ("save", "detector") and output in ("part.safetensors", "link"):
        WRITERS[writer](inspector, paths, place / output)  # a detector may be saved where it came from
        assert (place / "link").is_symlink()
        return
    if writer in ("export", "save", "detector") and output == "photographs/IMG_0001":
        pytest.skip("reads no photographs, and that one does not look like any")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="Name another output"):
        WRITERS[writer](inspector, paths, place / output)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_detector_that_was_just_saved_is_known(fitted, tmp_path):
    fitted.save(tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="is read for this"):
        score_files(fitted, [], table=tmp_path / "part.safetensors")


@pytest.mark.parametrize("maps", ["photographs", "photographs/maps", "part.safetensors"])
def test_maps_are_not_put_among_photographs(place, fitted, maps):
    for path in (place / "photographs", place / "photographs/a.png"):
        if path.suffix and maps == "photographs/maps":
            continue  # beside one file, a folder of maps is in nobody's way
        with pytest.raises(ValueError, match=r"Name another|Name a folder outside"):
            score_files(fitted, [path], lambda line: None, maps=place / maps)


def test_a_folder_that_may_not_be_written_into_is_said_before_the_work(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="no folder that may be written into"):
        score_files(
            fitted, [disc(0)], lambda line: pytest.fail("it was scored"), table=tmp_path / "a/scores.csv"
        )
    with pytest.raises(ValueError, match="maps cannot be written"):
        score_files(fitted, [disc(0)], lambda line: pytest.fail("it was scored"), maps=tmp_path / "a/maps")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="no folder that may be written into"):
        write_report(fitted, [], tmp_path / "file" / "page.html")


def test_devices_are_written_into(fitted):
    score_files(fitted, [], table="/dev/null")
    assert not os.path.isfile("/dev/null")
