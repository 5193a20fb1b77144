"""Watching a kernel from outside: how much memory it takes, cell by cell, and an end to it at a time limit."""

from __future__ import annotations

import bisect
import datetime
import threading
import time
from collections.abc import Mapping
from typing import Any

_LOOK_EVERY = 0.2  # seconds


class Watch:
    """Looks at the kernel that this process has started, five times a second, while the `with` block runs.

    Args:
        limit: seconds after which the kernel is killed; None for no limit.

    Attributes:
        expired: whether the limit was reached.
    """

    def __init__(self, limit: float | None = None):
        self.limit, self.expired = limit, False
        self._times: list[float] = []  # seconds since the epoch
        self._bytes: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="adlib-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._end = time.monotonic() + self.limit if self.limit else float("inf")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def peak(self) -> float | None:
        """The most memory that the kernel was seen to take, in MB; None if it was never seen."""
        return round(max(self._bytes) / 1e6, 1) if self._bytes else None

    def cell(self, told: Mapping[str, Any]) -> dict[str, float | None]:
        """Seconds and peak memory of one cell.

        Args:
            told: papermill's notes on the cell: "start_time", "end_time", "duration".

        Returns:
            "seconds", and "peak_mb": None if the kernel was not seen then.
        """
        seconds, peak = told.get("duration") or 0.0, None
        if told.get("start_time") and told.get("end_time"):
            # A look's length to either side, or cells quicker than that would never be seen.
            first = bisect.bisect_left(self._times, _since_epoch(told["start_time"]) - _LOOK_EVERY)
            last = bisect.bisect_right(self._times, _since_epoch(told["end_time"]) + _LOOK_EVERY)
            if first < last:
                peak = round(max(self._bytes[first:last]) / 1e6, 1)
        return {"seconds": round(seconds, 3), "peak_mb": peak}

    def _look(self) -> None:
        import psutil

        kernel = None
        while not self._over.wait(_LOOK_EVERY):
            try:
                kernel = kernel or _kernel(psutil.Process())
                if kernel is None:
                    continue
                self._bytes.append(kernel.memory_info().rss)
                self._times.append(time.time())
                if time.monotonic() > self._end:
                    self.expired = True
                    kernel.kill()
                    return
            except psutil.Error:
                kernel = None  # it has ended; perhaps there will be another


def _kernel(process: Any) -> Any | None:
    """The kernel among the children of this process."""
    import psutil

    for child in process.children(recursive=True):
        try:
            if any("ipykernel_launcher" in part for part in child.cmdline()):
                return child
        except psutil.Error:  # it has ended meanwhile; the next one may be the kernel
            continue
    return None


def _since_epoch(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
