from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch

from adlib.data import Collection, Split, SplitSettings, TrainImages, load, make_split


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


def cut(source: Collection, name: str = "x", **settings) -> Split:
    return make_split(source, name=name, settings=SplitSettings(**settings))


def indices(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 0, 0].long() * 256 + images[:, 0, 0, 1].long()).tolist()


def roles(split) -> tuple[set[int], set[int], set[int]]:
    return tuple(set(indices(part.images)) for part in (split.train, split.validation, split.test))


def test_the_published_split_is_kept_and_validation_comes_from_training():
    train, validation, test = roles(cut(collection()))
    assert train | validation == set(range(40))
    assert len(validation) == 6  # 15 % of 40
    assert not train & validation
    assert test == set(range(40, 72))


def test_truth_lies_in_the_order_of_the_test_images():
    source = collection(masks=True)
    split = cut(source, seed=3)
    truth, order = split.test.open("test"), indices(split.test.images)
    assert truth.labels.tolist() == [index >= 52 for index in order]
    assert truth.kinds == source.kinds[order].tolist()
    assert (truth.masks == source.masks[order]).all()


@pytest.mark.parametrize(
    "settings",
    [{}, {"contamination": 0.1, "reserve": 0.2}, {"train_images": 7, "anomalies": 0.5}],
    ids=["plain", "contaminated", "few, with anomalies"],
)
def test_a_split_in_place_is_the_split_that_copies_and_takes_no_memory_of_its_own(settings):
    source, expected = collection(masks=True), cut(collection(masks=True), seed=5, **settings)
    memory = source.images.untyped_storage().data_ptr()
    split = make_split(source, name="x", settings=SplitSettings(seed=5, **settings), in_place=True)
    assert split.fingerprint == expected.fingerprint
    for part in ("train", "validation", "test", "anomalies", "validation_anomalies"):
        one, other = getattr(split, part), getattr(expected, part)
        assert (one is None) == (other is None)
        if one is not None:
            assert torch.equal(one.images, other.images)
            assert one.images.is_contiguous()
            assert one.images.untyped_storage().data_ptr() == memory


def test_the_order_of_test_images_tells_nothing():
    split = cut(collection(good=100, bad=100))
    labels = split.test.open("test").labels
    assert 60 < np.abs(np.diff(labels.astype(int))).sum() < 140  # about half of the neighbours differ


def test_sealed_labels_do_not_show_and_openings_are_recorded():
    split = cut(collection(masks=True))
    visible = repr(split.test) + repr(split) + str(vars(split.test).keys())
    assert "labels sealed" in repr(split.test)
    for secret in ("20", "12 normal", "True", "dent", "good"):
        assert secret not in visible
    assert split.test.opened == ()
    split.test.open("report").labels[:] = True  # a copy: nobody can rewrite the truth
    assert split.test.open("second look").labels.sum() == 20
    assert split.test.opened == ("report", "second look")
    with pytest.raises(ValueError, match="sealed; expected a reason"):
        split.test.open("  ")


def test_without_a_published_split_normals_are_drawn_for_test():
    split = cut(collection(official=False))
    train, validation, test = roles(split)
    assert sum(index < 52 for index in test) == 13  # 25 % of 52
    assert {index for index in test if index >= 52} == set(range(52, 72))
    assert not test & (train | validation)
    assert "13 of 52 normal images" in split.notes[0]


def test_the_pool_is_the_same_for_every_contamination_level():
    splits = [cut(collection(train=100), contamination=level, reserve=0.09) for level in (0.0, 0.03, 0.09)]
    clean, low, high = map(roles, splits)
    assert clean[2] == low[2] == high[2]
    assert clean[1] == low[1] == high[1]
    pool = set(range(112, 132)) - clean[2]
    assert len(pool) == round(0.09 * 85)
    assert low[0] - clean[0] < high[0] - clean[0] == pool  # nested, added to the same normals
    assert [split.train.contaminated for split in splits] == [0, 3, 8]


def test_by_default_no_more_is_reserved_than_is_injected():
    split = cut(collection(train=100), contamination=0.1)
    assert split.settings.reserved == 0.1
    assert (split.train.contaminated, len(split.test)) == (8, 24)
    assert indices(split.train.images) != sorted(indices(split.train.images))  # anomalies are not at the end


def test_few_shot_subsets_are_nested_and_leave_the_rest_alone():
    cuts = [cut(collection(), seed=1, train_images=count) for count in (1, 2, 4, 8, 34, None)]
    trains = [roles(split)[0] for split in cuts]
    assert [len(train) for train in trains] == [1, 2, 4, 8, 34, 34]
    assert all(small <= large for small, large in pairwise(trains))
    assert len({tuple(indices(split.test.images)) for split in cuts}) == 1
    assert len({tuple(indices(split.validation.images)) for split in cuts}) == 1


def test_few_shot_changes_neither_pool_nor_test_of_a_contamination_study():
    many, few = (cut(collection(), reserve=0.2, train_images=n) for n in (None, 5))
    assert roles(many)[2] == roles(few)[2]


def test_seeds_repeat_and_differ():
    first, same, other = (cut(collection(), seed=seed) for seed in (0, 0, 1))
    assert indices(first.test.images) == indices(same.test.images) != indices(other.test.images)
    assert roles(first)[1] != roles(other)[1]


def test_groups_never_lie_on_two_sides():
    rng = np.random.default_rng(0)
    for seed in range(30):
        groups = rng.integers(0, 60, 132)
        for official in (True, False):
            source = collection(train=100, groups=groups, official=official)
            split = cut(source, seed=seed, contamination=0.02, reserve=0.05)
            assert_groups_apart(split, groups)


def assert_groups_apart(split, groups) -> None:
    train, validation, test = ({groups[index] for index in role} for role in roles(split))
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_groups_that_span_the_published_sides_leave_training():
    groups = np.arange(72)
    groups[:5] = groups[40]  # five training images show the object of a test image
    split = cut(collection(groups=groups))
    train, validation, test = roles(split)
    assert train | validation == set(range(5, 40))
    assert test == set(range(40, 72))
    assert any("5 training images left out" in note for note in split.notes)


def test_reserved_objects_leave_test_altogether():
    groups = np.arange(72)
    groups[52:] = 52 + np.arange(20) // 5  # four defective objects of five photos each
    groups[40] = 52  # and a normal photo of the first
    for seed in range(6):
        split = cut(collection(groups=groups), seed=seed, contamination=0.06, reserve=0.09)
        assert split.train.contaminated == 2
        assert_groups_apart(split, groups)
        assert any("test images left out" in note for note in split.notes)


def test_validation_takes_whole_groups():
    groups = np.concatenate([np.repeat(np.arange(10), 4), 100 + np.arange(32)])
    split = cut(collection(groups=groups), validation_fraction=0.2)
    _, validation, _ = roles(split)
    assert len(validation) == 8
    assert len({groups[index] for index in validation}) == 2


def test_the_fingerprint_follows_the_data_and_nothing_else():
    base = cut(collection(masks=True))
    print_ = base.fingerprint
    assert len(print_) == 16
    assert int(print_, 16) >= 0
    assert cut(collection(masks=True), name="another name").fingerprint == print_
    base.test.open("look")
    assert pickle.loads(pickle.dumps(base)).fingerprint == print_
    # A reserve or a fraction that changes no image changes nothing.
    assert cut(collection(masks=True), validation_fraction=0.151).fingerprint == print_

    pixel = collection(masks=True)
    pixel.images[50, 0, 3, 3] += 1
    mask = collection(masks=True)
    mask.masks[60, 0, 0] ^= True
    kind = collection(masks=True)
    kind.kinds[60] = "scratch"
    changed = [cut(source).fingerprint for source in (pixel, mask, kind, collection())]
    changed += [
        cut(collection(masks=True), **setting).fingerprint
        for setting in ({"seed": 1}, {"contamination": 0.1}, {"reserve": 0.1}, {"train_images": 9})
    ]
    assert len({print_, *changed}) == 1 + len(changed)


def test_images_of_a_split_are_its_own():
    source = collection()
    split = cut(source)
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
        ({"train_images": 0}, "train_images=0; expected a whole number of at least 1"),
        ({"train_images": 35}, "train_images=35; expected a whole number from 1 to 34"),
        ({"train_images": 2.0}, r"train_images=2\.0"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        cut(collection(), **settings)


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
        cut(collection(**counts))


def test_one_object_is_not_enough_for_two_sides():
    with pytest.raises(ValueError, match="all 40 normal images belong to one group"):
        cut(collection(groups=[0] * 40 + list(range(1, 33))))


@pytest.mark.slow
def test_mnist5k_and_elpv_have_the_counts_they_promise():
    digits = load("mnist5k/3", size=16)
    truth = digits.test.open("test")
    assert (len(digits.train), len(digits.validation), int(truth.labels.sum())) == (319, 56, 9 * 125)
    cells = load("elpv/mono", size=16)
    assert (len(cells.train), len(cells.validation), len(cells.test)) == (375, 66, 147 + 313)
    assert cells.image_shape == (1, 16, 16)
    assert cells.notes[0] == "173 cells graded 1/3 or 2/3 left out."


def test_equal_settings_are_equal_however_they_are_written():
    one = SplitSettings(seed=np.int64(1), contamination=0, anomalies=1, unseen=["cat"])
    assert one == SplitSettings(seed=1, contamination=0.0, anomalies=1.0, unseen=("cat",))
    assert len({one, SplitSettings(seed=1, anomalies=1.0, unseen=("cat",))}) == 1
    assert type(one.seed) is int
    assert type(one.contamination) is float


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unseen": ("cat",)}, r"unseen=\('cat',\) without anomalies"),
        ({"sampling": "equal"}, "sampling='equal' without anomalies"),
        ({"anomalies": 1.0, "unseen": "cat"}, r'expected several names, e.g. \("cat",\)'),
        ({"anomalies": 1.0, "sampling": "evenly"}, "unknown sampling 'evenly'"),
        ({"anomalies": 101}, "anomalies=101; expected"),
        ({"train_images": True}, "train_images=True"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SplitSettings(**settings)
