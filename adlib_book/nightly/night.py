"""A night: every chapter executed afresh, held against its baselines and against its own history, and reported.

Only an infrastructure fault is tried again: a number that comes right at the second attempt is a wrong number. A night
that was killed goes on when it is called again with the same code, without repeating chapters that had finished.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from adlib import environment
from adlib.errors import ChapterError, unknown_name
from adlib_book.ledger import results
from adlib_book.nightly import bands, history
from adlib_book.nightly.record import Night, Outcome
from adlib_book.nightly.report import write_reports
from adlib_book.runner.inputs import code_hash, data_listing
from adlib_book.runner.kernel import KernelDied
from adlib_book.runner.provenance import provenance
from adlib_book.runner.run import run_chapter
from adlib_book.runner.workspace import PROFILES, Workspace

TIERS = ("nightly", "weekly", "manual")
ATTEMPTS = 3
LONGEST = datetime.timedelta(hours=20)  # an interrupted night that began longer ago is another night's


@dataclass(frozen=True)
class Slot:
    """A chapter's row of `notebooks/schedule.toml`.

    Args:
        tier: "nightly", "weekly" or "manual".
        minutes: after which a run is stopped.
    """

    tier: str = "nightly"
    minutes: float = 45


def schedule(workspace: Workspace) -> dict[str, Slot]:
    """Tier and time limit of every chapter, in reading order.

    Raises:
        ValueError: the table names an unknown chapter, tier or setting, or a limit that is not positive.
    """
    path = workspace.root / "notebooks" / "schedule.toml"
    table = tomllib.loads(path.read_text()) if path.is_file() else {}
    default, known = table.pop("default", {}), workspace.chapters()
    for name in table:
        if name not in known:
            raise unknown_name(f"chapter in {path.name}", name, known)
    slots = {}
    for name in known:
        settings = {**default, **table.get(name, {})}
        for key in settings:
            if key not in ("tier", "minutes"):
                raise unknown_name(f"setting of {name} in {path.name}", key, ("tier", "minutes"))
        slot = Slot(**settings)
        if slot.tier not in TIERS:
            raise unknown_name(f"tier of {name} in {path.name}", slot.tier, TIERS)
        if not slot.minutes > 0:
            raise ValueError(f"minutes of {name} in {path.name} is {slot.minutes}; expected more than 0.")
        slots[name] = slot
    return slots


def chapters_of(workspace: Workspace, tier: str) -> list[str]:
    """Chapters of a tier and of those above it: "weekly" has the nightly ones too.

    Raises:
        ValueError: an unknown tier.
    """
    if tier not in TIERS:
        raise unknown_name("tier", tier, TIERS)
    return [name for name, slot in schedule(workspace).items() if TIERS.index(slot.tier) <= TIERS.index(tier)]


def nightly(
    names: Iterable[str] = (),
    *,
    tier: str = "nightly",
    profile: str = "book",
    fresh: bool = False,
    say: Callable[[str], None] = print,
    workspace: Workspace | None = None,
) -> Night:
    """Execute chapters afresh and report on them, or go on with a night that was interrupted.

    Args:
        names: chapters; by default those of the tier.
        tier: see `chapters_of`.
        profile: "smoke", "book" or "paper".
        fresh: begin anew even if an interrupted night could go on.
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
    slots, whole = schedule(workspace), chapters_of(workspace, tier)
    wanted = [workspace.chapter(name).stem for name in names] or whole
    # A night of chapters by name does not take the place of a whole one that was interrupted.
    folder = workspace.build / "nightly" / (f"{profile}-named" if names else profile)
    with _alone(folder):
        environment.clear_cached_sources()
        night = None if fresh else _interrupted(folder, wanted, workspace)
        night = night or _begin(wanted, profile, workspace)
        night.save(folder)
        write_reports(night, folder)  # from now on no older report is taken for this night's
        for name in night.chapters:
            if name in night.outcomes:
                say(f"{name}: finished before the interruption, {night.outcomes[name].outcome}")
                continue
            outcome = _one(name, night, slots[name], workspace)
            night.outcomes[name] = outcome
            night.save(folder)
            write_reports(night, folder)
            say(f"{name}: {outcome.outcome}{_why(outcome)}")
        night.finished = True
        night.save(folder)
        pages = write_reports(night, folder)
    for sentence in night.environment:
        say(f"environment: {sentence}")
    say(f"report: {pages}")
    return night


def lock_differences(workspace: Workspace) -> list[str]:
    """Packages whose installed version is not the lock's: baselines hold for the versions that were tested.

    Returns:
        Such as "torch is 2.13.0, requirements.lock says 2.14.1". A package that is not installed is passed over:
        the lock holds other platforms' packages too.
    """
    found, lock = [], workspace.root / "requirements.lock"
    for line in lock.read_text().splitlines() if lock.is_file() else []:
        if match := re.match(r"([\w.-]+)==([\w.!+-]+)", line):
            name, wanted = match.groups()
            try:
                there = metadata.version(name).split("+")[0]
            except metadata.PackageNotFoundError:
                continue
            if there != wanted:
                found.append(f"{name} is {there}, {lock.name} says {wanted}")
    return found


def _begin(wanted: list[str], profile: str, workspace: Workspace) -> Night:
    code, now = environment.source_hash(), datetime.datetime.now(datetime.UTC)
    identity = f"{now:%Y%m%dT%H%M%S}.{code[:6]}"
    inputs = _inputs(wanted, workspace)
    return Night(identity, profile, code, wanted, inputs, environment=lock_differences(workspace))


def _interrupted(folder: Path, wanted: list[str], workspace: Workspace) -> Night | None:
    night = Night.read(folder / "night.json")
    if night is None or night.finished or night.chapters != wanted:
        return None
    began = datetime.datetime.strptime(night.id.partition(".")[0], "%Y%m%dT%H%M%S").replace(
        tzinfo=datetime.UTC
    )
    young = datetime.datetime.now(datetime.UTC) - began < LONGEST
    return night if young and night.inputs == _inputs(wanted, workspace) else None


def _inputs(wanted: list[str], workspace: Workspace) -> str:
    """Hash of code, chapters, lock, ledger, baselines, installed versions and what lies under ADLIB_DATA."""
    digest = hashlib.sha256(code_hash().encode())
    digest.update(json.dumps([environment.versions(), lock_differences(workspace)], sort_keys=True).encode())
    paths = [workspace.root / "requirements.lock", *map(workspace.chapter, wanted)]
    for folder, pattern in (("results", "*.jsonl"), ("baselines", "*.json")):
        paths += sorted((workspace.root / folder).glob(pattern))
    for path in paths:
        if path.is_file():
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    for line in data_listing():
        digest.update(line.encode())
    return digest.hexdigest()


def _one(name: str, night: Night, slot: Slot, workspace: Workspace) -> Outcome:
    """A chapter's night: attempts, judgement, a line in the history."""
    outcome = Outcome(name, "infrastructure", attempts=0, again=True)
    while outcome.again and outcome.attempts < ATTEMPTS:
        outcome = _attempt(name, night, slot, outcome.attempts + 1, workspace)
    if outcome.record:
        told = history.line(outcome.record, night.id, outcome.outcome)
        past = history.runs(workspace, night.profile)
        outcome.changes = history.changes(past, told)
        found = history.drifts(workspace, night.profile, name, [*past, told])
        outcome.drifts = [str(each) for each in found]
        if found and outcome.outcome == "passed":
            outcome.outcome = told["outcome"] = "numbers"
    else:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        run = {"id": f"{name}.{night.profile}.{night.id}", "chapter": name, "profile": night.profile}
        told = history.line(run | provenance() | {"started_at": now}, night.id, outcome.outcome)
        outcome.changes = history.changes(history.runs(workspace, night.profile), told)
    results.Ledger(history.path(workspace, night.profile)).add(told)
    return outcome


def _attempt(name: str, night: Night, slot: Slot, number: int, workspace: Workspace) -> Outcome:
    try:
        # Afresh: what an executed copy says, however it came about, is no evidence of this night.
        record = run_chapter(name, night.profile, force=True, limit=60 * slot.minutes, workspace=workspace)
        deviations = [str(each) for each in bands.check(workspace.root, record)]
    except KernelDied as error:
        return Outcome(name, "infrastructure", number, str(error), again=True)
    except (ChapterError, ValueError, SyntaxError) as error:
        return Outcome(name, "failed", number, str(error) or type(error).__name__)
    except (
        Exception
    ) as error:  # a full disk, no memory for a kernel: the other chapters get their turn all the same
        return Outcome(name, "infrastructure", number, f"{type(error).__name__}: {error}")
    verdict = "numbers" if deviations else "passed"
    return Outcome(name, verdict, number, deviations=deviations, record=record)


def _why(outcome: Outcome) -> str:
    lines = [outcome.message.splitlines()[0]] if outcome.message else []
    lines += [f"NOT AS BEFORE  {each}" for each in outcome.deviations]
    lines += [f"DRIFTS  {each}" for each in outcome.drifts]
    lines += [f"changed since the last run: {each}" for each in outcome.changes]
    return "".join(f"\n  {line}" for line in lines)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
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
