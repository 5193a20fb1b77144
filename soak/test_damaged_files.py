"""Ten thousand and more damaged image files: each is read or refused by name, and the rest goes on."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "data"))
from damage import FORMATS, damaged_files, whole_file

from adlib.data import ImageFileError, as_images
from adlib.data.images import read_mask

PER_FORMAT = int(os.environ.get("ADLIB_DAMAGED", "320"))  # times 37 formats: 11,840 files
CASES = Path(__file__).resolve().parents[1] / "tests" / "data" / "damaged_cases"
SLOW = 20.0  # seconds for one file of a few hundred bytes


@pytest.mark.parametrize("name", FORMATS)
def test_every_damaged_file_is_read_or_refused_by_name(name, tmp_path):
    place = tmp_path / name
    good = tmp_path / f"whole_{name}"
    good.write_bytes(whole_file(name))
    read = refused = 0
    failures = []
    for number, data in enumerate(damaged_files(name, PER_FORMAT, seed=1)):
        place.write_bytes(data)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fault = ""
            try:
                batch = as_images([place, good], (3, 16, 16), on_error="skip")
                if batch.names[-1:] != (str(good),):
                    fault = "the whole file beside it was lost"
                if any(str(place) not in message for message in batch.refused):
                    fault = f"refused without its name: {batch.refused}"
                read, refused = read + (len(batch.names) == 2), refused + len(batch.refused)
                read_mask(place, (24, 24))
            except ImageFileError:
                pass
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begin
        if seconds > SLOW:
            fault = fault or f"took {seconds:.0f} s"
        if fault:  # kept: the normal suite reads every case again
            CASES.mkdir(exist_ok=True)
            (CASES / f"{number}_{name}").write_bytes(data)
            failures.append(f"{number}: {fault}")
    print(
        f"{name}: {PER_FORMAT} damaged files, {read} read, {refused} refused by name, {len(failures)} failures"
    )
    assert not failures, "\n".join(failures[:10])
