"""Where chapters are read and where their runs are written."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from adlib import environment
from adlib.errors import ChapterError, unknown_name
from adlib.files import locked

PROFILES = ("smoke", "live", "paper")


@dataclass(frozen=True)
class Workspace:
    """Where chapters are read and where their runs are written.

    Args:
        root: a checkout: holds `notebooks/`, `baselines/`, `results/`, `requirements.lock`.
        folder: below it, for everything that a run makes; runs that must not meet have one each.
    """

    root: Path
    folder: str = "_build"

    @classmethod
    def here(cls) -> Workspace:
        """The checkout this package runs from.

        Raises:
            ChapterError: the package was installed as a wheel, which holds no chapters.
        """
        root = environment.project_root()
        if root is None:
            raise ChapterError(
                "the chapters are in the checkout, and adlib runs from an installed wheel. "
                "Clone the repository and run the command there."
            )
        return cls(root)

    @property
    def build(self) -> Path:
        """The folder for everything that a run makes."""
        return self.root / self.folder

    def chapters(self) -> dict[str, Path]:
        """Chapter name -> its notebook, in reading order."""
        return {path.stem: path for path in sorted((self.root / "notebooks").glob("*.ipynb"))}

    def chapter(self, name: str) -> Path:
        """The notebook of a chapter, by its full name or by an unambiguous beginning such as "01" or "01e".

        "01" is the chapter with that number, not its evidence page 01e.

        Raises:
            ValueError: no chapter, or more than one, has that name.
        """
        known = self.chapters()
        matches = [name] if name in known else [each for each in known if each.startswith(f"{name}_")]
        matches = matches or [each for each in known if each.startswith(name)]
        if not matches:
            raise unknown_name("chapter", name, known)
        if len(matches) > 1:
            raise ValueError(f"chapter {name!r} is ambiguous: {', '.join(matches)}. Give more of the name.")
        return known[matches[0]]

    def executed(self, name: str, profile: str) -> tuple[Path, Path]:
        """Where the executed notebook and its record lie."""
        folder = self.build / "executed" / profile
        return folder / f"{name}.ipynb", folder / f"{name}.json"


def chapter_lock(workspace: Workspace, name: str, profile: str) -> AbstractContextManager[None]:
    """Held while a chapter is executed in a profile: of two commands that want the same one, one waits."""
    return locked(workspace.build / "locks" / f"{name}.{profile}.lock")


def pages_lock(workspace: Workspace) -> AbstractContextManager[None]:
    """Held while pages are built: there is one stage."""
    return locked(workspace.build / "locks" / "pages.lock")
