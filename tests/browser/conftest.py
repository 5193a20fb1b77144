"""One browser, one served site, and axe, for all tests of the pages."""

from __future__ import annotations

import tarfile
from pathlib import Path

import platformdirs
import pytest

from adlib_book.npm import Package, package_file
from adlib_book.site.browser import served, started

AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    {"package/axe.min.js": "axe.min.js"},
)


@pytest.fixture(scope="session")
def address(site):
    with served(site) as server:
        yield server


@pytest.fixture(scope="session")
def chromium():
    with started() as browser:
        yield browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for what keeps people out."""
    cache = Path(platformdirs.user_cache_dir("adlib-book")) / "scripts"
    with tarfile.open(package_file(AXE, cache)) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


class Visit:
    """A page, opened, with everything it complained about and everything it asked for."""

    def __init__(self, context, address: str):
        self.address, self.context = address, context
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def _console(self, message) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"asks another host: {request.url}")

    def _response(self, response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def open(self, name: str):
        self.page.goto(f"{self.address}/{name}.html", wait_until="networkidle")
        return self.page


@pytest.fixture
def visit(chromium, address):
    """A visitor; light theme, a desk's width, unless told otherwise."""
    contexts = []

    def make(**settings) -> Visit:
        settings = {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}, **settings}
        contexts.append(chromium.new_context(**settings))
        return Visit(contexts[-1], address)

    yield make
    for context in contexts:
        context.close()
