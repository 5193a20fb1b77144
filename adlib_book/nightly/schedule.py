"""When a chapter is executed, and how long it may take: `notebooks/schedule.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from adlib.errors import unknown_name
from adlib_book.runner.workspace import Workspace

TIERS = ("nightly", "weekly", "manual")


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
