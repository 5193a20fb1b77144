"""What a notebook calls: `report` its numbers, `say` a sentence made of them; `your_turn` and `filled` in exercises.

`write_folder` makes the folder that stands in for the reader's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsFloat

import torch
from PIL import Image

from adlib import environment
from adlib.data import Split

# MyST-NB reads outputs of this kind as "glue": the prose can quote them with {glue:text}`name:.3f`.
_GLUE_PREFIX = "application/papermill.record/"


def report(
    name: str,
    value: SupportsFloat,
    *,
    limits: tuple[float | None, float | None] | None = None,
    tolerance: float | None = None,
) -> None:
    """Put a headline number of a chapter on record.

    Under the runner the number lands in the run's record and is held against `baselines/`. In Jupyter or
    Colab nothing is shown. Prose on the built page can quote it as {glue:text}`name:.3f`.

    Args:
        name: what it is, e.g. "image_auroc/D1". Unique within the chapter.
        value: a finite number: int, float, NumPy scalar or tensor with one element.
        limits: range of the metric, (least, most) in the unit of `value`, where its band ends; None for no end. By
            default 0 to 1, and none for a number with a tolerance.
        tolerance: half the width of its band until that is measured, in the unit of `value`; by default the larger of
            0.05 and a tenth of the value.

    Raises:
        ValueError: the value is no finite number, or outside its range.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metric {name!r} is {value!r}; expected one number.") from error
    if not math.isfinite(number):
        raise ValueError(
            f"metric {name!r} is {number}; expected a finite number. Leave out what does not apply."
        )
    if limits is None:
        limits = (0.0, 1.0) if tolerance is None else (None, None)
    least, most = limits
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(
            f"metric {name!r} is {number}, outside {limits}; give limits= if its range is another, or mend its formula."
        )
    if not environment.in_notebook():
        return
    from IPython.display import display

    detail = {"name": name, "value": number, "limits": limits}
    if tolerance is not None:
        detail["tolerance"] = float(tolerance)
    glue = {"name": name, "mime_prefix": _GLUE_PREFIX}
    display(
        {f"{_GLUE_PREFIX}text/plain": repr(number)}, raw=True, metadata={"scrapbook": glue, "adlib": detail}
    )


def say(text: str) -> None:
    """Show a sentence that a cell has made from its own numbers, so that no other run can refute it.

    Args:
        text: Markdown; shown as such in a notebook, and printed as it is elsewhere.
    """
    if not environment.in_notebook():
        print(text)
        return
    from IPython.display import Markdown, display

    display(Markdown(text))


class NotYet(Exception):
    """A value that the reader is to write still holds dots."""


def filled(*answers: object) -> None:
    """Refuse answers that still are dots; say nothing of others.

    Raises:
        NotYet: one of them is `...`.
    """
    if any(answer is ... for answer in answers):
        raise NotYet


@contextmanager
def your_turn(exercise: str) -> Iterator[None]:
    """Around the beginning of a solution that the reader completes.

    Dots that were not replaced end it with one line of advice; any other failure is an error like everywhere.
    So a chapter that has changed under its starter cells does not pass its nightly run.

    Args:
        exercise: label of the exercise.

    Example:
        >>> with your_turn("ganomaly-d2"):
        ...     worst = ...  # your line
        ...     filled(worst)
        Your turn (ganomaly-d2): replace the dots, then run this cell again.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NotYet) or "ellipsis" in str(error).lower():
            print(f"Your turn ({exercise}): replace the dots, then run this cell again.")
            return
        raise
    print(f"{exercise}: filled in. Now open the solution and compare.")


def write_folder(split: Split, folder: str | Path) -> str:
    """Write the images of a split as files, in the layout of one's own folder; masks too, where there are any.

    It stands in for the reader's own folder, in the quick start and in the solutions of projects. The test labels are
    opened, since kinds are folders.

    Args:
        split: its images, uint8 (N, 1 or 3, H, W); validation images go into train/good beside the others.
        folder: where to; made if it is not there.

    Returns:
        The folder, for `load("folder", path=...)`.
    """
    truth = split.test.open("sorting an example into folders")
    files = [("train/good", image) for image in torch.cat([split.train.images, split.validation.images])]
    files += [(f"test/{kind}", image) for kind, image in zip(truth.kinds, split.test.images)]
    first = len(files) - len(split.test)
    for number, (part, image) in enumerate(files):
        _save(image.permute(1, 2, 0).squeeze(2), Path(folder, part, f"{number:04d}.png"))
        if truth.masks is not None and number >= first and truth.labels[number - first]:
            mask = 255 * torch.from_numpy(truth.masks[number - first]).byte()
            _save(mask, Path(folder, part.replace("test", "ground_truth", 1), f"{number:04d}_mask.png"))
    return str(folder)


def _save(image: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.numpy()).save(path)
