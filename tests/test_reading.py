"""A starter cell fails for the right reason, and for no other; a sentence is Markdown where Markdown is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adlib import load
from adlib_book.reading import filled, report, say, write_folder, your_turn


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


def test_a_number_has_a_range_or_a_tolerance_of_its_own(monkeypatch):
    displayed = []
    monkeypatch.setattr("adlib.environment.in_notebook", lambda: True)
    monkeypatch.setattr(
        "IPython.display.display", lambda *_, metadata, **__: displayed.append(metadata["adlib"])
    )
    report("auroc", 0.5)
    report("files", 2.0, tolerance=0.1)
    assert displayed == [
        {"name": "auroc", "value": 0.5, "limits": (0.0, 1.0)},
        {"name": "files", "value": 2.0, "limits": (None, None), "tolerance": 0.1},
    ]
    for limits, tolerance in ((None, None), ((0, 1), 0.1)):
        with pytest.raises(ValueError, match=r"2\.0, outside"):
            report("files", 2.0, limits=limits, tolerance=tolerance)


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


def test_a_folder_that_was_written_is_read_as_the_same_images(tmp_path):
    made = load("texture/wood", size=16, train=12, test=4, seed=0)
    read = load("folder", path=write_folder(made, tmp_path / "parts"), size=16, seed=0)
    assert read.image_shape == made.image_shape
    seen, truth = read.test.open("a test"), made.test.open("a test")
    assert sorted(seen.kinds) == sorted(truth.kinds)

    def marked(images, masks):
        return sorted((image.numpy().tobytes(), mask.tobytes()) for image, mask in zip(images, masks))

    assert marked(read.test.images, seen.masks) == marked(made.test.images, truth.masks)
    assert len(read.train) + len(read.validation) == len(made.train) + len(made.validation)
