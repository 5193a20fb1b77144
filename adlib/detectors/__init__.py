"""Detectors, one file per system: network, losses, optimisers and score behind one small interface."""

from __future__ import annotations

from adlib.detectors import (
    anogan,
    began,
    cae,
    classical,
    classifiers,
    dagan,
    deep_svdd,
    dual_discriminator,
    f_anogan,
    feature_dictionary,
    ganomaly,
    patches,
    sdn,
    skip_ganomaly,
    ssim_ae,
    trivial,
    turn_classifier,
    unet,
    vae,
)
from adlib.detectors.base import Detector, Examination
from adlib.detectors.registry import detector_class, detector_names, detector_titles, make_detector

__all__ = [
    "Detector",
    "Examination",
    "anogan",
    "began",
    "cae",
    "classical",
    "classifiers",
    "dagan",
    "deep_svdd",
    "detector_class",
    "detector_names",
    "detector_titles",
    "dual_discriminator",
    "f_anogan",
    "feature_dictionary",
    "ganomaly",
    "make_detector",
    "patches",
    "sdn",
    "skip_ganomaly",
    "ssim_ae",
    "trivial",
    "turn_classifier",
    "unet",
    "vae",
]
