"""A network as it is built: one block for each layer's output, drawn from the modules themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import nn

from adlib.viz._parts import book_figure
from adlib.viz.style import ANOMALOUS, NORMAL, REFERENCE, STAMP_HEIGHT

_GAP, _MOST_LAYERS = 0.35, 24
_NOTE_HEIGHT = 0.2  # inches, for each line that says what the networks are trained on and score by


@dataclass(frozen=True)
class Layer:
    """What goes into a layer with weights, and what comes out.

    Args:
        channels_in: channels, or numbers where there is no place.
        channels: of the output.
        side: of the output, in pixels; 1 where there is no place.
        skip: the earlier layer whose output is concatenated to this layer's input, None for none; -1 is the image.
        inside: how many layers with weights this one stands for.
    """

    channels_in: int
    channels: int
    side: int
    skip: int | None = None
    inside: int = 1


def layers_of(network: nn.Module, image_shape: Sequence[int]) -> list[Layer]:
    """Convolutions and linear layers of a network, in the order in which an image passes them.

    A network of more than 24 layers is given by its parts instead: its children, or theirs where a child is a sequence.

    A skip is where a layer's input has more channels than what came before it: the rest is the output of an earlier
    layer of the same side. For networks whose layers follow one another; branches that run side by side, as in
    attention, are not told apart from that.

    Args:
        network: takes images (B, C, H, W); runs once, in evaluation mode, on a black image.
        image_shape: (C, H, W).
    """
    passed: list[tuple[torch.Size, torch.Size, int]] = []

    def note(module: nn.Module, x: tuple[torch.Tensor], y: torch.Tensor) -> None:
        passed.append((x[0].shape, y.shape, len(_weighted(module))))

    drawn = _weighted(network)
    if len(drawn) > _MOST_LAYERS:
        children = list(network.children())
        drawn = [part for each in children for part in (each if isinstance(each, nn.Sequential) else [each])]
    hooks = [module.register_forward_hook(note) for module in drawn]
    mode, first = network.training, next(network.parameters())
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *image_shape, device=first.device, dtype=first.dtype))
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    layers: list[Layer] = []
    outputs = [tuple(image_shape)[::2]]  # (channels, side) of the image, then of each layer
    for into, out, inside in passed:
        side_in = into[-1] if len(into) == 4 else 1
        more = into[1] - outputs[-1][0]
        skip = next((place for place, each in enumerate(outputs[:-1]) if each == (more, side_in)), None)
        side = out[-1] if len(out) == 4 else 1
        layers.append(Layer(into[1], out[1], side, None if skip is None else skip - 1, inside))
        outputs.append((layers[-1].channels, layers[-1].side))
    return layers


def _weighted(module: nn.Module) -> list[nn.Module]:
    return [each for each in module.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]


@book_figure
def network_figure(
    networks: Mapping[str, nn.Module],
    image_shape: Sequence[int],
    losses: Sequence[str] = (),
    scores: Sequence[str] = (),
) -> Figure:
    """Networks as rows of blocks: as high as the side of each layer's output, as wide as its channels (logarithms).

    The image is grey, the narrowest output vermilion if it is smaller than the image, and an arc is a skip; below each
    block stand its channels, above it its side in pixels where that changes.

    Args:
        networks: name -> network that takes images.
        image_shape: (C, H, W).
        losses, scores: what they are trained on and what they score an image by, as the detector declares it
            (`Detector.loss_names`, `score_names`); written below.

    Returns:
        The figure.

    Raises:
        ValueError: there is no network.
    """
    if not networks:
        raise ValueError("nothing to draw: expected at least one network, for instance detector.networks.")
    notes = {"losses": losses, "scores": scores}
    lines = [f"{title}: {' · '.join(names).replace('_', ' ')}" for title, names in notes.items() if names]
    heights = [1.75] * len(networks) + [_NOTE_HEIGHT * len(lines)] * bool(lines)
    figure, axes = plt.subplots(
        len(heights),
        1,
        figsize=(8.4, sum(heights) + STAMP_HEIGHT),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    if lines:
        axes[-1, 0].text(0, 1, "\n".join(lines), va="top", fontsize=9, transform=axes[-1, 0].transAxes)
        axes[-1, 0].set_axis_off()
        axes = axes[:-1]
    for axis, (name, network) in zip(axes[:, 0], networks.items()):
        layers = layers_of(network, image_shape)
        count = sum(weights.numel() for weights in network.parameters())
        axis.set_title(f"{name}: {count:,} weights")
        _draw(axis, [Layer(0, image_shape[0], image_shape[2]), *layers])
    right = max(axis.get_xlim()[1] for axis in axes[:, 0])
    for axis in axes[:, 0]:
        axis.set_xlim(-_GAP, right)
    return figure


def _draw(axis: Axes, blocks: Sequence[Layer]) -> None:
    """One row: the image, then each layer."""
    sizes = [block.channels * block.side**2 for block in blocks]
    narrowest = sizes.index(min(sizes[1:]), 1) if min(sizes[1:]) < sizes[0] else None
    lefts: list[float] = []
    x = 0.0
    for place, block in enumerate(blocks):
        width, height = 0.2 + 0.09 * math.log2(block.channels + 1), 1 + math.log2(block.side)
        width += 0.06 * (block.inside - 1)
        colour = REFERENCE if place == 0 else ANOMALOUS if place == narrowest else NORMAL
        axis.add_patch(Rectangle((x, -height / 2), width, height, facecolor=colour, alpha=0.75, linewidth=0))
        text: dict[str, Any] = {"ha": "center", "fontsize": 8}
        axis.text(x + width / 2, -height / 2 - 0.25, str(block.channels), va="top", **text)
        if block.inside > 1:
            axis.text(x + width / 2, 0, f"{block.inside} layers", va="center", color="white", **text)
        if place == 0 or block.side != blocks[place - 1].side:
            axis.text(x + width / 2, height / 2 + 0.2, str(block.side), va="bottom", color=REFERENCE, **text)
        if block.skip is not None:
            ends = (lefts[block.skip + 1], height / 2), (x, height / 2)
            bend = "arc3,rad=-0.15"
            axis.add_patch(
                FancyArrowPatch(
                    *ends,
                    connectionstyle=bend,
                    arrowstyle="-|>",
                    mutation_scale=8,
                    color=REFERENCE,
                    clip_on=False,
                )
            )
        lefts.append(x + width / 2)
        x += width + _GAP
    tallest = 1 + math.log2(max(block.side for block in blocks))
    arcs = 2.0 if any(block.skip is not None for block in blocks) else 0.0
    axis.set(xlim=(-_GAP, x), ylim=(-tallest / 2 - 1.6, tallest / 2 + 2.2 + arcs))
    axis.set_axis_off()
