"""Masks in a folder that is scored, evaluated or fitted to are left out and said, however they are named."""

from __future__ import annotations

import pytest
from discs import disc
from PIL import Image, ImageDraw

from adlib.data.layout import read_layout
from adlib.inspection.inputs import find_good, find_labelled, list_sources

NAMES = {  # where the mask of test/scratch/003.jpg lies
    "beside, with the same name": "test/scratch/{:03}.png",
    "beside, named after it": "test/scratch/{:03}_mask.png",
    "in a folder inside": "test/scratch/masks/{:03}.png",
    "in MVTec layout": "ground_truth/scratch/{:03}_mask.png",
}


@pytest.fixture(params=NAMES, ids=str)
def folder(request, tmp_path):
    for place, first in (("train/good", 0), ("test/good", 20), ("test/scratch", 40)):
        (tmp_path / place).mkdir(parents=True)
        for number in range(4):
            disc(first + number, side=32).save(tmp_path / place / f"{number:03}.jpg")
    for number in range(3):  # one of the four has none
        mask = Image.new("L", (32, 32))
        ImageDraw.Draw(mask).line([4, 4, 20, 9], fill=255)
        path = tmp_path / NAMES[request.param].format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    return tmp_path


def test_only_photographs_are_scored_and_evaluated(folder):
    notes: list[str] = []
    sources = list(list_sources(str(folder), notes))
    assert len(sources) == 12
    assert all(source.file.suffix == ".jpg" for source in sources)
    assert any("masks by their name" in note and "3 files" in note for note in notes)
    labelled, _ = find_labelled(folder)
    assert sorted(kind for _, kind in labelled) == ["good"] * 4 + ["scratch"] * 4


def test_the_layout_has_them_as_masks(folder):
    items = read_layout(folder).items
    assert len(items) == 12
    assert sorted(item.path.name for item in items if item.mask) == ["000.jpg", "001.jpg", "002.jpg"]


def test_masks_among_good_images_are_not_learnt_from(tmp_path):
    for number in range(4):
        disc(number, side=32).save(tmp_path / f"{number}.jpg")
        Image.new("1", (32, 32)).save(tmp_path / f"{number}.png")
    good = find_good(tmp_path)
    assert [file.suffix for file in good.train] == [".jpg"] * 4
    assert "4 files (4 .png" in good.notes[0]


def test_two_photographs_of_one_name_are_both_taken(tmp_path):
    for ending in ("jpg", "png"):
        disc(0, side=32).save(tmp_path / f"a.{ending}")
    assert len(list(list_sources(str(tmp_path), []))) == 2
