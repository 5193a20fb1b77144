"""float64 in, float64 out, gradients too: with it runs agree between processors. Half precision is left for float32."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from adlib import losses, models, scores
from adlib.data import to_symmetric, to_uint8
from adlib.models import (
    auto_encoder,
    began,
    dagan,
    dual_discriminator,
    ganomaly,
    rnan,
    skip_ganomaly,
    svdd,
    unet,
    wgan,
    wide_residual,
)
from adlib.transforms import TRANSFORMS

IMAGES, FEATURES, CODES, LIST, SCALAR = (4, 3, 32, 32), (4, 8, 4, 4), (4, 16), (4,), ()
SHAPES = {
    **dict.fromkeys(["images", "reconstructions", "others", "generated", "gradients"], IMAGES),
    **dict.fromkeys(["images_redrawn", "reconstructions_redrawn"], IMAGES),
    **dict.fromkeys(["real_features", "fake_features", "features", "features_again"], FEATURES),
    **dict.fromkeys(["real_maps", "redrawn_maps"], FEATURES),
    **dict.fromkeys(["latent", "latent_again", "mean", "log_variance"], CODES),
    **dict.fromkeys(["real_logits", "fake_logits", "real_values", "fake_values"], LIST),
    **dict.fromkeys(["distances", "errors", "scores", "normal_scores"], LIST),
    **dict.fromkeys(["k", "real_error", "fake_error", "radius"], SCALAR),
    "maps": (4, 32, 32),
}
NUMBERS = {"gamma": 0.5, "rate": 0.1, "window": 7, "nu": 0.1, "share": 0.9, "kappa": 1.0, "sigma": 1.0}
# Sums of what others computed in float32 already.
TAKEN_AS_THEY_COME = {"equilibrium", "convergence_measure", "rescaled"}


def public(module: ModuleType, kind) -> dict[str, object]:
    """What a module itself defines, by name."""
    return {
        name: each
        for name, each in inspect.getmembers(module, kind)
        if each.__module__ == module.__name__ and not name.startswith("_")
    }


FUNCTIONS = public(losses, inspect.isfunction) | public(scores, inspect.isfunction)
FUNCTIONS.pop("ssim_window")  # a side in pixels


def arguments(function, dtype: torch.dtype) -> dict[str, Tensor | float]:
    """Random tensors in (0, 1) for the parameters of a loss or a score that have no default."""
    generator, values = torch.Generator().manual_seed(0), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in NUMBERS:
            values[name] = NUMBERS[name]
        elif parameter.default is inspect.Parameter.empty:
            drawn = torch.rand(SHAPES[name], generator=generator)
            values[name] = drawn.to(dtype).requires_grad_()
    return values


@pytest.mark.parametrize("name", FUNCTIONS)
def test_losses_and_scores_stay_in_float64(name):
    function = FUNCTIONS[name]
    double, single = (function(**arguments(function, dtype)) for dtype in (torch.float64, torch.float32))
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    assert_close(double.float(), single, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_so_do_their_gradients(name):
    function, gradients = FUNCTIONS[name], {}
    for dtype in (torch.float64, torch.float32):
        given = arguments(function, dtype)
        function(**given).sum().backward()
        gradients[dtype] = [value.grad for value in given.values() if isinstance(value, Tensor)]
    for double, single in zip(*gradients.values(), strict=True):
        assert double.dtype == torch.float64
        assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - TAKEN_AS_THEY_COME))
def test_half_precision_comes_out_as_float32(name):
    given = arguments(FUNCTIONS[name], torch.bfloat16)
    widened = {key: value.float() if isinstance(value, Tensor) else value for key, value in given.items()}
    answer = FUNCTIONS[name](**given)
    assert answer.dtype == torch.float32
    assert_close(answer, FUNCTIONS[name](**widened))


# ---------------------------------------------------------------------- networks
NETWORKS = {
    auto_encoder.SmallAutoEncoder: ((32, 3, 8, (4, 4, 4)), IMAGES),
    auto_encoder.SsimAutoEncoder: ((32, 3, 8), IMAGES),
    began.AutoEncoder: ((32, 3, 16, 4), IMAGES),
    began.Decoder: ((32, 3, 16, 4), CODES),
    began.Encoder: ((32, 3, 16, 4), IMAGES),
    dagan.AutoEncoderDiscriminator: ((3, 4), IMAGES),
    dual_discriminator.DualDiscriminator: ((3,), IMAGES),
    dual_discriminator.DualGenerator: ((3,), IMAGES),
    dual_discriminator.PerImageNorm: ((3,), IMAGES),
    dual_discriminator.SmallClassifier: ((3,), IMAGES),
    ganomaly.Decoder: ((32, 3, 16, 4), CODES),
    ganomaly.Discriminator: ((32, 3, 4), IMAGES),
    ganomaly.Encoder: ((32, 3, 16, 4), IMAGES),
    ganomaly.Generator: ((32, 3, 16, 4), IMAGES),
    rnan.Rnan: ((3, 4, 1, 8), IMAGES),
    skip_ganomaly.FeatureDiscriminator: ((32, 3, 16, 4), IMAGES),
    svdd.SvddDecoder: ((32, 3, 16), CODES),
    svdd.SvddEncoder: ((32, 3, 16), IMAGES),
    unet.UNet: ((32, 3, 4), IMAGES),
    wgan.LightCritic: ((32, 3, 4), IMAGES),
    wgan.ResidualBlock: ((3, 6, True, wgan.layer_norm), IMAGES),
    wgan.ResidualCritic: ((32, 3, 4), IMAGES),
    wgan.ResidualGenerator: ((32, 3, 16, 4), CODES),
    wide_residual.WideResidualClassifier: ((3, 4, 1), IMAGES),
}
WITHOUT_FORWARD = {auto_encoder.AutoEncoder, began.Balance}


def test_every_network_is_asked():
    names = [f"{models.__name__}.{each.name}" for each in pkgutil.iter_modules(models.__path__)]
    defined = {
        kind
        for name in names
        for kind in public(importlib.import_module(name), inspect.isclass).values()
        if issubclass(kind, nn.Module)
    }
    assert defined == NETWORKS.keys() | WITHOUT_FORWARD


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_networks_stay_in_float64(kind):
    settings, shape = NETWORKS[kind]
    torch.manual_seed(0)
    single, given = kind(*settings), torch.rand(shape) * 2 - 1
    double = copy.deepcopy(single).double()
    answers = single(given), double(given.double())
    for one, two in zip(*([each] if isinstance(each, Tensor) else each for each in answers), strict=True):
        assert two.dtype == torch.float64
        assert_close(two.float(), one, rtol=1e-5, atol=1e-5)
    sum(each.sum() for each in ([answers[1]] if isinstance(answers[1], Tensor) else answers[1])).backward()
    assert all(parameter.grad.dtype == torch.float64 for parameter in double.parameters())


# ---------------------------------------------------------------------- transforms and ranges
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_stay_in_float64(name, random_images):
    images = to_symmetric(random_images(4))

    def changed(images: Tensor) -> Tensor:
        return TRANSFORMS[name](images, torch.Generator().manual_seed(0), lambda given: given.square() / 2)

    double, single = changed(images.double()), changed(images)
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    if name not in ("gaussian_noise", "shearing"):  # whose random numbers are drawn in the same precision
        assert_close(double.float(), single, rtol=1e-5, atol=1e-5)


def test_grey_values_survive_float64(random_images):
    images = random_images(2)
    assert torch.equal(to_uint8(to_symmetric(images).double()), images)
