"""Shared by all tests: one thread each, no progress bars, tiny data."""

from __future__ import annotations

import ipaddress
import os
import re
import socket

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["CI"] = "1"

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

import pytest

from adlib.files import locked

if TYPE_CHECKING:  # the process that hands tests to workers need not wait for torch
    import torch

# Tests that share a worker: those of one executed chapter, and those of the pages that one worker builds.
CHAPTER = re.compile(r"tests/notebooks/test_chapters_smoke\.py::.*\[(.+)\]")
DETECTOR = re.compile(r"tests/detectors/test_contract\.py::.*\[([a-z_]+)")  # is fitted once for all its tests
TOGETHER = {
    "tests/browser/": "pages",
    "tests/notebooks/test_chapters_smoke.py": "pages",
    "tests/colab/": "colab",
    "tests/site/test_build.py": "site",
    # What they read, parse or build once serves all their tests.
    "tests/house/test_contributing.py": "recipes",
    "tests/house/": "house",
    "tests/notebooks/test_notebooks.py": "conventions",
    "tests/notebooks/test_sentences.py": "sentences",
    "tests/published/": "published",
}
# What `make check` leaves out, by folder or by what a test asks for; single slow tests carry their mark themselves.
KINDS = {
    "tests/notebooks/test_chapters_smoke.py": "chapter",
    "tests/colab/": "chapter",
    "tests/runner/": "chapter",
    "tests/nightly/test_night.py": "chapter",
    "tests/trajectories/test_other_arithmetic.py": "slow",
    "tests/browser/": "browser",
}
PAGES = {"site", "smoke_site", "address", "built"}
# Detectors whose contract takes seconds to check; all the others are in the fast lane.
LONG_CONTRACT = {
    "anogan",
    "began",
    "dagan_balanced",
    "deep_svdd",
    "feature_dictionary",
    "oe_sdn",
    "patch_gaussian",
    "patch_memory",
    "sdn",
    "skip_ganomaly",
}
LONG_CONTRACT |= {"ssim_ae", "turn_classifier", "vae"}
# Of two tests that ask one thing of every detector, those of detectors that take more than half a second for it. (The
# trajectories stay in the fast lane, all of them: they notice what others do not.)
OF_EVERY = re.compile(r"tests/(?:test_folding\.py::test_scores|inspection/test_export\.py).*\[([a-z_]+)\]")
LONG = {"feature_dictionary", "oe_sdn", "patch_gaussian", "patch_memory", "sdn"}


# pytest-xdist's own --dist loadgroup has no effect with pytest 9.2: it renames tests in a way that pytest ignores.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if chapter := CHAPTER.match(nodeid):
                return f"chapter {chapter[1]}"
            if detector := DETECTOR.match(nodeid):
                return f"contract {detector[1]}"
            return next((name for start, name in TOGETHER.items() if nodeid.startswith(start)), nodeid)

    config.option.loadscopereorder = False  # the order below, not the largest groups first
    return Together(config, log)


def pytest_collection_modifyitems(config, items):
    """Chapters come before the pages that are made from them; several workers begin with both, which take longest."""

    def place(item) -> int:
        if not {"site", "smoke_site", "address"}.isdisjoint(item.fixturenames):
            return 2
        chapter = CHAPTER.match(item.nodeid) is not None
        return 1 if chapter else 3 if hasattr(config, "workerinput") else 0

    items.sort(key=place)
    for item in items:
        kinds = {kind for start, kind in KINDS.items() if item.nodeid.startswith(start)}
        for kind in kinds | ({"chapter"} if PAGES & set(item.fixturenames) else set()):
            item.add_marker(kind)
        for names, long in ((DETECTOR, LONG_CONTRACT), (OF_EVERY, LONG)):
            if (detector := names.match(item.nodeid)) and detector[1] in long:
                item.add_marker("slow")


def pytest_addoption(parser):
    parser.addoption(
        "--site", help="built pages to test in the browser, instead of those of the smoke profile"
    )


# This machine; scripts for the pages are fetched by npm, in a process of its own.
KNOWN_HOSTS = {"localhost", "", None, socket.gethostname(), socket.getfqdn()}
KNOWN_HOSTS |= {urlsplit(proxy).hostname for proxy in getproxies().values()}
getaddrinfo = socket.getaddrinfo


def _is_near(name: str) -> bool:
    """Whether it is an address of this machine or of its own network."""
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def nobody_outside_is_asked():
    """A test that looks up another host fails; processes that a test starts are on their own."""

    def only_known(host, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        assert name in KNOWN_HOSTS or _is_near(name), f"a test asks {name}"
        return getaddrinfo(host, *arguments, **options)

    socket.getaddrinfo = only_known
    yield
    socket.getaddrinfo = getaddrinfo


@pytest.fixture(scope="session")
def smoke_site() -> Path:
    """Every chapter executed in the smoke profile, and the pages built from it."""
    from adlib_book.runner.run import run_chapter
    from adlib_book.runner.workspace import Workspace
    from adlib_book.site.build import build_site

    workspace = Workspace(Path(__file__).resolve().parents[1])
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    site, built = workspace.build / "html-smoke", workspace.build / "html-smoke.run"
    with locked(workspace.build / "html-smoke.lock"):  # of two workers that want the pages, one builds them
        if not (site.is_dir() and built.is_file() and built.read_text() == run):
            records = [run_chapter(name, "smoke", workspace=workspace) for name in workspace.chapters()]
            site = build_site(records, name="html-smoke", workspace=workspace)
            built.write_text(run)
    return site


@pytest.fixture(scope="session")
def site(request) -> Path:
    """The pages that are tested in the browser."""
    named = request.config.getoption("--site")
    return Path(named).resolve() if named else request.getfixturevalue("smoke_site")


@pytest.fixture
def workspace(tmp_path):
    """A checkout in miniature."""
    from tiny_checkout import make_workspace

    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def tiny_split():
    """A small, easy split: procedural wood at 32 pixels, 48 training images."""
    from adlib import load

    return load("texture/wood", size=32, seed=0, train_images=48)


@pytest.fixture
def random_images():
    """A maker of uint8 images (N, C, H, W)."""

    import torch

    def make(count: int, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)

    return make
