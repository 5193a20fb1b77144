"""Each symptom is named where it is, and only there."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from discs import disc, write_discs
from PIL import Image

from adlib.inspection.alignment import displacements
from adlib.inspection.doctor import described, diagnose


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """50 aligned discs to train on, six good and six scratched ones to test: nothing is odd."""
    return write_discs(tmp_path_factory.mktemp("drawn"), 50, 6, jitter=0.01)


@pytest.fixture
def folder(drawn, tmp_path):
    """A copy of them, to be spoilt."""
    return shutil.copytree(drawn, tmp_path / "discs")


def test_nothing_is_odd_about_discs_in_their_place(folder):
    assert diagnose(folder, size=96) == []
    assert "Nothing odd" in described([])


def brighten(folder, kind: str) -> None:
    for file in (folder / "test" / kind).iterdir():
        Image.open(file).point(lambda value: min(255, value + 60)).save(file)


def sixteen_bits(folder) -> None:
    pixels = np.asarray(disc(7, jitter=0.01).convert("L")).astype(np.uint16) * 257
    Image.fromarray(pixels).save(folder / "train/good/deep.png")


def jitter(folder) -> None:
    shutil.rmtree(folder / "train")
    write_discs(folder, 50, 0, start=5, jitter=0.08)


CASES = {
    "too few": lambda folder: [file.unlink() for file in sorted((folder / "train/good").iterdir())[12:]],
    "duplicates across sides": lambda folder: shutil.copy(
        folder / "train/good/0000.png", folder / "test/scratch/again.png"
    ),
    "duplicates": lambda folder: shutil.copy(folder / "train/good/0000.png", folder / "train/good/again.png"),
    "brightness decides": lambda folder: brighten(folder, "scratch"),
    "light": lambda folder: brighten(folder, "good"),
    "misaligned": jitter,
    "sizes": lambda folder: disc(3, side=64).save(folder / "train/good/small.png"),
    "oblong": lambda folder: disc(3).crop((0, 0, 96, 60)).save(folder / "train/good/wide.png"),
    "bit depths or channels": sixteen_bits,
    "colour": lambda folder: Image.fromarray(
        np.asarray(disc(3)) // np.array([1, 2, 3], np.uint8)
    ).save(folder / "train/good/red.png"),
    "blank": lambda folder: Image.new("RGB", (96, 96)).save(folder / "train/good/black.png"),
    "unreadable": lambda folder: (folder / "train/good/broken.png").write_bytes(b"x"),
    "left out": lambda folder: (folder / "train/good/notes.txt").write_text("x"),
}  # fmt: skip
ALSO = {"oblong": {"sizes"}}


@pytest.mark.parametrize("name", CASES)
def test_a_symptom_is_named(folder, name):
    CASES[name](folder)
    symptoms = {symptom.name: symptom for symptom in diagnose(folder, size=96)}
    assert set(symptoms) == {name} | ALSO.get(name, set())
    assert name in described(list(symptoms.values()))


def test_the_rate_that_is_proposed_is_one_that_the_images_are_enough_for(folder):
    for count in (40, 30, 7):
        for file in sorted((folder / "train/good").iterdir())[count:]:
            file.unlink()
        (symptom,) = diagnose(folder, size=96)
        rate = float(symptom.remedy.removesuffix(".").split()[-1])
        assert diagnose(folder, size=96, false_alarms=rate) == []


def test_large_photographs_lose_thin_defects(tmp_path):
    disc(0, side=400).save(tmp_path / "a.png")
    symptoms = {symptom.name: symptom for symptom in diagnose(tmp_path, size=100)}
    assert "thinner than 4 of their pixels" in symptoms["large"].words


def test_displacements_are_those_that_were_made():
    base = np.asarray(disc(0, side=64).convert("L"), float)
    moves = [(0, 0), (3, -2), (-5, 4)]
    moved = np.stack([np.roll(base, move, (0, 1)) for move in moves])
    assert displacements(moved).tolist() == [list(move) for move in moves]


def test_textures_have_no_place():
    noise = np.random.default_rng(0).normal(size=(20, 64, 64))
    assert len(displacements(noise)) == 1  # the first resembles itself
