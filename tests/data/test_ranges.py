from __future__ import annotations

import pytest
import torch

from adlib.data import to_symmetric, to_uint8, to_unit

EVERY_LEVEL = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_ranges_end_where_they_should():
    unit, symmetric = to_unit(EVERY_LEVEL), to_symmetric(EVERY_LEVEL)
    assert unit.dtype == symmetric.dtype == torch.float32
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    assert (symmetric.min(), symmetric.max()) == (-1.0, 1.0)
    torch.testing.assert_close(symmetric, 2 * unit - 1)


def test_every_grey_level_survives_the_round_trip():
    assert torch.equal(to_uint8(to_symmetric(EVERY_LEVEL)), EVERY_LEVEL)


def test_a_reconstruction_that_overshoots_is_clipped():
    assert to_uint8(torch.tensor([-3.0, 0.0, 7.0])).tolist() == [0, 128, 255]


@pytest.mark.parametrize("convert", [to_unit, to_symmetric])
def test_floats_are_not_converted_twice(convert):
    with pytest.raises(TypeError, match=r"float32; expected torch.uint8"):
        convert(torch.zeros(1, 1, 4, 4))


def test_uint8_is_refused_by_to_uint8():
    with pytest.raises(TypeError, match="expected floats"):
        to_uint8(EVERY_LEVEL)


def test_nan_has_no_grey_value():
    with pytest.raises(ValueError, match=r"(?s)1 NaN values of 4.*diverged"):
        to_uint8(torch.tensor([0.0, float("nan"), 1.0, -1.0]))


def test_conversion_leaves_its_input_alone_and_works_without_a_device():
    images = EVERY_LEVEL.clone()
    to_symmetric(images)
    assert torch.equal(images, EVERY_LEVEL)
    assert to_uint8(to_symmetric(images.to("meta"))).device.type == "meta"
