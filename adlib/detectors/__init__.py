"""Detectors, one file per system: network, losses, optimisers and score behind one small interface."""

from __future__ import annotations

from adlib.detectors import ganomaly, trivial
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
    "detector_class",
    "detector_names",
    "ganomaly",
    "make_detector",
    "trivial",
]
