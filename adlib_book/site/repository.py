"""The public repository: the owner's one setting, and the buttons that pages have by it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from adlib.files import write_atomic


def repository_setting(root: Path) -> dict[str, str]:
    """The owner's one setting, `[tool.adlib]` in pyproject.toml.

    Returns:
        {"repository": address, or "" for none, "branch": name}.

    Raises:
        ValueError: the address is not of the form https://HOST/OWNER/REPOSITORY.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text()).get("tool", {}).get("adlib", {})
    address = settings.get("repository", "").rstrip("/")
    if address and not re.fullmatch(r"https://(github|gitlab)\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"[tool.adlib] repository in pyproject.toml is {address!r}; "
            "expected https://github.com/OWNER/REPOSITORY (or gitlab.com), or an empty text for none."
        )
    return {"repository": address, "branch": settings.get("branch", "main")}


def set_repository(root: Path, address: str) -> str:
    """Write the owner's one setting into pyproject.toml: buttons, Colab editions and the wheel follow from it.

    Args:
        root: the checkout.
        address: https://HOST/OWNER/REPOSITORY, or OWNER/REPOSITORY on GitHub; "" takes the buttons away.

    Returns:
        The address as it was written.

    Raises:
        ValueError: an address of another form; pyproject.toml stays as it is.
    """
    path = root / "pyproject.toml"
    before = path.read_text()
    if re.fullmatch(r"[\w.-]+/[\w.-]+", address):
        address = f"https://github.com/{address}"
    text, count = re.subn(
        r'(?m)^repository = ".*"$', lambda _: f'repository = "{address.rstrip("/")}"', before, count=1
    )
    if not count:
        raise ValueError(f"{path} has no line 'repository = ...' below [tool.adlib]; restore it from git.")
    write_atomic(path, text)
    try:
        return repository_setting(root)["repository"]
    except (ValueError, tomllib.TOMLDecodeError):
        write_atomic(path, before)
        raise


def pages_address(repository: str) -> str:
    """Where the host publishes a repository's pages, ending in a slash; "" without an address."""
    match = re.fullmatch(r"https://(github|gitlab)\.com/([\w.-]+)/([\w.-]+)", repository)
    return f"https://{match[2].lower()}.{match[1]}.io/{match[3]}/" if match else ""


def with_repository(config: dict[str, Any], repository: str, branch: str) -> dict[str, Any]:
    """The Jupyter Book configuration with Colab, source and issue buttons; with none without an address."""
    # Jupyter Book's own default is its own repository, which must not appear on our pages.
    html_settings = {**config.get("html", {})}
    for button in ("use_repository_button", "use_edit_page_button", "use_issues_button"):
        html_settings[button] = bool(repository) and button != "use_edit_page_button"
    settings: dict[str, Any] = {"url": repository, "branch": branch, "path_to_book": ""}
    colab = "https://colab.research.google.com" if repository.startswith("https://github.com/") else ""
    sphinx_config = config.get("sphinx", {}).get("config", {})
    theme = {**sphinx_config.get("html_theme_options", {}), "use_source_button": bool(repository)}
    if not repository:
        theme |= {"repository_url": "", "repository_branch": ""}
    return {
        **config,
        "html": html_settings,
        "repository": settings,
        "launch_buttons": {"colab_url": colab, "thebe": False, "notebook_interface": "classic"},
        "sphinx": {**config.get("sphinx", {}), "config": {**sphinx_config, "html_theme_options": theme}},
    }
