"""The browser that is fetched where the machine has none."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from adlib.files import write_atomic
from adlib_book.site import browser


def test_two_that_need_the_browser_unpack_it_once(tmp_path, monkeypatch):
    calls = []

    def unpack(package, folder):
        calls.append(folder)
        time.sleep(0.2)  # long enough for the other one to come in between
        write_atomic(folder / "complete", "")

    monkeypatch.setattr(browser, "package_file", lambda package, cache: cache / "package.tgz")
    monkeypatch.setattr(browser, "_unpack", unpack)
    with ThreadPoolExecutor(3) as pool:
        browsers = list(pool.map(browser._fetched, [tmp_path] * 3))
    assert len(calls) == 1
    assert {each.path for each in browsers} == {calls[0] / "chromium"}


def test_a_browser_that_was_half_unpacked_is_unpacked_again(tmp_path, monkeypatch):
    folder = tmp_path / f"chromium-{browser.CHROMIUM.version}"
    write_atomic(folder / "chromium", "half a program")
    calls = []
    monkeypatch.setattr(browser, "package_file", lambda package, cache: cache / "package.tgz")
    monkeypatch.setattr(browser, "_unpack", lambda package, folder: calls.append(folder))
    browser._fetched(tmp_path)
    assert calls == [folder]
