"""A sample of `make soak`: work that is killed at a random moment leaves whole files, and is gone on with."""

from __future__ import annotations

import pytest
from killed import kill_often, prepare


@pytest.mark.slow
def test_killed_work_leaves_nothing_half_written_and_ends_as_if_undisturbed(tmp_path):
    prepare(tmp_path)
    assert [wrong for kind in ("score", "sweep") for wrong in kill_often(tmp_path, kind, 1)] == []
