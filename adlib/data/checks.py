"""Are the data still where they were, and still the same?

The packaged sets are held against the SHA-256 of their content; the downloaded ones are fetched anew from their
published addresses into a folder that is thrown away, and held against their published checksums by torchvision.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from adlib.data.sources import TORCHVISION, _elpv_table, _mnist5k_arrays, fetch

PACKAGED = {  # first 16 hex digits of the SHA-256 of pixels and labels, or of the files and what is known of them
    "mnist5k": "1f75c140503b3082",
    "elpv": "870a1dfb40e66b95",
}


class Finding(NamedTuple):
    """What was found about one data set: its name, whether all is well, and in words."""

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
    for name, digest in (("mnist5k", _digest_mnist5k), ("elpv", _digest_elpv)):
        yield _looked_at(name, lambda name=name, digest=digest: _compared(digest(), PACKAGED[name]))
    for name in TORCHVISION if download else ():
        yield _looked_at(name, lambda name=name: _fetched(name))


def _looked_at(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except Exception as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _compared(found: str, expected: str) -> str:
    if found != expected:
        raise ValueError(
            f"its content has the SHA-256 {found}…, expected {expected}…: the package was changed. Every number "
            "made from it has to be looked at again."
        )
    return f"as expected, {expected}…"


def _digest_mnist5k() -> str:
    pixels, labels = _mnist5k_arrays()
    return hashlib.sha256(pixels.tobytes() + labels.astype("<i8").tobytes()).hexdigest()[:16]


def _digest_elpv() -> str:
    digest = hashlib.sha256()
    for file, probability, kind in zip(*_elpv_table()):
        digest.update(f"{file.name} {probability:.3f} {kind}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _fetched(name: str) -> str:
    with tempfile.TemporaryDirectory(prefix="adlib-data-") as folder:
        train, _, test, _ = fetch(name, folder)
    return f"fetched anew, {len(train):,} + {len(test):,} images, checksums as published"
