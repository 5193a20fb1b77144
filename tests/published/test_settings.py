"""Printed settings against the code: each is what `paper()` has, or a deviation that the table gives a reason for."""

from __future__ import annotations

import dataclasses
import inspect
import re
from fractions import Fraction
from itertools import chain

import pandas as pd
import pytest
import torch

from adlib.detectors import detector_class, detector_names, make_detector
from adlib_book import published
from adlib_book.site import pages

TABLE = published.settings()
ORIGINS = {"printed", "released code", "re-implementation", "recalled", "ours"}
EVERY = "every detector"
IN_PAPERS = [
    name
    for name in detector_names()
    if "every setting" not in set(TABLE[TABLE["detector"] == name]["setting"])
]


def rows_of(name: str) -> dict[str, pd.DataFrame]:
    """Setting -> its rows: those of the detector itself, or of the one that it builds on, or of all."""
    lineage = [each.__dict__["name"] for each in detector_class(name).__mro__ if "name" in each.__dict__]
    rows: dict[str, pd.DataFrame] = {}
    for each in [*lineage, EVERY]:
        for setting, group in TABLE[TABLE["detector"] == each].groupby("setting", sort=False):
            rows.setdefault(str(setting), group)
    return rows


def fields_of(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(detector_class(name).Config)]


def docstrings(name: str) -> str:
    """What a reader of a detector's file and settings finds, in one line."""
    kind = detector_class(name)
    owners = [
        each for each in chain(kind.__mro__, kind.Config.__mro__) if each.__module__.startswith("adlib")
    ]
    texts = [inspect.getdoc(each) or "" for each in chain(owners, map(inspect.getmodule, owners))]
    return " ".join(" ".join(texts).split())


def declared(name: str) -> list[tuple[str, object, str]]:
    """Every "`setting` ours instead of printed" of the docstrings."""
    departures = re.findall(r"`(\w+)` (\S+) instead of (.+?)(?=[;:]|, |\. |\.$)", docstrings(name))
    return [(setting, value_of(ours), printed) for setting, ours, printed in departures]


def value_of(text: str) -> object:
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    try:
        return float(Fraction(text.replace(",", "")))
    except ValueError:
        return text


def test_every_row_says_where_its_setting_comes_from():
    assert set(TABLE["origin"]) == ORIGINS
    assert not TABLE.duplicated(["detector", "setting", "printed", "note"]).any()
    assert set(TABLE["detector"]) - set(detector_names()) == {EVERY}
    ours = TABLE["origin"] == "ours"
    assert (TABLE[ours]["printed"] == "").all()
    assert (TABLE[ours]["deviation"] == "").all()
    assert (TABLE[~ours][["printed", "source"]] != "").all(axis=None)
    assert TABLE[TABLE["setting"] == "every setting"]["origin"].eq("ours").all()


@pytest.mark.parametrize("name", IN_PAPERS)
def test_every_field_of_the_settings_stands_in_the_table(name):
    missing = set(fields_of(name)) - set(rows_of(name))
    assert not missing, (
        f"{name}: add to adlib_book/published/settings.csv, printed or ours: {sorted(missing)}"
    )


@pytest.mark.parametrize("name", IN_PAPERS)
def test_what_is_printed_is_what_paper_has_or_a_deviation_with_its_reason(name):
    config = detector_class(name).Config.paper()
    for setting, rows in rows_of(name).items():
        for row in rows[rows["origin"] != "ours"].itertuples():
            if setting in fields_of(name):
                agrees = row.value == getattr(config, setting)
            elif "." in setting:
                agrees = row.value == row.paper
            else:
                assert row.detector == EVERY or " " in setting, f"{name} has no setting {setting}"
                agrees = False
            if row.detector == EVERY and agrees:
                continue  # detectors that learn at once have nothing to average
            assert agrees == (row.deviation == ""), (
                f"{name}, {setting}: printed {row.value!r}, paper() has {getattr(config, setting, None)!r}. "
                "Give the reason in the column deviation, or clear it where both agree."
            )


@pytest.mark.parametrize("profile", ["paper", "book"])
@pytest.mark.parametrize("name", IN_PAPERS)
def test_a_profile_that_departs_says_so_in_its_docstring(name, profile):
    config, said = getattr(detector_class(name).Config, profile)(), declared(name)
    for setting, rows in rows_of(name).items():
        printed = rows[rows["origin"] != "ours"]
        if setting not in fields_of(name) or printed.empty:
            continue
        ours = getattr(config, setting)
        if ours not in list(printed["value"]):
            assert (setting, ours) in [(each, value) for each, value, _ in said], (
                f"{name}: declare in its docstring that {profile} has {setting} {ours!r} instead of "
                f"{printed['printed'].tolist()}"
            )


@pytest.mark.parametrize("name", IN_PAPERS)
def test_what_a_docstring_declares_is_so(name):
    rows, config = rows_of(name), detector_class(name).Config
    for setting, ours, printed in declared(name):
        if setting == "ema_decay" and config.paper().ema_decay == 0:
            continue  # said of detectors that train by steps
        profiles = [getattr(profile(), setting) for profile in (config.paper, config.book)]
        assert ours in profiles, f"{name}: {setting} is {profiles}, the docstring says {ours}"
        values, words = list(rows[setting]["value"]), list(rows[setting]["printed"])
        in_words = any(printed in text for text in words if not re.fullmatch(r"[\d.,]+", text))
        assert value_of(printed) in values or in_words, (
            f"{name}: {setting} is printed as {words}, not as {printed}"
        )


@pytest.mark.parametrize("name", IN_PAPERS)
def test_a_departure_that_is_no_setting_is_named_in_the_docstring(name):
    text = docstrings(name).lower()
    for setting in rows_of(name):
        if " " in setting:
            assert setting.lower() in text, f"{name}: its docstring does not speak of: {setting}"


def test_settings_that_do_not_stand_in_a_config_are_as_the_table_says():
    encoder = make_detector("f_anogan", (1, 16, 16), "smoke").networks["encoder"]
    last = [module for module in encoder.modules() if not list(module.children())][-1]
    assert isinstance(last, torch.nn.Conv2d | torch.nn.Linear), "no tanh at the end of the encoder"
    optimisers = make_detector("f_anogan", (1, 16, 16), "smoke").optimisers
    assert optimisers["encoder"].param_groups[0]["alpha"] == 0.99
    decay = (
        make_detector("vae", (1, 32, 32), "smoke").optimisers["auto_encoder"].param_groups[0]["weight_decay"]
    )
    assert decay == 0


def test_f_anogan_s_generator_is_updated_as_often_as_its_docstring_says():
    config = detector_class("f_anogan").Config
    updates = [
        round(each.steps * (1 - each.encoder_share)) // each.critic_steps
        for each in (config.book(), config.paper())
    ]
    assert updates == [200, 20_000]
    assert "200 updates" in docstrings("f_anogan")


def test_the_page_has_a_table_per_detector_and_every_reason(tmp_path):
    (tmp_path / "book").mkdir()
    page = tmp_path / "book" / "settings.md"
    page.write_text("# Settings\n")
    pages.write_settings(tmp_path)
    text = page.read_text()
    assert (
        text.count("| setting | printed |")
        == TABLE[TABLE["setting"] != "every setting"]["detector"].nunique()
    )
    assert all(reason in text for reason in TABLE["deviation"])
    assert "| `learning_rate` | ~0.002 | 0.002 | **0.0002** | Akcay et al. 2019 |" in text
    assert "| `steps` | 20,000 | 20,000 | **1,000** |  |" in text
    assert "Where the last column is empty: Tang et al., section III.D." in text
    assert (
        "| `betas` | – (not even the optimiser is printed: Adam) | (0.5, 0.999) | (0.5, 0.999) | ours |"
        in text
    )
    for line in text.splitlines():
        assert not line.startswith("| ") or line.count(" | ") == 4
