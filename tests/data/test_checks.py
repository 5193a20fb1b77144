"""The check of the sources: content that was changed, and addresses that do not answer, are findings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from adlib.data import DATA_SETS, checks
from adlib_book.cli import app


@pytest.mark.slow
def test_the_packaged_sets_are_the_ones_we_know():
    findings = list(checks.check_sources(download=False))
    assert [each.name for each in findings] == ["mnist5k", "elpv"]
    assert all(each.fine for each in findings), findings


@pytest.fixture
def without_network(monkeypatch):
    def fetch(folder):
        return np.zeros((3, 28, 28)), np.zeros(3), np.zeros((2, 28, 28)), np.zeros(2)

    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(DATA_SETS[name], fetch=fetch))


@pytest.mark.slow
def test_a_changed_package_and_a_silent_address_are_named_and_the_others_go_on(without_network, monkeypatch):
    def unreachable(folder):
        raise RuntimeError("File not found or corrupted.")

    for name, change in (("mnist5k", {"expected_digest": "0" * 16}), ("cifar10", {"fetch": unreachable})):
        monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(DATA_SETS[name], **change))
    result = CliRunner().invoke(app, ["data", "check"])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line[0] for line in lines] == list("-+++-+")
    assert "the package was changed" in lines[0]
    assert "3 + 2 images" in lines[2]
    assert "cifar10: RuntimeError: File not found" in lines[4]


@pytest.mark.slow
def test_all_well_is_exit_code_0(without_network):
    assert CliRunner().invoke(app, ["data", "check"]).exit_code == 0
