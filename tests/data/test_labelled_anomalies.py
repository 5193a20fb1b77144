"""Labelled anomalies: how they are chosen, and that none of them is tested."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adlib import load
from adlib.data import Collection, SplitSettings, make_split
from adlib.data.catalogue import _collect_once
from adlib.data.classes import _resized, class_arrays
from adlib.data.sampling import choose_anomalies, draw_from_clusters, equal_quotas, kmeans_clusters


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def blobs():
    """60 dark, 30 middling and 10 bright images: three clusters far apart."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([20] * 60 + [120] * 30 + [220] * 10)
    noise = torch.randint(-10, 11, (100, 1, 8, 8), generator=generator)
    return (levels[:, None, None, None] + noise).to(torch.uint8)


@pytest.fixture
def digits_folder(tmp_path, monkeypatch):
    """A published set of four hundred images under ADLIB_DATA, 30 of each class for training, 10 for test."""
    random = np.random.default_rng(1)
    arrays = {}
    for side, each in (("train", 30), ("test", 10)):
        arrays[f"x_{side}"] = random.integers(0, 256, (10 * each, 28, 28), dtype=np.uint8)
        arrays[f"y_{side}"] = np.repeat(np.arange(10), each)
    np.savez(tmp_path / "mnist.npz", **arrays)
    monkeypatch.setenv("ADLIB_DATA", str(tmp_path))
    caches = class_arrays, _resized, _collect_once
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def noise_split(normal=84, bad=40, groups=None, **settings):
    """A split of noise, half the anomalies of kind "a", half of kind "b"; each image is found by its pixels.

    Returns:
        All images uint8 (N, 1, 8, 8), and the split.
    """
    pixels = torch.randint(0, 256, (normal + bad, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = pixels.to(torch.uint8)
    kinds = np.array(["good"] * normal + ["a", "b"] * (bad // 2))
    source = Collection(images, kinds, groups=groups)
    return images, make_split(source, name="noise", settings=SplitSettings(**settings))


# ---------------------------------------------------------------------- k-means sampling
def test_clusters_are_found_and_seeded(blobs):
    clusters = kmeans_clusters(blobs, seed=0, clusters=3)
    assert sorted(np.bincount(clusters).tolist()) == [10, 30, 60]
    assert all(len(set(part.tolist())) == 1 for part in np.split(clusters, [60, 90]))
    assert (kmeans_clusters(blobs, seed=0, clusters=3) == clusters).all()


def test_proportional_keeps_the_proportions_of_the_clusters(blobs, rng):
    clusters = kmeans_clusters(blobs, clusters=3)
    drawn = draw_from_clusters(clusters, 20, "proportional", rng)
    assert sorted(np.bincount(clusters[drawn]).tolist()) == [2, 6, 12]
    assert len(set(drawn.tolist())) == 20


def test_equal_draws_as_many_from_every_cluster_and_fills_up_where_one_is_too_small(blobs, rng):
    clusters = kmeans_clusters(blobs, clusters=3)
    assert np.bincount(clusters[draw_from_clusters(clusters, 21, "equal", rng)]).tolist() == [7, 7, 7]
    drawn = draw_from_clusters(clusters, 60, "equal", rng)
    assert sorted(np.bincount(clusters[drawn]).tolist()) == [10, 25, 25]
    assert sorted(draw_from_clusters(clusters, 100, "equal", rng).tolist()) == list(range(100))


@pytest.mark.parametrize("number", [1, 7, 33, 99, 100])
@pytest.mark.parametrize("sampling", ["proportional", "equal"])
def test_as_many_as_asked_for_and_none_twice(blobs, rng, number, sampling):
    drawn = draw_from_clusters(kmeans_clusters(blobs, clusters=3), number, sampling, rng)
    assert len(drawn) == len(set(drawn.tolist())) == number


def test_quotas_differ_by_one_and_stop_at_the_smallest_kind(rng):
    assert sorted(equal_quotas(np.array([50, 50, 50]), 10, rng).tolist()) == [3, 3, 4]
    assert equal_quotas(np.array([50, 4, 9]), 30, rng).tolist() == [4, 4, 4]


def test_natural_keeps_the_frequencies_and_the_others_even_them_out(blobs):
    kinds = np.repeat(["stain", "scratch"], [80, 20])
    for sampling, share in (("natural", 0.8), ("random", 0.5), ("proportional", 0.5), ("equal", 0.5)):
        drawn = choose_anomalies(blobs, kinds, 20, sampling, np.random.default_rng(0))
        assert abs((kinds[drawn] == "stain").mean() - share) <= 0.15, sampling
        again = choose_anomalies(blobs, kinds, 20, sampling, np.random.default_rng(0))
        assert (drawn == again).all()


def test_a_handful_of_images_is_enough(blobs, rng):
    assert len(choose_anomalies(blobs[:1], np.array(["hole"]), 1, "proportional", rng)) == 1
    same = torch.zeros((12, 1, 8, 8), dtype=torch.uint8)
    assert len(choose_anomalies(same, np.array(["hole"] * 12), 5, "equal", rng)) == 5


# ---------------------------------------------------------------------- splits
def test_published_training_sides_give_their_own_anomalies(digits_folder):
    plain, split = load("mnist/3", size=16), load("mnist/3", size=16, anomalies=1.0)
    assert torch.equal(plain.train.images, split.train.images)
    assert torch.equal(plain.test.images, split.test.images), "the test set must not shrink"
    assert len(split.anomalies) == len(split.train) == 26
    assert len(split.validation_anomalies) == len(split.validation) == 4
    assert set(split.anomalies.counts()) == set("012456789")
    both = split.anomalies.counts().items(), split.validation_anomalies.kinds
    assert all(count + both[1].count(kind) in (3, 4) for kind, count in both[0])


@pytest.mark.slow
def test_no_labelled_anomaly_is_tested_or_handed_out_twice(digits_folder):
    for name, options in (
        ("mnist/3", {}),
        ("mnist5k/3", {}),
        ("texture/metal", {"anomalies": 0.1}),
        ("elpv/mono", {"anomalies": 0.2}),
    ):
        split = load(name, size=16, **{"anomalies": 1.0} | options)
        sides = [split.anomalies.images, split.validation_anomalies.images, split.test.images]
        sides += [split.train.images, split.validation.images]
        for one in range(len(sides)):
            for other in range(one):
                assert not rows(sides[one]) & rows(sides[other]), name


def test_unseen_kinds_are_tested_and_not_trained_on(digits_folder):
    split = load("mnist/3", size=16, anomalies=1.0, unseen=("7", "9"))
    assert set(split.anomalies.kinds) | set(split.validation_anomalies.kinds) == set("0124568")
    assert {"7", "9"} <= set(split.test.open("test").kinds)
    assert split.anomalies.unseen == ("7", "9")
    assert split.settings == SplitSettings(anomalies=1.0, unseen=("7", "9"))


def test_sets_without_training_anomalies_give_them_up_from_test_for_good():
    whole = load("texture/metal", size=16)
    fewer = load("texture/metal", size=16, anomalies=0.05, reserve=0.1)
    more = load("texture/metal", size=16, anomalies=0.08, reserve=0.1, sampling="natural")
    assert len(whole.test) - len(fewer.test) == round(0.1 * len(whole.train))
    assert torch.equal(fewer.test.images, more.test.images)
    assert len(fewer.anomalies) < len(more.anomalies)
    with pytest.raises(ValueError, match="takes 240 anomalies out of test, which holds 60"):
        load("texture/metal", size=16, anomalies=1.0)
    few = load("texture/metal", size=16, anomalies=0.2, train_images=50, sampling="natural")
    assert len(few.anomalies) + len(few.validation_anomalies) == round(0.2 * 50) + round(0.2 * 36)
    with pytest.raises(ValueError, match="asks for 20 labelled anomalies"):
        load("texture/metal", size=16, anomalies=0.1, reserve=0.05)


def test_kinds_are_sampled_down_to_the_smallest_and_the_split_says_so():
    kinds = {"scratch": 80, "stamp": 40, "stain": 8}
    options = {"size": 16, "kinds": kinds, "anomalies": 0.2, "reserve": 0.4}
    natural = load("texture/metal", sampling="natural", **options)
    even = load("texture/metal", sampling="random", **options)
    assert len(natural.anomalies) == round(0.2 * len(natural.train))
    assert max(natural.anomalies.counts().values()) > 3 * min(natural.anomalies.counts().values())
    assert max(even.anomalies.counts().values()) - min(even.anomalies.counts().values()) <= 3
    assert any("sampled down" in note for note in even.notes)


@pytest.mark.slow
def test_the_fingerprint_knows_the_anomalies_and_nothing_else_changes():
    plain = load("mnist5k/3", size=16)
    one, two = (load("mnist5k/3", size=16, anomalies=1.0, sampling=s) for s in ("random", "proportional"))
    assert len({plain.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert plain.anomalies is None
    assert plain.options == {}
    again = load("mnist5k/3", size=16, anomalies=1.0, sampling="random")
    assert again.fingerprint == one.fingerprint
    assert "319 labelled anomalies" in repr(one)
    assert "LabelledAnomalies(319 images, 1x16x16" in repr(one.anomalies)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anomalies": 0.0}, "anomalies=0.0; expected how many"),
        ({"anomalies": 1.0, "sampling": "evenly"}, "unknown sampling .evenly."),
        ({"anomalies": 1.0, "unseen": ("33",)}, "kind of anomaly of mnist5k/3 '33'"),
        ({"unseen": ("4",)}, "without anomalies"),
        ({"anomalies": 1.0, "unseen": tuple("012456789")}, "names all kinds"),
        ({"anomalies": 50.0}, "3375 are there"),
        ({"anomalies": 1.0, "labelled": True}, "it has none"),
    ],
)
def test_settings_that_cannot_be_met_are_named(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        load("mnist5k/3", size=16, **settings)


def test_photos_of_one_object_are_either_trained_on_or_kept_to_choose_settings_by():
    """32 defective objects of three photos each: of none does one photo teach and another one examine."""
    groups = np.concatenate([np.arange(120), 120 + np.arange(96) // 3])
    for seed in range(5):
        images, split = noise_split(120, 96, groups=groups, seed=seed, anomalies=0.3, reserve=0.6)
        object_of = {image.numpy().tobytes(): group for image, group in zip(images, groups)}
        parts = split.anomalies.images, split.validation_anomalies.images, split.test.images
        seen = [{object_of[row] for row in rows(part)} for part in parts]
        assert seen[0]
        assert seen[1]
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])


def test_a_share_too_small_for_one_image_is_refused_and_one_image_will_do():
    with pytest.raises(
        ValueError, match=r"anomalies=0\.001 .* less than one .* smallest share that gives one is 0\.0"
    ):
        noise_split(anomalies=0.001)
    split = noise_split(anomalies=0.02)[1]
    assert (len(split.anomalies), len(split.validation_anomalies)) == (1, 0)


def test_kinds_that_stay_unseen_take_nothing_from_the_pool():
    split = noise_split(anomalies=0.1, unseen=("b",))[1]
    assert set(split.anomalies.kinds) | set(split.validation_anomalies.kinds) == {"a"}
    assert len(split.anomalies) == round(0.1 * len(split.train))
    assert split.test.open("this test").kinds.count("b") == 20


@pytest.mark.parametrize("seed", range(6))
def test_no_object_is_trained_on_and_chosen_by(seed):
    groups = np.concatenate([np.arange(84), 84 + np.arange(40) // 2])
    images, split = noise_split(groups=groups, anomalies=0.3, contamination=0.05, seed=seed)
    object_of = {image.numpy().tobytes(): group for image, group in zip(images, groups)}
    sides = (split.train, split.anomalies), (split.validation_anomalies,)
    trained, chosen_by = ({object_of[row] for part in side for row in rows(part.images)} for side in sides)
    assert chosen_by
    assert not trained & chosen_by
