"""The script that makes the environment: one per lock, never a half-made one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import environment


@pytest.fixture
def empty_lock(tmp_path):
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n")
    return path


@pytest.fixture
def commands(monkeypatch):
    """Records what would be run, and makes an interpreter's file where venv would."""
    ran = []

    def run(command, remedy):
        ran.append(command)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(environment, "run", run)
    return ran


def test_it_is_made_once(tmp_path, empty_lock, commands):
    folder = tmp_path / "venv"
    assert environment.environment(folder, empty_lock) == folder / "bin" / "python"
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert "--require-hashes" in commands[1]
    environment.environment(folder, empty_lock)
    assert len(commands) == 2


def test_a_half_made_one_is_made_anew(tmp_path, empty_lock, commands, monkeypatch):
    folder = tmp_path / "venv"
    environment.environment(folder, empty_lock)
    (folder / environment.STAMP).unlink()
    (folder / "left_behind").touch()
    environment.environment(folder, empty_lock)
    assert len(commands) == 4
    assert not (folder / "left_behind").exists()


def test_an_interrupted_installation_leaves_no_stamp(tmp_path, empty_lock, commands, monkeypatch):
    make = environment.run

    def interrupted(command, remedy):
        make(command, remedy)
        if "pip" in command:
            raise KeyboardInterrupt

    monkeypatch.setattr(environment, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.environment(tmp_path / "venv", empty_lock)
    assert not (tmp_path / "venv" / environment.STAMP).exists()


def test_a_failure_names_command_and_remedy():
    with pytest.raises(SystemExit, match=r"(?s)failed \(3\).*connect to a network"):
        environment.run([sys.executable, "-c", "raise SystemExit(3)"], "connect to a network")


def test_the_name_follows_the_lock(tmp_path, empty_lock):
    before = environment.key(empty_lock)
    empty_lock.write_text("something==1\n")
    assert environment.key(empty_lock) != before


def test_the_cache_is_where_the_user_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment.cache_folder() == tmp_path / "adlib-book"


def test_the_metadata_is_found_through_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    root = Path(__file__).resolve().parents[2]
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    for name in ("adlib", "results", "baselines"):
        (tmp_path / name).mkdir()
    environment.write_metadata(Path(sys.executable))
    ask = "from importlib.metadata import distribution as d; print(d('adlib-book').locate_file(''))"
    env = {"PYTHONPATH": str(tmp_path / "_build" / "env")}
    found = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == tmp_path / "_build" / "env"


def locked_versions(name):
    return re.findall(rf"^{name}==(\S+)", environment.LOCK.read_text(), re.MULTILINE)


def test_the_oldest_versions_are_the_floors_of_the_core(tmp_path, monkeypatch):
    project = {
        "dependencies": ["torch>=2.4", "pillow>=10"],
        "optional-dependencies": {"book": ["jupyter-book>=1.0.4,<2"]},
    }
    assert (
        environment.versions_text(project, "oldest") == "torch==2.4.*\npillow==10.*\njupyter-book>=1.0.4,<2\n"
    )
    assert environment.versions_text(project, "newest") == "torch>=2.4\npillow>=10\njupyter-book>=1.0.4,<2\n"
    assert environment.requirements("locked") == environment.LOCK
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes(
        (Path(__file__).resolve().parents[2] / "pyproject.toml").read_bytes()
    )
    assert "torch==2.4.*" in environment.requirements("oldest").read_text()
    peers = environment.requirements("peers").read_text().split()
    assert {"anomalib==2.7.0", *(f"torch=={locked}" for locked in locked_versions("torch"))} <= {*peers}
    with pytest.raises(SystemExit, match="expected locked, oldest, newest or peers"):
        environment.requirements("olddest")
