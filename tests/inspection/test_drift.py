"""Incoming photographs that look otherwise than those a detector was fitted to are said to."""

from __future__ import annotations

import numpy as np
import pytest
from discs import disc
from PIL import Image, ImageEnhance, ImageFilter

from adlib.inspection import Inspector, fit_inspector
from adlib.inspection.drift import appearance, unlike
from adlib.inspection.scoring import score_files


def looks(change=lambda image: image, first=0, count=20):
    return [appearance(change(disc(seed))) for seed in range(first, first + count)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda image: ImageEnhance.Brightness(image).enhance(0.6), "darker"),
        (lambda image: ImageEnhance.Brightness(image).enhance(1.5), "brighter"),
        (lambda image: ImageEnhance.Contrast(image).enhance(0.5), "flatter"),
        (lambda image: image.filter(ImageFilter.GaussianBlur(2)), "less sharp"),
    ],
)
def test_another_light_or_focus_is_named(change, word):
    assert f"These images are {word} than those" in " ".join(unlike(looks(), looks(change, 100)))


def test_images_of_the_same_kind_are_not_remarked_upon_and_few_say_nothing():
    assert sum(bool(unlike(looks(first=100 * k), looks(first=100 * k + 50))) for k in range(1, 11)) == 0
    assert unlike(looks(), looks(lambda image: ImageEnhance.Brightness(image).enhance(0.3), count=4)) == []
    assert unlike([], looks()) == [], "files from before this was remembered"


def test_measures_are_in_grey_values():
    checked = np.zeros((256, 256), np.uint8)
    checked[:, ::2] = 200
    brightness, contrast, sharpness = appearance(Image.fromarray(checked))
    assert (brightness, contrast, sharpness) == (100, 100, 100), "steps of 200 along rows, of 0 along columns"


def test_it_is_remembered_in_the_file_and_said_when_scoring(tmp_path):
    inspector = fit_inspector([disc(seed) for seed in range(12)], "mean_intensity", size=32, profile="smoke")
    assert len(inspector.appearances) == 12
    loaded = Inspector.load(inspector.save(tmp_path / "part.safetensors"), "cpu")
    assert loaded.appearances == inspector.appearances
    for seed in range(100, 108):
        ImageEnhance.Brightness(disc(seed)).enhance(0.5).save(tmp_path / f"{seed}.png")
    said: list[str] = []
    summary = score_files(loaded, [tmp_path / f"{seed}.png" for seed in range(100, 108)], said.append)
    assert any("darker than those that the detector was fitted to" in each for each in summary.sentences())
