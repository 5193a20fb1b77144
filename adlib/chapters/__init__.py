"""Executing chapters, holding their numbers against baselines, and building the pages.

A chapter itself needs three names from here: `from adlib.chapters import filled, report, your_turn`.
"""

from __future__ import annotations

from .exercises import filled, your_turn
from .provenance import provenance, report

__all__ = ["filled", "provenance", "report", "your_turn"]
