"""Industrial sets from the reader's copy under ADLIB_DATA: MVTec AD and magnetic tiles."""

from __future__ import annotations

from pathlib import Path

from adlib.data.collection import Collection
from adlib.data.folder import load_folder
from adlib.data.registry import DataSet, Entry, find_below_data, not_here
from adlib.errors import unknown_name

# fmt: off
# MVTec AD: category -> published numbers of images (train, test good, test defective).
MVTEC_CATEGORIES = {
    "bottle": (209, 20, 63), "cable": (224, 58, 92), "capsule": (219, 23, 109), "carpet": (280, 28, 89),
    "grid": (264, 21, 57), "hazelnut": (391, 40, 70), "leather": (245, 32, 92), "metal_nut": (220, 22, 93),
    "pill": (267, 26, 141), "screw": (320, 41, 119), "tile": (230, 33, 84), "toothbrush": (60, 12, 30),
    "transistor": (213, 60, 40), "wood": (247, 19, 60), "zipper": (240, 32, 119),
}
# fmt: on
MVTEC_REMEDY = (
    "Download MVTec AD from mvtec.com (free for non-commercial use), unpack it into <folder>/mvtec/ and set"
    " ADLIB_DATA=<folder>."
)
MAGNETIC_TILE_REMEDY = (
    "Get the set of Huang et al. 2018 (github.com/abin24/Magnetic-tile-defect-datasets.), arrange it in MVTec"
    " layout in <folder>/magnetic_tile/, list images of one tile in groups.csv and set ADLIB_DATA=<folder>."
)


def mvtec_folder(category: str) -> Path | None:
    """The reader's copy of an MVTec AD category, or None."""
    return find_below_data(f"mvtec/{category}", f"mvtec_anomaly_detection/{category}")


def load_mvtec(category: str, *, size: int, on_error: str = "raise") -> Collection:
    """One category of MVTec AD (Bergmann et al. 2019) from the reader's copy, published split.

    Args:
        category: e.g. "bottle".
        size: side of the images, pixels.
        on_error: as in `adlib.data.folder.load_folder`.

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


def _mvtec_entry(category: str) -> Entry:
    train, good, defective = MVTEC_CATEGORIES[category]
    return Entry(
        name=f"mvtec/{category}",
        title=f"MVTec AD {category.replace('_', ' ')} (Bergmann et al. 2019)",
        count=f"{train} train, {good} good and {defective} defective test; masks",
        image_size="700x700 to 1024x1024",
        licence="CC BY-NC-SA 4.0, (c) MVTec Software GmbH",
        source=f"ADLIB_DATA/mvtec/{category}/",
        how_to_get=MVTEC_REMEDY,
        available=lambda: mvtec_folder(category) is not None,
    )


MVTEC = DataSet(
    name="mvtec",
    loader=load_mvtec,
    entries=tuple(_mvtec_entry(category) for category in MVTEC_CATEGORIES),
    choice="category",
    choices=tuple(MVTEC_CATEGORIES),
)


def magnetic_tile_folder() -> Path | None:
    """The reader's copy of the magnetic tiles, or None."""
    return find_below_data("industrial/magnetic_tile", "magnetic_tile")


def load_magnetic_tile(*, size: int, on_error: str = "raise") -> Collection:
    """Magnetic tiles (Huang et al. 2018), five kinds of defect, photos of one tile on one side.

    Args:
        size: side of the images, pixels.
        on_error: as in `adlib.data.folder.load_folder`.

    Raises:
        FileNotFoundError: if the set is not under ADLIB_DATA.
    """
    folder = magnetic_tile_folder()
    if folder is None:
        raise not_here("magnetic_tile", ["industrial/magnetic_tile/", "magnetic_tile/"], MAGNETIC_TILE_REMEDY)
    return load_folder(folder, size=size, on_error=on_error, title="Magnetic tile defects")


MAGNETIC_TILE = DataSet(
    name="magnetic_tile",
    loader=load_magnetic_tile,
    entries=(
        Entry(
            name="magnetic_tile",
            title="Magnetic tiles with five kinds of defect (Huang et al. 2018)",
            count="1,344; masks",
            image_size="various",
            licence="free use with citation",
            source="ADLIB_DATA/magnetic_tile/ or ADLIB_DATA/industrial/magnetic_tile/",
            how_to_get=MAGNETIC_TILE_REMEDY,
            available=lambda: magnetic_tile_folder() is not None,
        ),
    ),
)
