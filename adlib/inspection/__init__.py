"""Own images: from a folder of good parts to a verdict, without a notebook. The command `adlib` only calls this room.

>>> from adlib.inspection import Inspector, fit_inspector
>>> inspector = fit_inspector("parts/train/good", false_alarms=0.02)
>>> inspector.save("part.safetensors")
>>> for verdict in Inspector.load("part.safetensors").score("incoming/"):
...     print(verdict.file, verdict.score, verdict.defective)
"""

from adlib.inspection.inspector import Inspector, Verdict, fit_inspector
from adlib.inspection.threshold import Threshold

__all__ = ["Inspector", "Threshold", "Verdict", "fit_inspector"]
