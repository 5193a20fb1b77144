"""The loop: history, early stopping on normals, errors that stop it."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from adlib import training
from adlib.data import stream_folder
from adlib.detectors import make_detector
from adlib.devices import pick_compilation, pick_device, pick_precision
from adlib.training import History, Schedule


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


def test_a_run_that_stopped_early_is_not_trained_on_when_it_is_called_again(
    tiny_split, tmp_path, monkeypatch
):
    def fit():
        detector = make_detector(
            "ganomaly", tiny_split.image_shape, "smoke", steps=9, checkpoints=9, patience=1
        )
        errors = iter([0.3, 0.5, 0.1])
        monkeypatch.setattr(detector, "validation_error", lambda _: next(errors))
        file = tmp_path / "resume.safetensors"
        return detector.fit(tiny_split.train, tiny_split.validation, progress="quiet", resume=file)

    first, again = fit(), fit()
    assert first.history.step == again.history.step == 2
    images = tiny_split.test.images[:4]
    assert first.anomaly_score(images).equal(again.anomaly_score(images))


def test_checkpoints_without_an_error_are_not_chosen():
    marks = [
        {"step": 1},
        {"step": 2, "validation_error": 0.3},
        {"step": 3, "validation_error": 0.2},
        {"step": 4},
    ]
    assert History(checkpoints=marks).best_checkpoint() == 2
    assert History(checkpoints=marks[:1]).best_checkpoint() is None


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sdn", {"student_share": 0.5}),
        ("deep_svdd", {"pretraining_share": 0.5}),
        ("f_anogan", {"encoder_share": 0.5}),
    ],
)
def test_only_the_phase_that_scores_has_a_validation_error(name, changes, tiny_split):
    detector = make_detector(name, tiny_split.image_shape, "smoke", steps=4, checkpoints=4, **changes)
    detector.fit(tiny_split.train, tiny_split.validation, progress="quiet")
    told = ["validation_error" in mark for mark in detector.history.checkpoints]
    assert told == [False, False, True, True]


def test_a_second_fit_with_one_stream_sees_the_same_batches(tmp_path):
    for number in range(6):
        Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    stream = stream_folder(tmp_path, 16, 2, seed=0, workers=0)

    def losses():
        detector = make_detector("cae", (3, 16, 16), "smoke", steps=4, batch_size=2, precision="fp32")
        return detector.fit(stream, progress="quiet").history.losses

    assert losses() == losses()


def test_batches_are_augmented_on_their_way(tiny_split):
    def train(augment):
        detector = make_detector("ganomaly", tiny_split.image_shape, "smoke", steps=3, precision="fp32")
        return detector.fit(tiny_split.train, augment=augment, progress="quiet").history.losses["contextual"]

    assert train(lambda images, _: images) == train(None)
    assert train(lambda images, _: images.flip(3)) != train(None)
    with pytest.raises(TypeError, match="pca learns from all images at once"):
        make_detector("pca", tiny_split.image_shape).fit(tiny_split.train, augment=lambda images, _: images)


def test_a_stream_from_disk_trains_like_images_in_memory(tiny_split, tmp_path):
    for index, image in enumerate(tiny_split.train.images[:12]):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{index:02}.png")

    def make():
        return make_detector("ganomaly", (3, 32, 32), "smoke", steps=4, checkpoints=2, batch_size=8)

    def stream(size=32, batch_size=8, seed=0):
        return stream_folder(tmp_path, size, batch_size, seed=seed, workers=0)

    losses = make().fit(tiny_split.train.images[:12], progress="quiet").history.losses
    file = tmp_path / "resume.safetensors"
    assert make().fit(stream(), progress="quiet", resume=file).history.losses == losses
    assert make().fit(stream(), progress="quiet", resume=file).history.losses == losses
    with pytest.raises(ValueError, match="stream has batch_size=4, the detector 8"):
        make().fit(stream(batch_size=4))
    with pytest.raises(ValueError, match=r"images of \(3, 16, 16\)"):
        make().fit(stream(size=16))
    with pytest.raises(TypeError, match="pca learns from all images at once"):
        make_detector("pca", (3, 32, 32)).fit(stream())


def test_patience_without_validation_images_is_refused_before_anything_is_trained(tiny_split, monkeypatch):
    detector = make_detector("ganomaly", tiny_split.image_shape, "smoke", patience=1)
    monkeypatch.setattr(detector, "training_step", lambda _: pytest.fail("a step was taken"))
    with pytest.raises(ValueError, match=r"pass validation=split\.validation"):
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


@pytest.mark.parametrize(
    ("notebook", "terminal", "ci", "kind"),
    [
        (True, False, "", "_Notebook"),
        (False, True, "", "_Terminal"),
        (False, True, "true", "_Quiet"),
        (False, False, "", "_Quiet"),
    ],
)
def test_the_bar_fits_where_we_are(notebook, terminal, ci, kind, monkeypatch):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(training, "in_notebook", lambda: notebook)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert type(training._bar("auto", 10, 0, "title")).__name__ == kind


def test_an_unknown_bar_is_refused(tiny_split):
    with pytest.raises(ValueError, match="unknown progress 'loud'"):
        make_detector("ganomaly", tiny_split.image_shape, "smoke").fit(tiny_split.train, progress="loud")


def test_compiling_is_refused_to_short_runs_and_asked_of_a_probe_for_long_ones(monkeypatch):
    cpu = pick_device("cpu")
    monkeypatch.setattr(
        "adlib.devices._compile_gain", lambda _: pytest.fail("a short run must not be probed")
    )
    assert pick_compilation("auto", cpu, steps=1000) is False
    assert pick_compilation("on", cpu, steps=1) is True
    for gain, answer in ((1.3, True), (1.0, False)):
        monkeypatch.setattr("adlib.devices._compile_gain", lambda _, gain=gain: gain)
        assert pick_compilation("auto", cpu, steps=20_000) is answer
    assert pick_compilation("off", cpu, steps=20_000) is False
    assert pick_compilation("on", pick_device("meta"), steps=1) is False
    with pytest.raises(ValueError, match="unknown compilation 'yes'"):
        pick_compilation("yes", cpu, steps=1)


def test_networks_are_compiled_while_training_and_plain_afterwards(tiny_split, monkeypatch):
    calls = []
    monkeypatch.setattr("torch.nn.Module.compile", lambda self: calls.append(type(self).__name__))
    history = _fit(tiny_split, steps=2, compile="on").history
    assert history.compiled
    assert calls == ["Generator", "Discriminator"]
    assert not _fit(tiny_split, steps=2).history.compiled


def test_gradient_norms_are_those_of_each_player():
    detector = make_detector("dagan", (3, 32, 32), "smoke", steps=3)
    images = torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
    detector.fit(images, progress="quiet")
    noted = detector.history.gradients
    assert noted["step"] == [1, 2, 3]
    for name, network in detector.networks.items():
        last = sum(float(p.grad.double().square().sum()) for p in network.parameters()) ** 0.5
        assert noted[name][-1] == pytest.approx(last, rel=1e-4)


def test_curves_are_means_of_the_parts_of_a_run():
    history = History(losses={"a": [1.0, 3.0, 5.0, 7.0], "short": [2.0]}, gradients={"step": [1], "G": [0.5]})
    assert history.curves(points=2) == {"a": [2.0, 6.0], "short": [2.0], "gradient/G": [0.5]}
