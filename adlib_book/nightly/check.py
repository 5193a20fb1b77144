"""Chapters executed and held against their baselines, with a line of report for each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adlib_book.nightly import bands
from adlib_book.runner.parallel import run_all
from adlib_book.runner.terminal import say
from adlib_book.runner.workspace import Workspace


def run_and_check(
    names: Iterable[str],
    profile: str,
    parameters: Mapping[str, Any],
    *,
    force: bool = False,
    workers: int | None = None,
) -> list[bands.Deviation]:
    """Execute chapters and hold their numbers against the bands.

    A run with other parameters than the chapter's defaults has no baselines and is not held against any.

    Args:
        names: chapters.
        profile: "smoke", "live" or "paper".
        parameters: values for parameters that the notebooks declare.
        force: execute even if nothing has changed.
        workers: chapters at once; by default as many as cores and memory allow.

    Returns:
        Every number outside its band, over all chapters; also printed.

    Raises:
        ValueError: unknown chapter, profile or parameter; nothing is executed.
        ChapterError: after the last chapter, naming all that failed.
    """
    workspace = Workspace.here()
    deviations = []
    for record in run_all(names, profile, parameters, force=force, workspace=workspace, workers=workers):
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
