"""Write requirements.lock: the versions that `pip install .[book,sweep,dev]` brings. Standard library only.

A throw-away environment takes the newest versions that the floors in pyproject.toml allow; `pip freeze`
tells what came. Packages that exist for one platform only get a marker, so that others can use the lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The versions this book was tested with: what `pip install .[book,sweep,dev]` brought on Python {python}.
# Made by `make lock`; do not edit by hand. pyproject.toml holds the floors; a test compares the two.
"""
LINUX_ONLY = re.compile(r"^(nvidia-|cuda-|triton\b)")
MARKER = ' ; sys_platform == "linux" and platform_machine == "x86_64"'
NOT_LOCKED = {"adlib-book", "pip"}


def lock_text(frozen: str, python: str) -> str:
    """The lock file for the output of `pip freeze --all`.

    Raises:
        ValueError: a package came from a path or an address instead of a registry.
    """
    lines = []
    for line in frozen.splitlines():
        if line.startswith(("#", "-e ")) or not line.strip():
            continue
        name = re.split("==| @ ", line)[0]
        version = line.removeprefix(f"{name}==") if "==" in line else ""
        if name.lower().replace("_", "-") in NOT_LOCKED:
            continue
        if not version or "@" in line:
            raise ValueError(f"{line!r} is no pinned release; a lock must not name a path or a host.")
        public = version.split("+")[0]  # a local build label such as +cpu exists on one machine only
        lines.append(f"{name}=={public}" + (MARKER if LINUX_ONLY.match(name.lower()) else ""))
    return HEADER.format(python=python) + "\n".join(sorted(lines, key=str.lower)) + "\n"


def main() -> None:
    """Write the lock."""
    with tempfile.TemporaryDirectory(prefix="adlib-lock-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", f"{ROOT}[book,sweep,dev]"], check=True)
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True
        ).stdout
    text = lock_text(frozen, ".".join(map(str, sys.version_info[:2])))
    (ROOT / "requirements.lock").write_text(text)
    print(f"requirements.lock: {len(text.splitlines()) - 2} packages")


if __name__ == "__main__":
    main()
