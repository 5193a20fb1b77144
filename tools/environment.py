"""Make the Python environment of this checkout and print its interpreter. Standard library only.

The environment lies outside the checkout, under the user's cache, and its name holds the hash of
`requirements.lock`, so that every checkout with the same lock shares one and a changed lock makes a new one.
The package itself is *not* installed there (two checkouts would get in each other's way): the commands of
the Makefile put the checkout on PYTHONPATH, and this script writes the package's metadata to `_build/env`.

With `oldest` or `newest` as argument the versions come from pyproject.toml instead of the lock: the floors of the core
dependencies, or whatever is newest, each in an environment of its own. With `peers` it holds the core dependencies as
locked, and the libraries that `make bench` compares with.

An interrupted installation is never taken for a finished one: the stamp is written last, and an environment
without a stamp is made anew. Two commands at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
OLDEST = (3, 11)
STAMP = "complete"


def requirements(which: str) -> Path:
    """The file that says which versions to install.

    Raises:
        SystemExit: `which` is none of "locked", "oldest", "newest" and "peers".
    """
    if which == "locked":
        return LOCK
    if which not in ("oldest", "newest", "peers"):
        raise SystemExit(f"[environment] versions {which!r}; expected locked, oldest, newest or peers.")
    import tomllib  # not above: an older Python shall hear of its age from `main`

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    path = ROOT / "_build" / f"requirements.{which}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(peers_text(project, LOCK) if which == "peers" else versions_text(project, which))
    return path


# What `make bench` compares with. Not in the lock: nobody needs it to read or build the book.
PEERS = ("anomalib==2.7.0", "pyod==3.6.7")


def peers_text(project: dict, lock: Path) -> str:
    """Lines for pip: the core dependencies at the lock's versions, hatchling for the metadata, and PEERS.

    Ours and theirs then run in one process with one torch, in turns.
    """
    core = [re.split("[^\\w.-]", text)[0] for text in project["dependencies"]]
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))
    return "\n".join([*(f"{name}=={locked[name]}" for name in [*core, "hatchling"]), *PEERS]) + "\n"


def versions_text(project: dict, which: str) -> str:
    """Lines for pip: every dependency and every extra.

    For "oldest" the core dependencies stand at the series of their floors.
    """
    core = project["dependencies"]
    if which == "oldest":
        core = [re.sub(r">=([\d.]+)$", r"==\1.*", text) for text in core]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return "\n".join(dict.fromkeys([*core, *extras])) + "\n"


def cache_folder() -> Path:
    """Where environments and downloads are kept: outside the checkout, so that `make clean` is cheap."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "adlib-book"


def key(lock: Path = LOCK) -> str:
    """First 12 hex digits of the hash of the lock, the Python version and the processor type."""
    parts = lock.read_bytes() + f"{sys.version_info[:2]} {sys.platform} {platform.machine()}".encode()
    return hashlib.sha256(parts).hexdigest()[:12]


@contextmanager
def held(path: Path):
    """Hold an exclusive lock, so that two commands never build the same environment at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"another command holds {path.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Print to stderr: stdout is for the interpreter's path alone."""
    print(f"[environment] {text}", file=sys.stderr, flush=True)


def run(command: list[str], remedy: str) -> None:
    """Run a command with its output on stderr.

    Raises:
        SystemExit: it failed; the message names the command and the remedy.
    """
    result = subprocess.run(command, stdout=sys.stderr, check=False)
    if result.returncode:
        raise SystemExit(f"[environment] failed ({result.returncode}): {' '.join(command)}\n{remedy}")


def environment(folder: Path, lock: Path = LOCK) -> Path:
    """The interpreter of a finished environment in `folder`, which is made if it is missing or half-made."""
    python = folder / "bin" / "python"
    if (folder / STAMP).is_file() and python.exists():
        return python
    with held(folder.with_suffix(".lock")):
        if (folder / STAMP).is_file() and python.exists():
            return python
        say(f"making {folder} (once per lock: a few minutes, about 7 GB)")
        shutil.rmtree(folder, ignore_errors=True)
        run(
            [sys.executable, "-m", "venv", str(folder)],
            "Python's venv module is incomplete; on Debian and Ubuntu: apt-get install python3-venv.",
        )
        # What is not in the list, or is another file than the one that was tested, is not installed.
        hashes = ["--require-hashes"] if lock.suffix == ".lock" else []
        run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "-qq",
                "--disable-pip-version-check",
                *hashes,
                "-r",
                str(lock),
            ],
            f"Check the network and the free space under {folder.parent}, then run the command again; "
            "or name a ready interpreter with make PYTHON=/path/to/python.",
        )
        (folder / STAMP).write_text(f"{lock.name} {key(lock)}\n")
    return python


def write_metadata(python: Path) -> None:
    """Write the package's metadata to `_build/env`, where importlib.metadata finds it through PYTHONPATH."""
    with held(ROOT / "_build" / "env.lock"):
        _write_metadata(python, ROOT / "_build" / "env")


def _write_metadata(python: Path, target: Path) -> None:
    source = (ROOT / "pyproject.toml").read_bytes()
    stamp = target / STAMP
    digest = hashlib.sha256(source).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    hook = "import sys, hatchling.build as b; b.prepare_metadata_for_build_editable(sys.argv[1])"
    subprocess.run([str(python), "-c", hook, str(target)], cwd=ROOT, check=True, stdout=sys.stderr)
    stamp.write_text(digest)


def main() -> None:
    """Print the interpreter's path."""
    if sys.version_info < OLDEST:
        raise SystemExit(
            f"[environment] this is Python {platform.python_version()}; the lock needs "
            f"{OLDEST[0]}.{OLDEST[1]} or newer. Name another one with make PYTHON3=python3.12."
        )
    lock = requirements(sys.argv[1] if sys.argv[1:] else "locked")
    python = environment(cache_folder() / f"venv-{key(lock)}", lock)
    write_metadata(python)
    print(python)


if __name__ == "__main__":
    main()
