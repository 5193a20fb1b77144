"""Every chapter keeps to the conventions of the house."""

from __future__ import annotations

import ast
import functools
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from adlib_book.runner.parameters import declared_parameters
from adlib_book.site.chapter_page import figure_anchor
from adlib_book.site.stage import page_names

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EVIDENCE = [path for path in CHAPTERS if re.match(r"\d+e_", path.stem)]
LONGEST_CELL = 25
# Words of a page, without code, tables, formulas, headings and folded solutions.
MOST_WORDS = 3_500
# A paragraph or point of a list ends where a new claim begins.
LONGEST_PARAGRAPH, MOST_NUMBERS = 110, 6
# A list as a whole is read in less than a minute.
LONGEST_LIST = 150
# Chapter and evidence page together: a fifth fewer words than the chapter had before its evidence page was cut off.
MOST_TOGETHER = {"01": 3_244, "02": 3_180, "03": 3_455, "04": 4_376, "05": 2_444}
# Exercises: minutes without a training; something is trained or measured; the reader's own images.
GRADES = ("Warm-up", "Experiment", "Project")
NOT_PROSE = re.compile(
    r"^```(?:python|bash|text)\n.*?^```$"  # blocks of code
    r"|^\$\$.*?\$\$"  # displayed formulas
    r"|\{cite(?::\w+)?\}`[^`]*`|(?<=\])\([^)\n]*\)"  # citations and addresses
    r"|^(?:`{3,}|:[\w-]+:|#+ |[ \t]*\|)[^\n]*",  # marks of directives, headings, tables
    re.MULTILINE | re.DOTALL,
)
POINT = re.compile(r"^[ \t]*(?:[*-]|\d+\.) ", re.MULTILINE)
LIST = re.compile(rf"(?:{POINT.pattern}.*\n?(?:^[ \t]+\S.*\n?)*)+", re.MULTILINE)
EXERCISE = re.compile(r"^```\{exercise\} ([^\n]*)\n:label: ([\w-]+)\n\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REFERENCE = re.compile(
    r"\b(?:(?:chapters?|foundations|tables?) \d+(?:(?:,| and| to) \d+)*|figure \w+\.\d+)", re.IGNORECASE
)
NUMBER = re.compile(r"(?<![\w.-])\d[\d,.]*")
FOLDED = re.compile(r"^`{4}\{solution-start\}.*?^`{4}\{solution-end\}\n`{4}", re.MULTILINE | re.DOTALL)
# A chapter says these things, in headings or in bold at the start of a paragraph; an evidence page needs no exercises.
SAYS = {
    "objectives": r"objectives|you will",
    "time": r"\bminutes?\b",
    "summary": r"^#+ .*summary",
    "exercises": r"^#+ .*exercises?",
    "references": r"^#+ .*references",
}


@functools.cache
def opened(path: Path) -> nbformat.NotebookNode:
    """A notebook, read once for all tests: none of them changes it."""
    return nbformat.read(path, as_version=4)


def pytest_generate_tests(metafunc):
    """`notebook` is each of them in turn, `chapter` those that are read from top to bottom: no evidence pages."""
    for name, paths in {"notebook": CHAPTERS, "chapter": [p for p in CHAPTERS if p not in EVIDENCE]}.items():
        if name in metafunc.fixturenames:
            notebooks = [opened(path) for path in paths]
            metafunc.parametrize(name, notebooks, ids=[path.stem for path in paths])


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_outputs_are_stripped(notebook):
    for cell in code(notebook):
        assert not cell.outputs, f"strip the outputs: make format\n{cell.source[:80]}"
        assert cell.execution_count is None
    assert "widgets" not in notebook.metadata


def test_it_declares_its_parameters(notebook):
    assert {"profile", "seed"} <= declared_parameters(notebook).keys()
    assert declared_parameters(notebook)["profile"] == "live", "what a reader runs is what the page shows"


def test_its_parameters_are_fields_of_a_form_in_colab(notebook):
    (cell,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        assert re.search(r"# @param (\[.+\]|\{type: \"(string|integer|number|boolean|raw)\"\})$", line), line


def test_the_first_cell_installs_the_distribution_where_it_is_missing(notebook):
    """On PyPI `adlib` is somebody else's; ours is `adlib-book`, installed only where it is missing."""
    first = code(notebook)[0].source
    assert "importlib.metadata" in first or "from importlib import metadata" in first
    assert "adlib-book" in first
    assert not re.search(r"install[^\n]*\badlib(?!-book)\b", first)
    assert "PackageNotFoundError" in first
    assert not re.search(r"(numpy|torch|pandas)\s*[=<>]=", first), "Colab's own packages keep their versions"


def test_nothing_of_adlib_is_imported_before_that(notebook):
    assert not re.search(r"^\s*(import|from) adlib", code(notebook)[0].source, re.MULTILINE)


def test_cells_are_short(notebook):
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source[:200]


def test_cells_parse(notebook):
    for cell in code(notebook):
        ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))


def test_there_is_no_branch_for_tests(notebook):
    for cell in code(notebook):
        assert not re.search(r"\bif\b.*(profile\s*==|testing)", cell.source, re.IGNORECASE), cell.source[:200]
        assert not re.search(r"\[profile\]|\.get\(profile", cell.source), (
            f"a table of profiles is a branch, too; lengths belong into the detector's Config:\n{cell.source[:200]}"
        )


@pytest.mark.parametrize("what", SAYS)
def test_it_says_what_every_chapter_says(chapter, what):
    assert re.search(SAYS[what], prose(chapter), re.IGNORECASE | re.MULTILINE), f"no {what}"


def test_a_chapter_is_read_in_one_evening(notebook):
    words = words_of(notebook)
    assert words <= MOST_WORDS, f"{words} words; what a specialist looks up belongs onto the evidence page"


def words_of(notebook) -> int:
    """Words of a page, without code, tables, formulas, headings and folded solutions."""
    return sum(len(each.split()) for each in paragraphs(FOLDED.sub("", prose(notebook))))


@pytest.mark.parametrize("number", MOST_TOGETHER)
def test_chapter_and_evidence_page_together_are_a_fifth_shorter_than_the_chapter_was(number):
    pages = [opened(path) for path in CHAPTERS if path.stem.startswith(number)]
    assert len(pages) == 2
    words = sum(map(words_of, pages))
    assert words <= MOST_TOGETHER[number], f"{words} words: what is added takes the place of something"


@pytest.mark.parametrize("path", EVIDENCE, ids=lambda path: path.stem)
def test_chapter_and_evidence_page_lead_to_each_other_and_train_once(path):
    evidence = opened(path)
    (above,) = (each for each in CHAPTERS if each.stem.startswith(path.stem.partition("e_")[0] + "_"))
    assert f"({path.name}" in prose(opened(above))
    assert f"({above.name}" in prose(evidence)
    assert re.search(SAYS["references"], prose(evidence), re.MULTILINE | re.IGNORECASE)
    for cell in code(evidence):
        assert "report(" not in cell.source, (
            "an evidence page is made from the ledger; live numbers are the chapter's"
        )


def anchors(notebook) -> set[str]:
    """Anchors of headings, as MyST makes them: the words in small letters, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)", prose(notebook), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.strip().lower()).replace(" ", "-") for each in headings}


def test_links_into_other_chapters_lead_to_headings(notebook):
    for name, anchor in re.findall(r"\]\((\w+\.ipynb)#([^)]+)\)", prose(notebook)):
        there = anchors(opened(ROOT / "notebooks" / name))
        assert anchor in there, f"{name} has no heading {anchor}; it has {', '.join(sorted(there))}"


def test_it_begins_with_its_title_and_has_one(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    titles = re.findall(r"^# .+", prose(notebook), re.MULTILINE)
    assert len(titles) == 1
    assert notebook.cells[0].source.startswith(titles[0])


def paragraphs(text: str) -> list[str]:
    """Paragraphs and points of lists, those of exercises and folded answers included; a formula counts as a word."""
    text = re.sub(r"\$[^$\n]+\$", "x", NOT_PROSE.sub("", text))
    return [each for each in re.split(r"\n[ \t]*\n", POINT.sub("\n", text)) if each.strip()]


def overloaded(text: str) -> list[str]:
    """Those paragraphs that have too many words or numbers, each with how many."""
    over = []
    for each in paragraphs(text):
        words, numbers = len(each.split()), len(NUMBER.findall(REFERENCE.sub("", each)))
        if words > LONGEST_PARAGRAPH or numbers > MOST_NUMBERS:
            over.append(f"{words} words, {numbers} numbers: {' '.join(each.split())[:80]} …")
    return over


def test_a_paragraph_is_read_in_one_go(notebook):
    over = overloaded(prose(notebook))
    assert not over, "shorten these, or cut them where a new claim begins\n" + "\n".join(over)


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_a_paragraph_of_the_other_pages_is_read_in_one_go(path):
    text = re.sub(r"\A---\n.*?^---\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    over = overloaded(text)
    assert not over, "shorten these, or cut them where a new claim begins\n" + "\n".join(over)


def lists(text: str) -> list[str]:
    """Lists as wholes, without their marks; a formula counts as a word."""
    text = re.sub(r"\$[^$\n]+\$", "x", NOT_PROSE.sub("", text))
    return [POINT.sub("", each[0]) for each in LIST.finditer(text)]


def test_a_list_is_read_in_less_than_a_minute(notebook):
    over = [each for each in lists(prose(notebook)) if len(each.split()) > LONGEST_LIST]
    assert not over, "shorten these, or make paragraphs of them\n" + "\n".join(each[:80] for each in over)


def test_words_of_a_list_are_counted():
    text = "One two.\n\n* three\n  four\n* five $x + y$ ([six](a.md))\n\nSeven.\n\n1. eight\n2. nine\n"
    assert [each.split() for each in lists(text)] == [
        ["three", "four", "five", "x", "([six])"],
        ["eight", "nine"],
    ]


def test_words_and_numbers_of_a_paragraph_are_counted():
    fine = [
        "word " * 110,
        "0.1 " * 6,
        "| 1 | 2 | 3 | 4 | 5 | 6 | 7 |",
        "$$ 1 2 3 4 5 6 7 $$",
        "* 1 2 3 4\n* 5 6 7",
    ]
    assert overloaded("\n\n".join(fine)) == []
    assert overloaded("Chapters 1, 2, 3, 4, 5, 6 and 7 with CIFAR-10, D3 and $w_1 + 2$.") == []
    long = [
        "word " * 111,
        "0.1 " * 7,
        "```{exercise} Title\n:label: one\n\n1 2 3 4 5 6 7\n```",
        "* " + "w " * 111,
    ]
    assert len(overloaded("\n\n".join(long))) == 4


def test_nothing_is_left_to_be_written(notebook):
    assert not re.search(r"\b(?:PROSE_\w+|TODO|FIXME|TBD|lorem ipsum)\b", prose(notebook))


def section(notebook, title: str) -> str:
    """The text below a heading, up to the next of the same level."""
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", prose(notebook), re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def test_the_summary_is_a_list(notebook):
    points = re.findall(r"^\* \S", section(notebook, "Summary"), re.MULTILINE)
    assert len(points) >= 2, f"{len(points)} points; a summary is a list, each point beginning with '* '"


def test_there_are_questions_to_test_oneself(chapter):
    """Folded answers, in the form ```{admonition} 1. Question?, below the heading Self-test."""
    asked = re.findall(
        r"^```\{admonition\} (\d+)\. (.+)\n:class: dropdown tip\n(.+)\n```$",
        section(chapter, "Self-test"),
        re.MULTILINE,
    )
    assert len(asked) >= 3, f"{len(asked)} questions"
    assert [int(number) for number, _, _ in asked] == list(range(1, len(asked) + 1))
    for _, question, answer in asked:
        assert question.endswith((".", "?"))
        assert len(answer) > 30


def exercises(notebook) -> list[tuple[str, str, str]]:
    """(grade, label, text) of each exercise; the grade stands before the colon of its title."""
    matches = EXERCISE.findall(prose(notebook))
    return [(title.partition(": ")[0], label, text) for title, label, text in matches]


def test_each_exercise_has_a_grade(notebook):
    graded = exercises(notebook)
    assert len(graded) == prose(notebook).count("```{exercise}")
    for grade, label, _ in graded:
        assert grade in GRADES, f"{label}: begin its title with one of {', '.join(GRADES)} and a colon"


@pytest.mark.parametrize("number", MOST_TOGETHER)
def test_a_chapter_has_exercises_of_every_grade_and_a_project_on_the_reader_s_own_images(number):
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    notebook = opened(path)
    grades = [grade for grade, _, _ in exercises(notebook)]
    assert set(grades) == set(GRADES)
    assert grades == sorted(grades, key=GRADES.index), "from the easiest to the longest"
    ((label, text),) = [(label, text) for grade, label, text in exercises(notebook) if grade == "Project"]
    assert "a folder of your own" in text
    (starter,) = [cell.source for cell in code(notebook) if f'your_turn("{label}")' in cell.source]
    assert re.search(r"my_folder\b.* = \.\.\.", starter)
    assert 'load("folder", path=my_folder' in starter


@pytest.mark.parametrize("number", MOST_TOGETHER)
def test_what_a_reader_will_be_able_to_do_is_checked_by_a_question_or_an_exercise(number):
    """Each objective ends with links: ([question 2](#self-test), [project](#exercises))."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    notebook = opened(path)
    (said,) = re.findall(r"^\*\*You will be able to\*\*\n\n((?:\* .+\n)+)", notebook.cells[0].source, re.M)
    objectives = said.splitlines()
    assert 3 <= len(objectives) <= 5
    asked = set(re.findall(r"^```\{admonition\} (\d+)\.", section(notebook, "Self-test"), re.MULTILINE))
    there = asked | {grade.lower() for grade, _, _ in exercises(notebook)}
    named = set()
    for objective in objectives:
        checks = re.findall(r"\[([^]]+)\]\(#(self-test|exercises)\)", objective)
        assert checks, f"which question or exercise checks this? {objective}"
        for words, place in checks:
            wanted = re.findall(r"\d+", words) if place == "self-test" else [words.removesuffix("s")]
            assert wanted, f"{objective}: name the number of the question"
            assert set(wanted) <= there, f"{objective}: no {words}"
            named |= set(wanted)
    assert named == there, f"no objective is checked by: {', '.join(sorted(there - named))}"


def test_headings_do_not_skip_a_level(notebook):
    levels = [len(mark) for mark in re.findall(r"^(#+) ", prose(notebook), re.MULTILINE)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_solutions_are_executed(notebook):
    for cell in code(notebook):
        tags = set(cell.metadata.get("tags", []))
        assert not tags & {"skip", "skip-execution", "raises-exception", "remove-cell"}, tags


def test_each_exercise_has_a_beginning_to_complete(notebook):
    labels = re.findall(r"^```\{exercise\}.*?^:label: ([\w-]+)", prose(notebook), re.MULTILINE | re.DOTALL)
    starters = [cell.source for cell in code(notebook) if "starter" in cell.metadata.get("tags", [])]
    assert [re.search(r'your_turn\("([\w-]+)"\)', source)[1] for source in starters] == labels


def test_numbers_are_reported(chapter):
    assert any(re.search(r"\breport\(", cell.source) for cell in code(chapter))


def test_every_figure_says_where_it_comes_from(notebook):
    """Widgets are excepted: the line above the page, with commit and device, speaks for the state they carry."""
    widgets = re.compile(
        r"viz\.(?:threshold_explorer|training_scrubber|map_overlay|defect_quiz|drawing_board)\("
    )
    for cell in code(notebook):
        if "image" in cell.metadata.get("mystnb", {}) and not widgets.search(cell.source):
            assert "viz.stamp(" in cell.source, cell.source


def numbers_of_figures(notebook) -> list[str]:
    """What `viz.show` calls the figures of a notebook, from top to bottom."""
    calls = [re.findall(r'\bviz\.show\(.*?"(\w+\.\d+)"', each.source, re.DOTALL) for each in code(notebook)]
    return [number for numbers in calls for number in numbers]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_figures_are_numbered_from_top_to_bottom_and_references_lead_to_them(path):
    notebook = opened(path)
    page = path.stem.partition("_")[0].removeprefix("0").upper().replace("E", "e") or "0"
    drawn = [cell for cell in code(notebook) if "image" in cell.metadata.get("mystnb", {})]
    numbers = numbers_of_figures(notebook)
    assert numbers == [f"{page}.{place}" for place in range(1, len(drawn) + 1)]
    for number, anchor in re.findall(r"\[Figure ([\w.]+)\]\(#([\w-]+)\)", prose(notebook)):
        assert number in numbers
        assert anchor == figure_anchor(number)
    assert not re.search(r"\bfigure (?:above|below|at the top)", prose(notebook)), "name it by its number"


def test_every_citation_is_in_the_bibliography(notebook):
    known = set(re.findall(r"^@\w+\{([\w-]+),", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE))
    cited = {
        key for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(notebook)) for key in keys.split(",")
    }
    assert {key.strip() for key in cited} <= known


def test_the_table_of_contents_lists_every_chapter_and_nothing_else():
    names = page_names(ROOT / "book" / "_toc.yml")
    assert {name for name in names if name.startswith("notebooks/")} == {
        f"notebooks/{path.stem}" for path in CHAPTERS
    }
    for name in names:
        assert list(ROOT.glob(f"{name}.*")), f"{name} does not exist"
