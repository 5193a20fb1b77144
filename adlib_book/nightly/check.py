"""Chapters executed and held against their baselines, with a line of report for each step."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adlib_book.nightly import bands
from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import Workspace


def run_and_check(
    names: Iterable[str],
    profile: str,
    parameters: Mapping[str, Any],
    *,
    force: bool = False,
) -> list[bands.Deviation]:
    """Execute chapters one after the other and hold their numbers against the bands.

    A run with other parameters than the chapter's defaults has no baselines and is not held against any.

    Args:
        names: chapters.
        profile: "smoke", "book" or "paper".
        parameters: values for parameters that the notebooks declare.
        force: execute even if nothing has changed.

    Returns:
        Every number outside its band, over all chapters; also printed.

    Raises:
        ValueError, ChapterError: as from `run_chapter`.
    """
    workspace = Workspace.here()
    deviations = []
    for name in names:
        record = run_chapter(name, profile, parameters, force=force, workspace=workspace)
        say(f"{record['id']}: {record['seconds']:.0f} s, {len(record['metrics'])} numbers")
        if parameters:
            say("  with parameters of your own: not held against baselines")
            continue
        deviations += _checked(workspace, record)
    return deviations


def update_baselines(name: str, profile: str, reason: str, *, inside: bool = False) -> list[str]:
    """Write the numbers of a chapter's run as its baselines, executing it if it has changed.

    Args:
        name: chapter.
        profile: "smoke", "book" or "paper".
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
    return _told(record, reason, bands.update(workspace.root, record, reason, inside=inside))


def update_bands(name: str, profile: str, seeds: Sequence[int], reason: str) -> list[str]:
    """Make the bands of a chapter's numbers as wide as its runs with other seeds scatter.

    Executes the chapter once per seed, and then with its defaults, whose numbers the bands are laid around.

    Args:
        name: chapter.
        profile: "smoke", "book" or "paper".
        seeds: at least three, all different.
        reason: kept in the file.

    Returns:
        As `update_baselines`.

    Raises:
        ValueError: fewer than three seeds, or one twice; no reason, unknown chapter or profile.
        ChapterError: the chapter failed.
    """
    workspace = Workspace.here()
    bands.check_reason(reason)
    bands.check_seeds(seeds)
    scattered = []
    for seed in seeds:
        say(f"seed {seed}")
        scattered.append(run_chapter(name, profile, {"seed": seed}, workspace=workspace))
    widths = bands.spread(scattered)
    record = run_chapter(name, profile, workspace=workspace)
    return _told(record, reason, bands.update(workspace.root, record, reason, widths=widths))


def _told(record: Mapping[str, Any], reason: str, changes: list[str]) -> list[str]:
    if not changes:
        return [f"every number of {record['id']} is inside its band; nothing was changed"]
    lines = [*changes, f"reason: {reason.strip()}", f"record: {record['id']}, commit {record['commit']}"]
    if record["commit"].endswith("+dirty"):
        lines.append(
            "adlib/ or notebooks/ have changes that are not committed, and every entry says so (+dirty). Commit them "
            "first and on its own: a number must never change together with what changed it, unsaid."
        )
    return lines


def say(text: str) -> None:
    """Report a step on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


def _checked(workspace: Workspace, record: Mapping[str, Any]) -> list[bands.Deviation]:
    found = bands.check(workspace.root, record)
    for deviation in found:
        say(f"  NOT AS BEFORE  {deviation}")
    if found:
        say(f"  record: {workspace.executed(record['chapter'], record['profile'])[1]}")
        say("  if the new numbers are right: adlib baselines update")
    return found
