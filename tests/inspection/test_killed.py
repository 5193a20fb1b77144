"""A sample of `make soak`: commands killed at a random moment leave whole files, or none."""

from __future__ import annotations

import pytest
from killed import kill_often


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_half_written(tmp_path):
    assert kill_often(tmp_path, 3) == []
