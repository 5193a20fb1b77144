"""Three hundred commands killed at random moments: what is under a final name is whole, or was there before."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inspection"))
from killed import kill_often

KILLS = int(os.environ.get("ADLIB_KILLS", "300"))


@pytest.mark.timeout(3600)
def test_killed_commands_leave_nothing_half_written(tmp_path):
    assert kill_often(tmp_path, KILLS) == []
