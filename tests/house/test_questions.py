"""The questions of the landing page lead to headings that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as MyST makes them: the words in small letters, joined by hyphens."""
    text = page.read_text()
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    headings = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.strip().lower()).replace(" ", "-") for each in headings}


def test_every_question_has_an_answer_and_every_answer_a_heading():
    section = re.search(
        r"^## Eight questions\n(.*?)(?=^## |\Z)", (ROOT / "book/index.md").read_text(), re.M | re.S
    )
    assert section
    rows = [line for line in section[1].splitlines() if line.startswith("| ") and "?" in line.split("|")[1]]
    assert len(rows) == 8
    for row in rows:
        links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", row)
        assert links, row
        for page, anchor in links:
            assert anchor in anchors(ROOT / "book" / page), f"{page} has no heading {anchor}"
