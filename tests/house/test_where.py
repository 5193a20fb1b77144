"""What the papers say, item by item, and where the book shows it: `where.csv`, for maintainers, held to the pages.

An item is *shown* at its places, or *open*: then the place is where it will stand, `plan` the plan of the ledger that
runs it and `hours` what that takes on one core, as far as either is known.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from test_questions import ROOT, anchors

from adlib_book.ledger.plans import PLANS

with (Path(__file__).parent / "where.csv").open() as lines:
    ROWS = list(csv.DictReader(lines))
OPEN = [row for row in ROWS if row["status"] == "open"]


def test_every_item_has_a_place_that_is_there():
    known: dict[str, set[str]] = {}
    for row in ROWS:
        assert row["place"], row["item"]
        for place in row["place"].split():
            page, _, anchor = place.partition("#")
            assert (ROOT / page).is_file(), f"{row['item']}: no file {page}"
            if page.endswith(".py"):
                continue
            there = known.setdefault(page, anchors(ROOT / page))
            assert anchor in there, f"{row['item']}: {page} has no heading {anchor}"


def test_items_differ_and_are_shown_or_open():
    assert {row["status"] for row in ROWS} == {"shown", "open"}
    assert len({(row["document"], row["item"]) for row in ROWS}) == len(ROWS)
    assert all(row["hours"] == "" or float(row["hours"]) > 0 for row in ROWS)
    assert not [row["item"] for row in ROWS if row["hours"] and row["status"] == "shown"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["plan"]], ids=lambda row: row["plan"])
def test_plans_that_are_named_exist(row):
    assert row["plan"] in PLANS
