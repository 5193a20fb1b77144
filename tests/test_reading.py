"""A starter cell fails for the right reason, and for no other; a sentence is Markdown where Markdown is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adlib_book.reading import filled, say, your_turn


def test_dots_are_answered_with_advice(capsys):
    with your_turn("one"):
        filled(3, ...)
    assert capsys.readouterr().out.startswith("Your turn (one)")


@pytest.mark.parametrize(
    "use",
    [
        lambda: 1 + ...,
        lambda: torch.zeros(2) + ...,
        lambda: len(...),
        lambda: (...).mean(),
        lambda: float(...),
    ],
)
def test_dots_that_are_computed_with_are_recognised(capsys, use):
    with your_turn("two"):
        use()
    assert "replace the dots" in capsys.readouterr().out


def test_every_other_failure_is_an_error():
    with pytest.raises(NameError), your_turn("three"):
        gone  # noqa: B018, F821
    with pytest.raises(ValueError, match="broadcast"), your_turn("four"):
        np.zeros(2) + np.zeros(3)


def test_an_answer_is_welcome(capsys):
    with your_turn("five"):
        filled(1.0)
    assert "filled in" in capsys.readouterr().out


def test_a_sentence_is_printed_outside_a_notebook(capsys):
    say("**PCA** is ahead.")
    assert capsys.readouterr().out == "**PCA** is ahead.\n"


def test_a_sentence_is_markdown_in_a_notebook(monkeypatch, capsys):
    displayed = []
    monkeypatch.setattr("adlib.environment.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", displayed.append)
    say("**PCA** is ahead.")
    assert [each._repr_markdown_() for each in displayed] == ["**PCA** is ahead."]
    assert not capsys.readouterr().out
