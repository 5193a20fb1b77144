"""Executing chapters, holding their numbers against baselines, and building the pages.

A chapter itself needs one name from here: `from adlib.chapters import report`.
"""

from __future__ import annotations

from .provenance import provenance, report

__all__ = ["provenance", "report"]
