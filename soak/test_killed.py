"""Three hundred kills at random moments, of every command that writes: what is under a final name is whole, what was
finished stays, and gone on with it ends as an undisturbed run does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inspection"))
from killed import KINDS, kill_often, prepare

# Altogether; ADLIB_KILLS=19 for three of each kind, and one night.
KILLS = int(os.environ.get("ADLIB_KILLS", "304"))
# A night takes ten times as long as anything else, and is killed a third as often.
SHARES = {kind: 1 if kind == "night" else 3 for kind in KINDS}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_work_leaves_nothing_half_written_and_ends_as_if_undisturbed(kind, tmp_path):
    prepare(tmp_path)
    assert kill_often(tmp_path, kind, -(-KILLS * SHARES[kind] // sum(SHARES.values()))) == []
