"""The history of the nights on a branch of its own, so that it grows without a commit to the code.

python -m adlib_book.nightly.history_branch fetch      the branch's history into _build/history
python -m adlib_book.nightly.history_branch publish    what _build/collected and _build/history hold, onto the branch
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from adlib_book.ledger import results

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "nightly-history"
AUTHOR = ("-c", "user.name=adlib nightly", "-c", "user.email=nightly@users.noreply.invalid")


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it says.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = ["git", *AUTHOR, *arguments]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def fetch(root: Path = ROOT) -> int:
    """Add the branch's lines to `_build/history`.

    Returns:
        How many lines were new; 0 if there is no such branch yet.
    """
    if not git(root, "ls-remote", "--heads", "origin", BRANCH):
        return 0
    git(root, "fetch", "--quiet", "origin", BRANCH)
    added = 0
    for name in git(root, "ls-tree", "--name-only", "FETCH_HEAD").splitlines():
        if name.endswith(".jsonl"):
            text = git(root, "show", f"FETCH_HEAD:{name}")
            with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
                file.write(text + "\n")
                file.flush()
                added += merge([Path(file.name)], root / "_build" / "history" / name)
    return added


def merge(sources: list[Path], target: Path) -> int:
    """Add to a history what others hold and it does not; how many lines that were."""
    ledger = results.Ledger(target)
    return sum(ledger.add(record) for source in sources for record in results.read(source))


def publish(root: Path = ROOT) -> int:
    """Merge every history found below `_build` into the branch and push it; a push that comes too late is repeated.

    Returns:
        How many lines were added.

    Raises:
        subprocess.CalledProcessError: the branch could not be pushed three times over.
    """
    sources = sorted(
        {*(root / "_build").glob("history/*.jsonl"), *(root / "_build").glob("collected/*/history/*.jsonl")}
    )
    for attempt in range(3):
        with tempfile.TemporaryDirectory(prefix="adlib-history-") as place:
            branch = checkout(root, Path(place) / "branch", BRANCH)
            added = sum(merge([source], branch / source.name) for source in sources)
            if not added:
                return 0
            git(branch, "add", ".")
            git(branch, "commit", "--quiet", "-m", f"Nightly: {added} runs")
            try:
                git(branch, "push", "--quiet", "origin", f"HEAD:{BRANCH}")
                return added
            except subprocess.CalledProcessError:
                if attempt == 2:
                    raise
    raise AssertionError("not reached")


def checkout(root: Path, folder: Path, branch: str) -> Path:
    """A branch of the repository's origin in a folder of its own, empty if it does not exist yet."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "remote", "add", "origin", git(root, "remote", "get-url", "origin"))
    for setting in _token_settings(root):
        git(folder, "config", *setting.split(" ", 1))
    if git(folder, "ls-remote", "--heads", "origin", branch):
        git(folder, "fetch", "--quiet", "--depth", "1", "origin", branch)
        git(folder, "checkout", "--quiet", "-b", branch, "FETCH_HEAD")
    else:
        git(folder, "checkout", "--quiet", "--orphan", branch)
    return folder


def _token_settings(root: Path) -> list[str]:
    """The settings of the checkout that hold the token with which GitHub's runner may push; none elsewhere."""
    command = ["git", "config", "--get-regexp", r"^http\..*\.extraheader$"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.splitlines()


if __name__ == "__main__":
    todo = {"fetch": fetch, "publish": publish}[sys.argv[1]]
    print(f"{todo()} runs added")
