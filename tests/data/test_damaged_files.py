"""A sample of what `make soak` does at length: damaged files of each format are read or refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path

from damage import FORMATS, damaged_files, whole_file

from adlib.data import as_images

CASES = sorted((Path(__file__).parent / "damaged_cases").glob("*"))


def test_whole_files_of_every_format_are_read(tmp_path):
    for name in FORMATS:
        (tmp_path / name).write_bytes(whole_file(name))
    batch = as_images(tmp_path, (3, 16, 16), on_error="skip")
    assert (len(batch.names), batch.refused) == (len(FORMATS), ())
    means = batch.images.double().mean((1, 2, 3))
    assert (means > 10).all()
    assert (means < 245).all()


def test_damaged_files_are_read_or_refused_by_name_and_the_rest_goes_on(tmp_path):
    places = []
    for name in FORMATS:
        for number, data in enumerate(damaged_files(name, 6, seed=0)):
            places.append(tmp_path / f"{number}_{name}")
            places[-1].write_bytes(data)
    (tmp_path / "whole.png").write_bytes(whole_file("grey.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of some kinds of damage
        batch = as_images([*places, tmp_path / "whole.png"], (3, 16, 16), on_error="skip")
    assert len(places) >= 200
    assert batch.names[-1].endswith("whole.png")
    assert len(batch.names) + len(batch.refused) == len(places) + 1
    left_out = [str(place) for place in places if str(place) not in batch.names]
    assert all(place in message for place, message in zip(left_out, batch.refused, strict=True))


def test_what_failed_once_is_read_or_refused_by_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            batch = as_images([case], (3, 16, 16), on_error="skip")
            assert len(batch.names) + len(batch.refused) == 1, case.name
