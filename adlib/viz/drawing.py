"""Draw an image with the mouse, and see at once what networks make of it: a widget that computes in the page."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from adlib.data import to_symmetric, to_uint8
from adlib.viz._parts import as_array, check_same_length
from adlib.viz.images import reconstruction_grid
from adlib.viz.widgets import BookWidget, _front, _number, _synced

_QUANTILES = 101  # of the normal scores, carried to say where a score lies among them
_STEPS = 127  # of a weight on either side of zero, as it is carried: 8 bits

Layer = dict[str, Any]


class DrawingBoard(BookWidget):
    """See `drawing_board`. `network` is the number of the one that is shown, from 0; `score` that of the drawing."""

    _esm = _front("drawing")
    side, networks, names = _synced(32), _synced(), _synced()
    examples, kinds, normal_scores = _synced(), _synced(), _synced()
    network, score = _synced(0), _synced(0.0)


def drawing_board(
    networks: Mapping[str, nn.Module],
    normals: ArrayLike,
    examples: ArrayLike,
    kinds: Sequence[str],
) -> DrawingBoard:
    """Draw with mouse, finger or arrow keys; the page shows the reconstruction, the residual and the score.

    The networks' weights are in the page, rounded to 8 bits, and their layers are computed there: nothing is asked of
    a kernel or a server. A drawing is moved and scaled as the digits of MNIST were: its longer side to 20/28 of the
    image, its centre of mass to the middle. The score is the mean absolute residual, in units of [-1, 1].

    Args:
        networks: name -> an auto-encoder, (B, 1, S, S) in [-1, 1] to the same shape. A chain of Linear, Conv2d,
            ConvTranspose2d, ReLU, LeakyReLU, Flatten, Unflatten and Identity; a slider goes through them.
        normals: uint8, shape (N, 1, S, S): normal images that were not trained on. A drawing's score is told as the
            share of them that lies below it.
        examples: uint8, shape (K, 1, S, S), for those who do not draw; each is a button.
        kinds: K names of the examples.

    Returns:
        The widget, with the first example on the board. On paper the last network's reconstructions of the examples
        stand in for it.

    Raises:
        TypeError: a layer of another kind. ValueError: no network; a network that is no chain of its layers; images
            that are not grey and square; lengths differ.
    """
    given, normal = as_array(examples), as_array(normals)
    check_same_length(examples=given, kinds=kinds)
    if not networks:
        raise ValueError("there is no network; expected at least one, by name.")
    for name, images in {"normals": normal, "examples": given}.items():
        if images.ndim != 4 or images.shape[1] != 1 or images.shape[2] != images.shape[3] or not len(images):
            raise ValueError(f"{name} have shape {images.shape}; expected (N, 1, S, S): grey and square.")
    chains = {name: rounded_layers(network, given.shape[-1]) for name, network in networks.items()}
    scores = {name: _residual(chain, normal).mean(axis=(1, 2, 3)) for name, chain in chains.items()}
    last = chains[list(networks)[-1]]
    return DrawingBoard(
        reconstruction_grid(given, to_uint8(run_layers(last, to_symmetric(torch.as_tensor(given)))), kinds),
        side=given.shape[-1],
        networks=[[_carried(layer) for layer in chain] for chain in chains.values()],
        names=list(networks),
        examples=[base64.b64encode(image.tobytes()).decode() for image in given],
        kinds=list(kinds),
        normal_scores=[
            [_number(value, 6) for value in np.quantile(each, np.linspace(0, 1, _QUANTILES))]
            for each in scores.values()
        ],
        network=len(networks) - 1,
    )


def rounded_layers(network: nn.Module, side: int) -> list[Layer]:
    """A network as a list of its layers, weights rounded to 8 bits, each row (first axis) by its own scale.

    Args:
        network: see `drawing_board`. side: of its images, S.

    Returns:
        Layers {"kind", "weight" (dequantised), "steps" (int8), "scale", "bias", "stride", "padding", "slope"}.

    Raises:
        TypeError, ValueError: see `drawing_board`.
    """
    layers: list[Layer] = []
    for part in (part for part in network.modules() if not any(True for _ in part.children())):
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layers.append(_rounded(part))
        elif isinstance(part, nn.ReLU | nn.LeakyReLU) and layers:
            layers[-1]["slope"] = getattr(part, "negative_slope", 0.0)
        elif not isinstance(part, nn.Flatten | nn.Unflatten | nn.Identity):
            raise TypeError(
                f"the drawing board cannot compute {type(part).__name__}; expected Linear, Conv2d, "
                "ConvTranspose2d, ReLU, LeakyReLU, Flatten, Unflatten and Identity."
            )
    probe = torch.linspace(-1, 1, side * side).reshape(1, 1, side, side)
    with torch.inference_mode():
        expected = copy.deepcopy(network).cpu().float().eval()(probe)
    exact = [{**layer, "weight": layer["exact"]} for layer in layers]
    if not torch.allclose(run_layers(exact, probe), expected, atol=1e-4):
        raise ValueError(
            f"{type(network).__name__} is no plain chain of its layers; the drawing board computes one after another."
        )
    return [{key: value for key, value in layer.items() if key != "exact"} for layer in layers]


def run_layers(layers: Sequence[Layer], images: Tensor) -> Tensor:
    """(B, 1, S, S) in [-1, 1] through `layers`, as the page computes it: the reference that tests hold it to."""
    values = images
    for layer in layers:
        if layer["kind"] == "linear":
            values = nn.functional.linear(values.flatten(1), layer["weight"], layer["bias"])
        else:
            if values.ndim == 2:
                values = values[:, :, None, None]
            convolve = nn.functional.conv2d if layer["kind"] == "conv" else nn.functional.conv_transpose2d
            values = convolve(values, layer["weight"], layer["bias"], layer["stride"], layer["padding"])
        values = nn.functional.leaky_relu(values, layer["slope"])
    return values.reshape(images.shape)


def _rounded(part: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> Layer:
    weight = part.weight.detach().cpu().float()
    rows = weight.flatten(1)
    scale = rows.abs().amax(1).clamp_min(1e-12) / _STEPS
    steps = (rows / scale[:, None]).round().to(torch.int8)
    outputs = weight.shape[1] if isinstance(part, nn.ConvTranspose2d) else weight.shape[0]
    bias = torch.zeros(outputs) if part.bias is None else part.bias.detach().cpu().float()
    stride, padding = (1, 0) if isinstance(part, nn.Linear) else (part.stride[0], part.padding[0])
    kinds = {nn.Linear: "linear", nn.Conv2d: "conv", nn.ConvTranspose2d: "up"}
    return {
        "kind": kinds[type(part)],
        "exact": weight,
        "weight": (steps.float() * scale[:, None]).reshape(weight.shape),
        "steps": steps,
        "scale": scale,
        "bias": bias,
        "stride": stride,
        "padding": int(padding),
        "slope": 1.0,  # of the activation below zero; 1 is none
    }


def _carried(layer: Layer) -> dict[str, Any]:
    """A layer as the page gets it."""
    return {
        "shape": list(layer["weight"].shape),
        "steps": _text(layer["steps"].numpy()),
        "scale": _text(layer["scale"].numpy()),
        "bias": _text(layer["bias"].numpy()),
        **{name: layer[name] for name in ("kind", "stride", "padding", "slope")},
    }


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _residual(layers: Sequence[Layer], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    given = to_symmetric(torch.as_tensor(images))
    return (given - run_layers(layers, given)).abs().numpy()
