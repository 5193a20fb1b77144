"""Errors that name the value, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ChapterError(RuntimeError):
    """A chapter could not be executed, or must not be published as it is."""


class SweepError(RuntimeError):
    """Some tasks of a sweep failed; the others have been recorded."""


def unknown_name(kind: str, value: str, known: Iterable[str]) -> ValueError:
    """A ValueError for a name that is not known, with the nearest known one.

    Args:
        kind: what was named, e.g. "detector".
        value: the name as given.
        known: every name that would have been accepted.

    Returns:
        The error, for the caller to raise.
    """
    names = sorted(known)
    return ValueError(f"unknown {kind} {value!r}.{nearest(value, names)} Known: {', '.join(names)}.")


def nearest(value: str, known: Iterable[str]) -> str:
    """The sentence " Did you mean 'x'?" with the known name most like the given one; empty where none is like it."""
    near = difflib.get_close_matches(str(value), sorted(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
