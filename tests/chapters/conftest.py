"""Fixtures for tests of the runner and the pages."""

from __future__ import annotations

import pytest
from tiny_checkout import make_workspace

from adlib.chapters.run import Workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A checkout in miniature."""
    return make_workspace(tmp_path)
