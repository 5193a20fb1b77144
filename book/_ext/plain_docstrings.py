"""Sphinx extension: docstrings are plain text for people reading the code, not reStructuredText.

`|x - y|` is an absolute value and `x_` a name in our docstrings, a list of settings is one line each, and
columns are lined up with spaces. In reStructuredText the first two would be references to something that does
not exist and the others run together, and the build stops at the first warning. Sections such as "Args:" are
left to napoleon.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"(`+[^`]+`+)")
_EMPHASIS = re.compile(r"((?<![*\w])\*\w[^*]*\*(?![*\w]))")
_SPECIAL = re.compile(r"(?<!\\)(\||\*|(?<=\w)_(?=\W|$))")
_SECTION = re.compile(r"^(Args|Arguments|Returns|Raises|Yields|Attributes|Note|Notes|Example|Examples):$")
_SETTING = re.compile(r"^(\*{0,2}[\w, ]{1,40}): (.*)$")


def plain(lines: list[str]) -> list[str]:
    """The lines of a docstring, as reStructuredText that looks like them.

    Args:
        lines: without the common indentation, as Sphinx hands them over.

    Returns:
        New lines; the text between the backticks of `code` is never touched.
    """
    result: list[str] = []
    for paragraph in _paragraphs(lines):
        result += [*_render(paragraph), ""]
    return result


def escape(line: str) -> str:
    """One line with special characters made plain; *emphasis* and `code` stay."""
    parts = _CODE.split(line)
    return "".join(part if index % 2 else _escape_text(part) for index, part in enumerate(parts))


def _escape_text(text: str) -> str:
    parts = _EMPHASIS.split(text)
    return "".join(part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts))


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Lines between blank lines."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return [paragraph for paragraph in paragraphs if paragraph]


def _render(paragraph: list[str]) -> list[str]:
    first = paragraph[0]
    if not _SECTION.match(first) and any(re.search(r"\S {3,}\S", line) for line in paragraph):
        return ["::", "", *("    " + line for line in paragraph)]
    if _SECTION.match(first) or first.startswith(" "):
        return [escape(line) for line in paragraph]
    outer = [line for line in paragraph if not line.startswith(" ")]
    if len(outer) > 1 and all(_SETTING.match(line) for line in outer):
        return [_item(line) for line in paragraph]
    if len(outer) < len(paragraph):
        return ["| " + escape(line) for line in paragraph]
    return [escape(line) for line in paragraph]


def _item(line: str) -> str:
    """One line of a list of settings: "name: text", or the indented continuation of one."""
    match = _SETTING.match(line)
    return f"- **{escape(match[1])}**: {escape(match[2])}" if match else "  " + escape(line.strip())


def _process(app, what, name, obj, options, lines):
    lines[:] = plain(lines)


def setup(app):
    """Run before napoleon, which turns "Args:" and the like into fields."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True}
