"""A night: every chapter executed afresh, held against its baselines and against its own history, and reported.

Only infrastructure faults are retried, numeric failures are not. A night that was killed goes on when it is called
again with the same code, without repeating chapters that had finished.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from adlib import environment
from adlib.errors import ChapterError, unknown_name
from adlib_book.ledger import results
from adlib_book.nightly import bands, history
from adlib_book.nightly.record import Night, Outcome
from adlib_book.nightly.report import write_reports
from adlib_book.nightly.schedule import Slot, chapters_of, schedule
from adlib_book.nightly.spread import moved_together
from adlib_book.nightly.trajectories import check_trajectories
from adlib_book.runner import terminal
from adlib_book.runner.inputs import code_hash, data_listing
from adlib_book.runner.kernel import KernelDied
from adlib_book.runner.parallel import Crew, workers_for
from adlib_book.runner.provenance import provenance
from adlib_book.runner.workspace import PROFILES, Workspace

ATTEMPTS = 3
LONGEST = datetime.timedelta(hours=20)  # an interrupted night that began longer ago is not resumed


def nightly(
    names: Iterable[str] = (),
    *,
    tier: str = "nightly",
    profile: str = "live",
    fresh: bool = False,
    workers: int | None = None,
    say: Callable[[str], None] = print,
    workspace: Workspace | None = None,
) -> Night:
    """Execute chapters afresh and report on them, or go on with a night that was interrupted.

    Args:
        names: chapters; by default those of the tier.
        tier: see `chapters_of`.
        profile: "smoke", "live" or "paper".
        fresh: begin anew even if an interrupted night could go on.
        workers: chapters at once; by default as many as cores and memory allow.
        say: called with a line of report for each step.
        workspace: another checkout than this one.

    Returns:
        The night. Its reports lie beside its `night.json`: `report.html` and `junit.xml`.

    Raises:
        ValueError: unknown chapter, tier or profile.
        ChapterError: another night is running in this checkout.
    """
    workspace = workspace or Workspace.here()
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    slots, of_tier = schedule(workspace), chapters_of(workspace, tier)
    chapters = [workspace.chapter(name).stem for name in names] or of_tier
    # A night of named chapters must not replace an interrupted one of the whole tier.
    folder = workspace.build / "nightly" / (f"{profile}-named" if names else profile)
    with _exclusive(folder):
        environment.clear_cached_sources()
        night = None if fresh else _interrupted(folder, chapters, workspace)
        night = night or _begin(chapters, profile, workspace)
        _save(night, folder)  # from now on no older report is taken for this night's
        _execute(night, folder, slots, workers, say, workspace)
        night.together = _moved_together(night, workspace)
        night.finished = True
        page = _save(night, folder)
    for sentence in night.environment:
        say(f"environment: {sentence}")
    for sentence in night.trajectories:
        say(f"NOT AS RECORDED  {sentence}")
    for sentence in night.together:
        say(f"MOVED TOGETHER  {sentence}")
    say(f"report: {page}")
    return night


def _execute(
    night: Night,
    folder: Path,
    slots: Mapping[str, Slot],
    workers: int | None,
    say: Callable[[str], None],
    workspace: Workspace,
) -> None:
    """Execute the chapters that have no outcome yet; each outcome is saved at once, and said in reading order."""
    for name, outcome in night.outcomes.items():
        say(f"{name}: finished before the interruption, {outcome.outcome}")
    open_chapters = [name for name in night.chapters if name not in night.outcomes]
    workers = workers_for(len(open_chapters), workers)
    if len(open_chapters) > 1:
        say(f"{len(open_chapters)} chapters, {workers} at a time")
    one_verdict_at_a_time = threading.Lock()
    with Crew(workers) as crew:

        def work(name: str) -> Outcome:
            outcome = _attempts(name, night, slots[name], crew, workspace)
            with one_verdict_at_a_time:
                _judge(outcome, night, workspace)
                outcomes = night.outcomes | {name: outcome}
                night.outcomes = {each: outcomes[each] for each in night.chapters if each in outcomes}
                _save(night, folder)
            return outcome

        for name, result in crew.map(work, open_chapters):
            if isinstance(result, Exception):
                raise result
            say(f"{name}: {result.outcome}{_details(result)}")


def exit_code_of_night(names: Iterable[str], **how: Any) -> int:
    """Run a night as a command: an error that kept it from beginning or going on is printed.

    Args:
        names: as for `nightly`.
        how: as for `nightly`.

    Returns:
        The night's exit code (see `adlib_book.nightly.record`); 2 if it could not begin, 4 if the machine failed.
    """
    try:
        return nightly(names, **how).exit_code
    except (ChapterError, ValueError, OSError) as error:
        terminal.say(f"adlib: {error}")
        return 4 if isinstance(error, OSError) else 2  # a full disk is the machine's fault


def _save(night: Night, folder: Path) -> Path:
    """Write the night and its reports; the page."""
    night.save(folder)
    return write_reports(night, folder)


def lock_differences(workspace: Workspace) -> list[str]:
    """Packages whose installed version is not the lock's: baselines hold for the versions that were tested.

    Returns:
        Such as "torch is 2.13.0, requirements.lock says 2.14.1". A package that is not installed is passed over:
        the lock holds other platforms' packages too.
    """
    differences, lock = [], workspace.root / "requirements.lock"
    for line in lock.read_text().splitlines() if lock.is_file() else []:
        if match := re.match(r"([\w.-]+)==([\w.!+-]+)", line):
            name, locked = match.groups()
            try:
                installed = metadata.version(name).split("+")[0]
            except metadata.PackageNotFoundError:
                continue
            if installed != locked:
                differences.append(f"{name} is {installed}, {lock.name} says {locked}")
    return differences


def _begin(chapters: list[str], profile: str, workspace: Workspace) -> Night:
    code, now = environment.source_hash(), datetime.datetime.now(datetime.UTC)
    night_id = f"{now:%Y%m%dT%H%M%S}.{code[:6]}"
    inputs = night_inputs(chapters, workspace)
    packages, trajectories = lock_differences(workspace), check_trajectories(workspace.root)
    return Night(night_id, profile, code, chapters, inputs, environment=packages, trajectories=trajectories)


def _interrupted(folder: Path, chapters: list[str], workspace: Workspace) -> Night | None:
    """The night that was interrupted in this folder, if it may go on: young, with the same chapters and inputs."""
    night = Night.read(folder / "night.json")
    if night is None or night.finished or night.chapters != chapters:
        return None
    began = datetime.datetime.strptime(night.id.partition(".")[0], "%Y%m%dT%H%M%S").replace(
        tzinfo=datetime.UTC
    )
    young = datetime.datetime.now(datetime.UTC) - began < LONGEST
    return night if young and night.inputs == night_inputs(chapters, workspace) else None


def night_inputs(chapters: Iterable[str], workspace: Workspace) -> str:
    """Hash of code, chapters, lock, ledger, baselines, installed versions and what lies under ADLIB_DATA.

    Returns:
        64 hex digits; a night goes on after an interruption only if they have not changed.
    """
    digest = hashlib.sha256(code_hash().encode())
    digest.update(json.dumps([environment.versions(), lock_differences(workspace)], sort_keys=True).encode())
    paths = [workspace.root / "requirements.lock", *map(workspace.chapter, chapters)]
    for folder, pattern in (("results", "*.jsonl"), ("baselines", "**/*.json")):
        paths += sorted((workspace.root / folder).glob(pattern))
    for path in paths:
        if path.is_file():
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    for line in data_listing():
        digest.update(line.encode())
    return digest.hexdigest()


def _attempts(name: str, night: Night, slot: Slot, crew: Crew, workspace: Workspace) -> Outcome:
    """A chapter's outcome, after a few attempts if the machine fails."""
    outcome = Outcome(name, "infrastructure", attempts=0, again=True)
    while outcome.again and outcome.attempts < ATTEMPTS:
        outcome = _attempt(name, night, slot, outcome.attempts + 1, crew, workspace)
    return outcome


def _judge(outcome: Outcome, night: Night, workspace: Workspace) -> None:
    """Hold a chapter's outcome against its history, and add it there."""
    name, past = outcome.chapter, history.runs(workspace, night.profile)
    if outcome.record:
        line = history.line(outcome.record, night.id, outcome.outcome)
        drifts = history.drifts(workspace, night.profile, name, [*past, line])
        outcome.drifts = [str(each) for each in drifts]
        if drifts and outcome.outcome == "passed":
            outcome.outcome = line["outcome"] = "numbers"
    else:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        run = {"id": f"{name}.{night.profile}.{night.id}", "chapter": name, "profile": night.profile}
        line = history.line(run | provenance() | {"started_at": now}, night.id, outcome.outcome)
    outcome.changes = history.changes(past, line)
    results.Ledger(history.path(workspace, night.profile)).add(line)


def _attempt(name: str, night: Night, slot: Slot, number: int, crew: Crew, workspace: Workspace) -> Outcome:
    try:
        # Forced: an executed copy, however it came about, is no evidence of how the code runs tonight.
        record = crew.run_chapter(
            name, night.profile, force=True, limit=60 * slot.minutes, workspace=workspace
        )
        deviations = [str(each) for each in bands.check(workspace.root, record)]
    except KernelDied as error:
        return Outcome(name, "infrastructure", number, str(error), again=True)
    except (ChapterError, ValueError, SyntaxError) as error:
        return Outcome(name, "failed", number, str(error) or type(error).__name__)
    except Exception as error:  # a full disk, no memory: the other chapters are executed all the same
        return Outcome(name, "infrastructure", number, f"{type(error).__name__}: {error}")
    verdict = "numbers" if deviations else "passed"
    return Outcome(name, verdict, number, deviations=deviations, record=record)


def _moved_together(night: Night, workspace: Workspace) -> list[str]:
    records = [outcome.record for outcome in night.outcomes.values() if outcome.record]
    entries = {
        each["chapter"]: bands.load(bands.baseline_path(workspace.root, each["chapter"], night.profile))
        for each in records
    }
    return moved_together({each["chapter"]: each["metrics"] for each in records}, entries)


def _details(outcome: Outcome) -> str:
    lines = [outcome.message.splitlines()[0]] if outcome.message else []
    lines += [f"NOT AS BEFORE  {each}" for each in outcome.deviations]
    lines += [f"DRIFTS  {each}" for each in outcome.drifts]
    lines += [f"changed since the last run: {each}" for each in outcome.changes]
    return "".join(f"\n  {line}" for line in lines)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One night at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "running.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ChapterError(
                f"another night is running here (it holds {file.name}); wait for it."
            ) from error
        yield
