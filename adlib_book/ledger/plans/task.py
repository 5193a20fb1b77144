"""Tasks: what is run, on what, with which settings; and how plans write many of them down in short."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from adlib.data import SplitSettings
from adlib.errors import unknown_name

# Detectors that were trained in fp32 already when the others' precision was "auto".
ALWAYS_FP32 = ("cnn_classifier", "dual_discriminator", "f_anogan")


@dataclass(frozen=True)
class Task:
    """One experiment: detector x data x seed, with changes to either's settings.

    Attributes:
        detector: its name.
        dataset: as given to `adlib.load`.
        size: side of the images, pixels.
        split: how the data set is cut; its seed is the detector's too.
        profile: "smoke", "book" or "paper".
        changes: settings of the detector that differ from the profile's.
        data: options of the data set's source.
    """

    detector: str
    dataset: str
    size: int = 64
    split: SplitSettings = field(default_factory=SplitSettings)
    profile: str = "book"
    changes: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, detector: str, dataset: str, size: int = 64, **settings: Any) -> Task:
        """A task in short: fields of the split, such as seed or reserve, stand beside those of the task.

        Raises:
            ValueError: a name that is neither's, or a setting of the split that is out of range.
        """
        own, of_split = ({each.name for each in fields(kind)} for kind in (cls, SplitSettings))
        for name in settings:
            if name not in own | of_split:
                raise unknown_name("field of a task or its split", name, own | of_split)
        cut = {name: value for name, value in settings.items() if name in of_split}
        rest = {name: value for name, value in settings.items() if name in own}
        return cls(detector, dataset, size, **({"split": SplitSettings(**cut)} if cut else {}) | rest)


def grid(**axes: Iterable[Any]) -> Iterator[Task]:
    """Every combination of the given values of a task's and its split's fields, the last axis turning fastest."""
    for values in itertools.product(*axes.values()):
        yield Task.of(**dict(zip(axes, values)))


Plan = Callable[..., list[Task]]


def last_weights(plan: Plan) -> Plan:
    """A plan with the defaults of its time: the last weights, and precision "auto" for most detectors.

    Its runs were recorded, or begun, before detectors ended with averaged weights and in fp32.
    """

    @functools.wraps(plan)
    def pinned(*args: Any) -> list[Task]:
        return [_pinned(task) for task in plan(*args)]

    return pinned


def _pinned(task: Task) -> Task:
    precision = "fp32" if task.detector in ALWAYS_FP32 else "auto"
    return replace(task, changes={"ema_decay": 0.0, "precision": precision} | task.changes)
