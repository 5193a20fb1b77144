"""Sphinx extension: the glossary in three languages from one file, and links to it from first uses.

The directive `terms` renders `book/glossary.yml` as Sphinx's own glossary, so that its entries are found by
the search in each language and can be named with the role `term`. On every other page the first use of each
term in running text becomes a link; headings, links, code, formulas and captions are left as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

_FILE = Path(__file__).resolve().parent.parent / "glossary.yml"
_NO_LINKS = (
    nodes.title,
    nodes.reference,
    nodes.literal,
    nodes.math,
    nodes.caption,
    nodes.rubric,
    nodes.term,
    nodes.citation,
    addnodes.pending_xref,
    addnodes.desc,
    nodes.raw,
)
_RUNNING_TEXT = (nodes.paragraph,)
_KEYS = {"en", "zh", "ko", "text", "also", "only"}


def read_terms(path: Path = _FILE) -> list[dict]:
    """The entries of the term file, in the order of their English terms.

    Raises:
        ValueError: an entry lacks a language or its text, has an unknown key, or a form stands for two terms.
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    seen: dict[str, str] = {}
    for entry in entries:
        wrong = {"en", "zh", "ko", "text"} - entry.keys() | entry.keys() - _KEYS
        if wrong:
            raise ValueError(f"{path.name}, {entry.get('en')!r}: check {', '.join(sorted(wrong))}")
        for form in forms(entry):
            if seen.setdefault(form, entry["en"]) != entry["en"]:
                raise ValueError(f"{path.name}: {form!r} stands for {seen[form]!r} and for {entry['en']!r}")
    return sorted(entries, key=lambda entry: entry["en"].lower())


def forms(entry: dict) -> list[str]:
    """The words that are linked to an entry."""
    return entry.get("only") or [entry["en"], *entry.get("also", [])]


class Terms(SphinxDirective):
    """The whole glossary, as a definition list."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(_FILE))
        lines = [".. glossary::", ""]
        for entry in read_terms():
            lines += [f"   {entry['en']}", f"      {entry['text']}", ""]
            lines += [f"      :zh:`{entry['zh']}` · :ko:`{entry['ko']}`", ""]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(_FILE)), 0, holder)
        return holder.children


def _in_language(name: str):
    """A role that says in which language its text is, so that a screen reader changes its voice."""
    code = {"zh": "zh-Hant", "ko": "ko"}[name]

    def role(name, rawtext, text, lineno, inliner, options=None, content=None):
        html = nodes.raw("", f'<span lang="{code}">', format="html")
        return [html, nodes.Text(text), nodes.raw("", "</span>", format="html")], []

    return role


def _pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    """What to look for in running text, longest first, and which entry each form belongs to."""
    known = {form: entry["en"] for entry in read_terms() for form in forms(entry)}
    known |= {form[0].upper() + form[1:]: term for form, term in known.items() if form[0].islower()}
    words = "|".join(re.escape(form) for form in sorted(known, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({words})(?![\w-])"), known


def _link_first_uses(app, doctree):
    if app.env.docname.endswith(("glossary", "api", "bibliography")):
        return
    pattern, known = _pattern()
    linked: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if _may_be_linked(text):
            parts = _with_links(text, pattern, known, linked)
            if len(parts) > 1:
                text.parent.replace(text, parts)


def _may_be_linked(text: nodes.Text) -> bool:
    node, running = text.parent, False
    while node is not None:
        if isinstance(node, _NO_LINKS):
            return False
        running = running or isinstance(node, _RUNNING_TEXT)
        node = node.parent
    return running


def _with_links(text: nodes.Text, pattern, known, linked: set[str]) -> list[nodes.Node]:
    parts, at, whole = [], 0, text.astext()
    for match in pattern.finditer(whole):
        term = known[match[0]]
        if term in linked:
            continue
        linked.add(term)
        parts += [nodes.Text(whole[at : match.start()])] if match.start() > at else []
        link = addnodes.pending_xref(
            "", nodes.inline("", match[0], classes=["xref", "std", "std-term", "first-use"]),
            refdomain="std", reftype="term", reftarget=term, refexplicit=True, refwarn=False,
        )  # fmt: skip
        parts.append(link)
        at = match.end()
    return parts + ([nodes.Text(whole[at:])] if at < len(whole) else [])


def setup(app):
    """Register the directive, the two roles and the linking of first uses."""
    app.add_directive("terms", Terms)
    for name in ("zh", "ko"):
        app.add_role(name, _in_language(name))
    app.connect("doctree-read", _link_first_uses)
    return {"parallel_read_safe": True}
