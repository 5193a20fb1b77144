"""Auto-encoders, style distillation: whose step moves whose weights, what is compared, what is noticed."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.testing import assert_close

from adlib import losses
from adlib.detectors import make_detector
from adlib.detectors.collapse import CollapseWarning, warn_of_constant_images
from adlib.detectors.sdn import pseudo_aurocs
from adlib.transforms import TRANSFORMS

GREY = (1, 32, 32)


def make(name: str, shape=GREY, **changes):
    return make_detector(name, shape, "smoke", device="cpu", **changes)


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


def moved(network, before) -> bool:
    return any(not torch.equal(p, q) for p, q in zip(network.parameters(), before))


# ---------------------------------------------------------------------- auto-encoders
@pytest.mark.slow
def test_the_loss_is_what_its_name_says(random_images):
    detector = make("cae")
    images = detector.normalise(random_images(4, channels=1))
    with torch.no_grad():
        reconstructions = detector.networks["auto_encoder"](images)
    expected = {
        "l2": ((images - reconstructions) / 2).square().mean(),
        "dssim": losses.dssim_loss(images, reconstructions, 7),
        "both": losses.style_distance(images, reconstructions, 7),
    }
    for name, value in expected.items():
        assert_close(make("cae", loss=name).training_step(images)["reconstruction"], value)


@pytest.mark.slow
def test_the_map_follows_the_score_of_the_settings(random_images):
    images = random_images(3, channels=1)
    structure, pixels = make("cae").examine(images), make("cae", score="L2").examine(images)
    reconstructions, images = structure.reconstructions, images.double() / 127.5 - 1
    assert_close(pixels.maps, (images - reconstructions).abs()[:, 0])
    assert_close(structure.maps, losses.dssim_map(images, reconstructions, 7))
    assert_close(structure.scores["DSSIM"], structure.maps.mean((1, 2)))


def test_ssim_ae_is_blind_to_a_change_of_colour_alone():
    """Two colours of one luminance: 299 of red against 587 of green in a thousand."""
    red = torch.zeros((1, 3, 32, 32), dtype=torch.uint8)
    green = red.clone()
    red[:, 0], green[:, 1] = 236, 120
    grey = make("ssim_ae", (3, 32, 32))
    assert_close(grey.anomaly_score(red), grey.anomaly_score(green), rtol=0.01, atol=1e-3)
    error = grey.validation_error(red)  # of grey against grey: the network cannot output colour
    reconstruction = grey.examine(red).reconstructions[:, 0]
    assert error == pytest.approx(float((reconstruction - (0.299 * 236 / 127.5 - 1)).abs().mean()), abs=1e-5)
    colour = make("ssim_ae", (3, 32, 32), grey=False)
    assert abs(colour.anomaly_score(red) - colour.anomaly_score(green)) > 0.01


def test_the_vae_draws_the_same_codes_for_every_image(random_images):
    detector = make("vae", drawings=3)
    image = random_images(1, channels=1)
    four = detector.anomaly_score(image.repeat(4, 1, 1, 1))
    assert torch.equal(four, four[:1].expand(4))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("cae", {"loss": "l1"}, "unknown loss of cae 'l1'"),
        ("ssim_ae", {"loss": "ssim"}, "Did you mean 'dssim'"),
        ("oe_sdn", {"transform": "rotate"}, "Did you mean 'rotation'"),
        ("oe_sdn", {"exposure": 1.5}, "exposure is 1.5"),
        ("sdn", {"student_share": 1.0}, "student_share is 1.0"),
        ("sdn", {"attention_side": 256}, "attention_side is 256"),
    ],
)
def test_settings_that_cannot_work_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        make(name, **changes)


# ---------------------------------------------------------------------- collapse
def test_a_constant_reconstruction_is_noticed_and_a_varied_one_is_not(random_images):
    images = random_images(8, channels=1).float()
    with pytest.warns(CollapseWarning, match="cae reconstructs every image as the same one"):
        warn_of_constant_images("cae", images, images.mean(0, keepdim=True).expand_as(images))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_constant_images("cae", images, 0.1 * images)


@pytest.mark.slow
def test_fit_notices_a_collapsed_auto_encoder(tiny_split):
    detector = make("cae", tiny_split.image_shape, steps=1)
    torch.nn.init.zeros_(detector.networks["auto_encoder"].decoder[-2].weight)
    for group in detector.optimisers["auto_encoder"].param_groups:
        group["lr"] = 0.0
    with pytest.warns(CollapseWarning, match="leave the output unbounded"):
        detector.fit(tiny_split.train, progress="quiet")


# ---------------------------------------------------------------------- style distillation
@pytest.mark.slow
def test_the_teacher_is_frozen_while_the_student_learns_and_the_other_way_round(random_images):
    detector = make("oe_sdn", steps=4, student_share=0.5)
    images, teacher, student = (
        detector.normalise(random_images(8, channels=1)),
        detector.networks["teacher"],
        detector.networks["student"],
    )
    for step in range(4):
        before = weights(teacher), weights(student)
        detector.training_step(images)
        assert moved(teacher, before[0]) == (step < 2)
        assert moved(student, before[1]) == (step >= 2)


def test_auto_encoder_and_student_are_scored_by_the_same_distance(random_images):
    detector, images = make("sdn", steps=1), random_images(3, channels=1)
    seen, x = detector.examine(images), detector.normalise(images)
    teacher, window = seen.reconstructions, losses.ssim_window(images.shape[-1])
    with torch.no_grad():
        student = detector.networks["student"](x)
    for key, pairs in {"teacher_distance": zip(x, teacher), "style_distance": zip(student, teacher)}.items():
        expected = [losses.style_distance(one[None], other[None], window) for one, other in pairs]
        assert_close(seen.scores[key], torch.stack(expected))
        assert_close(seen.other_maps[key].mean((1, 2)), seen.scores[key])
    assert_close(seen.other_maps["teacher_difference"], (x - teacher).abs()[:, 0])


def test_the_student_s_gradient_is_that_of_the_equation_written_out(random_images):
    detector = make("oe_sdn", steps=1, student_share=0.9, exposure=0.3, transform="vertical_flip")
    images = detector.normalise(random_images(4, channels=1))
    teacher, student = detector.networks["teacher"], detector.networks["student"]
    detector.optimisers["student"].step = lambda: None
    detector.training_step(images)
    mine = [p.grad.clone() for p in student.parameters()]
    student.zero_grad()
    flipped = images.flip(2)
    style = losses.style_distance(teacher(images).detach(), student(images), 7)
    (0.7 * style + 0.3 * losses.style_distance(flipped, student(flipped), 7)).backward()
    for ours, written_out in zip(mine, student.parameters()):
        assert_close(ours, written_out.grad, rtol=1e-9, atol=1e-12)
    assert all(p.grad is None for p in teacher.parameters())


def test_without_exposure_no_outlier_is_made(random_images, monkeypatch):
    def refuse(*_):
        raise AssertionError("an outlier was made")

    monkeypatch.setitem(TRANSFORMS, "rotation", refuse)
    detector = make("sdn", steps=1, student_share=0.9)
    assert set(detector.training_step(detector.normalise(random_images(4, channels=1)))) == {"style"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_trains(name, random_images):
    detector = make("oe_sdn", steps=1, student_share=0.9, transform=name)
    losses = detector.training_step(detector.normalise(random_images(4, channels=1)))
    assert set(losses) == {"style", "identity"}
    assert all(value.isfinite() for value in losses.values())


def test_the_map_is_the_difference_between_the_two_outputs(random_images):
    detector, images = make("oe_sdn"), random_images(3, channels=1)
    seen = detector.examine(images)
    apart = detector.imitate(images).double() - detector.reconstruct(images).double()
    inside = seen.reconstructions[:, 0].abs() < 0.9
    student = detector.imitate(images)[:, 0]
    inside &= (student > 2) & (student < 253)
    assert_close(seen.maps[inside], apart[:, 0][inside].abs() / 127.5, rtol=0, atol=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::adlib.detectors.collapse.CollapseWarning")
def test_transforms_are_ranked_on_validation_images_alone(tiny_split):
    detector = make("oe_sdn", tiny_split.image_shape, steps=6, checkpoints=1, ranking_images=128)
    detector.fit(tiny_split.train, tiny_split.validation, progress="quiet")
    ranked = {key for key in detector.history.checkpoints[-1] if key.startswith("pseudo_auroc/")}
    assert len(ranked) == 7
    again = pseudo_aurocs(detector, tiny_split.validation.images)
    assert all(detector.history.checkpoints[-1][f"pseudo_auroc/{k}"] == v for k, v in again.items())


def test_attention_that_would_not_fit_into_memory_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"would take 32 GiB a step; the limit is 4 GiB.*student_images"):
        make("oe_sdn", (1, 128, 128), attention_side=128, student_images=16)
