"""Are the data still where they were, and still the same?

The packaged sets are held against the SHA-256 of their content; the downloaded ones are fetched anew from their
published addresses into a folder that is thrown away, and held against their published checksums by torchvision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from adlib.data.catalogue import DATA_SETS
from adlib.data.registry import DataSet


class Finding(NamedTuple):
    """What a look at one data set gave: its name, whether all is well, and in words."""

    name: str
    fine: bool
    words: str


def check_sources(download: bool = True) -> Iterator[Finding]:
    """Look at every set that comes in a package or by download, one after the other.

    Args:
        download: also fetch the downloaded sets, some 250 MB; False looks at the packaged ones only.

    Yields:
        One finding per set, as soon as it is known. A set that cannot be read or fetched is a finding, not an error.
    """
    for data_set in DATA_SETS.values():
        if data_set.digest is not None:
            yield _finding(data_set, _compare)
        elif data_set.fetch is not None and download:
            yield _finding(data_set, _fetch)


def _finding(data_set: DataSet, look: Callable[[DataSet], str]) -> Finding:
    try:
        return Finding(data_set.name, True, look(data_set))
    except Exception as error:
        return Finding(data_set.name, False, f"{type(error).__name__}: {error}")


def _compare(data_set: DataSet) -> str:
    assert data_set.digest is not None, "asked of packaged sets only"
    digest, expected = data_set.digest(), data_set.expected_digest
    if digest != expected:
        raise ValueError(
            f"its content has the SHA-256 {digest}…, expected {expected}…: the package was changed. Every number "
            "made from it has to be looked at again."
        )
    return f"as expected, {expected}…"


def _fetch(data_set: DataSet) -> str:
    assert data_set.fetch is not None, "asked of downloaded sets only"
    with tempfile.TemporaryDirectory(prefix="adlib-data-") as folder:
        train, _, test, _ = data_set.fetch(Path(folder))
    return f"fetched anew, {len(train):,} + {len(test):,} images, checksums as published"
