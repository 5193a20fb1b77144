"""The record of a night: an outcome per chapter, saved after each.

Outcomes of a chapter, and the exit code of the command (the highest counts):

    passed           0  executed, every number inside its band and none drifting
    numbers          1  executed, but a number is outside its band, drifts, has no baseline or is missing
    failed           3  a cell raised an error, or the time limit was reached
    infrastructure   4  the kernel died or did not start, in every attempt, or the machine failed otherwise

Where every chapter passed, but a package is not what the lock says, a detector has left its recorded trajectory or the
numbers have moved together, the command ends with 1; one that could not begin its night at all ends with 2.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adlib.files import write_atomic

EXIT_CODES = {"passed": 0, "numbers": 1, "failed": 3, "infrastructure": 4}


@dataclass
class Outcome:
    """The outcome of one chapter in a night.

    Args:
        chapter: full name.
        outcome: a key of EXIT_CODES.
        attempts: how often it was started.
        message: the error, for a chapter that was not executed to its end.
        deviations, drifts, changes: sentences about numbers outside their bands, numbers that drift, and what has
            changed since the run before.
        record: the run's record; empty for a chapter that was not executed to its end.
        again: whether another attempt may help: a kernel died.
    """

    chapter: str
    outcome: str
    attempts: int = 1
    message: str = ""
    deviations: list[str] = field(default_factory=list)
    drifts: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    again: bool = False


@dataclass
class Night:
    """One night, as saved in `_build/nightly/<profile>/night.json` after every chapter.

    Args:
        id: time at which it began, and the first digits of the source hash.
        profile: of every chapter.
        code: source hash of the package.
        inputs: hash of everything that its chapters are made from and held against; an interrupted night is resumed
            with the same inputs only.
        chapters: to be executed, in order.
        finished: whether all are done.
        environment: packages that are not what the lock says.
        trajectories: detectors whose first steps are not the recorded ones; see `adlib_book.nightly.trajectories`.
        together: a sentence if the numbers have moved together, each inside its band; see `spread.moved_together`.
        outcomes: by chapter.
    """

    id: str
    profile: str
    code: str
    chapters: list[str]
    inputs: str = ""
    finished: bool = False
    environment: list[str] = field(default_factory=list)
    trajectories: list[str] = field(default_factory=list)
    together: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """What the command ends with: see the module."""
        codes = [EXIT_CODES[each.outcome] for each in self.outcomes.values()]
        return max([*codes, 1 if self.environment or self.trajectories or self.together else 0])

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        write_atomic(folder / "night.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Night | None:
        """The night in a file; None if there is none that can be read."""
        try:
            fields = json.loads(path.read_text())
            outcomes = {name: Outcome(**each) for name, each in fields.pop("outcomes").items()}
            return cls(**fields, outcomes=outcomes)
        except (OSError, ValueError, TypeError, KeyError):
            return None
