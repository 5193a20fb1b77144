"""Changing baselines: a chapter is executed, and its numbers are written with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adlib_book.nightly import bands
from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import Workspace


def update_baselines(name: str, profile: str, reason: str, *, inside: bool = False) -> list[str]:
    """Write the numbers of a chapter's run as its baselines, executing it if it has changed.

    Args:
        name: chapter.
        profile: "smoke", "live" or "paper".
        reason: why the numbers are right now.
        inside: also those that have moved inside their bands.

    Returns:
        One line per number that was changed, with old and new value; then the reason and the record.

    Raises:
        ValueError: no reason, unknown chapter or profile.
        ChapterError: the chapter failed.
    """
    workspace = Workspace.here()
    bands.check_reason(reason)
    record = run_chapter(name, profile, workspace=workspace)
    return _summary(record, reason, bands.update(workspace.root, record, reason, inside=inside))


def _summary(record: Mapping[str, Any], reason: str, changes: list[str]) -> list[str]:
    if not changes:
        return [f"every number of {record['id']} is inside its band; nothing was changed"]
    lines = [*changes, f"reason: {reason.strip()}", f"record: {record['id']}, commit {record['commit']}"]
    if record["commit"].endswith("+dirty"):
        lines.append(
            "adlib/, adlib_book/ or notebooks/ have changes that are not committed, and every entry says so (+dirty). "
            "Commit them first, without baselines: a number must not change in the commit that changes its cause."
        )
    return lines
