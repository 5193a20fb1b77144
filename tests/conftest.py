"""Shared by all tests: one thread each, no progress bars, tiny data."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["CI"] = "1"

import pytest
import torch

from adlib import load


@pytest.fixture(scope="session")
def tiny_split():
    """A small, easy split: procedural wood at 32 pixels, 48 training images."""
    return load("texture/wood", size=32, seed=0, train_images=48)


@pytest.fixture
def random_images():
    """A maker of uint8 images (N, C, H, W)."""

    def make(count: int, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)

    return make
