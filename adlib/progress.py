"""Progress bars: tqdm in a notebook, rich in a terminal, none elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from adlib.environment import in_notebook

PROGRESS = ("auto", "notebook", "terminal", "quiet")


class Quiet:
    """No bar at all; also the base of the two that show one.

    Args:
        steps: of the whole run. done: taken before, by a run that is resumed. title: what is trained.
    """

    def __init__(self, steps: int, done: int, title: str):
        self.steps, self.done, self.title, self._drawn = steps, done, title, 0.0

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def advance(self, losses: dict[str, float]) -> None:
        """One step more, with its losses by name."""

    def _due(self) -> bool:
        """True ten times a second at most: drawing must not cost more than training."""
        now = time.perf_counter()
        due = now - self._drawn > 0.1
        self._drawn = now if due else self._drawn
        return due


class Notebook(Quiet):
    """tqdm's bar."""

    def __enter__(self) -> Notebook:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=self.steps, initial=self.done, desc=self.title, unit="step", mininterval=0.5)
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.close()

    def advance(self, losses: dict[str, float]) -> None:
        """One step more, with its losses by name."""
        if self._due():
            self.bar.set_postfix({k: f"{v:.3g}" for k, v in losses.items()}, refresh=False)
        self.bar.update(1)


class Terminal(Quiet):
    """rich's bar, gone when the training is over."""

    def __enter__(self) -> Terminal:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            "{task.description}",
            BarColumn(),
            "{task.completed}/{task.total}",
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        self.bar = Progress(*columns, transient=True)
        self.bar.__enter__()
        self.task = self.bar.add_task(self.title, total=self.steps, completed=self.done, losses="")
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.__exit__(*error)

    def advance(self, losses: dict[str, float]) -> None:
        """One step more, with its losses by name."""
        if self._due():
            text = "  ".join(f"{k} {v:.3g}" for k, v in losses.items())
            self.bar.update(self.task, losses=text)
        self.bar.advance(self.task)


def bar(progress: str, steps: int, done: int, title: str) -> Quiet:
    """The bar that fits where we are: tqdm in a notebook, rich in a terminal, none elsewhere and in CI.

    Args:
        progress: "auto", or one of the other PROGRESS by name.
        steps, done, title: see `Quiet`.

    Raises:
        ValueError: another name.
    """
    if progress not in PROGRESS:
        raise ValueError(f"unknown progress {progress!r}: use one of {', '.join(PROGRESS)}.")
    if progress == "auto":
        terminal = sys.stdout.isatty() and not os.environ.get("CI")  # rich draws on stdout
        progress = "notebook" if in_notebook() else "terminal" if terminal else "quiet"
    kinds = {"notebook": Notebook, "terminal": Terminal, "quiet": Quiet}
    return kinds[progress](steps, done, title)
