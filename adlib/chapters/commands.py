"""What the command line's chapter commands do, step by step, with a line of report for each step."""

from __future__ import annotations

import functools
import http.server
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import baselines
from .run import Workspace, run_chapter


def run_and_check(
    names: Iterable[str],
    profile: str,
    parameters: Mapping[str, Any],
    *,
    force: bool = False,
) -> list[baselines.Deviation]:
    """Execute chapters one after the other and hold their numbers against the baselines.

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
    baselines.check_reason(reason)
    record = run_chapter(name, profile, workspace=workspace)
    return _told(record, reason, baselines.update(workspace.root, record, reason, inside=inside))


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
    baselines.check_reason(reason)
    baselines.check_seeds(seeds)
    scattered = []
    for seed in seeds:
        say(f"seed {seed}")
        scattered.append(run_chapter(name, profile, {"seed": seed}, workspace=workspace))
    widths = baselines.spread(scattered)
    record = run_chapter(name, profile, workspace=workspace)
    return _told(record, reason, baselines.update(workspace.root, record, reason, widths=widths))


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


def build(profile: str) -> list[baselines.Deviation]:
    """Execute every chapter and build the pages.

    Numbers that have left their bands do not stop it: their pages say so at the top, and so does the last line.

    Returns:
        Every number outside its band; also printed.

    Raises:
        ValueError: unknown profile.
        ChapterError: a chapter failed, or the pages are not fit to publish.
    """
    from .site import build_site

    workspace = Workspace.here()
    records, deviations = [], []
    for name in workspace.chapters():
        say(f"executing {name} ({profile})")
        record = run_chapter(name, profile, workspace=workspace)
        say(f"  {record['id']}: {record['seconds']:.0f} s, {len(record['metrics'])} numbers")
        records.append(record)
        deviations += baselines.check(workspace.root, record)
    say("building the pages")
    # Pages of another profile never take the place of the book's.
    name = "html" if profile == "book" else f"html-{profile}"
    pages = build_site(records, name=name, workspace=workspace)
    if deviations:
        each = "; ".join(f"{one.record.partition('.')[0]}: {one}" for one in deviations)
        count = f"{len(deviations)} number" + ("s differ" if len(deviations) > 1 else " differs")
        say(f"{count} from the baselines, as the pages say: {each}")
    say(f"done: {pages / 'index.html'}")
    return deviations


def serve(port: int) -> None:
    """Serve the built pages to this machine only, until interrupted.

    Raises:
        FileNotFoundError: the pages have not been built.
    """
    pages = Workspace.here().build / "html"
    if not (pages / "index.html").is_file():
        raise FileNotFoundError(f"no pages in {pages}; build them first with: make book")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=pages)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        say(f"http://127.0.0.1:{server.server_port}  (stop with Ctrl-C)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


def say(text: str) -> None:
    """Report a step on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


def _checked(workspace: Workspace, record: Mapping[str, Any]) -> list[baselines.Deviation]:
    found = baselines.check(workspace.root, record)
    for deviation in found:
        say(f"  NOT AS BEFORE  {deviation}")
    if found:
        say(f"  record: {workspace.executed(record['chapter'], record['profile'])[1]}")
        say("  if the new numbers are right: adlib baselines update")
    return found
