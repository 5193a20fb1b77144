"""Detectors by name: the register that they enter themselves, and the factory that makes one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch

from adlib.errors import unknown_name

if TYPE_CHECKING:
    from adlib.detectors.base import Detector

PROFILES = ("smoke", "live", "book", "paper")
_CLASSES: dict[str, type[Detector]] = {}


def register(kind: type[Detector]) -> None:
    """Enter a detector by its name; `Detector` does so for every subclass that has one."""
    _CLASSES[kind.name] = kind


def detector_class(name: str) -> type[Detector]:
    """The class behind a detector's name.

    Raises:
        ValueError: unknown name; the nearest is suggested.
    """
    if name not in _CLASSES:
        raise unknown_name("detector", name, _CLASSES)
    return _CLASSES[name]


def detector_names() -> list[str]:
    """Every detector there is, by the name that `make_detector` takes."""
    return sorted(_CLASSES)


def detector_titles() -> dict[str, str]:
    """Every detector's name -> its title for tables and figures, e.g. "skip_ganomaly" -> "Skip-GANomaly"."""
    return {name: _CLASSES[name].title for name in detector_names()}


def make_detector(
    name: str,
    image_shape: tuple[int, int, int],
    profile: str = "book",
    seed: int = 0,
    device: str | torch.device = "auto",
    **changes: Any,
) -> Detector:
    """A detector by name, with the settings of a profile.

    Args:
        name: e.g. "ganomaly"; `detector_names()` lists them.
        image_shape: (C, H, W), usually `split.image_shape`.
        profile: "smoke" (seconds, for tests), "live" (up to a minute on one core, as pages train while they are
            built), "book" (minutes, as the ledger's runs) or "paper" (the published settings).
        seed: of initialisation and training.
        device: "auto", "cpu", "cuda", ...
        changes: settings to replace, by the field names of the detector's `Config`.

    Raises:
        ValueError: unknown detector, profile or setting; the nearest is suggested.
    """
    kind = detector_class(name)
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    config = getattr(kind.Config, profile)()
    known = [field.name for field in fields(config)]
    for change in changes:
        if change not in known:
            raise unknown_name(f"setting of {name}", change, known)
    return kind(image_shape, replace(config, **changes), seed=seed, device=device)
