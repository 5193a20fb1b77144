"""The family tree as a figure, drawn from the tree in letters that stands in `book/family.md`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib.viz.style import ANOMALOUS, NORMAL, REFERENCE, drawing

BLOCK = re.compile(r"^```text\n(auto-encoder.*?)^```\n", re.MULTILINE | re.DOTALL)
CAPTION = "Auto-encoders differ in how they code an image and what they compare, GANs in who generates and who judges."
_LINE = re.compile(r"^(?P<root>[\w-]+)?(?P<branch>[ │─┬├└]+)(?P<name>[^:\n]+)(?:: (?P<words>.+))?$")
_WIDTH, _MEMBERS, _BESIDE, _CHILDREN = (
    8.0,
    1.9,
    3.8,
    4.9,
)  # inches from the left; of names, and where the branch starts
_COLOURS = {"auto-encoder": NORMAL, "GAN": ANOMALOUS}


class Member(NamedTuple):
    """One system of the tree: its family, its name, what is new in it, and the member that it comes from ("": none)."""

    family: str
    name: str
    words: str
    parent: str


def members(text: str) -> list[Member]:
    """The systems of a tree in letters, from top to bottom.

    Raises:
        ChapterError: a line is no branch.
    """
    found: list[Member] = []
    family, parent, depth = "", "", 0
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            raise ChapterError(f"the family tree has a line that is no branch: {line!r}.")
        family = match["root"] or family
        depth = depth or match.start("name")  # of the members; those of members stand further right
        inner = match.start("name") > depth
        found.append(Member(family, match["name"].strip(), match["words"] or "", parent if inner else ""))
        parent = parent if inner else found[-1].name
    return found


def draw(tree: list[Member]) -> Figure:
    """The tree from left to right: a first child stands beside the member that it comes from, the others below."""
    row, rows = -1, {}
    for place, each in enumerate(tree):
        beside = bool(each.parent) and tree[place - 1].name == each.parent
        row += not beside
        rows[each.name] = row
    with drawing(size=(_WIDTH, 0.52 * (row + 1) + 0.3)) as (figure, axis):
        for family in dict.fromkeys(each.family for each in tree):
            own = [each for each in tree if each.family == family]
            colour = _COLOURS.get(family, REFERENCE)
            first, last = rows[own[0].name], max(rows[each.name] for each in own if not each.parent)
            axis.text(0, -first, family, va="center", weight="bold", fontsize=12, color=colour)
            axis.plot([_MEMBERS - 0.3] * 2, [-first, -last], color=colour, linewidth=1)
            axis.plot([_MEMBERS - 0.5, _MEMBERS - 0.3], [-first] * 2, color=colour, linewidth=1)
            for each in own:
                x, y = _CHILDREN if each.parent else _MEMBERS, -rows[each.name]
                axis.plot([x - 0.3, x - 0.08], [y, y], color=colour, linewidth=1)
                if each.parent:
                    corner = [_BESIDE, x - 0.3, x - 0.3], [-rows[each.parent]] * 2 + [y]
                    axis.plot(*corner, color=colour, linewidth=1)
                axis.text(x, y + 0.15, each.name, va="center", weight="bold", fontsize=10)
                axis.text(x, y - 0.2, each.words, va="center", fontsize=9)
        axis.set(xlim=(0, _WIDTH), ylim=(-row - 0.6, 0.6))
        axis.set_axis_off()
    return figure


def write_figure(stage: Path) -> None:
    """Put the drawn tree in place of the one in letters, whose lines become its alternative text."""
    page = stage / "book" / "family.md"
    text = page.read_text()
    match = BLOCK.search(text)
    if not match:
        raise ChapterError(
            "book/family.md has no family tree; expected a block of text that begins with auto-encoder."
        )
    tree, buffer = members(match[1]), io.BytesIO()
    draw(tree).savefig(buffer, format="png")
    write_atomic(stage / "book" / "_static" / "made" / "family.png", buffer.getvalue())
    said = "; ".join(
        f"{each.name}, from {each.parent or each.family}" + f", {each.words}" * bool(each.words)
        for each in tree
    )
    directive = (
        f'```{{figure}} _static/made/family.png\n:name: figure-t-1\n:alt: "{said}."\n:class: chart\n\n'
    )
    page.write_text(text.replace(match[0], f"{directive}**Figure T.1.** {CAPTION}\n```\n"))
