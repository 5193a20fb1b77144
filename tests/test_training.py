"""The loop: history, early stopping on normals, errors that stop it."""

from __future__ import annotations

import pytest

from adlib.detectors import make_detector
from adlib.devices import pick_device, pick_precision
from adlib.training import Schedule


def _fit(split, **changes):
    detector = make_detector("ganomaly", split.image_shape, "smoke", **changes)
    return detector.fit(split.train, split.validation, progress="quiet")


def test_history_has_a_value_per_step_and_evenly_spread_checkpoints(tiny_split):
    history = _fit(tiny_split, steps=10, checkpoints=4).history
    assert all(len(values) == 10 for values in history.losses.values())
    assert [mark["step"] for mark in history.checkpoints] == [2, 5, 8, 10]
    assert all(0 < mark["validation_error"] < 2 for mark in history.checkpoints)
    assert history.seconds > 0


def test_early_stopping_goes_back_to_the_best_checkpoint(tiny_split, monkeypatch):
    detector = make_detector(
        "ganomaly", tiny_split.image_shape, "smoke", steps=12, checkpoints=12, patience=2
    )
    errors, weights = iter([0.5, 0.3, 0.4, 0.6, 0.1]), []

    def validation_error(_):
        weights.append(detector.networks["generator"].encoder.code.weight.detach().clone())
        return next(errors)

    monkeypatch.setattr(detector, "validation_error", validation_error)
    detector.fit(tiny_split.train, tiny_split.validation, progress="quiet")
    assert detector.history.step == 4
    assert detector.history.best_checkpoint() == 1
    assert detector.networks["generator"].encoder.code.weight.equal(weights[1])


def test_patience_without_validation_images_is_refused(tiny_split):
    detector = make_detector("ganomaly", tiny_split.image_shape, "smoke", steps=4, patience=1)
    with pytest.raises(ValueError, match="patience needs validation images"):
        detector.fit(tiny_split.train, progress="quiet")


def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(tiny_split, monkeypatch):
    detector = make_detector("ganomaly", tiny_split.image_shape, "smoke")
    monkeypatch.setattr("adlib.losses.latent_loss", lambda *_: _[0].sum() * float("nan"))
    with pytest.raises(FloatingPointError, match="loss 'latent' became nan at step 1"):
        detector.fit(tiny_split.train, progress="quiet")


def test_nonsense_settings_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        Schedule(steps=0)
    with pytest.raises(ValueError, match="unknown precision 'half'"):
        pick_precision("half", pick_device("cpu"))


@pytest.mark.parametrize("progress", ["terminal", "notebook", "quiet"])
def test_every_bar_runs(tiny_split, progress, capsys):
    detector = make_detector("ganomaly", tiny_split.image_shape, "smoke", steps=2)
    detector.fit(tiny_split.train, progress=progress)


def test_an_unknown_bar_is_refused(tiny_split):
    with pytest.raises(ValueError, match="unknown progress 'loud'"):
        make_detector("ganomaly", tiny_split.image_shape, "smoke").fit(tiny_split.train, progress="loud")
