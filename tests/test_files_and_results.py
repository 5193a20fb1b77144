"""Atomic writing and the ledger: nothing already written is lost, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from adlib import files
from adlib_book.ledger import results


@pytest.fixture
def full_disk(monkeypatch):
    """Every flush to disk fails as on a full one."""

    def fail(_):
        raise OSError(28, "No space left on device")

    return lambda: monkeypatch.setattr(os, "fsync", fail)


def test_a_full_disk_leaves_the_old_file(tmp_path, full_disk):
    path = files.write_atomic(tmp_path / "a.txt", "before")
    full_disk()
    with pytest.raises(OSError, match=r"could not write .*a\.txt .*No space left.*unchanged"):
        files.write_atomic(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_the_old_lines(tmp_path, full_disk):
    path = tmp_path / "ledger.jsonl"
    results.append({"id": "a"}, path)
    full_disk()
    with pytest.raises(OSError, match="as it was before"):
        results.append({"id": "b", "text": "x" * 10_000}, path)
    assert [r["id"] for r in results.read(path)] == ["a"]


def test_a_disk_that_fills_up_inside_a_line_leaves_the_old_lines(tmp_path):
    """The real thing, in a process that may not write files of more than 3,000 bytes."""
    path = tmp_path / "ledger.jsonl"
    results.append({"id": "a", "text": "x" * 1000}, path)
    before = path.read_bytes()
    program = f"""
import resource, signal
from adlib.files import append_line
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
append_line({str(path)!r}, "y" * 4000)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "The file is as it was before" in ended.stderr
    assert path.read_bytes() == before


def test_a_torn_last_line_spoils_only_itself(tmp_path):
    path = tmp_path / "ledger.jsonl"
    results.append({"id": "a"}, path)
    with open(path, "a") as file:
        file.write('{"id": "torn", "metr')
    results.append({"id": "b"}, path)
    with pytest.warns(UserWarning, match="line 2 is not whole JSON"):
        assert [r["id"] for r in results.read(path)] == ["a", "b"]


def _write_many(path, writer):
    for number in range(50):
        results.append({"id": f"{writer}-{number}", "text": "x" * 3000}, path)


@pytest.mark.slow
def test_without_the_lock_of_unix_detectors_and_ledgers_still_work(tmp_path):
    program = "import sys; sys.modules['fcntl'] = None; from adlib import files, make_detector"
    program += f"; files.append_line({str(tmp_path / 'a')!r}, 'x')"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "a").read_text() == "x\n"


def test_a_pipe_is_written_into_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        files.write_atomic(pipe, "x")
        assert read.result(10) == "x"
    assert pipe.is_fifo()


def test_two_writers_take_turns(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_write_many, [path, path], "ab"))
    assert len({r["id"] for r in results.read(path)}) == 100


def test_numbers_that_are_none_are_refused(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with pytest.raises(ValueError, match="metrics/image_auroc is nan"):
        results.append({"id": "a", "metrics": {"image_auroc": float("nan")}}, path)
    with pytest.raises(ValueError, match="needs an 'id'"):
        results.append({"metrics": {}}, path)
    assert not path.exists()


def test_the_table_has_one_row_per_run_the_newest(tmp_path):
    for value in (0.1, 0.2):
        results.append({"id": "a", "metrics": {"image_auroc/D1": value}}, tmp_path / "ganomaly.jsonl")
    results.append({"id": "b", "metrics": {"aupro": 0.5}}, tmp_path / "pca.jsonl")
    table = results.load(folder=tmp_path).set_index("id")
    assert table.loc["a", "metrics/image_auroc/D1"] == 0.2
    assert len(table) == 2
    with pytest.raises(FileNotFoundError, match="there are: ganomaly, pca"):
        results.load("dagan", folder=tmp_path)


def test_of_two_ledgers_the_newer_run_counts_whichever_is_named_first(tmp_path):
    for name, day, value in (("late", "02", 0.2), ("early", "01", 0.1)):
        run = {"id": "a", "started_at": f"2026-11-{day}T00:00:00", "metrics": {"aupro": value}}
        results.append(run, tmp_path / f"{name}.jsonl")
    for order in (("late", "early"), ("early", "late")):
        assert results.load(*order, folder=tmp_path)["metrics/aupro"].tolist() == [0.2]


def test_tensors_round_trip_with_their_metadata(tmp_path):
    import torch

    path = files.write_tensors(tmp_path / "t.safetensors", {"a": torch.arange(3)}, {"told": json.dumps([1])})
    tensors, told = files.read_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(3))
    assert told == {"told": "[1]"}
