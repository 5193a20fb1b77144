"""What handing tasks to Dask costs: seconds and memory over 10,000 tiny tasks, throughput at one and two workers.

    make benchsweep

A tiny task does nothing, so its time is all overhead: to the scheduler, to a worker and back, and into the ledger
on disk. An experiment takes seconds to minutes. The ratio of two workers to one is what to compare; it depends on
what else the machine does.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from adlib.environment import hardware
from adlib.files import write_atomic
from adlib_book.ledger import cluster
from adlib_book.ledger.results import Ledger

REPORT = Path(__file__).resolve().parent.parent / "_build" / "benchmarks" / "sweep.json"
TINY = 10_000


def _nothing(key: str) -> dict:
    return {"id": key}


def _work(key: str) -> dict:
    """About a third of a second of pure Python, which no second thread can speed up."""
    total = 0
    for number in range(6_000_000):
        total += number
    return {"id": key, "total": total}


def _jobs(function, count: int, name: str):
    return (cluster.Job(f"{name}{number}", name, (f"{name}{number}",)) for number in range(count))


def _memory(client) -> float:
    """MB of this process and of the workers together."""
    workers = client.run(lambda: psutil.Process().memory_info().rss)
    return (psutil.Process().memory_info().rss + sum(workers.values())) / 1e6


@pytest.fixture(scope="module")
def measured():
    found: dict[str, object] = {"hardware": hardware()}
    yield found
    write_atomic(REPORT, json.dumps(found, indent=1) + "\n")


def test_ten_thousand_tiny_tasks(tmp_path, measured):
    with cluster.connect(workers=2) as client:
        ledger, marks, begin = Ledger(tmp_path / "a.jsonl"), [], time.perf_counter()
        done = cluster.collect(client, _nothing, _jobs(_nothing, TINY, "tiny"), ledger)
        for number, _ in enumerate(done, start=1):
            if number in (TINY // 10, TINY):
                marks.append(_memory(client))
        seconds = time.perf_counter() - begin
    assert len(ledger.refreshed()) == TINY
    measured["tiny"] = {
        "tasks": TINY,
        "milliseconds each": round(1e3 * seconds / TINY, 2),
        "MB after a tenth, and at the end": [round(mark, 1) for mark in marks],
    }
    print(measured["tiny"])
    assert marks[1] < 1.15 * marks[0], "memory must not grow with the number of tasks"


def test_two_workers_against_one(tmp_path, measured):
    rates = {}
    for workers in (1, 2):
        with cluster.connect(workers=workers) as client:
            list(cluster.hand_out(client, _work, _jobs(_work, workers, "warm")))
            begin = time.perf_counter()
            list(cluster.hand_out(client, _work, _jobs(_work, 16, "work")))
            rates[workers] = 16 / (time.perf_counter() - begin)
    measured["throughput of two workers / one"] = round(rates[2] / rates[1], 2)
    print(rates, measured["throughput of two workers / one"])
