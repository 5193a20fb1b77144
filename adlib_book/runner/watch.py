"""Watching a kernel from outside: how much memory it takes, cell by cell, and an end to it at a time limit."""

from __future__ import annotations

import bisect
import datetime
import threading
import time
from collections.abc import Mapping
from typing import Any

_INTERVAL = 0.2  # seconds between two samples


class Watch:
    """Samples the memory of the kernel that this process has started, five times a second, during a `with` block.

    Args:
        limit: seconds after which the kernel is killed; None for no limit.

    Attributes:
        expired: whether the limit was reached.
    """

    def __init__(self, limit: float | None = None):
        self.limit, self.expired = limit, False
        self._times: list[float] = []  # seconds since the epoch
        self._bytes: list[int] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="adlib-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._end = time.monotonic() + self.limit if self.limit else float("inf")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def peak(self) -> float | None:
        """Largest resident memory of the kernel over all samples, in MB; None if there is none."""
        return round(max(self._bytes) / 1e6, 1) if self._bytes else None

    def cell(self, timing: Mapping[str, Any]) -> dict[str, float | None]:
        """Seconds and peak memory of one cell.

        Args:
            timing: papermill's metadata of the cell: "start_time", "end_time", "duration".

        Returns:
            "seconds", and "peak_mb": None if there is no sample of that time.
        """
        seconds, peak = timing.get("duration") or 0.0, None
        if timing.get("start_time") and timing.get("end_time"):
            # One interval to either side, or cells shorter than that would have no sample.
            first = bisect.bisect_left(self._times, _since_epoch(timing["start_time"]) - _INTERVAL)
            last = bisect.bisect_right(self._times, _since_epoch(timing["end_time"]) + _INTERVAL)
            if first < last:
                peak = round(max(self._bytes[first:last]) / 1e6, 1)
        return {"seconds": round(seconds, 3), "peak_mb": peak}

    def _sample(self) -> None:
        import psutil

        kernel = None
        while not self._stopped.wait(_INTERVAL):
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
    """The kernel that a process has started: a child of its own, not one of another chapter's process."""
    import psutil

    for child in process.children():
        try:
            if any("ipykernel_launcher" in part for part in child.cmdline()):
                return child
        except psutil.Error:  # it has ended meanwhile; the next one may be the kernel
            continue
    return None


def _since_epoch(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
