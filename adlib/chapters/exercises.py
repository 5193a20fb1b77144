"""Starter cells of exercises: run with every chapter, and allowed to fail for one reason only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class NotYet(Exception):
    """A value that the reader is to write still holds dots."""


def filled(*answers: object) -> None:
    """Refuse answers that still are dots; say nothing of others.

    Raises:
        NotYet: one of them is `...`.
    """
    if any(answer is ... for answer in answers):
        raise NotYet


@contextmanager
def your_turn(exercise: str) -> Iterator[None]:
    """Around the beginning of a solution that the reader completes.

    Dots that were not replaced end it with one line of advice; any other failure is an error like everywhere.
    So a chapter that has changed under its starter cells does not pass its nightly run.

    Args:
        exercise: label of the exercise.

    Example:
        >>> with your_turn("ganomaly-d2"):
        ...     worst = ...  # your line
        ...     filled(worst)
        Your turn (ganomaly-d2): replace the dots, then run this cell again.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NotYet) or "ellipsis" in str(error).lower():
            print(f"Your turn ({exercise}): replace the dots, then run this cell again.")
            return
        raise
    print(f"{exercise}: filled in. Now open the solution and compare.")
