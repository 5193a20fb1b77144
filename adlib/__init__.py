"""adlib: the package beneath an executable book on image anomaly detection with auto-encoders and GANs.

from adlib import load, make_detector
split = load("elpv/mono", size=64)
detector = make_detector("ganomaly", split.image_shape, profile="book", seed=0)
detector.fit(split.train, split.validation)
verdicts = detector.predict(split.test.images)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors, which do not wait for torch either
    from adlib.data import catalogue as catalogue
    from adlib.data import load as load
    from adlib.detectors import Detector as Detector
    from adlib.detectors import detector_names as detector_names
    from adlib.detectors import make_detector as make_detector
    from adlib.experiment import run_experiment as run_experiment

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


def __getattr__(name: str) -> object:
    """Import on first use: `import adlib` alone must not wait for torch."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'adlib' has no attribute {name!r}; it has {', '.join(__all__)}.")
