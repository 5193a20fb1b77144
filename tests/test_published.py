"""Printed tables against the means that the specification derived from them: a slip of the pen would move one."""

from __future__ import annotations

from adlib.published import tang_contamination, tang_distances


def test_means_of_tang_s_tables():
    assert tang_distances().mean().round(3).tolist() == [0.770, 0.756, 0.699]
    assert tang_distances().max(axis=1).mean().round(3) == 0.796
    assert tang_contamination().mean().round(3).tolist() == [0.770, 0.748, 0.764, 0.776]


def test_both_tables_print_the_same_clean_d1():
    assert (tang_contamination()[0.0].sort_index() == tang_distances()["D1"].sort_index()).all()
