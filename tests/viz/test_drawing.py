"""The board to draw on: what the page computes is what the network computes, but for weights of 8 bits."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from adlib import viz
from adlib.models.auto_encoder import SmallAutoEncoder
from adlib.models.unet import UNet
from adlib.viz.drawing import rounded_layers, run_layers


def dense(side: int = 16) -> nn.Module:
    pixels = side * side
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 12), nn.ReLU(), nn.Linear(12, 3))
    return nn.Sequential(encoder, nn.Linear(3, pixels), nn.Unflatten(1, (1, side, side)))


@pytest.fixture
def digits() -> torch.Tensor:
    return torch.randint(
        0, 256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.mark.parametrize("network", [dense(), SmallAutoEncoder(16, code=5, widths=(4, 6, 8)).double()])
def test_rounding_the_weights_moves_the_reconstruction_by_less_than_a_hundredth(network):
    image = torch.rand(1, 1, 16, 16) * 2 - 1
    redrawn = run_layers(rounded_layers(network, 16), image)
    expected = network(image.to(next(network.parameters()).dtype)).float()
    assert redrawn.shape == image.shape
    assert (redrawn - expected).abs().max() < 0.01


def test_the_state_is_text_and_numbers_and_on_paper_the_last_network_stands_in(digits):
    board = viz.drawing_board({"narrow": dense(), "wide": dense()}, digits, digits[:2], ["good", "four"])
    state = {name: value for name, value in board.get_state().items() if name != "layout"}
    assert len(json.loads(json.dumps(state))["networks"]) == 2
    assert "http" not in state["_esm"].replace("http://www.w3.org/2000/svg", "")
    assert board.names[board.network] == "wide"
    assert all(scores == sorted(scores) for scores in board.normal_scores)
    assert board.figure().axes


def test_what_the_page_cannot_compute_is_refused_by_name(digits):
    class Doubled(nn.Sequential):
        def forward(self, images):
            return 2 * super().forward(images)

    arguments = (digits, digits[:1], ["good"])
    with pytest.raises(ValueError, match="Doubled is no plain chain"):
        viz.drawing_board({"doubled": Doubled(dense())}, *arguments)
    with pytest.raises(TypeError, match="cannot compute"):
        viz.drawing_board({"U-Net": UNet(16, 1, 4)}, *arguments)
    with pytest.raises(ValueError, match="no network"):
        viz.drawing_board({}, *arguments)
    with pytest.raises(ValueError, match="grey and square"):
        viz.drawing_board({"a": dense()}, digits.expand(-1, 3, -1, -1), digits[:1], ["good"])
    with pytest.raises(ValueError, match="kinds"):
        viz.drawing_board({"a": dense()}, digits, digits[:1], ["good", "four"])
