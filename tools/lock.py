"""Write requirements.lock: what `pip install` with all extras brings, with the hashes of every file of each release.

Pins that are in the lock stay as long as pyproject.toml allows them, so that one more dependency moves no other;
`lock.py upgrade` takes the newest of everything. pip resolves in a throw-away environment and installs nothing. What
is needed on another system or another Python only is locked as well, with a marker: with hashes pip installs nothing
that is not in the list. Needs the standard library, and pip from the environment it makes.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import environment
from pip._vendor.packaging.markers import default_environment
from pip._vendor.packaging.requirements import Requirement

LOCK = environment.LOCK
HEADER = (
    "# The versions this book was tested with, and the hashes of their files: what `pip install "
    ".[book,sweep,export,dev]`\n# brought on Python {python}. Made by `make lock`; do not edit by hand. pyproject.toml "
    "holds the floors; a test compares the two.\n"
)
SYSTEMS = {"linux": "Linux", "darwin": "Darwin"}
PROCESSORS = ("x86_64", "aarch64", "arm64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EVERYWHERE = frozenset(itertools.product(SYSTEMS, PYTHONS))


parsed = functools.cache(Requirement)  # the same lines are asked for every machine


def canonical(name: str) -> str:
    """A package's name as indexes compare it: "PyYAML" and "pyyaml" are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Name (as written) -> version for every package of a lock."""
    return dict(re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.MULTILINE))


def resolve(requirements: Iterable[str], keep: dict[str, str]) -> list[dict[str, Any]]:
    """The metadata of every release that pip would install here.

    Args:
        requirements: as in pyproject.toml.
        keep: name -> version that must not move.

    Raises:
        SystemExit: they cannot be had together.
    """
    with tempfile.TemporaryDirectory(prefix="adlib-lock-") as folder:
        lists = {
            "requirements": requirements,
            "keep": (f"{name}=={version}" for name, version in keep.items()),
        }
        for name, lines in lists.items():
            (Path(folder) / name).write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--report", "report", "--requirement", "requirements", "--constraint", "keep"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SystemExit(
                f"[lock] pip could not resolve:\n{result.stderr}\n`make upgrade` lets every pin move."
            )
        report = json.loads((Path(folder) / "report").read_text())
    return [each["metadata"] for each in report["install"]]


def reach(
    roots: Sequence[str], releases: Sequence[dict[str, Any]]
) -> tuple[dict[str, frozenset[tuple[str, str]]], list[str]]:
    """Where each release is needed, and what is needed somewhere and not among them.

    Args:
        roots: requirements, as in pyproject.toml.
        releases: metadata with "name" and, where there are any, "requires_dist".

    Returns:
        Canonical name -> pairs of system and Python version; requirements that no release answers, without markers.
    """
    known = {canonical(each["name"]): each.get("requires_dist", []) for each in releases}
    where: dict[str, set[tuple[str, str]]] = {}
    missing: dict[str, None] = {}
    for (system, python), processor in itertools.product(sorted(EVERYWHERE), PROCESSORS):
        machine = default_environment() | {
            "sys_platform": system,
            "platform_system": SYSTEMS[system],
            "platform_machine": processor,
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        waiting, seen = [(text, "") for text in roots], set()
        while waiting:
            text, extra = waiting.pop()
            if not extra and "extra ==" in text and " or " not in text:
                continue  # most lines are of extras that nobody asks for, and parsing takes longest
            requirement = parsed(text)
            if requirement.marker and not requirement.marker.evaluate({**machine, "extra": extra}):
                continue
            name = canonical(requirement.name)
            if name not in known:
                missing[f"{requirement.name}{requirement.specifier}"] = None
                continue
            where.setdefault(name, set()).add((system, python))
            for inner in ("", *requirement.extras):
                if (name, inner) not in seen:
                    seen.add((name, inner))
                    waiting += [(each, inner) for each in known[name]]
    return {name: frozenset(places) for name, places in where.items()}, list(missing)


def marker(places: frozenset[tuple[str, str]]) -> str:
    """The condition for pip under which a release is installed; empty for everywhere.

    Raises:
        ValueError: systems and Python versions do not combine freely.
    """
    systems = sorted({system for system, _ in places})
    pythons = sorted({python for _, python in places})
    if places != frozenset(itertools.product(systems, pythons)):
        raise ValueError(
            f"no simple marker for {sorted(places)}; expected every Python on every system named."
        )
    parts = []
    if len(systems) < len(SYSTEMS):
        parts.append(" or ".join(f'sys_platform == "{each}"' for each in systems))
    if len(pythons) < len(PYTHONS):
        parts.append(" or ".join(f'python_version == "{each}"' for each in pythons))
    return " and ".join(f"({part})" if " or " in part and len(parts) > 1 else part for part in parts)


def hashes(releases: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Name -> SHA-256 of every file, for any system, that the package index lists for the release.

    Raises:
        SystemExit: the index lists no file of a release, or one without SHA-256.
    """
    import logging

    from pip._internal.commands import create_command
    from pip._internal.index.collector import parse_links
    from pip._internal.models.link import Link

    logging.disable(logging.WARNING)
    command: Any = create_command("download")
    listed: dict[str, list[str]] = {}
    with command.main_context():
        options, _ = command.parse_args(["anything"])
        finder = command._build_package_finder(options, command.get_default_session(options))
        for each in releases:
            name, version = each["name"], each["version"]
            for address in finder.search_scope.get_index_urls_locations(name):
                page = finder._link_collector.fetch_response(Link(address))
                links = parse_links(page) if page else ()
                files = {link.filename: link for link in links if version_of(link.filename, name) == version}
                if files:
                    break
            if not files or any(link.hash_name != "sha256" for link in files.values()):
                raise SystemExit(f"[lock] the index lists no SHA-256 for {name} {version}.")
            listed[name] = sorted(str(link.hash) for link in files.values())
    return listed


def version_of(filename: str, name: str) -> str | None:
    """The version in the name of a package's file, or None where it is not one of `name`'s.

    "torch-2.14.1-cp311-cp311-win_amd64.whl" -> "2.14.1"; "Sphinx-7.4.7.tar.gz" -> "7.4.7".
    """
    letters = re.escape(canonical(name)).replace(r"\-", "[-_.]+")
    match = re.fullmatch(
        rf"{letters}-([^-]+)(?:-.+\.whl|\.tar\.gz|\.zip|\.tar\.bz2)", filename, re.IGNORECASE
    )
    return match[1] if match else None


def lock_text(
    releases: Iterable[dict[str, Any]],
    where: dict[str, frozenset[tuple[str, str]]],
    listed: dict[str, list[str]],
    python: str,
) -> str:
    """The lock: one release after the other, its marker, its hashes."""
    entries = []
    for each in sorted(releases, key=lambda each: each["name"].lower()):
        condition = marker(where[canonical(each["name"])])
        lines = [f"{each['name']}=={each['version']}" + (f" ; {condition}" if condition else "")]
        lines += [f"    --hash=sha256:{digest}" for digest in listed[each["name"]]]
        entries.append(" \\\n".join(lines))
    return HEADER.format(python=python) + "\n".join(entries) + "\n"


def write(upgrade: bool) -> None:
    """Write the lock; runs in the throw-away environment."""
    project = tomllib.loads((environment.ROOT / "pyproject.toml").read_text())["project"]
    roots = environment.versions_text(project, "newest").splitlines()
    releases = resolve(roots, {} if upgrade else pins(LOCK.read_text()))
    where, missing = reach(roots, releases)
    while missing:
        here = {each["name"]: each["version"] for each in releases}
        releases += [each for each in resolve(missing, here) if each["name"] not in here]
        where, missing = reach(roots, releases)
    releases = [each for each in releases if canonical(each["name"]) in where]
    python = ".".join(map(str, sys.version_info[:2]))
    LOCK.write_text(lock_text(releases, where, hashes(releases), python))
    print(f"{LOCK.name}: {len(releases)} packages")


def main() -> None:
    """Make the throw-away environment and write the lock in it."""
    if sys.argv[1:2] == ["write"]:
        write(upgrade=sys.argv[2:] == ["upgrade"])
        return
    with tempfile.TemporaryDirectory(prefix="adlib-lock-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([Path(folder) / "bin" / "python", __file__, "write", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
