"""From good images to verdicts: what is learnt, what is said, and a file that keeps all of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from discs import disc, write_discs
from PIL import Image
from safetensors.torch import save_file

from adlib.data.images import ImageFileError
from adlib.detectors import Detector, Examination
from adlib.files import read_tensors
from adlib.inspection import tiles
from adlib.inspection.inputs import find_good, find_labelled
from adlib.inspection.inspector import Inspector, fit_inspector
from adlib.inspection.report import write_report
from adlib.inspection.scoring import score_files

SMALL = {"size": 16, "profile": "smoke"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs"), 12, 3)


@pytest.fixture(scope="module")
def inspector(folder):
    return fit_inspector(folder, "pca", false_alarms=0.1, **SMALL)


def test_every_good_image_has_its_say_in_the_threshold(inspector):
    assert inspector.images == len(inspector.threshold.scores) == 12
    assert inspector.detector.thresholds == {"mean_error": inspector.threshold.value}
    assert inspector.detector.image_shape == (1, 16, 16)  # the discs are grey, though stored as RGB


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_one_frame_is_not_taken_for_many_images(shape):
    with pytest.raises(ValueError, match="is one image; expected several"):
        fit_inspector(np.zeros(shape, np.uint8), "pca", **SMALL)


def test_the_scores_behind_it_are_those_of_a_detector_that_had_not_seen_the_image(folder, inspector):
    seen = [verdict.score for verdict in inspector.score(folder / "train/good")]
    assert np.mean(inspector.threshold.scores) > np.mean(seen)


def test_a_file_gives_the_same_verdicts_and_is_a_detector_too(folder, inspector, tmp_path):
    again = Inspector.load(inspector.save(tmp_path / "part.safetensors"))
    assert (again.threshold, again.tiling, again.notes) == (inspector.threshold, None, inspector.notes)
    assert again.fingerprint == inspector.fingerprint != ""
    for old, new in zip(inspector.score(folder / "test"), again.score(folder / "test")):
        assert (old.file, old.score, old.defective) == (new.file, new.score, new.defective)
    assert Detector.load(tmp_path / "part.safetensors").thresholds == inspector.detector.thresholds


def test_a_score_depends_on_the_picture_alone(folder, inspector):
    files = sorted((folder / "test").rglob("*.png"))
    together = [verdict.score for verdict in inspector.score(files)]
    backwards = [verdict.score for verdict in inspector.score(files[::-1])][::-1]
    alone = [next(inspector.score(file)).score for file in files]
    assert together == pytest.approx(alone, rel=1e-9)
    assert together == pytest.approx(backwards, rel=1e-9)


def test_a_frame_gets_the_score_of_its_file_however_it_is_held(folder, inspector):
    file = next((folder / "test/good").iterdir())
    expected = next(inspector.score(file)).score
    image = Image.open(file)
    frame = np.asarray(image)
    read_only = frame.copy()
    read_only.setflags(write=False)
    for picture in (
        *(str(file), image, frame, frame[..., 0], frame[None]),
        *(frame[..., :1], frame[None, ..., :1], np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])),
        *(np.asfortranarray(frame), frame[::-1][::-1], read_only, frame.view(np.recarray)),
        *(np.ma.masked_array(frame, mask=False), torch.from_numpy(frame.copy()).permute(2, 0, 1)[None]),
        *(np.array([str(file)]), np.array([str(file)], object)),
    ):
        (verdict,) = inspector.score(picture)
        assert verdict.score == pytest.approx(expected), type(picture)


@pytest.mark.parametrize(
    ("frame", "mend"),
    [
        (np.zeros((8, 8)), "np.rint(image * 255).astype(np.uint8)"),
        (np.zeros((3, 8, 8), np.uint8), "np.moveaxis(image, 0, -1)"),
        (np.zeros((2, 3, 8, 8), np.uint8), "images.transpose(0, 2, 3, 1)"),
        (np.zeros((3, 8, 3), np.uint8), "image[None]"),
        (np.zeros(5, np.uint8), "pass the frames as a list"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "np.moveaxis(image, 0, -1)"),
        (np.zeros((8, 8), complex), "It holds no grey levels"),
        (np.full((8, 8), np.nan), "Some of its values are no numbers"),
        (np.ma.masked_array(np.zeros((8, 8), np.uint8), mask=True), "image.filled(0)"),
        ([None], "expected a path, an array or a Pillow image"),
    ],
)
def test_a_frame_that_could_mean_several_things_is_refused_with_the_line_that_mends_it(
    inspector, frame, mend
):
    (verdict,) = inspector.score(frame)
    assert verdict.score is None
    assert mend in verdict.error
    with pytest.raises(ValueError, match=re.escape(mend)):
        fit_inspector(frame if isinstance(frame, list) else [np.asanyarray(frame)] * 2, "pca", **SMALL)


@pytest.mark.parametrize("nothing", [None, 3, b"a.png"])
def test_what_holds_no_images_is_refused(inspector, nothing):
    with pytest.raises(TypeError, match="expected paths, arrays or Pillow images"):
        next(inspector.score(nothing))
    with pytest.raises(TypeError, match="expected paths, arrays or Pillow images"):
        fit_inspector(nothing, "pca", **SMALL)


def test_twelve_bits_are_twelve_bits_at_fit_and_at_score(tmp_path):
    """Files of 12 bits score as their 8-bit versions do, up to rounding; and frames of a camera as their files."""
    frames = [np.asarray(disc(seed))[..., 0].astype(np.uint16) * 16 for seed in range(13)]
    frames[0][0, 0] = 4095
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number:02d}.png")
    files = sorted(tmp_path.iterdir())
    inspector = fit_inspector(files[:12], "pca", **SMALL)
    assert inspector.detector.value_range == (0, 4095)
    assert "0 is black and 4095 is white" in " ".join(inspector.notes)
    again = Inspector.load(inspector.save(tmp_path / "part.safetensors"))
    (of_file,), (of_frame,), (swapped,) = map(again.score, (files[12], frames[12], frames[12].astype(">u2")))
    assert of_file.score == of_frame.score == swapped.score
    turned_round = fit_inspector([frame.astype(">u2") for frame in frames[:12]], "pca", **SMALL)
    assert turned_round.threshold == inspector.threshold
    assert of_file.brightness == pytest.approx(frames[12].mean() * 255 / 4095, abs=1)


def test_arrays_can_be_learnt_from(inspector, folder):
    frames = [np.asarray(Image.open(file)) for file in sorted((folder / "train/good").iterdir())]
    again = fit_inspector(frames, "pca", false_alarms=0.1, **SMALL)
    assert again.threshold == inspector.threshold
    assert again.fingerprint == inspector.fingerprint


def surface(seed: int, spot: tuple[int, int] | None = None) -> np.ndarray:
    """A flat noisy surface, 96 x 256 pixels, with a bright spot of 4 x 4."""
    pixels = np.random.default_rng(seed).normal(100, 8, (96, 256))
    if spot:
        pixels[spot[1] : spot[1] + 4, spot[0] : spot[0] + 4] += 90
    return np.clip(pixels, 0, 255).astype(np.uint8)


def test_tiles_see_what_squeezing_loses():
    good, fresh = ([surface(seed) for seed in seeds] for seeds in (range(8), range(20, 28)))
    spot = (203, 50)
    ranks = {}
    for tile in (None, 32):
        inspector = fit_inspector(good, "pca", tile=tile, false_alarms=0.1, **SMALL)
        scores = [verdict.score for verdict in inspector.score(fresh)]
        (verdict,) = inspector.score(surface(99, spot))
        ranks[tile] = (verdict.score - np.mean(scores)) / np.std(scores)
    assert ranks[32] > 3 * max(ranks[None], 1)
    assert verdict.defective
    assert verdict.map.shape == (48, 128)
    assert np.abs(np.subtract(verdict.place, spot) - 2).max() <= 3


def test_what_is_squeezed_left_out_and_there_twice_is_said(tmp_path):
    write_discs(tmp_path, 6, 0)
    first = tmp_path / "train/good/0000.png"
    Image.open(first).save(tmp_path / "train/good/copy.png")
    Image.open(first).resize((90, 60)).save(tmp_path / "train/good/wide.png")
    (tmp_path / "train/good/broken.png").write_bytes(b"PNG")
    (tmp_path / "train/good/notes.txt").write_text("x")
    (tmp_path / "spare").mkdir()
    notes = " ".join(fit_inspector(tmp_path, "pca", **SMALL).notes)
    for said in ("left out: 1 file", "copy.png", "squeezed to 16 x 16 pixels: 1 image;",
                 "1 .txt", "Not used: 'spare'"):  # fmt: skip
        assert said in notes
    with pytest.raises(ImageFileError, match=r"broken\.png"):
        fit_inspector(tmp_path, "pca", strict=True, **SMALL)


def test_what_was_enlarged_is_said_from_twofold_on(folder, tmp_path):
    for side in (1, 8, 9):
        Image.new("L", (side, side), 90).save(tmp_path / f"{side}.png")
    inspector = fit_inspector([tmp_path / "1.png", *good_files(folder)], "pca", **SMALL)
    assert (
        "Enlarged at least twofold, to 16 x 16 pixels: 1 image, the smallest from 1 x 1." in inspector.notes
    )
    lines: list[str] = []
    summary = score_files(inspector, [tmp_path], lines.append, as_json=True)
    said = ["enlarged" in " ".join(json.loads(line)["remarks"]) for line in lines[:-1]]
    assert said == [True, True, False]
    example = f"(e.g. '{tmp_path / '1.png'}', 1 x 1 pixels)."
    sentence = f"2 of 3 images were enlarged at least twofold, to 16 x 16 pixels {example}"
    assert sentence in summary.sentences()
    assert sentence in json.loads(lines[-1])["summary"]["notes"]
    write_report(inspector, [tmp_path], tmp_path / "page.html")
    assert "2 of 3 images were enlarged at least twofold" in (tmp_path / "page.html").read_text()


def test_grey_among_coloured_images_is_said(folder):
    red = [
        Image.fromarray(np.asarray(Image.open(file)) // np.array([1, 2, 3], np.uint8))
        for file in good_files(folder)
    ]
    inspector = fit_inspector([*red[:6], Image.open(good_files(folder)[6])], "pca", **SMALL)
    assert "1 of 7 images are grey, the others coloured: all have three channels." in inspector.notes
    (verdict,) = inspector.score(Image.linear_gradient("L"))
    assert verdict.remarks == ("are grey; their value stands in all three channels",)


def test_photographs_that_show_nothing_are_said(inspector, folder):
    blank = Image.new("RGB", (32, 32), (9, 99, 199))
    verdicts = list(inspector.score([np.full((32, 32), 7, np.uint8), disc(50)]))
    assert ["have the same value everywhere and show nothing" in each.remarks for each in verdicts] == [
        True,
        False,
    ]
    fitted = fit_inspector([blank, *good_files(folder)], "pca", **SMALL)
    assert "1 of 13 images have the same value everywhere and show nothing." in fitted.notes


def test_images_that_it_was_fitted_to_are_said_when_they_are_scored(inspector, folder):
    verdicts = list(inspector.score([good_files(folder)[0], disc(50)]))
    assert [each.known for each in verdicts] == [True, False]
    said = "are among those that the detector was fitted to"
    assert [said in each.remarks for each in verdicts] == [True, False]


def good_files(folder):
    return sorted((folder / "train/good").iterdir())


def test_a_detector_that_compares_place_by_place_is_warned_of_parts_that_move():
    for jitter, said in ((0.1, True), (0.01, False)):
        discs = [disc(seed, jitter=jitter) for seed in range(12)]
        notes = " ".join(fit_inspector(discs, "pca", size=64, profile="smoke").notes)
        assert ("compares place by place" in notes) == said


def test_what_is_hidden_is_passed_over_and_said_and_a_link_back_ends(inspector, tmp_path):
    for name in ("a.png", ".hidden.png", "__MACOSX/a.png", ".thumbnails/b.png", "deep/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        disc(1).save(tmp_path / name)
    (tmp_path / "deep/back").symlink_to(tmp_path)
    (tmp_path / "deep/again.png").symlink_to(tmp_path / "a.png")
    notes = []
    names = [verdict.source.name.as_posix() for verdict in inspector.score(tmp_path, notes)]
    assert names == ["a.png", "deep/b.png"]
    assert "hidden or in folders of the system: 3 image files" in " ".join(notes)


def test_too_few_images_are_said_or_refused():
    three = [disc(seed) for seed in range(3)]
    assert "Too few for 1 in 50: that needs 49" in fit_inspector(three, "pca", **SMALL).threshold.words()
    with pytest.raises(ValueError, match="Too few for 1 in 50"):
        fit_inspector(three, "pca", strict=True, **SMALL)
    with pytest.raises(ValueError, match="expected at least 2, and better 49"):
        fit_inspector(three[:1], "pca", **SMALL)
    with pytest.raises(ValueError, match="learns from labelled anomalies"):
        fit_inspector(three, "dual_discriminator", **SMALL)


def test_a_detector_that_trains_by_steps_has_its_threshold_from_images_set_aside():
    frames = [disc(seed, side=32) for seed in range(9)]
    inspector = fit_inspector(frames, "cae", size=32, profile="smoke")
    assert (inspector.images, len(inspector.threshold.scores)) == (6, 3)
    assert "3 of the good images were set aside for the threshold." in inspector.notes


def test_validation_images_are_used_for_the_threshold_alone(tmp_path):
    write_discs(tmp_path, 6, 0)
    (tmp_path / "validation/ok").mkdir(parents=True)
    for seed in range(4):
        disc(50 + seed).save(tmp_path / f"validation/ok/{seed}.png")
    inspector = fit_inspector(tmp_path, "pca", **SMALL)
    assert (inspector.images, len(inspector.threshold.scores)) == (6, 4)


@pytest.mark.parametrize(
    ("files", "good"),
    [
        (["a.png", "b.png"], 2),
        (["OK/a.png", "NG/b.png"], 1),
        (["normal/a.png", "abnormal/b.png", "normal/c.jpg"], 2),
        (["train/good/a.png", "test/good/b.png", "test/x/c.png"], 1),
        (["Train/a.png", "Train/b.png", "Test/x/c.png"], 2),
        (["train/good/camera 1/a.png", "train/good/camera 2/b.png"], 2),
    ],
)
def test_which_images_are_good_is_understood(tmp_path, files, good):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        disc(0).save(tmp_path / name)
    assert len(find_good(tmp_path).train) == good


MIXED = (["a/1.png", "b/2.png"], ["train/a/1.png", "train/b/2.png"], ["ok/1.png", "good/1.png"])
MIXED += (["train/good/1.png", "training/good/1.png"], ["val/1.png", "validation/1.png", "good/1.png"])
MIXED += (
    ["good/1.png", "good/NG/2.png"],
    ["ok/train/1.png", "ok/test/2.png"],
    ["train/1.png", "val/ok/bad/1.png"],
)


@pytest.mark.parametrize("files", MIXED)
def test_or_asked_about(tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        disc(0).save(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"which are good|sound good|mean the same|lies among the good images"
    ):
        find_good(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["OK/1.png", "x.png"], "in no folder of good images or of a kind: 1 image directly in"),
        (["train/good/1.png", "train/x.png"], "1 image directly in"),
        (["train/good/1.png", "val/good/2.png", "val/scratch/3.png"], "Not used: 'scratch'."),
        (["1.png", "__MACOSX/2.png"], "hidden or in folders of the system: 1 image file"),
        (["OK/1.png", "defect_masks/1.png"], "Not used: 'defect_masks'."),
    ],
)
def test_what_lies_beside_the_good_images_is_said(tmp_path, files, said):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        disc(0).save(tmp_path / name)
    good = find_good(tmp_path)
    assert len(good.train) == 1
    assert any(said in note for note in good.notes), good.notes


def test_labels_come_from_the_folders(folder, tmp_path):
    labelled, notes = find_labelled(folder)
    assert [kind for _, kind in labelled] == ["good"] * 3 + ["scratch"] * 3
    assert notes == ()
    with pytest.raises(ValueError, match="adlib score"):
        find_labelled(folder / "train/good")
    for name in ("OK/1.png", "NG/2.png", "scratch_masks/2.png", "x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        disc(0).save(tmp_path / name)
    labelled, (note,) = find_labelled(tmp_path)
    assert [kind for _, kind in labelled] == ["NG", "good"]
    assert "1 image directly in" in note


def test_a_score_that_is_no_number_is_an_error_of_its_image(inspector, monkeypatch):
    seen = inspector.detector.examine(torch.zeros(1, 1, 16, 16, dtype=torch.uint8))
    broken = seen._replace(scores={"mean_error": torch.tensor([float("nan")])})
    monkeypatch.setattr(inspector.detector, "examine", lambda images: broken)
    (verdict,) = inspector.score(disc(0))
    assert verdict.score is None
    assert "its score is nan" in verdict.error


def test_files_that_are_foreign_damaged_changed_or_newer_are_refused_by_name(inspector, tmp_path):
    path = inspector.save(tmp_path / "part.safetensors")
    content = path.read_bytes()
    value = f"{inspector.threshold.value!r}".encode()
    cases = [
        content[:-100],
        b"PK\x03\x04 a zip file, or a pickle",
        b"",
        content[:-1] + bytes([content[-1] ^ 1]),
        content.replace(value, value[:-1] + bytes([value[-1] ^ 1])),
    ]
    for changed in cases:
        assert changed != content
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"part\.safetensors.*(truncated|was changed)"):
            Inspector.load(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        Inspector.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("part", ["adlib", "inspection"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "2"}', '{"format": 1, "threshold": {}}'])
def test_headers_of_another_hand_are_refused_by_name(inspector, tmp_path, part, text):
    """Without a digest, as files of early versions are."""
    tensors, header = read_tensors(inspector.save(tmp_path / "part.safetensors"))
    save_file(tensors, tmp_path / "part.safetensors", header | {part: text})
    with pytest.raises(ValueError, match=r"part\.safetensors holds no"):
        Inspector.load(tmp_path / "part.safetensors")


def test_a_threshold_that_nothing_exceeds_is_refused(inspector, tmp_path):
    tensors, header = read_tensors(inspector.save(tmp_path / "part.safetensors"))
    beside = header["inspection"].replace(repr(inspector.threshold.value), "NaN", 1)
    save_file(tensors, tmp_path / "part.safetensors", header | {"inspection": beside})
    with pytest.raises(ValueError, match="the threshold is nan"):
        Inspector.load(tmp_path / "part.safetensors")


def test_good_images_without_a_score_are_no_threshold(folder, monkeypatch):
    monkeypatch.setattr(tiles.Detector, "examine", broken_examine)
    with pytest.raises(
        ValueError, match=r"cannot set the threshold: its map holds values that are no numbers"
    ):
        fit_inspector(folder, "pca", **SMALL)


def broken_examine(detector, images):
    scores = {detector.config.score: torch.zeros(len(images))}
    return Examination(scores, torch.full((len(images), 16, 16), float("nan")), images)


def test_newer_files_and_detectors_without_a_threshold_are_told_from_those(inspector, tmp_path, monkeypatch):
    from adlib.detectors import base
    from adlib.inspection import inspector as module

    path = tmp_path / "part.safetensors"
    inspector.detector.save(path)
    with pytest.raises(ValueError, match="without a threshold from `adlib fit`"):
        Inspector.load(path)
    for place in (base, module):
        with monkeypatch.context() as patch:
            patch.setattr(place, "FORMAT", 99)
            inspector.save(path)
        with pytest.raises(ValueError, match=r"newer version of adlib.*99"):
            Inspector.load(path)


def test_it_says_what_it_is(inspector):
    assert "pca, 12 good images, squeezed" in repr(inspector)
