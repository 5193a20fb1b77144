"""What the page "Try it on your images" loads: the network, its settings, and an example."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adlib.data import load
from adlib.detectors import make_detector
from adlib.detectors.base import FORMAT, MAP_QUANTILE
from adlib.environment import source_hash, versions
from adlib.features import CHANNELS, MEAN, SPREAD, STRIDES, photograph_network
from adlib.files import write_atomic, write_tensors
from adlib.inspection import inspector
from adlib.inspection.scoring import COLUMNS
from adlib.inspection.threshold import CONFIDENCE
from adlib_book.site.pages import MADE

DETECTOR, SEED = inspector.DEFAULT_DETECTOR, 0
CELL = 300  # pixels of a solar cell's side
CACHED = 200  # photographs or tiles whose features stay in memory, 0.6 MB each
GOOD, OTHERS = 20, 12  # photographs of the example: to learn from; to judge, half of them defective


def write_engine(folder: Path) -> None:
    """Write what the page loads at the reader's click.

    `network.safetensors` holds the network up to the last block that is asked, each BatchNorm folded into its
    convolution, weights as (height, width, inputs, outputs) or, for a depthwise convolution, (height, width, channels,
    1). `settings.json` holds the layers in order, and whatever of `adlib fit` has a number in it.

    Args:
        folder: to write into.
    """
    size = inspector.DEFAULT_SIZE
    config = asdict(make_detector(DETECTOR, (3, size, size), "book", SEED, "cpu").config)
    last = config["blocks"][-1]
    network = photograph_network("cpu", torch.float32)
    tensors: dict[str, Tensor] = {}
    layers = [_layer(tensors, number, *each) for number, each in enumerate(_convolutions(network, last))]
    write_tensors(folder / "network.safetensors", tensors, {})
    # As text: Python writes 4.0 where JavaScript would write 4, and a detector's identity is a hash of the text.
    fixed = {
        "format": FORMAT, "version": versions().get("adlib-book", "a checkout"), "name": DETECTOR,
        "config": config, "seed": SEED, "other_scales": {}, "value_range": None, "adlib": source_hash(),
    }  # fmt: skip
    settings = {
        "layers": layers, "mean": MEAN, "spread": SPREAD, "channels": CHANNELS[: last + 1],
        "strides": STRIDES[: last + 1], "fixed": json.dumps(fixed), "config": config, "seed": SEED,
        "format": FORMAT, "inspection_format": inspector.FORMAT, "size": size,
        "folds": inspector.FOLDS, "map_quantile": MAP_QUANTILE, "confidence": CONFIDENCE, "columns": COLUMNS,
        "crops": inspector.MEMORY, "cached": CACHED,
    }  # fmt: skip
    write_atomic(folder / "settings.json", json.dumps(settings))


def _convolutions(network: Any, last: int) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d, dict[str, Any]]]:
    """Every convolution with its BatchNorm, and what comes after: "clip" to [0, 6], "add" the block's input."""
    yield network._conv_stem, network._bn0, {"clip": True}
    for number, block in enumerate(network._blocks[: last + 1]):
        if hasattr(block, "_expand_conv"):
            yield block._expand_conv, block._bn0, {"clip": True, "first": True}
        yield block._depthwise_conv, block._bn1, {"clip": True, "first": not hasattr(block, "_expand_conv")}
        same = block._depthwise_conv.stride[0] == 1 and block._block_args.input_filters == (
            block._block_args.output_filters
        )
        yield block._project_conv, block._bn2, {"add": same and block.id_skip, "block": number}


def _layer(
    tensors: dict[str, Tensor],
    number: int,
    convolution: nn.Conv2d,
    norm: nn.BatchNorm2d,
    more: dict[str, Any],
) -> dict[str, Any]:
    one = fuse_conv_bn_eval(copy.deepcopy(convolution).double(), copy.deepcopy(norm).double())
    assert one.bias is not None
    depthwise = convolution.groups > 1
    tensors[f"{number}.weight"] = (
        one.weight.permute((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)).detach().float()
    )
    tensors[f"{number}.bias"] = one.bias.detach().float()
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))  # left, right, top, bottom
    return {"depthwise": depthwise, "stride": convolution.stride[0], "padding": list(padding), **more}


def write_page(stage: Path) -> None:
    """Put what the page loads beside it, and onto the page how many megabytes that is.

    Args:
        stage: with `book/try_it.md`, and the scripts from npm in `book/_static/vendor`.
    """
    page, made = stage / "book" / "try_it.md", stage / MADE / "try_it"
    write_engine(made)
    names = write_example(made)
    vendor = stage / "book" / "_static" / "vendor"
    scripts = [
        vendor / "tfjs" / name
        for name in ("tf-core.min.js", "tf-backend-wasm.min.js", "tfjs-backend-wasm-simd.wasm")
    ]
    loaded = sum(file.stat().st_size for file in [*scripts, made / "network.safetensors"])
    example = sum((made / name).stat().st_size for name in names["good"])
    text = (
        page.read_text()
        .replace("MEGABYTES", f"{loaded / 1e6:.0f}")
        .replace("EXAMPLE", f"{max(1, example / 1e6):.0f}")
    )
    write_atomic(page, text.replace("NAMES", json.dumps(names)))


def write_example(folder: Path) -> dict[str, list[str]]:
    """Write photographs of solar cells: 20 good ones, and 12 others of which half are defective, as the seed has it.

    Args:
        folder: to write into.

    Returns:
        "good" and "other" -> the files' names.
    """
    split = load("elpv/mono", size=CELL, seed=SEED)
    labels = split.test.open('the page "Try it on your images": six cells of each kind').labels
    normal, defective = (split.test.images[labels == label][: OTHERS // 2] for label in (False, True))
    groups = {"good": [("good", split.train.images[:GOOD], 1)]}
    groups["other"] = [("good", normal, GOOD + 1), ("defective", defective, 1)]
    names: dict[str, list[str]] = {}
    for group, parts in groups.items():
        for kind, images, first in parts:
            for number, image in enumerate(images, first):
                stream = io.BytesIO()
                Image.fromarray(image[0].numpy()).save(stream, "PNG", optimize=True)
                names.setdefault(group, []).append(f"{kind}-{number:02}.png")
                write_atomic(folder / names[group][-1], stream.getvalue())
    return names
