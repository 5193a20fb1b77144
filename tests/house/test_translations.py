"""The summaries in Chinese and Korean: of every chapter, in the glossary's words, without a number that moves."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("0[0-9]_*.ipynb"))  # evidence pages have an "e" after the number
PAGES = {
    language: (ROOT / "book" / f"{language}.md").read_text(encoding="utf-8") for language in ("zh", "ko")
}
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)")


def terms_module():
    spec = importlib.util.spec_from_file_location("terms", ROOT / "book" / "_ext" / "terms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TERMS = terms_module()


def sections(language: str) -> dict[str, str]:
    """The text of each section without its heading, by the file that it links."""
    parts = [part.partition("\n")[2] for part in re.split(r"^## ", PAGES[language], flags=re.MULTILINE)[1:]]
    return {re.search(r"\]\(([^)#]+)\)", part)[1].removeprefix("../"): part for part in parts}


def used(text: str, language: str | None = None) -> set[str]:
    """The terms in a text, by their English names."""
    pattern, known = TERMS._pattern(language)
    return {known[match[0]] for match in pattern.finditer(CODE.sub(" ", text))}


def other_words(text: str, language: str) -> list[str]:
    """Words for a term of the glossary that are not the glossary's."""
    entries = TERMS.read_terms()
    own = {TERMS.form(entry, language): entry for entry in entries}
    strays = {word: entry for entry in entries for word in TERMS.others(entry, language)}
    start = "" if language == "zh" else r"(?<!\w)"
    words = re.findall(f"{start}({TERMS._any_of(own | strays)})", CODE.sub(" ", text))
    return [f"{word} is called {TERMS.form(strays[word], language)} here" for word in words if word in strays]


@pytest.mark.parametrize("language", PAGES)
def test_every_chapter_has_a_section_that_links_it(language):
    names = [f"notebooks/{path.name}" for path in CHAPTERS]
    assert list(sections(language)) == [names[0], "own_images.md", *names[1:]]


@pytest.mark.parametrize("language", PAGES)
def test_the_words_are_the_glossary_s_and_no_number_moves(language):
    assert not other_words(PAGES[language], language)
    assert not re.findall(r"\d[.,]\d+|\d ?%", PAGES[language])


def test_another_word_for_a_term_is_found():
    chinese = "用異常檢測找缺陷，不是異常偵測。"
    assert other_words(chinese, "zh") == [
        "異常檢測 is called 異常偵測 here",
        "缺陷 is called 瑕疵 here",
    ]
    assert other_words("이상 탐지와 이상 감지", "ko") == ["이상 감지 is called 이상 탐지 here"]


@pytest.mark.parametrize("name", sections("zh"))
def test_both_translations_speak_of_the_same_things(name):
    assert used(sections("zh")[name], "zh") == used(sections("ko")[name], "ko")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_translation_follows_its_summary(path):
    """Two thirds of the summary's terms, so that a claim may be reworded, but not replaced, without its translation."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    summary = used(re.split(r"^## ", text.partition("## Summary\n")[2], flags=re.MULTILINE)[0])
    missing = summary - used(sections("zh")[f"notebooks/{path.name}"], "zh")
    assert summary
    assert len(missing) <= len(summary) / 3, f"in the summary and not in its translations: {sorted(missing)}"
