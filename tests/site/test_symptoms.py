"""The pictures of the page about own images are drawn, and show what their captions say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adlib_book.site.symptoms import PICTURES, write_pictures

PAGE = Path(__file__).resolve().parents[2] / "book" / "own_images.md"


@pytest.mark.slow
def test_every_picture_of_the_page_is_drawn(tmp_path):
    write_pictures(tmp_path)
    made = {path.name for path in (tmp_path / "book" / "_static" / "made").iterdir()}
    assert made == {*re.findall(r"made/(symptom-\w+\.png)", PAGE.read_text())}
    assert len(made) == len(PICTURES)
