"""What a newcomer brings, many times over: discs in changing place, size and light, some with a thin scratch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "inspection"))
from discs import disc

from adlib.inspection import fit_inspector
from adlib.metrics import image_auroc

GOOD, SCRATCHED = 12, 6  # of each trial's test


@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("jitter", [0.03, 0.06])
@pytest.mark.parametrize("count", [12, 20, 24, 40])
def test_scratches_are_found_from_few_good_images(count, jitter, trial):
    first = 10_000 * (trial + 1)
    inspector = fit_inspector([disc(first + number, jitter=jitter) for number in range(count)])
    good = list(inspector.score([disc(first + 500 + number, jitter=jitter) for number in range(GOOD)]))
    scratched = list(
        inspector.score(
            [disc(first + 700 + number, scratch=True, jitter=jitter) for number in range(SCRATCHED)]
        )
    )
    auroc = image_auroc([0] * GOOD + [1] * SCRATCHED, [verdict.score for verdict in good + scratched])
    found, false = (sum(verdict.defective for verdict in side) for side in (scratched, good))
    print(
        f"{count} good discs, jitter {jitter}: AUROC {auroc:.3f}, found {found} of 6, false alarms {false} of 12"
    )
    assert auroc > 0.95
    assert found >= SCRATCHED - 1
