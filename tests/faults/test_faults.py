"""The catalogue of faults fits the code: each stands once where it says, and has a name of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from catalogue import FAULTS
from put_in import ROOT, broken


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_put_in_and_leaves_python(fault):
    source = (ROOT / fault.file).read_text()
    compile(broken(source, fault), fault.file, "exec")
    assert all((ROOT / test).exists() for test in fault.tests)


def test_there_are_forty_or_more_with_different_names():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40


def test_a_text_that_does_not_stand_there_is_an_error():
    with pytest.raises(ValueError, match="mend the catalogue"):
        broken("x = 1\n", FAULTS[0])
