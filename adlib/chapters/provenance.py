"""How a chapter says its numbers, and how a run says where it was made."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from .. import environment

# MyST-NB reads outputs of this kind as "glue": the prose can quote them with {glue:text}`name:.3f`.
_GLUE_PREFIX = "application/papermill.record/"


def report(name: str, value: SupportsFloat, *, tolerance: float | None = None) -> None:
    """Put a headline number of a chapter on record.

    Under the runner the number lands in the run's record and is held against `baselines/`. In Jupyter or
    Colab nothing is shown. Prose on the built page can quote it as {glue:text}`name:.3f`.

    Args:
        name: what it is, e.g. "image_auroc/D1". Unique within the chapter.
        value: a finite number: int, float, NumPy scalar or tensor with one element.
        tolerance: how far another run may be off, in the unit of `value`; used when its baseline is first
            written. Default: the larger of 0.05 and a tenth of the value.

    Raises:
        ValueError: the value is no finite number, or the tolerance is negative.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metric {name!r} is {value!r}; expected one number.") from error
    if not math.isfinite(number):
        raise ValueError(
            f"metric {name!r} is {number}; expected a finite number. Leave out what does not apply."
        )
    if tolerance is not None and not tolerance >= 0:
        raise ValueError(f"tolerance of metric {name!r} is {tolerance}; expected a number >= 0.")
    if not environment.in_notebook():
        return
    from IPython.display import display

    detail = {"name": name, "value": number, "tolerance": tolerance}
    glue = {"name": name, "mime_prefix": _GLUE_PREFIX}
    display(
        {f"{_GLUE_PREFIX}text/plain": repr(number)}, raw=True, metadata={"scrapbook": glue, "adlib": detail}
    )


def reported(notebook: Any) -> dict[str, dict[str, float | None]]:
    """The numbers that the cells of an executed notebook have reported.

    Args:
        notebook: an nbformat notebook with outputs.

    Returns:
        Metric name -> {"value": float, "tolerance": float or None}, in the order of the cells.

    Raises:
        ValueError: one name was reported twice.
    """
    found: dict[str, dict[str, float | None]] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            detail = output.get("metadata", {}).get("adlib")
            if not detail:
                continue
            name = detail["name"]
            if name in found:
                raise ValueError(
                    f"metric {name!r} is reported twice in this chapter; give the second another name."
                )
            found[name] = {"value": detail["value"], "tolerance": detail["tolerance"]}
    return found


def provenance() -> dict[str, Any]:
    """Where and with what the present process computes.

    Returns:
        Keys "adlib" (source hash), "commit", "device", "versions" and "hardware".
    """
    from ..devices import pick_device

    return {
        "adlib": environment.source_hash(),
        "commit": environment.git_commit(),
        "device": str(pick_device("auto")),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
    }
