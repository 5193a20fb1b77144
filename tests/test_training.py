"""The loop: history, averaged weights, resumption, errors that stop it."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from adlib import progress, training
from adlib.averaging import WeightAverage
from adlib.data import stream_folder
from adlib.detectors import make_detector
from adlib.devices import pick_device, pick_precision
from adlib.training import History, Schedule


def _fit(split, **changes):
    detector = make_detector("ganomaly", split.image_shape, "smoke", **changes)
    return detector.fit(split.train, split.validation, progress="quiet")


class Line:
    """The least that can be trained: y = w x towards y = 3 x. It notes its weight after every step."""

    name, seed, device = "line", 0, torch.device("cpu")

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)
        self.networks = self.averaged_networks = torch.nn.ModuleDict(
            {"line": torch.nn.Linear(1, 1, bias=False)}
        )
        torch.nn.init.zeros_(self.networks["line"].weight)
        self.optimisers = {"line": torch.optim.SGD(self.networks.parameters(), lr=0.2)}
        self.weights = [0.0]

    def normalise(self, images):
        return images.float().flatten(1)[:, :1] / 255

    def training_step(self, images):
        loss = (self.networks["line"](images) - 3 * images).square().mean()
        self.optimisers["line"].zero_grad()
        loss.backward()
        self.optimisers["line"].step()
        return {"square": loss.detach()}

    def after_step(self, losses):
        self.weights.append(float(self.networks["line"].weight.detach()))

    def validation_error(self, images):
        return float((self.networks["line"].weight - 3).abs().detach())

    def identity(self):
        return "line"


def test_the_loop_needs_no_more_of_a_detector_than_it_says(random_images):
    line, looks = Line(), []
    schedule = Schedule(steps=60, batch_size=8, checkpoints=3, ema_decay=0.9)
    images = random_images(20, channels=1, size=2)
    history = training.fit(
        line,
        images,
        schedule,
        validation=images,
        on_checkpoint=lambda it, step: looks.append((step, float(it.networks["line"].weight.detach()))),
    )
    assert history.losses["square"][-1] < 0.01 * history.losses["square"][0]
    assert looks == [(step, line.weights[step]) for step in (20, 40, 60)], (
        "checkpoints see the weights of their step"
    )
    average = 0.0
    for step, weight in enumerate(line.weights[1:], start=1):
        keep = min(0.9, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * weight
    assert float(line.networks["line"].weight.detach()) == pytest.approx(average, rel=1e-6)
    assert history.averaged["validation_error"] == pytest.approx(3 - average, abs=1e-6)
    assert history.checkpoints[-1]["validation_error"] == pytest.approx(
        3 - line.weights[-1], rel=1e-4, abs=1e-6
    )


def test_without_an_average_the_last_weights_stay(random_images):
    line = Line()
    history = training.fit(line, random_images(20, channels=1, size=2), Schedule(steps=9, ema_decay=0.0))
    assert float(line.networks["line"].weight.detach()) == line.weights[-1]
    assert history.averaged == {}


def test_means_and_variances_are_averaged_and_counters_are_not():
    networks = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm1d(2)})
    average = WeightAverage(networks, 0.5)
    networks["norm"](torch.tensor([[0.0, 8.0], [2.0, 0.0]]))
    mean = networks["norm"].running_mean.clone()
    average.update(100)
    average.copy_into_networks()
    assert networks["norm"].running_mean.equal(mean / 2)
    assert int(networks["norm"].num_batches_tracked) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::adlib.detectors.collapse.CollapseWarning")
def test_only_the_part_that_a_phase_trains_is_averaged(tiny_split):
    """The student imitates the last weights of the teacher, not their average."""
    detector = make_detector(
        "sdn", tiny_split.image_shape, "smoke", steps=6, student_share=0.5, checkpoints=1
    )
    states = []
    look = lambda it, _: states.append({k: v.clone() for k, v in it.networks.state_dict().items()})  # noqa: E731
    detector.fit(tiny_split.train, progress="quiet", on_checkpoint=look)
    changed = {
        k.split(".")[0] for k, v in detector.networks.state_dict().items() if not v.equal(states[-1][k])
    }
    assert changed == {"student"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ganomaly", "dagan"])
def test_an_averaged_run_that_is_resumed_equals_one_that_was_not(name, tiny_split, tmp_path):
    def fit(resume=None, stop=None):
        detector = make_detector(name, tiny_split.image_shape, "smoke", steps=6, checkpoints=3)

        def look(_, step):
            if step == stop:
                raise KeyboardInterrupt

        try:
            return detector.fit(tiny_split.train, progress="quiet", resume=resume, on_checkpoint=look)
        except KeyboardInterrupt:
            return detector

    file = tmp_path / "run.safetensors"
    fit(file, stop=4)  # its second checkpoint is seen, and not written any more
    whole, resumed = fit(), fit(file)
    assert resumed.history.resumed == 1
    state = resumed.networks.state_dict()
    assert all(value.equal(state[key]) for key, value in whole.networks.state_dict().items())


def test_history_has_a_value_per_step_and_evenly_spread_checkpoints(tiny_split):
    history = _fit(tiny_split, steps=10, checkpoints=4).history
    assert all(len(values) == 10 for values in history.losses.values())
    assert [mark["step"] for mark in history.checkpoints] == [2, 5, 8, 10]
    assert all(0 < mark["validation_error"] < 2 for mark in history.checkpoints)
    assert history.seconds > 0


def test_checkpoints_without_an_error_are_not_chosen():
    marks = [
        {"step": 1},
        {"step": 2, "validation_error": 0.3},
        {"step": 3, "validation_error": 0.2},
        {"step": 4},
    ]
    assert History(checkpoints=marks).best_checkpoint() == 2
    assert History(checkpoints=marks[:1]).best_checkpoint() is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::adlib.detectors.collapse.CollapseWarning")
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
    measured = ["validation_error" in mark for mark in detector.history.checkpoints]
    assert measured == [False, False, True, True]


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


@pytest.mark.parametrize(
    ("notebook", "terminal", "ci", "kind"),
    [
        (True, False, "", "Notebook"),
        (False, True, "", "Terminal"),
        (False, True, "true", "Quiet"),
        (False, False, "", "Quiet"),
    ],
)
def test_the_bar_fits_where_we_are(notebook, terminal, ci, kind, monkeypatch):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(progress, "in_notebook", lambda: notebook)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert type(progress.bar("auto", 10, 0, "title")).__name__ == kind


def test_an_unknown_bar_is_refused(tiny_split):
    with pytest.raises(ValueError, match="unknown progress 'loud'"):
        make_detector("ganomaly", tiny_split.image_shape, "smoke").fit(tiny_split.train, progress="loud")


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
