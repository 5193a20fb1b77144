from __future__ import annotations

import numpy as np
import pytest
import torch

from adlib.data import load
from adlib.data.defects import DEFECTS, VISIBLE, add_defect
from adlib.data.textures import KINDS, SURFACES, _texture, load_texture

PAIRS = [(surface, kind) for surface, kinds in KINDS.items() for kind in kinds]


def clean_images(surface: str, count: int = 12, size: int = 48, seed: int = 0) -> np.ndarray:
    return SURFACES[surface](np.random.default_rng(seed), count, size)


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_masks_are_exactly_what_changed(surface, kind):
    clean = clean_images(surface)
    images, masks = add_defect(kind, clean, 0.02, np.random.default_rng(1), on=surface)
    before = np.rint(clean * 255).astype(int)
    change = np.abs(images.astype(int) - before).max(axis=3)
    assert (change[~masks] == 0).all()
    assert (change[masks] >= VISIBLE).all()
    assert masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize("area", [0.005, 0.02, 0.1])
@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_defects_cover_the_area_asked_for(surface, kind, area):
    _, masks = add_defect(kind, clean_images(surface), area, np.random.default_rng(2), on=surface)
    covered = masks.mean(axis=(1, 2))
    assert covered.max() <= area + 1 / 48**2
    assert covered.mean() > 0.75 * area


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_surfaces_repeat_and_no_two_images_are_alike(surface):
    first, again, other = (clean_images(surface, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    images = load_texture(surface, size=32).images
    assert len(torch.unique(images.flatten(1), dim=0)) == len(images)


def test_making_the_images_again_gives_the_same_bytes():
    settings = ("metal", 32, 20, 5, (("scratch", 3), ("stamp", 2)), (0.02,), 7)
    first = _texture(*settings)
    _texture.cache_clear()
    assert torch.equal(first.images, _texture(*settings).images)


def test_the_seed_of_the_split_leaves_the_images_alone():
    splits = [load("texture/glass", size=16, seed=seed) for seed in (0, 1)]
    first, second = ({image.numpy().tobytes() for image in split.test.images} for split in splits)
    assert first == second
    assert splits[0].fingerprint != splits[1].fingerprint


def test_defects_can_be_as_unequal_as_wanted():
    split = load("texture/metal", size=16, train=20, test=6, kinds={"scratch": 9, "stamp": 3, "stain": 1})
    truth = split.test.open("test")
    assert {kind: truth.kinds.count(kind) for kind in set(truth.kinds)} == {
        "good": 6, "scratch": 9, "stamp": 3, "stain": 1,
    }  # fmt: skip
    assert len(split.train) + len(split.validation) == 20
    assert not truth.masks[~truth.labels].any()
    assert truth.masks[truth.labels].any(axis=(1, 2)).all()


def test_a_larger_area_grows_the_same_defects_on_the_same_boards():
    small, large = (load_texture("wood", size=32, defect_area=area) for area in (0.01, 0.05))
    assert torch.equal(small.images[small.kinds == "good"], large.images[large.kinds == "good"])
    assert large.masks.sum() > 4 * small.masks.sum()


def test_several_areas_at_once_are_the_images_of_each_alone():
    few = {"kinds": {"hole": 3, "knot": 2}, "train": 8, "test": 4, "size": 32}
    areas = (0.01, 0.05)
    both = load_texture("wood", defect_area=areas, **few)
    for area in areas:
        alone = load_texture("wood", defect_area=area, **few)
        assert torch.equal(both.images[:12], alone.images[:12])
        for kind, number in few["kinds"].items():
            rows, own = both.kinds == f"{kind} {100 * area:g} %", alone.kinds == kind
            assert rows.sum() == number
            assert torch.equal(both.images[rows], alone.images[own])
            assert (both.masks[rows] == alone.masks[own]).all()
    assert (both.sides == "train").sum() == 8
    assert len(both.images) == 12 + 2 * 5


def test_six_kinds_over_three_surfaces():
    assert sorted(DEFECTS) == ["chalk", "hole", "knot", "scratch", "stain", "stamp"]
    assert sorted(KINDS) == ["glass", "metal", "wood"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("texture/wod", {}, "Did you mean 'wood'"),
        ("texture/wood", {"kinds": {"chalks": 3}}, "Did you mean 'chalk'"),
        ("texture/glass", {"kinds": {"stamp": 3}}, "kind of defect on glass 'stamp'"),
        ("texture/wood", {"defect_area": 0.0}, r"defect_area=0\.0"),
        ("texture/wood", {"defect_area": (0.01, 0.01)}, "or several that differ"),
        ("texture/wood", {"size": 8}, "size=8; expected at least 16"),
        ("texture/wood", {"train": -1}, "train=-1"),
    ],
)
def test_wrong_settings_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, **options)
