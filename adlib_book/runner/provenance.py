"""Where a run was made, and the numbers that it reported."""

from __future__ import annotations

from typing import Any

from adlib import environment
from adlib_book.runner.kernel import THREADS


def reported(notebook: Any) -> dict[str, dict[str, Any]]:
    """The numbers that the cells of an executed notebook have reported.

    Args:
        notebook: an nbformat notebook with outputs.

    Returns:
        Metric name -> {"value": float, "limits": [least, most]}, in the order of the cells.

    Raises:
        ValueError: one name was reported twice.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            detail = output.get("metadata", {}).get("adlib")
            if not detail:
                continue
            name = detail["name"]
            if name in metrics:
                raise ValueError(
                    f"metric {name!r} is reported twice in this chapter; give the second another name."
                )
            metrics[name] = {key: value for key, value in detail.items() if key != "name"}
    return metrics


def provenance() -> dict[str, Any]:
    """Where and with what a kernel of this machine computes.

    Returns:
        Keys "adlib" (source hash), "hash_scheme", "commit", "device", "versions" and "hardware".
    """
    from adlib.devices import pick_device

    return {
        "adlib": environment.source_hash(),
        "hash_scheme": environment.HASH_SCHEME,
        "commit": environment.git_commit(),
        "device": str(pick_device("auto")),
        "versions": environment.versions(),
        "hardware": environment.hardware() | {"threads": THREADS},
    }
