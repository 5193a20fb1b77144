"""adlib: the package beneath an executable book on image anomaly detection with auto-encoders and GANs.

from adlib import load, make_detector
split = load("elpv/mono", size=64)
detector = make_detector("ganomaly", split.image_shape, profile="book", seed=0)
detector.fit(split.train, split.validation)
verdicts = detector.predict(split.test.images)
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_WHERE = {
    "load": "adlib.data",
    "catalogue": "adlib.data",
    "make_detector": "adlib.detectors",
    "detector_names": "adlib.detectors",
    "Detector": "adlib.detectors",
    "run_experiment": "adlib.experiment",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str):
    """Import on first use: `import adlib` alone must not wait for torch."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'adlib' has no attribute {name!r}; it has {', '.join(__all__)}.")
