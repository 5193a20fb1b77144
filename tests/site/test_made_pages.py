"""Parts of pages that are made, and the guards that stop a page without words or with too much weight."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from adlib.errors import ChapterError
from adlib_book.site import checks, pages, tree

ROOT = Path(__file__).resolve().parents[2]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def terms_module():
    spec = importlib.util.spec_from_file_location("terms", ROOT / "book" / "_ext" / "terms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("image", "sources"),
    [
        ('<img alt="../_images/abc.png" src="a.png">', ["a.png"]),
        ('<img src="a.png">', ["a.png"]),
        ('<img alt="short" src="a.png">', ["a.png"]),
        ('<img src="a.png" alt="A line that rises.">', []),
    ],
)
def test_an_image_without_alternative_text_is_found(image, sources):
    page = f'<img src="logo.svg"><article class="bd-article">{image}</article>'
    assert checks.images_without_alt(page) == sources


def test_a_heavy_page_is_refused_but_not_for_its_widgets(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "LARGEST_PAGE", 1000)
    state = f'<script type="application/vnd.jupyter.widget-state+json">{"x" * 2000}</script>'
    (tmp_path / "a.html").write_text("page" + state)
    checks.check_weight(tmp_path)
    (tmp_path / "b.html").write_text("y" * 2000)
    with pytest.raises(ChapterError, match=r"b\.html has 2,000 bytes"):
        checks.check_weight(tmp_path)
    (tmp_path / "b.html").unlink()
    monkeypatch.setattr(checks, "LARGEST_SITE", 1000)
    with pytest.raises(ChapterError, match=r"Largest: a\.html"):
        checks.check_weight(tmp_path)


def test_the_counts_of_mvtec_are_those_that_are_printed():
    table = "\n".join(pages._mvtec_counts())
    assert "| metal nut | object | 700 | 220 | 22 | 93 | 4 | 132 |" in table
    assert "| all | | | 3,629 | 467 | 1,258 | 73 | 1,888 |" in table


def test_the_landing_page_gets_the_figure_of_the_tagged_cell(tmp_path):
    (tmp_path / "book").mkdir()
    page = tmp_path / "book" / "index.md"
    page.write_text("Before\n\n<!-- landing-figure -->\n\nAfter")
    with pytest.raises(ChapterError, match="tagged 'landing-figure'"):
        pages.write_landing(tmp_path, [new_notebook()])
    cell = new_code_cell("x", outputs=[new_output("display_data", data={"image/png": PIXEL})])
    cell.metadata |= {"tags": ["landing-figure"], "mystnb": {"image": {"alt": "Cells and maps."}}}
    pages.write_landing(tmp_path, [new_notebook(cells=[cell])])
    assert "![Cells and maps.](_static/made/landing.png)" in page.read_text()
    assert (tmp_path / "book" / "_static" / "made" / "landing.png").read_bytes().startswith(b"\x89PNG")


def test_the_family_tree_is_drawn_from_its_letters(tmp_path):
    page = tmp_path / "book" / "family.md"
    page.parent.mkdir()
    page.write_text((ROOT / "book" / "family.md").read_text())
    tree.write_figure(tmp_path)
    text = page.read_text()
    assert "```{figure} _static/made/family.png\n:name: figure-t-1\n" in text
    assert "─┬─" not in text
    for words in (
        "PCA, from auto-encoder, all layers linear",
        "DAGAN, from BEGAN",
        "dual discriminator, from GANomaly",
    ):
        assert words in text
    assert (tmp_path / "book" / "_static" / "made" / "family.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_that_is_no_branch_is_named():
    with pytest.raises(ChapterError, match="no branch: 'GAN'"):
        tree.members("auto-encoder ─┬─ PCA: all layers linear\nGAN\n")


def test_a_chapter_s_numbers_can_be_taken_home(tmp_path):
    record = {"chapter": "01_x", "id": "run", "seconds": 1.0, "metrics": {"a/b": {"value": 0.1 + 0.2}}}
    line = pages.write_numbers(tmp_path, record)
    made = tmp_path / "book" / "_static" / "made"
    assert json.loads((made / "01_x.json").read_text())["metrics"] == {"a/b": 0.1 + 0.2}
    rows = list(csv.DictReader((made / "01_x.csv").open()))
    assert float(rows[0]["value"]) == 0.1 + 0.2
    assert set(re.findall(r'href="([^"]+)"', line)) >= {
        "../_static/made/01_x.csv",
        "../_static/made/01_x.json",
    }


def test_the_whole_book_has_every_article_and_addresses_that_work_from_the_root(tmp_path):
    for name, image in {"book/a": "../_images/x.png", "notebooks/b": "c.html#d"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.html").write_text(
            '<html data-content_root="../"><script src="../_static/s.js"></script>'
            f'<article class="bd-article"><a href="{image}">{name}</a><a href="#here">h</a></article></html>'
        )
    text = pages.write_whole_book(tmp_path, ["book/a", "notebooks/b"]).read_text()
    assert text.count("<article") == 2
    for part in ('href="_images/x.png"', 'href="notebooks/c.html#d"', 'src="_static/s.js"', 'href="#here"'):
        assert part in text
    assert 'data-content_root="./"' in text
    with pytest.raises(FileNotFoundError):
        pages.write_whole_book(tmp_path, ["book/none"])


def test_the_data_page_pictures_what_is_in_the_installation_and_says_what_is_seen():
    from adlib.data import catalogue

    pictured = {entry.pictured: entry for entry in catalogue() if entry.pictured}
    assert {"mnist5k/3", "elpv/mono", "texture/metal"} <= set(pictured)
    for entry in pictured.values():
        assert entry.available()
        assert len(entry.caption) > 20


def test_the_glossary_has_three_languages_and_no_form_twice():
    terms = terms_module()
    entries = terms.read_terms()
    assert len(entries) > 40
    pattern, known = terms._pattern()
    assert pattern.findall("Two auto-encoders, an AUROC and pre-threshold words.") == [
        "auto-encoders",
        "AUROC",
    ]
    assert known["Residuals"] == "residual"


def test_a_wrong_term_file_is_refused(tmp_path):
    terms, path = terms_module(), tmp_path / "terms.yml"
    path.write_text("- {en: a, zh: b, text: d}\n")
    with pytest.raises(ValueError, match="check ko"):
        terms.read_terms(path)
    path.write_text("- {en: a, zh: b, ko: c, text: d}\n- {en: e, also: [a], zh: b, ko: c, text: d}\n")
    with pytest.raises(ValueError, match="'a' stands for 'a' and for 'e'"):
        terms.read_terms(path)
    path.write_text("- {en: a, zh: b, ko: c, text: d}\n- {en: e, zh: f, zh_also: [b], ko: g, text: d}\n")
    with pytest.raises(ValueError, match="'b' stands for 'a' and for 'e'"):
        terms.read_terms(path)
