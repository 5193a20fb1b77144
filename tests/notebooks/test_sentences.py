"""Each decimal of the prose is what the ledger, a printed table or a setting says, and the check is measured."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from adlib_book.site import sentences

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@functools.cache
def opened(path: Path):
    """A chapter, its bindings, and what evaluates them."""
    notebook, bindings = nbformat.read(path, as_version=4), sentences.read(sentences.path_of(path))
    return notebook, bindings, sentences.chapter_at(path)


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_every_decimal_is_what_its_expression_gives(path):
    faults = sentences.findings(*opened(path))
    assert not faults, "`adlib chapters sentences` shows these; --write mends numbers\n" + "\n".join(faults)


def altered(decimal: sentences.Decimal) -> str:
    """The last digit raised by one."""
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), decimal.written)


def test_the_page_says_how_many_altered_digits_are_noticed():
    """In turn the last digit of each decimal is altered, first in the prose alone, then in prose and bindings alike."""
    every, in_prose, in_both = 0, 0, 0
    for path in CHAPTERS:
        notebook, bindings, reader = opened(path)
        for each in sentences.decimals(notebook, bindings):
            if not sentences.NUMBER.fullmatch(each.written):
                continue
            every += 1
            in_both += reader.fault(replace(each, written=altered(each))) is not None
            text = dict(sentences.texts(notebook))[each.cell]
            text = text[: each.start] + altered(each) + text[each.start + len(each.written) :]
            alone = new_notebook(cells=[new_markdown_cell(text, id=each.cell.replace(" ", "-"))])
            bound = {each.cell.replace(" ", "-"): bindings[each.cell]}
            in_prose += any(
                reader.fault(replace(d, cell=each.cell)) for d in sentences.decimals(alone, bound)
            )
    assert in_prose >= 0.95 * every
    said = f"{100 * in_prose / every:.0f} % of all, {100 * in_both / every:.0f} % by their value"
    page = (ROOT / "book" / "watched_numbers.md").read_text(encoding="utf-8")
    assert said in " ".join(page.split()), f"{said} ({in_prose} and {in_both} of {every})"


CODE = """
from adlib import load, metrics

split = load("texture/wood")
scores = {"live": len(split), "PCA": 0.5}
rows = {}
for name, value in {"PCA": 0.873, "U-Net": 0.91}.items():
    rows[name] = value
best = max(rows, key=rows.get)
"""


def page(*prose: str) -> nbformat.NotebookNode:
    text = [new_markdown_cell(each, id=f"text-{number}") for number, each in enumerate(prose)]
    return new_notebook(cells=[text[0], new_code_cell(CODE, id="code"), *text[1:]])


@pytest.mark.parametrize(
    ("prose", "expression", "fault"),
    [
        ("PCA has 0.873.", 'rows["PCA"]', None),
        ("PCA has 0.87 (87 %).", 'rows["PCA"]', None),
        ("PCA has 0.874.", 'rows["PCA"]', 'the prose says 0.874, but rows["PCA"] is 0.873'),
        ("It lost 0.037, +0.037.", 'rows["PCA"] - rows["U-Net"]', "the prose says +0.037"),
        ("It changes by −0.037.", 'rows["PCA"] - rows[best]', None),
        ("There are 40.0.", 'scores["live"]', "LiveCell"),
        ("Guessing has 0.5.", "given by definition", None),
        ("Guessing has 0.5.", "?", "bound to nothing"),
        ("One of two is below.", "sum(value < 0.9 for value in rows.values()) == 1", None),
        (
            "Both are below.",
            "sum(value < 0.9 for value in rows.values()) == 2",
            "the prose says Both are below., but",
        ),
        ("A part has 0.91.", 'written("code", "0.91")', None),
        ("A part has 0.9.", 'written("code", "0.9")', "is not in the code"),
    ],
)
def test_a_decimal_is_held_against_its_expression(prose, expression, fault):
    notebook = page("Nothing.", prose)
    numbers = [match[0] for match in sentences.DECIMAL.finditer(prose)]
    bound = {"text-1": [{words: expression} for words in numbers or [prose]]}
    (finding,) = sentences.findings(notebook, bound) or [None]
    assert fault is None if finding is None else fault in finding


def test_a_claim_that_is_no_longer_in_the_prose_is_noticed():
    (lost,) = sentences.findings(page("All are below."), {"text-0": [{"One of two is below": "True"}]})
    assert "One of two is below is bound to True and not in the prose" in lost


def test_new_and_lost_decimals_are_noticed_and_the_others_keep_their_expressions():
    notebook = page("Nothing.", "New 0.5, then 0.87; the other one has 0.91.")
    bound = {"text-1": [{"0.87": 'rows["PCA"]'}, {"0.6": "given once"}, {"0.91": 'rows["U-Net"]'}]}
    lost, new = sentences.findings(notebook, bound)
    assert "0.5, which is bound to nothing" in new
    assert "0.6 is bound to given once" in lost


def test_an_expression_sees_what_stands_above_it_and_no_more():
    early = sentences.findings(page("Already 0.873?"), {"text-0": [{"0.873": 'rows["PCA"]'}]})
    assert "NameError" in early[0]
    assert not sentences.findings(page("Later 0.873."), {"text-0": [{"0.873": 'code | rows["PCA"]'}]})


def test_a_chapter_s_expressions_see_its_evidence_page(tmp_path):
    evidence = new_notebook(cells=[new_code_cell("table = {'PCA': 0.873}", id="e-table")])
    nbformat.write(page("PCA has 0.873."), tmp_path / "01_tiny.ipynb")
    nbformat.write(evidence, tmp_path / "01e_tiny_evidence.ipynb")
    (tmp_path / "numbers").mkdir()
    helpers = {"helpers": "def of(name):\n    return table[name]\n"}
    sentences.write(tmp_path / "numbers" / "01e_tiny_evidence.yml", helpers)
    notebook = nbformat.read(tmp_path / "01_tiny.ipynb", as_version=4)
    bound = {"text-0": [{"0.873": 'of("PCA")'}]}
    assert sentences.findings(notebook, bound, sentences.chapter_at(tmp_path / "01_tiny.ipynb")) == []
    assert len(sentences.findings(notebook, bound)) == 1
    shared = (new_notebook(cells=[new_code_cell("", id="code")]), "")
    with pytest.raises(ValueError, match="share the cell ids code"):
        sentences.Chapter(notebook, above=shared)


def test_numbers_are_brought_up_to_date_in_prose_and_bindings(tmp_path):
    notebook = page("Nothing.", "PCA has 0.88, the U-Net 0.90 or 90 %, less by +0.1; 0.3 is new.")
    both = ['rows["PCA"]', "other()", "other()", "other() - 1"]
    bound = dict(zip(("0.88", "0.90", "90 %", "+0.1"), both))
    bindings = {
        "helpers": 'def other():\n    return rows["U-Net"]\n',
        "text-1": [{k: v} for k, v in bound.items()],
    }
    changes = sentences.rewrite(notebook, bindings)
    assert notebook.cells[2].source == "PCA has 0.87, the U-Net 0.91 or 91 %, less by −0.1; 0.3 is new."
    assert len(changes) == 4
    sentences.write(tmp_path / "chapter.yml", bindings)
    (left,) = sentences.findings(notebook, sentences.read(tmp_path / "chapter.yml"))
    assert "0.3, which is bound to nothing" in left
