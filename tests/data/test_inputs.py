"""Whatever holds images gives the bytes that its folder gives, or is refused with the line that mends it."""

from __future__ import annotations

import shutil
import time
import unicodedata

import numpy as np
import pytest
import torch
from mvtec_layout import write_image
from PIL import Image, ImageSequence

from adlib import make_detector
from adlib.data import ImageFileError, as_images, find_images, image_from_file, load
from adlib.data.images import open_image, resize_stack
from adlib.detectors import Detector
from adlib.files import as_path

COLOUR, GREY = (3, 16, 16), (1, 16, 16)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (lambda frames: frames, COLOUR),
        (lambda frames: list(frames), COLOUR),
        (lambda frames: [Image.fromarray(frame) for frame in frames], COLOUR),
        (lambda frames: (frames[0], Image.fromarray(frames[1]), *frames[2:]), COLOUR),
        (lambda frames: np.asfortranarray(frames), COLOUR),
        (lambda frames: frames[..., ::-1][..., ::-1], COLOUR),
    ],
)
def test_frames_arrays_and_pillow_images_are_one(frames, given, shape):
    batch = as_images(given(frames), shape)
    assert np.array_equal(batch.images, resize_stack(frames, 16))
    assert batch.notes == ("5 of 5 images are not square and were squeezed to 16x16.",)
    assert len(batch.names) == 5


def test_grey_frames_of_every_shape(frames):
    grey = frames[:, :32, :32, 0]
    expected = resize_stack(grey, 16)
    assert np.array_equal(as_images(grey[0], GREY).images, expected[:1])
    assert np.array_equal(as_images(grey[0][..., None], GREY).images, expected[:1])
    assert np.array_equal(as_images(grey[..., None], GREY).images, expected)
    assert np.array_equal(as_images(list(grey), GREY).images, expected)
    deep = grey[0].astype(">u2") * 257  # the other byte order, as some files have it
    assert np.array_equal(as_images(deep, GREY, value_range=(0, 65535)).images, expected[:1])
    coloured = as_images(grey[0], COLOUR)
    assert np.array_equal(coloured.images, expected[:1].repeat(3, 1))
    assert coloured.notes == ("1 of 1 images are grey; their value stands in all three channels.",)


@pytest.mark.parametrize(
    ("given", "error", "mend"),
    [
        (np.zeros((5, 32, 32), np.uint8), ValueError, r"images\[\.\.\., None\]"),
        (np.zeros((3, 32, 32), np.uint8), ValueError, r"np\.moveaxis\(image, 0, -1\)"),
        (np.zeros((3, 32, 3), np.uint8), ValueError, r"Colours may be first or last"),
        (np.zeros((2, 3, 32, 32), np.uint8), ValueError, r"images\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 32, 32, 2), np.uint8), ValueError, r"Bring the colours to the end"),
        (np.zeros((32,), np.uint8), ValueError, r"no row of frames"),
        (np.zeros((0, 32, 32, 3), np.uint8), ValueError, r"N >= 1"),
        (np.zeros((32, 32, 3), np.float32), TypeError, r"np\.rint\(image \* 255\)\.astype\(np\.uint8\)"),
        (np.full((32, 32), 300.0), TypeError, r"say what is black and white"),
        (np.zeros((32, 32), np.int64), TypeError, r"image\.astype\(np\.uint8\)"),
        (np.array(["a.png"]), TypeError, r"array\.tolist\(\)"),
        (np.ma.masked_array(np.zeros((32, 32), np.uint8), mask=True), ValueError, r"image\.filled\(0\)"),
        (np.zeros((32, 32), bool), TypeError, r"astype\(np\.uint8\) \* 255"),
        ([], ValueError, r"the sequence is empty"),
        ([np.zeros((2, 32, 32, 3), np.uint8)], ValueError, r"images\[0\] has the shape .*expected one frame"),
        ([3], TypeError, r"images\[0\] is int"),
        (3, TypeError, r"images are int"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_the_line_that_mends_it(given, error, mend):
    with pytest.raises(error, match=mend):
        as_images(given, COLOUR)


def test_the_lines_that_mend_do(frames):
    expected = as_images(frames, COLOUR).images
    assert torch.equal(as_images(frames.transpose(0, 3, 1, 2).transpose(0, 2, 3, 1), COLOUR).images, expected)
    assert torch.equal(
        as_images(np.moveaxis(np.moveaxis(frames[0], -1, 0), 0, -1), COLOUR).images, expected[:1]
    )
    floats = frames / 255.0
    assert torch.equal(as_images(np.rint(floats * 255).astype(np.uint8), COLOUR).images, expected)


def test_deep_frames_keep_their_scale_or_ask_for_it(tmp_path):
    values = np.arange(0, 4096, 4, dtype=np.uint16).reshape(32, 32)
    with pytest.raises(ImageFileError, match=r"end at 4092 of 65535(?s:.)*value_range=\(0, 4095\)"):
        as_images(values, (1, 32, 32))
    expected = np.rint(values / 4095 * 255).astype(np.uint8)
    assert np.array_equal(as_images(values, (1, 32, 32), value_range=(0, 4095)).images[0, 0], expected)
    Image.fromarray(values).save(tmp_path / "frame.tif")
    taken = as_images(tmp_path / "frame.tif", (1, 32, 32), value_range=(0, 4095))
    assert np.array_equal(taken.images[0, 0], expected)
    clipped = as_images(values, (1, 32, 32), value_range=(0, 1023))
    assert clipped.notes == ("1 of 1 images hold values beyond the value range, which were clipped.",)
    colour = np.dstack([values] * 3)
    assert np.array_equal(as_images(colour, (3, 32, 32), value_range=(0, 4095)).images[0, 1], expected)
    with pytest.raises(ValueError, match=r"value_range=\(9, 3\)"):
        as_images(values, (1, 32, 32), value_range=(9, 3))


def test_an_open_pillow_image_is_read_as_its_file_is(tmp_path):
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "photo.jpg", exif=exif)
    assert torch.equal(
        as_images(Image.open(tmp_path / "photo.jpg"), COLOUR).images,
        as_images(tmp_path / "photo.jpg", COLOUR).images,
    )
    pages = [Image.new("L", (16, 16), level) for level in (10, 20)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    many = Image.open(tmp_path / "pages.tif")
    scores = [as_images(page, GREY) for page in ImageSequence.Iterator(many)]
    assert [int(batch.images.max()) for batch in scores] == [10, 20]
    assert "current frame" in scores[0].notes[0]


def test_every_path_that_a_person_types(tmp_path, monkeypatch):
    folder = tmp_path / "my parts" / unicodedata.normalize("NFD", "größe")
    write_image(folder / "ein bild.png", 90)
    expected = as_images(folder / "ein bild.png", COLOUR).images
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "my parts")
    monkeypatch.setenv("PARTS", str(folder))
    composed = unicodedata.normalize("NFC", str(folder))
    for typed in (
        str(folder),
        folder,
        f"{folder}/",
        f"{folder}//",
        composed,
        f"  {folder}\n",
        f'"{folder}"',
        f"'{folder}/ein bild.png'",
        f"{folder}/ein\\ bild.png",
        "~/my parts/" + folder.name,
        folder.name,
        f"./{folder.name}/../{folder.name}",
        (folder / "ein bild.png").as_uri(),
        (folder / "ein bild.png").as_uri().replace("file://", "FILE:"),  # as pathlib writes it
        "$PARTS",
        "${PARTS}/ein bild.png",
        f"..\\my parts\\{folder.name}\\ein bild.png",
        f"{folder}/*.png",
        f"{tmp_path}/**/*.png",
    ):
        assert torch.equal(as_images(typed, COLOUR).images, expected), typed
    assert torch.equal(image_from_file("~/my parts/" + folder.name + "/ein bild.png", COLOUR), expected)
    with pytest.raises(FileNotFoundError, match=r"nowhere.*neither a file nor a folder"):
        as_images("nowhere", COLOUR)
    for empty in ("", "  ", "a\0b"):
        with pytest.raises(ValueError, match="expected the path"):
            as_images(empty, COLOUR)
    with pytest.raises(TypeError, match="path is None"):
        load("folder", path=None)
    assert as_path("~nobody-of-that-name/x").name == "x"
    for typed in (
        "~/new.csv",
        "$PARTS/../../new.csv",
        (tmp_path / "new.csv").as_uri(),
        f"'{tmp_path}/new.csv'",
    ):
        assert as_path(typed).resolve() == tmp_path / "new.csv"  # nothing is there yet
    assert as_path("new folder/new.csv").as_posix() == "new folder/new.csv"


def test_a_listing_says_what_it_passed_over(tmp_path):
    for place in ("b", "a", "day 2/c", ".ipynb_checkpoints/a", "__MACOSX/x", "@eaDir/y", "day 2/._c"):
        write_image(tmp_path / f"{place}.png", 90)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "photo.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"?")
    (tmp_path / "day 3").symlink_to(tmp_path, target_is_directory=True)  # a link in a circle
    files, notes = find_images(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == ["a.png", "b.png", "day 2/c.png"]
    assert notes == (
        "Left out, no images that can be read: 2 files (1 .txt, 1 .heic; e.g. 'notes.txt').",
        "Left out, hidden or in folders of the system: 4 image files (e.g. '.ipynb_checkpoints/a.png').",
    )
    write_image(tmp_path / "ground_truth/crack/c.png", 0)
    write_image(tmp_path / "day 2/c_mask.png", 0)
    files, notes = find_images(tmp_path)
    assert len(files) == 3
    what = "masks by their name, their folder or an image beside them"
    assert f"Left out, {what}: 2 files (e.g. 'day 2/c_mask.png')." in notes
    assert len(find_images(tmp_path / "ground_truth").files) == 1  # asked for by name
    again = find_images(tmp_path / "a.png", tmp_path)
    assert len(again.files) == 3
    assert "1 files were named more than once" in again.notes[-1]


def test_one_bad_file_is_named_and_the_rest_goes_on(tmp_path):
    write_image(tmp_path / "a.png", 90)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    write_image(tmp_path / "c.png", 60)
    with pytest.raises(ImageFileError, match=r"b\.png' cannot be read"):
        as_images(tmp_path, COLOUR)
    batch = as_images(tmp_path, COLOUR, on_error="skip")
    assert [name[-5:] for name in batch.names] == ["a.png", "c.png"]
    assert len(batch.refused) == 1
    assert "1 of 3 images left out: image" in batch.notes[-1]
    nothing = as_images([tmp_path / "b.png"], COLOUR, on_error="skip")
    assert nothing.images.shape == (0, *COLOUR)
    with pytest.raises(ValueError, match="on_error='no'"):
        as_images(tmp_path, COLOUR, on_error="no")


@pytest.mark.slow
def test_twenty_thousand_files_are_listed_in_a_moment(tmp_path):
    for number in range(20_000):
        (tmp_path / f"{number}.png").touch()
    seconds = []
    for _ in range(3):  # the quickest: other programs share the machine
        begin = time.process_time()
        assert len(find_images(tmp_path).files) == 20_000
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 1.0


def test_images_beyond_the_decoders_limit_are_refused_with_the_way_to_raise_it(tmp_path, monkeypatch):
    write_image(tmp_path / "large.png", 90, side=64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(
        ImageFileError, match=r"large\.png' is larger than the decoder's limit(?s:.)*MAX_IMAGE_PIXELS"
    ):
        open_image(tmp_path / "large.png")


def test_no_file_starts_another_program_by_its_content(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ImageFileError, match=r"a\.png' cannot be read: cannot identify"):
        open_image(tmp_path / "a.png")


def test_a_detector_looks_at_whatever_holds_images(tmp_path, random_images):
    detector = make_detector("pca", (3, 32, 32), "smoke").fit(random_images(12, size=32), progress="quiet")
    images = random_images(3, size=32, seed=5)
    expected = detector.anomaly_score(images)
    arrays = images.permute(0, 2, 3, 1).numpy()
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{number}.png")
    for given in (
        arrays,
        list(arrays),
        [Image.fromarray(array) for array in arrays],
        tmp_path,
        str(tmp_path),
    ):
        assert torch.equal(detector.anomaly_score(given), expected)
    assert torch.equal(detector.anomaly_score(arrays[0]), expected[:1])
    assert torch.equal(detector.anomaly_map(arrays), detector.anomaly_map(images))
    assert torch.equal(detector.reconstruct(tmp_path), detector.reconstruct(images))
    refitted = make_detector("pca", (3, 32, 32), "smoke").fit(tmp_path, progress="quiet")
    assert torch.equal(
        refitted.anomaly_score(images),
        make_detector("pca", (3, 32, 32), "smoke").fit(images, progress="quiet").anomaly_score(images),
    )
    with pytest.warns(UserWarning, match="1 of 1 images are not square and were squeezed to 32x32"):
        detector.anomaly_score(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(TypeError, match=r"np\.rint\(image \* 255\)"):
        detector.anomaly_score(arrays / 255)


def test_a_detector_keeps_the_scale_of_deep_images(tmp_path):
    random = np.random.default_rng(0)
    for number in range(16):
        values = random.integers(1000, 3000, (16, 16)).astype(np.uint16)
        (tmp_path / "parts").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / f"parts/{number:02}.tif")
    split = load("folder", path=tmp_path / "parts", size=16)
    assert split.train.value_range == (0.0, 4095.0)
    detector = make_detector("pca", split.image_shape, "smoke").fit(
        split.train, split.validation, progress="quiet"
    )
    again = Detector.load(detector.save(tmp_path / "parts.safetensors"))
    assert again.value_range == (0.0, 4095.0)
    frame = np.asarray(Image.open(tmp_path / "parts/03.tif"))
    pixels = torch.from_numpy(np.rint(frame / 4095 * 255).astype(np.uint8))[None, None]
    assert torch.equal(again.anomaly_score(frame), again.anomaly_score(pixels))
    assert torch.equal(again.anomaly_score(tmp_path / "parts/03.tif"), again.anomaly_score(pixels))
    shutil.rmtree(tmp_path / "parts")
