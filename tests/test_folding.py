"""BatchNorm folded into convolutions: the same answers, made anew when a weight changes, and nothing else touched."""

from __future__ import annotations

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from adlib.data import LabelledAnomalies
from adlib.detectors import detector_class, detector_names, make_detector
from adlib.detectors.collapse import CollapseWarning
from adlib.folding import FoldedNetworks, ScoringConvolution, ScoringTransposed, folded
from adlib_book.nightly import trajectories


def network(dtype=torch.float32):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.Tanh(),
    )  # fmt: skip
    for norm in net:
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight, 1, 0.3)
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.1, 2)
    return nn.ModuleDict({"net": net}).to(dtype).eval()


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_the_copy_answers_alike_without_a_batchnorm(dtype, close):
    networks, images = network(dtype), torch.rand(2, 3, 16, 16, dtype=dtype)
    twin = folded(networks)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    assert_close(twin["net"](images), networks["net"](images), rtol=close, atol=close)
    assert isinstance(networks["net"][1], nn.BatchNorm2d), "the networks themselves stay"


def test_a_change_of_a_weight_or_a_statistic_or_a_whole_network_makes_it_anew():
    cache, networks = FoldedNetworks(), network()
    first = cache.of(networks)
    assert cache.of(networks) is first
    with torch.no_grad():
        networks["net"][0].weight.add_(1)
    second = cache.of(networks)
    networks["net"][1].running_mean.add_(1)
    third = cache.of(networks)
    networks["net"] = network()["net"]
    assert len({id(each) for each in (first, second, third, cache.of(networks))}) == 4


def test_every_kind_of_step_counts_as_a_change():
    networks, cache = network(), FoldedNetworks()
    for optimiser in (
        torch.optim.Adam(networks.parameters(), fused=True),
        torch.optim.SGD(networks.parameters(), 0.1),
    ):
        before = cache.of(networks)
        networks["net"](torch.rand(2, 3, 16, 16)).sum().backward()
        optimiser.step()
        assert cache.of(networks) is not before


@pytest.mark.parametrize("name", detector_names())
def test_scores_are_those_of_the_networks_as_they_were_trained(name):
    """Also after one more step, and `anomaly_score` gives each score that `examine` does."""
    detector = trajectories.small_detector(name)
    side = detector.image_shape[-1]
    extra = {}
    if detector.learns_from_anomalies:
        extra["anomalies"] = LabelledAnomalies(
            trajectories.images(4, side, seed=5, defects=True), ["square"] * 4
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        detector.fit(trajectories.images(12, side, seed=1), progress="quiet", **extra)
    images = trajectories.images(3, side, seed=2)
    scored = detector.examine(images)
    with torch.no_grad():
        detector.generator.manual_seed(0)
        plain = detector.inference_step(detector.normalise(images))
    if not detector.searches:
        for score, values in plain.scores.items():
            assert_close(scored.scores[score], values, rtol=1e-9, atol=1e-12)
            assert_close(
                detector._score_of(scored, score), score_alone(detector, images, score), rtol=1e-9, atol=1e-12
            )
        single = detector.in_float32().anomaly_score(images).double()
        plain_score = plain.scores[detector.config.score]
        assert_close(single, plain_score, rtol=1e-3, atol=1e-6)
        assert torch.equal(single > plain_score.mean(), plain_score > plain_score.mean())
    assert all(parameter.requires_grad for parameter in detector.networks.parameters())


LAYERS = {
    "one product for few places": (nn.Conv2d(8, 6, 4, 2, 1), 8),
    "too many places": (nn.Conv2d(3, 6, 3, 1, 1, bias=False), 32),
    "the whole input": (nn.Conv2d(8, 6, 4), 4),
    "an uneven rest": (nn.Conv2d(8, 6, 5, 3), 9),
    "from one place": (nn.ConvTranspose2d(8, 6, 4), 1),
    "from one place without bias": (nn.ConvTranspose2d(8, 6, 4, 1, 0, bias=False), 1),
    "to an image": (nn.ConvTranspose2d(8, 3, 4, 2, 1), 16),
    "wide and small": (nn.ConvTranspose2d(256, 6, 4, 2, 1, bias=False), 4),
    "wide and large": (nn.ConvTranspose2d(256, 6, 4, 2, 1), 8),
    "another kernel": (nn.ConvTranspose2d(8, 6, 6, 2, 2), 8),
}


@pytest.mark.parametrize("what", LAYERS)
def test_each_way_to_convolve_gives_the_same(what):
    layer, side = LAYERS[what]
    quick = folded(nn.ModuleDict({"net": nn.Sequential(layer.double())}))["net"]
    assert type(quick[0]) in (ScoringConvolution, ScoringTransposed)
    for count in (1, 3):
        images = torch.rand(count, layer.in_channels, side, side + 2 * (side > 4), dtype=torch.float64)
        with torch.no_grad():
            assert_close(quick(images), layer(images), rtol=1e-12, atol=1e-12)
        images.requires_grad_()  # AnoGAN's search goes back through the copy
        slope, expected = (torch.autograd.grad(each(images).sum(), images)[0] for each in (quick, layer))
        assert_close(slope, expected, rtol=1e-12, atol=1e-12)


def test_layers_for_which_nothing_is_gained_stay():
    layers = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2)
    networks = nn.ModuleDict({"net": nn.Sequential(*layers, nn.Conv2d(4, 4, (3, 5)))})
    assert FoldedNetworks().of(networks) is networks


def score_alone(detector, images, score):
    with torch.no_grad():
        return detector.score_step(detector.normalise(images), score)


def test_threads_that_score_leave_the_networks_alone():
    detector = make_detector("ganomaly", (3, 16, 16), "smoke", device="cpu")
    images, own = trajectories.images(4, 16, seed=1), detector.networks
    expected, results = detector.anomaly_score(images), []

    def score():
        results.append(all(torch.equal(detector.anomaly_score(images), expected) for _ in range(20)))

    threads = [threading.Thread(target=score) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert detector.networks is own


def test_the_score_alone_costs_fewer_passes():
    """Counted, not timed: D0 and D3 need no discriminator, D1 one pass of it, over both batches."""
    detector = make_detector("ganomaly", (3, 16, 16), "smoke", device="cpu")
    images, calls = detector.normalise(trajectories.images(4, 16, seed=1)), []
    for name in ("encoder", "decoder", "second_encoder"):
        part = getattr(detector.networks["generator"], name)
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
    detector.networks["discriminator"].register_forward_hook(lambda *_: calls.append("discriminator"))
    passes = {}
    for score in ("D0", "D1", "D2", "D3"):
        calls.clear()
        detector.score_step(images, score)
        passes[score] = tuple(calls)
    assert passes["D0"] == ("encoder", "decoder", "second_encoder")
    assert passes["D3"] == ("encoder", "decoder")
    assert passes["D1"] == passes["D2"] == ("encoder", "decoder", "discriminator")
    assert detector_class("ganomaly").Config.live().score in passes


# Convolutions that one score costs, AnoGAN's search included; more of them is a speed-up lost.
CONVOLUTIONS = {
    "anogan": 42, "began": 10, "cae": 8, "cnn_classifier": 5, "dagan": 8, "dagan_balanced": 8, "deep_svdd": 3,
    "dual_discriminator": 8, "f_anogan": 10, "ganomaly": 9, "oe_sdn": 63, "sdn": 63, "skip_ganomaly": 16,
    "ssim_ae": 18, "turn_classifier": 9, "unet": 8, "vae": 32,
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_score_costs_no_more_convolutions_than_it_did(name):
    detector = trajectories.small_detector(name)
    images, calls = trajectories.images(3, detector.image_shape[-1], seed=2), []
    hook = nn.modules.module.register_module_forward_hook(lambda module, *_: calls.append(type(module)))
    try:
        detector.anomaly_score(images)
    finally:
        hook.remove()
    convolutions = [kind for kind in calls if issubclass(kind, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) <= CONVOLUTIONS[name]


def test_portions_of_large_images_are_smaller(monkeypatch):
    for side, expected in ((32, 64), (256, 16), (1100, 1)):
        detector, sizes = make_detector("mean_intensity", (1, side, side), device="cpu"), []
        monkeypatch.setattr(
            detector, "normalise", lambda images, sizes=sizes: sizes.append(len(images)) or images
        )
        list(detector._portions(torch.zeros((70, 1, side, side), dtype=torch.uint8)))
        assert sizes[0] == expected
        assert sum(sizes) == 70
