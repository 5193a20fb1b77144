"""The data sets in words: what `adlib data list` prints."""

from __future__ import annotations

from adlib.data import catalogue


def listing() -> str:
    """Every data set: name, size, licence, whether it can be loaded now, and how to get those that cannot."""
    lines: list[str] = []
    remedies: dict[str, list[str]] = {}
    for entry in catalogue():
        available = entry.available()
        lines.append(f"{'+' if available else '-'} {entry.name}: {entry.title}")
        lines.append(f"    {entry.count}; {entry.image_size}; licence: {entry.licence}")
        if not available:
            remedies.setdefault(entry.how_to_get, []).append(entry.name)
    lines += ["", "+ can be loaded now, - is not here yet. How to get it:"]
    for remedy, names in remedies.items():
        lines += ["", f"  {', '.join(names)}", f"    {remedy}"]
    return "\n".join(lines)
