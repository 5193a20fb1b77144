from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch

from adlib.data import Collection, TrainImages, from_arrays, load, make_split


def collection(
    train: int = 40, good: int = 12, bad: int = 20, *, groups=None, official: bool = True, masks: bool = False
) -> Collection:
    """Images whose first two pixels spell their index, so that any of them can be found again."""
    count = train + good + bad
    images = torch.zeros((count, 1, 4, 4), dtype=torch.uint8)
    index = torch.arange(count)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = index // 256, index % 256
    kinds = np.array(["good"] * (train + good) + [("dent", "crack")[i % 2] for i in range(bad)])
    return Collection(
        images=images,
        kinds=kinds,
        sides=np.repeat(["train", "test"], [train, good + bad]) if official else None,
        groups=None if groups is None else np.asarray(groups),
        masks=np.arange(count)[:, None, None] % 3 + np.zeros((4, 4)) == 1 if masks else None,
    )


def indices(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 0, 0].long() * 256 + images[:, 0, 0, 1].long()).tolist()


def roles(split) -> tuple[set[int], set[int], set[int]]:
    return tuple(set(indices(part.images)) for part in (split.train, split.validation, split.test))


def test_the_published_split_is_kept_and_validation_comes_from_training():
    train, validation, test = roles(make_split(collection(), name="x"))
    assert train | validation == set(range(40))
    assert len(validation) == 6  # 15 % of 40
    assert not train & validation
    assert test == set(range(40, 72))


def test_truth_lies_in_the_order_of_the_test_images():
    source = collection(masks=True)
    split = make_split(source, name="x", seed=3)
    truth, order = split.test.open("test"), indices(split.test.images)
    assert truth.labels.tolist() == [index >= 52 for index in order]
    assert truth.kinds == source.kinds[order].tolist()
    assert (truth.masks == source.masks[order]).all()


def test_the_order_of_test_images_tells_nothing():
    split = make_split(collection(good=100, bad=100), name="x")
    labels = split.test.open("test").labels
    assert 60 < np.abs(np.diff(labels.astype(int))).sum() < 140  # about half of the neighbours differ


def test_sealed_labels_do_not_show_and_openings_are_recorded():
    split = make_split(collection(masks=True), name="x")
    shown = repr(split.test) + repr(split) + str(vars(split.test).keys())
    assert "labels sealed" in repr(split.test)
    for secret in ("20", "12 normal", "True", "dent", "good"):
        assert secret not in shown
    assert split.test.opened == ()
    split.test.open("report").labels[:] = True  # a copy: nobody can rewrite the truth
    assert split.test.open("second look").labels.sum() == 20
    assert split.test.opened == ("report", "second look")
    with pytest.raises(ValueError, match="sealed; expected a reason"):
        split.test.open("  ")


def test_without_a_published_split_normals_are_drawn_for_test():
    split = make_split(collection(official=False), name="x")
    train, validation, test = roles(split)
    assert sum(index < 52 for index in test) == 13  # 25 % of 52
    assert {index for index in test if index >= 52} == set(range(52, 72))
    assert not test & (train | validation)
    assert "13 of 52 normal images" in split.notes[0]


def test_the_pool_is_the_same_for_every_contamination_level():
    def cut(level):
        return make_split(collection(train=100), name="x", contamination=level, reserve=0.09)

    clean, low, high = (roles(cut(level)) for level in (0.0, 0.03, 0.09))
    assert clean[2] == low[2] == high[2]
    assert clean[1] == low[1] == high[1]
    pool = set(range(112, 132)) - clean[2]
    assert len(pool) == round(0.09 * 85)
    assert low[0] - clean[0] < high[0] - clean[0] == pool  # nested, added to the same normals
    assert [cut(level).train.contaminated for level in (0.0, 0.03, 0.09)] == [0, 3, 8]


def test_by_default_no_more_is_reserved_than_is_injected():
    split = make_split(collection(train=100), name="x", contamination=0.1)
    assert split.reserve == 0.1
    assert (split.train.contaminated, len(split.test)) == (8, 24)
    assert indices(split.train.images) != sorted(indices(split.train.images))  # anomalies are not at the end


def test_few_shot_subsets_are_nested_and_leave_the_rest_alone():
    cuts = [
        make_split(collection(), name="x", seed=1, train_images=count) for count in (1, 2, 4, 8, 34, None)
    ]
    trains = [roles(cut)[0] for cut in cuts]
    assert [len(train) for train in trains] == [1, 2, 4, 8, 34, 34]
    assert all(small <= large for small, large in pairwise(trains))
    assert len({tuple(indices(cut.test.images)) for cut in cuts}) == 1
    assert len({tuple(indices(cut.validation.images)) for cut in cuts}) == 1


def test_few_shot_changes_neither_pool_nor_test_of_a_contamination_study():
    many, few = (make_split(collection(), name="x", reserve=0.2, train_images=n) for n in (None, 5))
    assert roles(many)[2] == roles(few)[2]


def test_seeds_repeat_and_differ():
    first, same, other = (make_split(collection(), name="x", seed=seed) for seed in (0, 0, 1))
    assert indices(first.test.images) == indices(same.test.images) != indices(other.test.images)
    assert roles(first)[1] != roles(other)[1]


def test_groups_never_lie_on_two_sides():
    rng = np.random.default_rng(0)
    for seed in range(30):
        groups = rng.integers(0, 60, 132)
        for official in (True, False):
            source = collection(train=100, groups=groups, official=official)
            split = make_split(source, name="x", seed=seed, contamination=0.02, reserve=0.05)
            assert_groups_apart(split, groups)


def assert_groups_apart(split, groups) -> None:
    train, validation, test = ({groups[index] for index in role} for role in roles(split))
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_groups_that_span_the_published_sides_leave_training():
    groups = np.arange(72)
    groups[:5] = groups[40]  # five training images show the object of a test image
    split = make_split(collection(groups=groups), name="x")
    train, validation, test = roles(split)
    assert train | validation == set(range(5, 40))
    assert test == set(range(40, 72))
    assert any("5 training images left out" in note for note in split.notes)


def test_reserved_objects_leave_test_altogether():
    groups = np.arange(72)
    groups[52:] = 52 + np.arange(20) // 5  # four defective objects of five photos each
    groups[40] = 52  # and a normal photo of the first
    for seed in range(6):
        split = make_split(collection(groups=groups), name="x", seed=seed, contamination=0.06, reserve=0.09)
        assert split.train.contaminated == 2
        assert_groups_apart(split, groups)
        assert any("test images left out" in note for note in split.notes)


def test_validation_takes_whole_groups():
    groups = np.concatenate([np.repeat(np.arange(10), 4), 100 + np.arange(32)])
    split = make_split(collection(groups=groups), name="x", validation_fraction=0.2)
    _, validation, _ = roles(split)
    assert len(validation) == 8
    assert len({groups[index] for index in validation}) == 2


def test_the_fingerprint_follows_the_data_and_nothing_else():
    base = make_split(collection(masks=True), name="x")
    print_ = base.fingerprint
    assert len(print_) == 16
    assert int(print_, 16) >= 0
    assert make_split(collection(masks=True), name="another name").fingerprint == print_
    base.test.open("look")
    assert pickle.loads(pickle.dumps(base)).fingerprint == print_
    # A reserve or a fraction that changes no image changes nothing.
    assert make_split(collection(masks=True), name="x", validation_fraction=0.151).fingerprint == print_

    pixel = collection(masks=True)
    pixel.images[50, 0, 3, 3] += 1
    mask = collection(masks=True)
    mask.masks[60, 0, 0] ^= True
    kind = collection(masks=True)
    kind.kinds[60] = "scratch"
    changed = [make_split(source, name="x").fingerprint for source in (pixel, mask, kind, collection())]
    changed += [
        make_split(collection(masks=True), name="x", **setting).fingerprint
        for setting in ({"seed": 1}, {"contamination": 0.1}, {"reserve": 0.1}, {"train_images": 9})
    ]
    assert len({print_, *changed}) == 1 + len(changed)


def test_images_of_a_split_are_its_own():
    source = collection()
    split = make_split(source, name="x")
    split.train.images.zero_()
    assert indices(source.images) == list(range(72))


def test_types_refuse_floats():
    with pytest.raises(TypeError, match="expected uint8"):
        TrainImages(torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, r"seed=1\.5"),
        ({"contamination": -0.1}, r"contamination=-0\.1; expected a fraction from 0 to 1"),
        ({"contamination": 3}, "contamination=3"),
        (
            {"contamination": 0.2, "reserve": 0.1},
            r"reserve=0\.1 with contamination=0\.2; expected contamination <=",
        ),
        (
            {"reserve": 0.9},
            r"asks for 31 anomalies \(34 training images\), test holds 20.*\nReserve at most 0\.558",
        ),
        ({"validation_fraction": 0}, "validation_fraction=0"),
        ({"test_fraction": 1.0}, r"test_fraction=1\.0"),
        ({"train_images": 0}, "train_images=0; expected a whole number from 1 to 34"),
        ({"train_images": 35}, "train_images=35"),
        ({"train_images": 2.0}, r"train_images=2\.0"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        make_split(collection(), name="x", **settings)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": 1}, "1 normal training image"),
        ({"good": 0}, "0 normal and 20 anomalous images.*\nAdd normal images"),
        ({"bad": 0}, "12 normal and 0 anomalous images.*\nAdd anomalous images"),
    ],
)
def test_too_few_images_for_a_side_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        make_split(collection(**counts), name="x")


def test_one_object_is_not_enough_for_two_sides():
    with pytest.raises(ValueError, match="all 40 normal images belong to one group"):
        make_split(collection(groups=[0] * 40 + list(range(1, 33))), name="x")


def test_mnist5k_and_elpv_have_the_counts_they_promise():
    digits = load("mnist5k/3", size=16)
    truth = digits.test.open("test")
    assert (len(digits.train), len(digits.validation), int(truth.labels.sum())) == (319, 56, 9 * 125)
    cells = load("elpv/mono", size=16)
    assert (len(cells.train), len(cells.validation), len(cells.test)) == (375, 66, 147 + 313)
    assert cells.image_shape == (1, 16, 16)
    everything = load("elpv/mono", size=16, graded="anomalous")
    assert len(everything.test) == 147 + 313 + 173
    assert "2/3" in cells.notes[0]


def test_arrays_become_a_split():
    rng = np.random.default_rng(0)
    images, labels = rng.random((30, 12, 10, 3)), np.arange(30) >= 20
    split = from_arrays(images, labels, size=8, masks=rng.random((30, 12, 10)) > 0.5, seed=2)
    assert split.image_shape == (3, 8, 8)
    assert len(split.train) + len(split.validation) + len(split.test) == 30
    assert split.test.open("test").masks.shape == (15, 8, 8)
    channels_first = torch.from_numpy(np.rint(images * 255).astype(np.uint8)).permute(0, 3, 1, 2)
    same = from_arrays(channels_first, labels, size=8, seed=2)
    assert torch.equal(same.train.images, split.train.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.full((6, 8, 8), np.nan)}, "6 of 6 images hold NaN or infinity"),
        ({"images": np.full((6, 8, 8), 7.0)}, r"run from 7 to 7; expected \[0, 1\]"),
        ({"images": np.zeros((6, 8, 8, 2))}, r"shape \(6, 8, 8, 2\); expected"),
        ({"images": np.zeros((6, 8, 8), int)}, "dtype int64"),
        ({"labels": np.array([0, 0, 0, 2, 1, 1])}, "labels hold .*2"),
        ({"labels": np.zeros(5)}, r"labels has shape \(5,\); expected \(6,\)"),
        ({"kinds": ["good"] * 6}, "kinds and labels disagree"),
        ({"masks": np.zeros((6, 4, 4))}, r"masks have shape \(6, 4, 4\)"),
        ({"groups": [1, 2]}, "groups has shape"),
    ],
)
def test_bad_arrays_are_named(change, message):
    arrays = {"images": np.zeros((6, 8, 8)), "labels": np.array([0, 0, 0, 0, 1, 1])} | change
    with pytest.raises(ValueError, match=message):
        from_arrays(**arrays)
