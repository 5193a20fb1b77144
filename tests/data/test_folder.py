from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mvtec_layout import SIDE, write_image, write_mask
from PIL import Image

from adlib.data import ImageFileError, images, load
from adlib.data import folder as folder_module
from adlib.data.folder import load_folder


def opened(split):
    return split.test.open("test")


def test_a_folder_in_mvtec_layout_loads_with_its_masks(folder):
    split = load("folder", path=folder, size=SIDE, validation_fraction=0.25)
    truth = opened(split)
    assert (len(split.train), len(split.validation), len(split.test)) == (9, 3, 15)
    assert split.image_shape == (3, SIDE, SIDE)
    assert sorted(truth.kinds) == ["crack"] * 4 + ["dent"] * 6 + ["good"] * 5
    assert truth.masks.sum(axis=(1, 2)).tolist() == [36 if label else 0 for label in truth.labels]
    assert split.title == folder.name


def test_pixels_are_those_of_the_file(folder):
    pixels = load_folder(folder, size=SIDE).images
    first = np.asarray(Image.open(folder / "test/crack/000.png"))
    assert any(np.array_equal(image.permute(1, 2, 0).numpy(), first) for image in pixels)


def test_masks_are_optional(folder):
    for file in sorted((folder / "ground_truth").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (folder / "ground_truth").rmdir()
    assert opened(load("folder", path=folder, size=8)).masks is None


def test_any_format_and_grey_stored_as_colour(tmp_path):
    for index, suffix in enumerate(("png", "bmp", "tif", "webp", "gif", "jpg")):
        write_image(tmp_path / f"train/good/{index}.{suffix}", 90, mode="L")
    for kind in ("good", "hole"):
        write_image(tmp_path / f"test/{kind}/0.PNG", 120, mode="L")
    (tmp_path / "train/good/notes.txt").write_text("not an image")
    (tmp_path / "train/good/.hidden.png").write_bytes(b"")
    split = load("folder", path=tmp_path, size=8)
    assert split.image_shape == (1, 8, 8)
    assert len(split.train) + len(split.validation) == 6


def test_a_changed_file_is_read_again(folder):
    before = load("folder", path=folder, size=8).fingerprint
    assert load("folder", path=folder, size=8).fingerprint == before
    write_image(folder / "test/good/000.png", 30, side=SIDE + 2)
    assert load("folder", path=folder, size=8).fingerprint != before


def counted(monkeypatch, name: str) -> list[Path]:
    """The files that a function of `adlib.data.images` is asked for, from now on."""
    files, function = [], getattr(images, name)

    def counting(path, *arguments):
        files.append(path)
        return function(path, *arguments)

    monkeypatch.setattr(images, name, counting)
    return files


def test_every_file_is_decoded_once_and_a_second_load_decodes_nothing(folder, monkeypatch):
    decoded = counted(monkeypatch, "_decode")
    load("folder", path=folder, size=8)
    assert sorted(decoded) == sorted(folder.rglob("*.png"))
    load("folder", path=folder, size=8, seed=1)
    assert len(decoded) == 27 + 10


def test_a_large_folder_is_in_memory_once(folder, monkeypatch):
    """And is the same folder."""
    expected = load("folder", path=folder, size=8)
    monkeypatch.setattr(folder_module, "KEPT_BYTES", 27 * 3 * 8**2 - 1)
    decoded = counted(monkeypatch, "_decode")
    for _ in range(2):
        split = load("folder", path=folder, size=8)
        assert (split.fingerprint, split.notes) == (expected.fingerprint, expected.notes)
    assert len(decoded) == 2 * (27 + 10)
    parts = split.train.images, split.validation.images, split.test.images
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 1
    assert sum(part.nbytes for part in parts) == parts[0].untyped_storage().nbytes()


def test_pictures_that_only_look_equal_when_they_are_small_are_not_called_equal(folder):
    pixels = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    for index, (odd, even) in enumerate(((40, 60), (60, 40), (40, 60))):
        pixels[:, ::2], pixels[:, 1::2] = odd, even
        Image.fromarray(pixels).save(folder / f"train/good/striped{index}.png")
    notes = load("folder", path=folder, size=SIDE).notes
    expected = (
        "1 pictures occur more than once on their side (train/good/striped0.png = train/good/striped2.png)."
    )
    assert [note for note in notes if "pictures" in note] == [expected]


def test_colours_that_come_last_make_all_images_colour(tmp_path):
    for index in range(6):
        write_image(tmp_path / f"{index}.png", 90, mode="RGB" if index == 5 else "L")
    collection = load_folder(tmp_path, size=SIDE)
    files = sorted(tmp_path.glob("*.png"))
    expected = np.stack([np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1) for file in files])
    assert np.array_equal(collection.images.numpy(), expected)
    assert "5 of 6 images are grey, the others coloured: all have three channels." in collection.notes


def write_groups(folder, rows) -> None:
    (folder / "groups.csv").write_text("file,group\n" + "".join(f"{file},{group}\n" for file, group in rows))


def test_what_a_reader_should_know_is_in_the_notes(folder):
    Image.new("RGB", (SIDE, 2 * SIDE)).save(folder / "train/good/000.png")
    Image.new("L", (SIDE, SIDE)).save(folder / "ground_truth/dent/000_mask.png")
    notes = load("folder", path=folder, size=8).notes
    assert notes == (
        "1 of 27 images are not square and were squeezed to 8x8.",
        "1 of 27 images have the same value everywhere and show nothing.",
        "1 of 27 images are grey, the others coloured: all have three channels.",
        "1 defective images have an empty mask.",
        "Only 5 normal images are tested: one of them more or less moves every score.",
    )


def test_what_was_overlooked_is_in_the_notes_and_in_the_error(folder):
    (folder / "train/good/day1").mkdir()
    shutil.copy(next((folder / "train/good").glob("*.png")), folder / "train/good/day1/a.png")
    (folder / "test/photo.heic").write_bytes(b"?")
    (folder / "train/good/.DS_Store").write_bytes(b"?")
    (note,) = (note for note in load("folder", path=folder, size=32).notes if "left out" in note)
    assert note.startswith("2 files are no images that can be read, or do not lie directly in")
    assert "endings: .heic, .png; e.g. test/photo.heic" in note
    for image in (folder / "train/good").glob("*.png"):
        image.rename(image.with_suffix(".heic"))
    with pytest.raises(FileNotFoundError, match=r"no normal images to train on.*(?s:.)*endings: \.heic"):
        load("folder", path=folder, size=32)


def test_groups_csv_keeps_photos_of_one_object_together(folder):
    rows = [(f"train/good/{i:03d}.png", f"part {i // 3}") for i in range(12)]
    rows += [
        ("test/dent/000.png", "part 0"),
        ("test/dent/001.png", "part 9"),
        ("test/dent/002.png", "part 9"),
    ]
    write_groups(folder, rows)
    collection = load_folder(folder, size=8)
    assert len(np.unique(collection.groups)) == 4 + 1 + 12
    split = load("folder", path=folder, size=8, validation_fraction=0.3)
    assert (len(split.train), len(split.validation)) == (6, 3)
    assert any("3 training images left out" in note for note in split.notes)
    assert any("12 images are not named in groups.csv" in note for note in split.notes)


def test_a_groups_file_that_fits_nothing_is_refused(folder):
    write_groups(folder, [("/elsewhere/train/good/000.png", 1)])
    with pytest.raises(ValueError, match="names none of the 27 images"):
        load("folder", path=folder, size=8)
    (folder / "groups.csv").write_text("name,object\na,b\n")
    with pytest.raises(ValueError, match="expected at least 'file' and 'group'"):
        load("folder", path=folder, size=8)


def truncate(folder):
    file = folder / "train/good/004.png"
    file.write_bytes(file.read_bytes()[:200])


def no_image(folder):
    (folder / "train/good/004.png").write_text("a text")


def empty_file(folder):
    (folder / "train/good/004.png").write_bytes(b"")


def other_colours(folder):
    (folder / "train/good/004.png").unlink()
    Image.new("LAB", (SIDE, SIDE)).save(folder / "train/good/004.tif")


def many_frames(folder):
    (folder / "train/good/004.png").unlink()
    pages = [Image.new("L", (SIDE, SIDE), level) for level in (10, 20, 30)]
    pages[0].save(folder / "train/good/004.tif", save_all=True, append_images=pages[1:])


def not_finite(folder):
    pixels = np.full((SIDE, SIDE), 0.5, np.float32)
    pixels[3, 3] = np.nan
    (folder / "train/good/004.png").unlink()
    Image.fromarray(pixels).save(folder / "train/good/004.tif")


def other_mask_size(folder):
    write_mask(folder / "ground_truth/dent/003_mask.png", side=SIDE + 1)


def mask_without_black(folder):
    pixels = np.ones((SIDE, SIDE), np.uint8)
    pixels[:3] = 2
    Image.fromarray(pixels).save(folder / "ground_truth/dent/003_mask.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, r"004\.png' cannot be read.*\n.*on_error=.skip"),
        (no_image, r"004\.png' cannot be read"),
        (empty_file, r"004\.png' cannot be read"),
        (other_colours, r"004\.tif' has the colours L/A/B \(mode LAB\); expected grey, RGB or CMYK"),
        (many_frames, r"004\.tif' holds 3 frames; expected one picture per file(?s:.)*ImageSequence"),
        (not_finite, r"004\.tif' holds floats from nan"),
        (other_mask_size, r"003_mask\.png' is 21x21 pixels, its image 20x20"),
        (mask_without_black, r"003_mask\.png' has no black: its values are 1, 2"),
    ],
)
def test_a_bad_file_is_named_and_can_be_skipped(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ImageFileError, match=message):
        load("folder", path=folder, size=8)
    split = load("folder", path=folder, size=8, on_error="skip")
    assert len(split.train) + len(split.validation) + len(split.test) == 26
    assert "1 of 27 images left out" in split.notes[0]
    assert "00" in split.notes[0]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("train/good", "holds no normal images to train on"),
        ("test/good", "holds no normal images to test with"),
        ("test/dent", None),
    ],
)
def test_an_empty_or_single_class_folder_says_what_to_add(folder, missing, message):
    for file in (folder / missing).iterdir():
        file.unlink()
    if message is None:  # one kind of defect less is no error
        assert len(load("folder", path=folder, size=8).test) == 9
        for file in (folder / "test/crack").iterdir():
            file.write_bytes(b"")
            file.rename(file.with_suffix(".heic"))
        message = "holds no defective images to test with"
    with pytest.raises(FileNotFoundError, match=message + r".*\nPut at least one"):
        load("folder", path=folder, size=8)


def test_other_wrong_folders(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load("folder", path=tmp_path / "nowhere")
    only_test = tmp_path / "only_test"
    shutil.copytree(folder / "test", only_test / "test")
    with pytest.raises(FileNotFoundError, match="has no folder 'train'; it has test"):
        load("folder", path=only_test)
    with pytest.raises(ValueError, match="on_error='ignore'"):
        load("folder", path=folder, on_error="ignore")
    write_image(folder / "train/scratch/000.png", 100)
    with pytest.raises(ValueError, match="training folder of kind 'scratch'"):
        load("folder", path=folder)


def test_all_images_bad_is_an_error_even_when_skipping(folder):
    for file in (folder / "test/good").iterdir():
        file.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="holds no normal images to test with"):
        load("folder", path=folder, size=8, on_error="skip")


def test_the_same_folder_as_an_mvtec_category(folder, monkeypatch, tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    (root / "mvtec").mkdir()
    (root / "mvtec/bottle").symlink_to(folder)
    (root / "magnetic_tile").symlink_to(folder)
    monkeypatch.setenv("ADLIB_DATA", str(root))
    direct = load("folder", path=folder, size=8)
    assert load("mvtec/bottle", size=8).fingerprint == direct.fingerprint
    assert load("magnetic_tile", size=8).fingerprint == direct.fingerprint
    assert torch.equal(load("mvtec/bottle", size=8).train.images, direct.train.images)
