from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from adlib.data import image_from_file
from adlib.data.images import (
    ImageFileError,
    pixel_digest,
    read_image,
    read_mask,
    resize_image,
    resize_mask,
    resize_stack,
)


def test_shrinking_averages_every_original_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 36), dtype=np.uint8)
    small = np.asarray(resize_image(Image.fromarray(pixels), 12)).astype(float)
    exact = pixels.reshape(12, 2, 12, 3).mean(axis=(1, 3))
    assert np.abs(small - exact).max() <= 1.0  # Pillow rounds after each axis


def test_growing_stays_within_the_range_of_the_original():
    pixels = np.array([[0, 255], [255, 0]], np.uint8)
    large = np.asarray(resize_image(Image.fromarray(pixels), 16))
    assert large.shape == (16, 16)
    assert (large[0, 0], large[0, -1]) == (0, 255)


def test_a_filled_defect_keeps_its_area():
    y, x = np.mgrid[:250, :250]
    mask = (y - 120) ** 2 + (x - 90) ** 2 < 60**2
    small = resize_mask(mask, 64)
    assert small.mean() == pytest.approx(mask.mean(), rel=0.02)


def test_half_a_pixel_counts():
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True  # target pixel (0, 0) full
    mask[0, 2:] = True  # target pixel (0, 1) half
    mask[2, 0] = True  # target pixel (1, 0) a quarter
    assert resize_mask(mask, 2).tolist() == [[True, True], [False, False]]


def test_a_thin_scratch_keeps_its_line():
    mask = np.zeros((256, 256), bool)
    mask[100] = True
    small = resize_mask(mask, 32)
    assert small.any(axis=0).all()
    assert small.any(axis=1).sum() == 1


@pytest.mark.parametrize(("height", "width", "size"), [(100, 60, 64), (33, 90, 32), (8, 8, 20), (7, 5, 5)])
def test_a_mask_of_any_shape_is_neither_lost_nor_invented(height, width, size):
    mask = np.zeros((height, width), bool)
    assert not resize_mask(mask, size).any()
    mask[height // 2, width // 2] = True
    assert resize_mask(mask, size).any()
    assert resize_mask(np.ones((height, width), bool), size).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16).repeat(4, 0)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(read_image(tmp_path / "deep.png"))[0].tolist() == [0, 1, 128, 255]
    Image.fromarray(np.array([[0.0, 1.0]], np.float32)).save(tmp_path / "unit.tif")
    assert np.asarray(read_image(tmp_path / "unit.tif"))[0].tolist() == [0, 255]
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "far.tif")
    with pytest.raises(ImageFileError, match="integers from 0 to 70000"):
        read_image(tmp_path / "far.tif")


@pytest.mark.parametrize(
    ("mode", "expected"), [("1", "L"), ("L", "L"), ("P", "RGB"), ("RGBA", "RGB"), ("CMYK", "RGB")]
)
def test_modes_become_grey_or_colour(tmp_path, mode, expected):
    Image.new("RGB", (5, 4), (200, 30, 60)).convert(mode).save(tmp_path / "image.tif")
    image = read_image(tmp_path / "image.tif")
    assert (image.mode, image.size) == (expected, (5, 4))


def test_a_photo_is_turned_upright(tmp_path):
    image = Image.new("L", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # taken with the camera on its side
    image.save(tmp_path / "photo.jpg", exif=exif)
    assert read_image(tmp_path / "photo.jpg").size == (4, 6)


def test_masks_may_be_stored_as_0_and_1(tmp_path):
    values = np.eye(4, dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "ones.png")
    Image.fromarray(values * 255).save(tmp_path / "white.png")
    assert (read_mask(tmp_path / "ones.png", (4, 4)) == values).all()
    assert (read_mask(tmp_path / "white.png", (4, 4)) == values).all()


def test_one_file_gives_the_bytes_that_its_folder_gives(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    colour = image_from_file(tmp_path / "colour.png", (3, 16, 16))
    assert np.array_equal(colour, resize_stack(pixels[None], 16))
    grey = image_from_file(tmp_path / "grey.png", (1, 16, 16))
    assert np.array_equal(grey, resize_stack(pixels[None, ..., 0], 16))
    assert image_from_file(tmp_path / "grey.png", (3, 16, 16)).shape == (1, 3, 16, 16)
    with pytest.raises(ImageFileError, match="is coloured; this detector was trained on grey"):
        image_from_file(tmp_path / "colour.png", (1, 16, 16))
    with pytest.raises(FileNotFoundError, match=r"none\.png' is not a file"):
        image_from_file(tmp_path / "none.png", (1, 16, 16))


def test_equal_pixels_have_one_digest_whether_stored_in_grey_or_in_colour():
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert pixel_digest(grey) == pixel_digest(grey.convert("RGB"))
    others = [
        grey.rotate(90, expand=True),
        Image.merge("RGB", [grey, grey, grey.point(lambda value: value + 1)]),
    ]
    assert len({pixel_digest(image) for image in [grey, *others]}) == 3
