"""Chapters executed and held against their baselines, with a line of report for each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adlib_book.nightly import bands
from adlib_book.runner.run import run_chapter
from adlib_book.runner.terminal import say
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
        else:
            deviations += _checked(workspace, record)
    return deviations


def _checked(workspace: Workspace, record: Mapping[str, Any]) -> list[bands.Deviation]:
    deviations = bands.check(workspace.root, record)
    for deviation in deviations:
        say(f"  NOT AS BEFORE  {deviation}")
    if deviations:
        say(f"  record: {workspace.executed(record['chapter'], record['profile'])[1]}")
        say("  if the new numbers are right: adlib baselines update")
    return deviations
