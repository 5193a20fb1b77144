"""Electroluminescence images of solar cells (Buerhop-Lutz et al. 2018), from the elpv-dataset wheel."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np

from adlib.data.collection import GOOD, Collection, stack_to_tensor
from adlib.data.images import parallel_map, read_image, resize_image
from adlib.data.registry import IN_WHEEL, DataSet, Entry, importable
from adlib.errors import unknown_name

CELL_TYPES = ("mono", "poly")


def load_elpv(cell_type: str, *, size: int) -> Collection:
    """Solar cells: functional ones (defect probability 0) are normal, defective ones (1) anomalous.

    Cells graded 1/3 or 2/3 are left out.

    Args:
        cell_type: "mono" or "poly" (crystalline).
        size: side of the images, pixels (original 300).

    Raises:
        ValueError: for another cell type.
    """
    if cell_type not in CELL_TYPES:
        raise unknown_name("cell type of elpv", cell_type, CELL_TYPES)
    files, probability, types = _elpv_table()
    partly = (probability > 0) & (probability < 1)
    chosen = (types == cell_type) & ~partly
    left_out = int((partly & (types == cell_type)).sum())

    def read(file: Path) -> np.ndarray:
        return np.asarray(resize_image(read_image(file).convert("L"), size))

    return Collection(
        images=stack_to_tensor(np.stack(parallel_map(read, files[chosen]))[:, None]),
        kinds=np.where(probability == 0, GOOD, "defective")[chosen],
        title=f"ELPV solar cells, {cell_type}crystalline",
        notes=(f"{left_out} cells graded 1/3 or 2/3 left out.",),
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


def _elpv_digest() -> str:
    digest = hashlib.sha256()
    for file, probability, kind in zip(*_elpv_table()):
        digest.update(f"{file.name} {probability:.3f} {kind}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _entry(cell_type: str, count: str, caption: str) -> Entry:
    return Entry(
        name=f"elpv/{cell_type}",
        title=f"Solar cells, {cell_type}crystalline, electroluminescence (Buerhop-Lutz et al. 2018)",
        count=count,
        image_size="300x300 grey",
        licence="CC BY-NC-SA 4.0",
        source="elpv-dataset wheel",
        how_to_get=IN_WHEEL,
        available=lambda: importable("elpv_dataset"),
        pictured=f"elpv/{cell_type}",
        caption=caption,
    )


ELPV = DataSet(
    name="elpv",
    loader=load_elpv,
    entries=(
        _entry(
            "mono",
            "588 functional, 313 defective, 173 graded in between",
            "Solar cells made of one crystal: eight good ones, then eight with cracks and dead regions.",
        ),
        _entry(
            "poly",
            "920 functional, 402 defective, 228 graded in between",
            "Solar cells made of many crystals: eight good ones, then eight defective ones.",
        ),
    ),
    choice="cell type",
    choices=CELL_TYPES,
    cached=True,
    digest=_elpv_digest,
    expected_digest="870a1dfb40e66b95",
)
