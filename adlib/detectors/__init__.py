"""Detectors, one file per system: network, losses, optimisers and score behind one small interface."""

from __future__ import annotations

from adlib.detectors import anogan, began, dagan, f_anogan, ganomaly, skip_ganomaly, trivial, unet
from adlib.detectors.base import (
    Detector,
    Examination,
    detector_class,
    detector_names,
    make_detector,
)

__all__ = [
    "Detector",
    "Examination",
    "anogan",
    "began",
    "dagan",
    "detector_class",
    "detector_names",
    "f_anogan",
    "ganomaly",
    "make_detector",
    "skip_ganomaly",
    "trivial",
    "unet",
]
