"""What is written down in two places says the same in both."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import lock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
REQUIREMENTS = [Requirement(text) for text in sum(EXTRAS, PROJECT["dependencies"])]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Each release of the lock with its hashes."""
    text = (ROOT / "requirements.lock").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.split(" --hash=")[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def locked() -> dict[str, Version]:
    versions = {}
    for requirement, _ in lock_entries():
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        versions[canonical(requirement.name)] = Version(pin.version)
    return versions


def tracked() -> list[Path]:
    result = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in result.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_the_lock_satisfies_every_floor(requirement):
    assert requirement.specifier.contains(locked()[canonical(requirement.name)])


def test_every_release_of_the_lock_has_hashes_of_its_files():
    for requirement, hashes in lock_entries():
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


def test_the_lock_is_whole_on_every_system_and_python():
    """With hashes pip installs nothing that is not listed, so what macOS or a newer Python needs has to be there."""
    metadata = [each.metadata for each in importlib.metadata.distributions()]
    releases = [
        {"name": each["Name"], "requires_dist": each.get_all("Requires-Dist") or []} for each in metadata
    ]
    conditions = {canonical(each.name): str(each.marker or "") for each, _ in lock_entries()}
    installed = {canonical(each["name"]) for each in releases}
    releases += [{"name": name} for name in conditions.keys() - installed]
    where, missing = lock.reach([str(each) for each in REQUIREMENTS], releases)
    assert not missing
    assert {name: conditions[name] for name in where} == {
        name: lock.marker(places) for name, places in where.items()
    }


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_the_core_install_has_floors_and_no_pins(text):
    operators = {each.operator for each in Requirement(text).specifier}
    assert operators == {">="}, f"{text}: a pin or a ceiling would move Colab's own packages"


def test_the_conda_environment_has_the_same_floors():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (each["pip"] for each in conda if isinstance(each, dict))
    assert sorted(pip) == sorted(sum(EXTRAS, PROJECT["dependencies"]))
    assert f"python{PROJECT['requires-python']}" in conda


def test_pre_commit_uses_the_locked_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    pins = [
        pin for repo in config["repos"] for hook in repo["hooks"] for pin in hook["additional_dependencies"]
    ]
    assert {"ruff", "nbstripout", "codespell"} == {Requirement(pin).name for pin in pins}
    for pin in pins:
        assert Requirement(pin).specifier.contains(locked()[Requirement(pin).name]), pin


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    import adlib

    assert citation["version"] == PROJECT["version"] == adlib.__version__


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "book/index.md", "CHANGELOG.md"):
        named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / page).read_text()))
        assert named <= targets, f"{page} names make targets that do not exist: {named - targets}"


# Written in pieces, so that this file does not name what it looks for.
PRIVATE = [
    r"/(?:work|farm|root|home/[a-z]+)" + r"/\w",
    r"files\." + "pythonhosted",
    r"registry\." + "npmjs",
    r"file:/" + "//",
    r"\.\./" + "shared",
]


@pytest.mark.parametrize("pattern", PRIVATE)
def test_no_file_names_a_machine_path_or_a_registry_host(pattern):
    lines = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        lines += [
            f"{path.relative_to(ROOT)}:{number}: {line[:120]}"
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(pattern, line)
        ]
    assert not lines, "\n".join(lines)


def test_no_address_of_an_organisation_that_does_not_exist():
    """Until an owner sets the one setting, no page or file points to a repository of ours."""
    if tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["adlib"]["repository"]:
        pytest.skip("an owner has set the repository")
    pattern = re.compile(r"(?:github|gitlab)\.(?:com|io)/[\w.-]*adlib", re.IGNORECASE)
    for path in tracked():
        if path.suffix in {".md", ".toml", ".yml", ".ipynb", ".cff", ".py"}:
            assert not pattern.search(path.read_text()), path
