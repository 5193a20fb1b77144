"""Browser scripts for maths, widgets and "Try it on your images", carried by the pages to work behind a firewall.

They are fetched from npm when the pages are first built, kept in the user's cache, and never committed. One of
them comes with a Python package that is installed anyway.
"""

from __future__ import annotations

import importlib.resources
import tarfile
from pathlib import Path

import platformdirs

from adlib.files import write_atomic
from adlib_book.npm import Package, member_of, package_file

_WIDGETS = "@jupyter-widgets/html-manager"
_WIDGETS_INTEGRITY = (
    "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA=="
)
# Icons of widgets (play, folder, ...), in the one format that all current browsers read.
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
    # The same fonts again: workaround for a wrong font path, which pages ask for now and then.
    Package(
        _WIDGETS,
        "1.0.15",
        _WIDGETS_INTEGRITY,
        {f"package/dist/{font}.woff2": f"@jupyter-widgets/{font}.woff2" for font in _FONTS},
    ),
    # The page "Try it on your images" runs its network with these, and checks files of detectors.
    Package(
        "@tensorflow/tfjs-core",
        "4.22.0",
        "LEkOyzbknKFoWUwfkr59vSB68DMJ4cjwwHgicXN0DUi3a0Vh1Er3JQqCI1Hl86GGZQvY8ezVrtDIvqR1ZFW55A==",
        {"package/dist/tf-core.min.js": "tfjs/tf-core.min.js"},
    ),
    Package(
        "@tensorflow/tfjs-backend-wasm",
        "4.22.0",
        "/IYhReRIp4jg/wYW0OwbbJZG8ON87mbz0PgkiP3CdcACRSvUN0h8rvC0O3YcDtkTQtFWF/tcXq/KlVDyV49wmA==",
        {
            f"package/dist/{name}": f"tfjs/{name}"
            for name in ("tf-backend-wasm.min.js", "tfjs-backend-wasm-simd.wasm", "tfjs-backend-wasm.wasm")
        },
    ),
    Package(
        "@noble/hashes",
        "2.4.0",
        "X5XaVWZIBCT7HHZGm5I7ZQXDwLG+bGXuSrMQAW+7Zvl87h1kmc1ZB1VSRJcpUfoUrGQp4Fkoxm5kZ+Ms+aW+eA==",
        {
            f"package/{name}": f"noble/{name}"
            for name in ("LICENSE", "sha2.js", "_md.js", "_u64.js", "utils.js")
        },
    ),
)


def fetch_scripts(target: Path, cache: Path | None = None) -> None:
    """Put the scripts for maths and widgets into a folder: fetched from npm once, then from the cache.

    Args:
        target: folder to fill.
        cache: where packages are kept. Default: under the user's cache folder.

    Raises:
        ChapterError: a package cannot be fetched, or its SHA-512 is not the published one.
    """
    cache = cache or Path(platformdirs.user_cache_dir("adlib-book")) / "scripts"
    # A widget names the module of its front end, "anywidget"; require.js looks for it here.
    anywidget = importlib.resources.files("anywidget") / "nbextension" / "index.js"
    write_atomic(target / "anywidget.js", anywidget.read_bytes())
    for package in PACKAGES:
        with tarfile.open(package_file(package, cache)) as archive:
            for member, name in package.files.items():
                write_atomic(target / name, member_of(archive, member))
