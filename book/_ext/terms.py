"""Sphinx extension: the glossary in three languages from one file, and links to it from first uses.

The directive `terms` renders `book/glossary.yml` as Sphinx's own glossary, so that its entries are found by
the search in each language and can be named with the role `term`. On every other page the first use of each
term in running text becomes a link; headings, links, code, formulas and captions are left as they are.

`book/zh.md` and `book/ko.md` are in Chinese and Korean: there the terms of these languages become links, too, and
the search finds the page by the other words for each. Sphinx's search takes a run of Chinese characters for one word,
and a Korean term without its space for another; a term that is a link, or a keyword of its page, is indexed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
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
_KEYS = {"en", "zh", "ko", "text", "also", "only", "zh_also", "ko_also"}
LANGUAGES = {"zh": "zh-Hant", "ko": "ko"}  # as HTML names them
_OTHERS = {"zh": "（也作：{}）", "ko": "(다른 표현: {})"}


def read_terms(path: Path = _FILE) -> list[dict]:
    """The entries of the term file, in the order of their English terms.

    Raises:
        ValueError: an entry lacks a language or its text, has an unknown key, or a form stands for two terms.
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        wrong = {"en", "zh", "ko", "text"} - entry.keys() | entry.keys() - _KEYS
        if wrong:
            raise ValueError(f"{path.name}, {entry.get('en')!r}: check {', '.join(sorted(wrong))}")
        every = {"en": forms(entry)} | {name: [form(entry, name), *others(entry, name)] for name in LANGUAGES}
        for name, word in ((name, word) for name, words in every.items() for word in words):
            if (first := seen.setdefault((name, word), entry["en"])) != entry["en"]:
                raise ValueError(f"{path.name}: {word!r} stands for {first!r} and for {entry['en']!r}")
    return sorted(entries, key=lambda entry: entry["en"].lower())


def forms(entry: dict) -> list[str]:
    """The words that are linked to an entry."""
    return entry.get("only") or [entry["en"], *entry.get("also", [])]


def form(entry: dict, language: str) -> str:
    """The term that the book writes in Chinese ("zh") or Korean ("ko"), without what explains it in brackets."""
    return entry[language].partition(" (")[0]


def others(entry: dict, language: str) -> list[str]:
    """The words for it in that language that readers type and the book does not write."""
    return entry.get(f"{language}_also", [])


def _keywords(entries: list[dict], languages: Iterable[str]) -> nodes.meta:
    """For the search: every word for these terms, as it stands and without its spaces."""
    words: dict[str, None] = {}
    for entry in entries:
        for language in languages:
            for each in (entry[language], *others(entry, language)):
                parts = re.findall(r"\w+", each)
                words |= dict.fromkeys([*parts, "".join(parts)])
    return nodes.meta("", name="keywords", content=", ".join(words))


class Terms(SphinxDirective):
    """The whole glossary, as a definition list."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(_FILE))
        lines = [".. glossary::", ""]
        entries = read_terms()
        for entry in entries:
            lines += [f"   {entry['en']}", f"      {entry['text']}", ""]
            lines += ["      " + " · ".join(_spoken(entry, language) for language in LANGUAGES), ""]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(_FILE)), 0, holder)
        return [_keywords(entries, LANGUAGES), *holder.children]


def _spoken(entry: dict, language: str) -> str:
    """The term in that language, and the other words for it, in reStructuredText."""
    words = others(entry, language)
    also = _OTHERS[language].format(("、" if language == "zh" else ", ").join(words))
    return f":{language}:`{entry[language]}`" + (f" :{language}:`{also}`" if words else "")


def _in_language(name: str):
    """A role that says in which language its text is, so that a screen reader changes its voice."""
    code = LANGUAGES[name]

    def role(name, rawtext, text, lineno, inliner, options=None, content=None):
        html = nodes.raw("", f'<span lang="{code}">', format="html")
        return [html, nodes.Text(text), nodes.raw("", "</span>", format="html")], []

    return role


@cache  # of the file as it was when Sphinx started; every page asks for it
def _pattern(language: str | None = None) -> tuple[re.Pattern[str], dict[str, str]]:
    """What to look for in running text, longest first, and which entry each form belongs to.

    Chinese has no spaces; Korean has them before a word, and particles behind it.
    """
    entries = read_terms()
    known = {word: entry["en"] for entry in entries for word in forms(entry)}
    known |= {word[0].upper() + word[1:]: term for word, term in known.items() if word[0].islower()}
    pattern = rf"(?<![\w-])(?:{_any_of(known)})(?![\w-])"
    if language:
        own = {form(entry, language): entry["en"] for entry in entries}
        start = "" if language == "zh" else r"(?<!\w)"
        pattern = (
            rf"{start}(?:{_any_of(own)})|(?a:{pattern})"  # an English term may have a particle behind it
        )
        known |= own
    return re.compile(pattern), known


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _link_first_uses(app, doctree):
    page = app.env.docname
    if page.endswith(("glossary", "api", "bibliography")):
        return
    language = page.rpartition("/")[2] if page.startswith("book/") else None
    language = language if language in LANGUAGES else None
    pattern, known = _pattern(language)
    linked: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if _may_be_linked(text):
            parts = _with_links(text, pattern, known, linked)
            if len(parts) > 1:
                text.parent.replace(text, parts)
    if language:
        doctree[0]["classes"].append(f"language-{LANGUAGES[language]}")
        doctree.append(_keywords([entry for entry in read_terms() if entry["en"] in linked], [language]))


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
    for name in LANGUAGES:
        app.add_role(name, _in_language(name))
    app.connect("doctree-read", _link_first_uses)
    return {"parallel_read_safe": True}
