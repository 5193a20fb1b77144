"""What a newcomer brings, and what `adlib fit` makes of it without an option."""

from __future__ import annotations

import pytest
from discs import disc

from adlib.inspection import fit_inspector
from adlib.inspection.inspector import DEFAULT_DETECTOR


@pytest.mark.slow
def test_twelve_good_discs_are_enough_to_find_thin_scratches():
    """Jittered in place, size and light; a scratch is one pixel wide on a disc of 96 pixels."""
    inspector = fit_inspector([disc(seed) for seed in range(12)])
    assert inspector.detector.name == DEFAULT_DETECTOR == "patch_memory"
    good = [verdict.score for verdict in inspector.score([disc(500 + seed) for seed in range(6)])]
    scratched = list(inspector.score([disc(700 + seed, scratch=True) for seed in range(6)]))
    assert min(verdict.score for verdict in scratched) > max(good)
    assert all(verdict.defective for verdict in scratched)
