from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

import adlib
from adlib.data import DATA_SETS, SplitSettings, catalogue, classes, load
from adlib.data.catalogue import _collect_once


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An ADLIB_DATA of our own; nothing remembered from another one."""
    monkeypatch.setenv("ADLIB_DATA", str(tmp_path))
    for cached in (_collect_once, classes.class_arrays):
        cached.cache_clear()
    yield tmp_path
    for cached in (_collect_once, classes.class_arrays):
        cached.cache_clear()


def fake_classes(
    classes: int, side: int = 8, colour: bool = False, per_class: int = 6
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    shape = (len(labels), side, side, 3) if colour else (len(labels), side, side)
    return {
        key: rng.integers(0, 256, shape, dtype=np.uint8) if key.startswith("x") else labels
        for key in ("x_train", "y_train", "x_test", "y_test")
    }


def test_every_entry_says_what_a_reader_needs():
    entries = catalogue()
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    for name in ("elpv/mono", "texture/wood", "mvtec/bottle", "magnetic_tile", "folder", "mnist/<class>"):
        assert name in names
    for entry in entries:
        for text in (
            entry.title,
            entry.count,
            entry.image_size,
            entry.licence,
            entry.source,
            entry.how_to_get,
        ):
            assert text.strip()
        assert isinstance(entry.available(), bool)
    assert adlib.load is load


def test_what_comes_in_wheels_is_available_without_any_data_folder(monkeypatch):
    monkeypatch.delenv("ADLIB_DATA", raising=False)
    available = {entry.name: entry.available() for entry in catalogue()}
    for name in ("mnist5k/<digit>", "elpv/mono", "elpv/poly", "texture/wood", "folder"):
        assert available[name]
    assert not available["mvtec/bottle"]
    assert not available["magnetic_tile"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("elvp/mono", "unknown data set 'elvp/mono'. Did you mean 'elpv/mono'"),
        ("elpv/momo", "Did you mean 'mono'"),
        ("mvtec/botle", "Did you mean 'bottle'"),
        ("cifar10/brid", "unknown class of cifar10 'brid'. Did you mean 'bird'"),
        ("mnist5k/10", "unknown class of mnist5k '10'"),
        ("mnist5k", "needs a digit after a slash, e.g. 'mnist5k/0'"),
        ("texture", "needs a surface after a slash"),
        ("magnetic_tile/3", "part after the slash"),
    ],
)
def test_unknown_names_get_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "texture/wood",
            {"defect_aera": 1},
            r"option defect_aera=1; it has train, .* Did you mean 'defect_area'",
        ),
        (
            "elpv/mono",
            {"contaminaton": 0.1},
            r"it has none. Did you mean 'contamination'\? Beside them: size, and",
        ),
        ("mnist5k/3", {"path": "x"}, "it has none"),
        ("mnist/3", {"labelled": True}, "it has none"),
        ("folder", {}, "needs path="),
    ],
)
def test_unknown_options_are_named(name, options, message):
    with pytest.raises(TypeError, match=message):
        load(name, **options)


@pytest.mark.parametrize("size", [0, 3, 5000, 64.0, True, "64"])
def test_sizes_out_of_range_are_named(size):
    with pytest.raises(ValueError, match="size="):
        load("texture/wood", size=size)


def test_every_setting_of_a_split_is_in_the_docstring_of_load():
    for field in dataclasses.fields(SplitSettings):
        assert f" {field.name}: " in load.__doc__


def test_no_option_of_a_source_has_the_name_of_a_setting_of_the_split():
    of_split = {field.name for field in dataclasses.fields(SplitSettings)} | {"name", "size"}
    for data_set in DATA_SETS.values():
        assert not of_split & set(data_set.options()), data_set.name
        assert all(f"`{option}`" in load.__doc__ for option in data_set.options())


def test_sets_that_are_not_here_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.delenv("ADLIB_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError,
        match=r"'mvtec/screw' is not on this machine: ADLIB_DATA is not set.*\n.*mvtec\.com",
    ):
        load("mvtec/screw")
    monkeypatch.setenv("ADLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"'magnetic_tile' is not on this machine: ADLIB_DATA is '"):
        load("magnetic_tile")


@pytest.mark.slow
def test_a_failed_download_says_what_to_do(data, monkeypatch):
    import torchvision

    def unreachable(*_, **__):
        raise RuntimeError("Error downloading")

    monkeypatch.setattr(torchvision.datasets, "MNIST", unreachable)
    with pytest.raises(
        FileNotFoundError, match=r"mnist\.npz.*\n.*could not download it either \(Error downloading\)"
    ):
        load("mnist/3")


def test_a_classification_set_from_npz_keeps_its_published_split(data):
    arrays = fake_classes(10)
    np.savez(data / "mnist.npz", **arrays)
    split = load("mnist/3", size=8, validation_fraction=0.4)
    truth = split.test.open("test")
    assert (len(split.train), len(split.validation), len(split.test)) == (4, 2, 60)
    assert int((~truth.labels).sum()) == 6
    assert set(truth.kinds) == {"good", *"012456789"}
    normal = {image.tobytes() for image in arrays["x_train"][arrays["y_train"] == 3]}
    assert {image[0].numpy().tobytes() for image in split.train.images} < normal
    assert load("mnist/3", size=16).image_shape == (1, 16, 16)


def test_a_jpeg_copy_says_so(data):
    arrays = fake_classes(10, side=16, colour=True, per_class=4)
    stored = {}
    for side in ("train", "test"):
        files = []
        for pixels in arrays[f"x_{side}"]:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG")
            files.append(buffer.getvalue())
        stored[f"jpeg_{side}"] = np.frombuffer(b"".join(files), np.uint8)
        stored[f"offset_{side}"] = np.cumsum([0, *map(len, files)])
        stored[f"y_{side}"] = arrays[f"y_{side}"]
    np.savez(data / "cifar10_jpeg_streams.npz", **stored)
    by_name, by_number = load("cifar10/bird", size=16), load("cifar10/2", size=16)
    assert by_name.title == "CIFAR-10 (JPEG copy), normal class bird"
    assert by_name.fingerprint == by_number.fingerprint
    assert by_name.image_shape == (3, 16, 16)


def test_cifar100_classes_are_gathered_into_superclasses(data):
    np.savez(data / "cifar100.npz", **fake_classes(100, colour=True, per_class=2))
    split = load("cifar100/people", size=8)
    truth = split.test.open("test")
    assert len(split.train) + len(split.validation) == 10  # five classes of two
    assert int((~truth.labels).sum()) == 10
    assert np.bincount(classes.CIFAR100_SUPERCLASS).tolist() == [5] * 20
    assert "trees" in truth.kinds


def test_a_file_without_its_arrays_is_named(data):
    np.savez(data / "fashion_mnist.npz", x_train=np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"lacks the arrays y_train, x_test, y_test; it holds x_train"):
        load("fashion_mnist/bag")


def test_a_folder_that_a_failed_download_left_is_no_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(classes, "download_folder", lambda: tmp_path)
    monkeypatch.delenv("ADLIB_DATA", raising=False)
    (mnist,) = DATA_SETS["mnist"].entries
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    assert not mnist.available()
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").touch()
    assert mnist.available()


@pytest.mark.slow
def test_a_set_is_registered_by_one_object(monkeypatch):
    """A registration is enough for `load`, the catalogue and the check of the sources."""
    from adlib.data.checks import check_sources

    wood = DATA_SETS["texture"]
    entry = dataclasses.replace(wood.entries[0], name="boards", title="Boards")
    boards = dataclasses.replace(
        wood,
        name="boards",
        loader=lambda *, size, train=20: wood.collect("wood", size, train=train),
        entries=(entry,),
        choice="",
        choices=(),
        digest=lambda: "0123",
        expected_digest="0123",
    )
    monkeypatch.setitem(DATA_SETS, "boards", boards)
    assert (
        load("boards", size=16, train=10).fingerprint == load("texture/wood", size=16, train=10).fingerprint
    )
    assert "boards" in [each.name for each in catalogue()]
    assert ("boards", True) in [(each.name, each.fine) for each in check_sources(download=False)]
    with pytest.raises(ValueError, match="Did you mean 'boards'"):
        load("board")
