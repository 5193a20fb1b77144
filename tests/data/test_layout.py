"""Folders as people have them: each arrangement is understood, or asked about, and what is left out is said."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from mvtec_layout import SIDE, write_image, write_mask
from PIL import Image

from adlib import load, make_detector, metrics
from adlib.data import ImageFileError
from adlib.data.folder import load_folder
from adlib.data.images import read_image, read_mask
from adlib.experiment import run_experiment


def write_many(root, counts: dict[str, int]) -> None:
    for place, count in counts.items():
        for index in range(count):
            write_image(root / place / f"{index:03d}.png", 100 + 5 * ("good" not in place))


def kinds_of(split):
    return sorted(set(split.test.open("test").kinds))


def notes_with(split, words: str) -> list[str]:
    return [note for note in split.notes if words in note]


@pytest.mark.parametrize(
    "counts", [{"": 12}, {"train/good": 12}, {"train": 12}, {"OK": 12}, {"train/good": 12, "test/good": 4}]
)
def test_good_images_alone_give_a_threshold_and_verdicts(tmp_path, counts):
    write_many(tmp_path, counts)
    split = load("folder", path=tmp_path, size=16)
    assert len(split.train) + len(split.validation) + len(split.test) == sum(counts.values())
    assert not split.test.open("test").labels.any()
    assert len(notes_with(split, "how many defects they find cannot be measured")) == 1
    detector = make_detector("pca", split.image_shape, "smoke").fit(
        split.train, split.validation, progress="quiet"
    )
    assert not detector.predict(split.validation.images).all()
    with pytest.raises(ValueError, match="does not have both normal and defective images"):
        run_experiment(make_detector("pca", split.image_shape, "smoke"), split, progress="quiet")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("OK", "NG"),
        ("ok", "nok"),
        ("normal", "abnormal"),
        ("Good", "Bad"),
        ("pass", "fail"),
        ("i.O.", "n.i.O."),
        ("defect-free", "scratch"),
    ],
)
def test_names_for_good_and_bad_are_understood(tmp_path, good, bad):
    write_many(tmp_path, {f"two/{good}": 12, f"two/{bad}": 4})
    split = load("folder", path=tmp_path / "two", size=16)
    assert kinds_of(split) == sorted({"good", bad})
    assert len(split.train) + len(split.validation) == 9  # a quarter of the good ones is drawn for test
    assert notes_with(split, f"{good} is taken as good, {bad} as defective")
    write_many(tmp_path, {f"sides/Train/{good}": 8, f"sides/Test/{good}": 3, f"sides/Test/{bad}": 3})
    split = load("folder", path=tmp_path / "sides", size=16)
    assert (len(split.train) + len(split.validation), len(split.test)) == (8, 6)
    assert kinds_of(split) == sorted({"good", bad})
    write_many(tmp_path, {f"sides/Train/{bad}": 1})
    with pytest.raises(ValueError, match=f"training folder of kind '{bad}'"):
        load("folder", path=tmp_path / "sides", size=16)


@pytest.mark.parametrize("name", ["validation", "val", "Valid", "validation/good", "val/OK"])
def test_a_validation_folder_sets_the_threshold(tmp_path, name):
    write_many(tmp_path, {"train/good": 6, "test/good": 3, "test/crack": 3, name: 4})
    split = load("folder", path=tmp_path, size=SIDE)
    assert (len(split.train), len(split.validation), len(split.test)) == (6, 4, 6)
    expected = {read_image(file).tobytes() for file in (tmp_path / name).glob("*.png")}
    assert {image.permute(1, 2, 0).numpy().tobytes() for image in split.validation.images} == expected


def test_defects_in_validation_and_unknown_folders_are_asked_about(tmp_path):
    write_many(tmp_path / "a", {"train/good": 6, "validation/crack": 4})
    with pytest.raises(
        ValueError, match=r"validation folder of kind 'crack'.*thresholds are set from normal images"
    ):
        load("folder", path=tmp_path / "a")
    write_many(tmp_path / "b", {"monday": 6, "tuesday": 4})
    with pytest.raises(
        FileNotFoundError, match=r"which of its folders \(monday, tuesday\) holds good images"
    ):
        load("folder", path=tmp_path / "b")
    write_many(tmp_path / "c", {"parts/train/good": 6})
    with pytest.raises(FileNotFoundError, match=r"Did you mean '.*parts'"):
        load("folder", path=tmp_path / "c")
    write_many(tmp_path / "d", {"train/good": 6, "val/good": 2, "validation/good": 2})
    with pytest.raises(ValueError, match="'val' and 'validation', which mean the same"):
        load("folder", path=tmp_path / "d")
    (tmp_path / "parts.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"parts\.zip' is an archive; unpack it first"):
        load("folder", path=tmp_path / "parts.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no normal images to train on"):
        load("folder", path=tmp_path / "empty")


def test_hidden_folders_and_those_of_the_system_are_no_kinds(folder):
    before = load("folder", path=folder, size=16)
    hidden = (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".Trash-1000", "$RECYCLE.BIN")
    for place in ("", "train", "train/good", "test", "test/good", "test/dent", "ground_truth/dent"):
        for name in hidden:
            write_image(folder / place / name / "000.png", 30)
        (folder / place / "Thumbs.db").write_bytes(b"?")
        (folder / place / ".DS_Store").write_bytes(b"?")
    (folder / "train/.empty").mkdir()
    after = load("folder", path=folder, size=16)
    assert after.fingerprint == before.fingerprint
    assert set(after.notes) - set(before.notes) == {
        "Left out, hidden or in folders of the system: 35 image files (e.g. '$RECYCLE.BIN/000.png')."
    }


def test_images_in_folders_beside_the_sides_are_said(folder):
    write_image(folder / "new/a.png", 30)
    write_image(folder / "b.png", 30)
    (note,) = notes_with(load("folder", path=folder, size=16), "do not lie directly in")
    assert note.startswith("2 files")


MASK_NAMES = [
    "{}.png",
    "{}_mask.png",
    "{}_GT.png",
    "{}-mask.bmp",
    "{}_label.tif",
    "mask_{}.png",
    "{}.png.png",
    "{}_ground_truth.PNG",
]


@pytest.mark.parametrize("name", MASK_NAMES)
@pytest.mark.parametrize(
    "place",
    ["ground_truth/{}", "masks/{}", "GT/test/{}", "Ground Truth/{}", "test/ground_truth/{}", "test/{}/masks"],
)
def test_masks_are_understood_however_they_are_named(folder, name, place):
    expected = load_folder(folder, size=SIDE)
    truth = folder / "ground_truth"
    for file in sorted(truth.rglob("*.png")):
        kind, stem = file.parent.name, file.stem.removesuffix("_mask")
        target = folder / place.format(kind) / name.format(stem)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).save(folder / "moved.png")
        file.unlink()
        Image.open(folder / "moved.png").save(target)
        (folder / "moved.png").unlink()
    if place != "ground_truth/{}":
        shutil.rmtree(truth)
    collection = load_folder(folder, size=SIDE)
    assert np.array_equal(collection.masks, expected.masks)
    assert np.array_equal(collection.kinds, expected.kinds)
    assert collection.masked is None


def test_a_mask_beside_its_image_is_no_image(folder):
    expected = load_folder(folder, size=SIDE)
    for file in (folder / "ground_truth").rglob("*.png"):
        shutil.move(file, folder / "test" / file.parent.name / file.name)
    shutil.rmtree(folder / "ground_truth")
    collection = load_folder(folder, size=SIDE)
    assert np.array_equal(collection.masks, expected.masks)
    assert (
        "10 files that lie beside an image and are named after it are taken as its mask." in collection.notes
    )


def test_masks_for_some_only(folder):
    (folder / "ground_truth/dent/003_mask.png").unlink()
    shutil.rmtree(folder / "ground_truth/crack")
    split = load("folder", path=folder, size=SIDE)
    truth = split.test.open("test")
    assert (~truth.masked).sum() == 5
    assert truth.masks[truth.masked & truth.labels].any(axis=(1, 2)).all()
    assert not truth.masks[~truth.masked].any()
    assert notes_with(split, "5 of 10 defective images have no mask (e.g. 000.png)")


def test_pixels_without_a_mask_are_not_judged(folder):
    shutil.rmtree(folder / "ground_truth/crack")
    split = load("folder", path=folder, size=SIDE)
    detector = make_detector("pca", split.image_shape, "smoke")
    record = run_experiment(detector, split, progress="quiet")
    truth = split.test.open("test")
    maps = detector.anomaly_map(split.test.images).numpy()[truth.masked]
    assert record["metrics"]["pixel_auroc"] == pytest.approx(
        metrics.pixel_auroc(truth.masks[truth.masked], maps), abs=1e-6
    )


def test_masks_that_fit_nothing_or_too_much(folder):
    write_mask(folder / "ground_truth/dent/099_mask.png")
    assert notes_with(
        load("folder", path=folder, size=16),
        "1 masks fit no image and were left out (e.g. ground_truth/dent/099_mask.png)",
    )
    write_mask(folder / "ground_truth/dent/001_GT.png")
    with pytest.raises(ValueError, match=r"001\.png' has 2 masks"):
        load("folder", path=folder, size=16)
    (folder / "ground_truth/dent/001_GT.png").unlink()
    shutil.rmtree(folder / "ground_truth")
    write_mask(folder / "ground_truth/000_mask.png")
    with pytest.raises(ValueError, match="fits several images"):
        load("folder", path=folder, size=16)
    (folder / "ground_truth/000_mask.png").rename(folder / "ground_truth/scan.png")
    with pytest.raises(ValueError, match="none of the 1 masks"):
        load("folder", path=folder, size=16)


def test_a_mask_of_a_good_image_is_said(folder):
    write_mask(folder / "ground_truth/good/000_mask.png")
    split = load("folder", path=folder, size=SIDE)
    assert notes_with(split, "1 good images have a mask that marks defects; it is not used.")
    truth = split.test.open("test")
    assert not truth.masks[~truth.labels].any()


DEFECT = np.zeros((40, 40), np.uint8)
DEFECT[10:18, 10:18] = 1
KINDS = DEFECT.copy()
KINDS[30:34, 30:34] = 2


def palette(values: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([part for colour in colours for part in colour] + [0] * (768 - 3 * len(colours)))
    return image


def rgb(values: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8)[values])


ALPHA = np.dstack([np.full((40, 40, 3), 255, np.uint8), DEFECT * 255])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(DEFECT * 255), DEFECT),
        (Image.fromarray(DEFECT), DEFECT),
        (Image.fromarray(DEFECT * 7), DEFECT),
        (Image.fromarray(KINDS), KINDS),
        (Image.fromarray(KINDS * 100), KINDS),
        (Image.fromarray(DEFECT.astype(np.uint16)), DEFECT),
        (Image.fromarray(DEFECT.astype(np.uint16) * 65535), DEFECT),
        (Image.fromarray(KINDS.astype(np.int32) * 300), KINDS),
        (Image.fromarray(DEFECT.astype(bool)), DEFECT),
        (palette(KINDS, (0, 0, 0), (128, 0, 0), (64, 0, 0)), KINDS),
        (palette(1 - DEFECT, (255, 255, 255), (0, 0, 0)), DEFECT),
        (rgb(DEFECT, (0, 0, 0), (255, 0, 0)), DEFECT),
        (rgb(KINDS, (0, 0, 0), (0, 0, 255), (0, 40, 0)), KINDS),
        (Image.fromarray(ALPHA), DEFECT),
        (Image.fromarray(ALPHA * np.array([0, 0, 0, 1], np.uint8)), DEFECT),
        (Image.fromarray(np.zeros((40, 40), np.uint8)), np.zeros((40, 40))),
        (Image.fromarray(np.full((40, 40), 255, np.uint8)), np.ones((40, 40))),
    ],
)
def test_a_mask_is_read_whatever_stands_for_the_defect(tmp_path, image, expected):
    suffix = "tif" if image.mode == "I" else "png"
    image.save(tmp_path / f"mask.{suffix}")
    assert np.array_equal(read_mask(tmp_path / f"mask.{suffix}", (40, 40)), expected > 0)


def test_a_mask_stored_with_losses_is_cut_at_half_of_white(tmp_path):
    Image.fromarray(DEFECT * 255).save(tmp_path / "mask.jpg", quality=60)
    read = read_mask(tmp_path / "mask.jpg", (40, 40))
    assert (read != DEFECT).mean() < 0.01
    Image.fromarray(DEFECT * 40).save(tmp_path / "classes.jpg", quality=60)
    with pytest.raises(ImageFileError, match="none above half of white"):
        read_mask(tmp_path / "classes.jpg", (40, 40))


def test_a_mask_without_a_background_is_refused(tmp_path):
    rgb(DEFECT, (255, 255, 255), (255, 0, 0)).save(tmp_path / "red.png")
    with pytest.raises(ImageFileError, match=r"red\.png' is coloured and has no black"):
        read_mask(tmp_path / "red.png", (40, 40))
    Image.fromarray(KINDS + 1).save(tmp_path / "from_one.png")
    with pytest.raises(ImageFileError, match=r"from_one\.png' has no black: its values are 1, 2, 3"):
        read_mask(tmp_path / "from_one.png", (40, 40))


def test_pictures_on_two_sides_are_said(folder):
    shutil.copy(folder / "train/good/000.png", folder / "test/good/copy.png")
    Image.open(folder / "train/good/001.png").save(folder / "test/good/other_name.bmp")
    shutil.copy(folder / "test/good/002.png", folder / "test/dent/002b.png")
    shutil.copy(folder / "train/good/003.png", folder / "train/good/003b.png")
    write_mask(folder / "ground_truth/dent/002b_mask.png")
    notes = load("folder", path=folder, size=8).notes
    assert any(
        note.startswith(
            "2 pictures stand on two sides of the split (train/good/000.png = test/good/copy.png)"
        )
        for note in notes
    )
    assert any(
        note.startswith("1 pictures are of two kinds at once (test/dent/002b.png = test/good/002.png)")
        for note in notes
    )
    assert any(note.startswith("1 pictures occur more than once on their side") for note in notes)


def test_copies_never_fall_on_two_sides_of_a_split_that_we_draw(tmp_path):
    write_many(tmp_path, {"good": 6})
    for index in range(6):
        for copy in "bcd":
            shutil.copy(tmp_path / f"good/{index:03d}.png", tmp_path / f"good/{index:03d}{copy}.png")
    for seed in range(4):
        split = load("folder", path=tmp_path, size=SIDE, seed=seed)
        sides = [
            {image.numpy().tobytes() for image in side.images}
            for side in (split.train, split.validation, split.test)
        ]
        assert sum(map(len, sides)) == 6


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_camera_of_any_depth_is_read_by_its_own_scale(tmp_path, bits):
    random, top = np.random.default_rng(bits), 2**bits - 1
    for place, count in {"train/good": 6, "test/good": 2, "test/stain": 2}.items():
        (tmp_path / place).mkdir(parents=True)
        for index in range(count):
            values = random.integers(0, top + 1, (16, 16))
            values[0, 0] = top
            Image.fromarray(values.astype(np.uint16)).save(tmp_path / place / f"{index}.png")
    split = load("folder", path=tmp_path, size=16)
    assert notes_with(split, "10 of 10 images hold more than 8 bits, with values from")
    assert notes_with(split, f"read as {bits} bits, 0 to {top}.")
    values = np.asarray(Image.open(tmp_path / "train/good/0.png"))
    expected = np.rint(values / top * 255).astype(np.uint8)
    sides = [*split.train.images.numpy(), *split.validation.images.numpy()]
    assert any(np.array_equal(image[0], expected) for image in sides)


def test_a_narrow_scale_is_said_and_can_be_given(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for index in range(8):
        values = random.integers(1180, 1221, (16, 16)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"good/{index}.tif")
    split = load("folder", path=tmp_path, size=16)
    assert notes_with(split, "They fill 3 of the 256 grey levels; value_range=(1180, 1220)")
    wide = load("folder", path=tmp_path, size=16, value_range=(1150, 1250))
    assert len(wide.train.images.unique()) == 41
    assert wide.train.value_range == (1150.0, 1250.0)
    clipped = load("folder", path=tmp_path, size=16, value_range=(1200, 1250))
    assert notes_with(clipped, "8 of 8 images hold values beyond the value range, which were clipped.")


def test_a_deep_colour_picture_of_few_bits_is_refused_by_name(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def write(name: str, factor: int) -> None:
        values = np.random.default_rng(0).integers(0, 4096, (8, 8, 3)) * factor
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
        png = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )
        (tmp_path / name).write_bytes(png)

    write("dark.png", 1)
    with pytest.raises(
        ImageFileError, match=r"dark\.png' holds 16 bits per colour, and its values fill less than a quarter"
    ):
        read_image(tmp_path / "dark.png")
    for index in range(4):
        write(f"good/{index}.png", 16) if (tmp_path / "good").mkdir(exist_ok=True) is None else None
    assert (
        load_folder(tmp_path / "good", size=8).notes[-2].startswith("4 of 4 images hold 16 bits per colour")
    )


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "P"])
def test_transparency_is_black_and_said(tmp_path, mode):
    pixels = np.full((40, 40, 4), 120, np.uint8)
    pixels[..., 3] = 255
    Image.fromarray(pixels).convert(mode if mode != "PA" else "RGBA").save(tmp_path / "opaque.png")
    pixels[10:25, 10:25, 3] = 0
    holed = Image.fromarray(pixels)
    if mode == "P":
        holed = Image.fromarray((pixels[..., 3] // 255).astype(np.uint8))
        holed.putpalette([120, 120, 120, 120, 120, 120] + [0] * 762)
        holed.save(tmp_path / "holed.png", transparency=0)
    else:
        holed.convert("LA" if mode == "LA" else "RGBA").save(tmp_path / "holed.png")
    collection = load_folder(tmp_path, size=40)
    assert collection.images.shape[1] == 1
    holed_one, opaque = collection.images[:, 0].numpy()
    assert (opaque == 120).all()
    assert np.array_equal(holed_one, np.where(pixels[..., 3] == 0, 0, 120))
    assert "1 of 2 images are partly transparent; what is transparent was made black." in collection.notes


def test_what_else_is_done_to_images_is_said(tmp_path):
    for index in range(4):
        write_image(tmp_path / f"{index}.png", 90)
    photo = Image.open(tmp_path / "0.png")
    exif = photo.getexif()
    exif[0x0112] = 3
    photo.save(tmp_path / "turned.jpg", exif=exif)
    photo.convert("CMYK").save(tmp_path / "print.tif")
    preview = photo.resize((5, 5))
    photo.save(tmp_path / "scan.mpo", save_all=True, append_images=[preview])
    notes = load_folder(tmp_path, size=32).notes
    assert "1 of 7 images were turned upright, as their EXIF tag says." in notes
    assert "1 of 7 images are CMYK and were converted to RGB without a colour profile." in notes
    assert "7 of 7 images are smaller and were enlarged to 32x32." in notes
    assert any(note.startswith("1 of 7 images hold further pictures") for note in notes)


def test_several_frames_are_refused_by_name_and_the_rest_goes_on(folder):
    pages = [Image.new("RGB", (SIDE, SIDE), (level, 0, 0)) for level in (10, 99, 200)]
    for suffix in ("tif", "gif", "png", "webp", "avif"):
        pages[0].save(folder / f"train/good/many.{suffix}", save_all=True, append_images=pages[1:])
        with pytest.raises(ImageFileError, match=rf"many\.{suffix}' holds 3 frames"):
            load("folder", path=folder, size=8)
        (folder / f"train/good/many.{suffix}").unlink()
    pages[0].save(folder / "train/good/many.tif", save_all=True, append_images=pages[1:])
    split = load("folder", path=folder, size=8, on_error="skip")
    assert len(split.train) + len(split.validation) == 12
    assert "many.tif' holds 3 frames" in split.notes[0]


GROUPS = [("train/good/000.png", "Teil Ä"), ("train/good/001.png", "Teil Ä"), ("test/good/000.png", "b;c")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_groups_from_any_spreadsheet(folder, encoding, separator, line_end):
    rows = [
        f"File{separator} Group ",
        *(f'{file.replace("/", chr(92))}{separator}"{group}"' for file, group in GROUPS),
        "",
        separator,
    ]
    (folder / "groups.csv").write_bytes(line_end.join(rows).encode(encoding))
    collection = load_folder(folder, size=8)
    assert len(np.unique(collection.groups)) == 27 - 1


def test_groups_that_contradict_each_other_are_refused(folder):
    (folder / "groups.csv").write_text("file,group\ntrain/good/000.png,1\ntrain/good/000.png,2\n")
    with pytest.raises(ValueError, match="into two groups, '1' and '2'"):
        load_folder(folder, size=8)
    (folder / "groups.csv").write_text("file,group\ntrain/good/000.png\n")
    with pytest.raises(ValueError, match="no file and group in line 2"):
        load_folder(folder, size=8)
    (folder / "groups.csv").write_text("sep=;\nfile;group\ntrain/good/000.png;1\nelsewhere.png;1\n")
    assert "1 lines of groups.csv name no image of the folder." in load_folder(folder, size=8).notes


def test_groups_beside_columns_with_other_separators_in_them(folder):
    rows = [
        '"sep=;"',
        '"file";"group";"size, mm"',
        '"train/good/000.png";"a";"1,5"',
        'train/good/001.png;"a\n";2,5;;',
        "",
    ]
    (folder / "groups.csv").write_text("\r\n".join(rows))
    assert len(np.unique(load_folder(folder, size=8).groups)) == 27 - 1


@pytest.mark.parametrize("place", ["defect_masks/dent", "test/Segmentation/dent", "Annotation/dent"])
def test_folders_of_masks_by_many_names(folder, place):
    (folder / place).parent.mkdir(parents=True)
    (folder / "ground_truth/dent").rename(folder / place)
    shutil.rmtree(folder / "ground_truth")
    split = load("folder", path=folder, size=16)
    assert kinds_of(split) == ["crack", "dent", "good"]
    truth = split.test.open("test")
    assert truth.masks[truth.kinds == "dent"].any(axis=(1, 2)).all()


def test_looking_for_masks_starts_no_other_program(tmp_path):
    """Two files of one name: which is the mask is told by their colours, also where one is no image at all."""
    write_image(tmp_path / "a.png", 90)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    write_image(tmp_path / "b.png", 90)
    with pytest.raises(ImageFileError, match=r"a\.jpg' cannot be read: cannot identify"):
        load_folder(tmp_path, size=8)
