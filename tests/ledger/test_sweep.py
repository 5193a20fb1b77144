"""Sweeps: a task's id is known beforehand, and each is recorded once, here and on workers, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sweep_jobs import fail_at_b, jobs, not_a_number_at_b, note, tiny

from adlib.errors import SweepError
from adlib_book.ledger import cluster, results
from adlib_book.ledger import sweep as sweeping
from adlib_book.ledger.plans import Task, grid
from adlib_book.ledger.sweep import sweep, task_id

ROOT = Path(__file__).resolve().parents[2]
TINY = {"detector": "pca", "dataset": "texture/wood", "size": 32, "changes": {"components": 4}}


def ids(path: Path) -> list[str]:
    return [record["id"] for record in results.read(path)]


@pytest.fixture(scope="module")
def client():
    """Two workers on this machine, in processes of their own, that can import the jobs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        with cluster.connect(workers=2) as client:
            yield client


@contextmanager
def in_this_process(workers: int):
    """A cluster that is quick to start."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as made,
        Client(made, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def threads():
    """Two workers in this process."""
    with in_this_process(2) as client:
        yield client


# ---------------------------------------------------------------- ids
def test_a_task_has_the_id_that_its_record_will_have(tmp_path):
    cuts = (
        {},
        {"reserve": 0.05, "train_images": 20},
        {"anomalies": 0.1, "sampling": "natural", "test_fraction": 0.3},
    )
    for number, task in enumerate(Task.of(**TINY, seed=1, **cut, data={"train": 60}) for cut in cuts):
        sweep([task], tmp_path / f"{number}.jsonl")
        assert ids(tmp_path / f"{number}.jsonl") == [task_id(task)]


def test_a_mistake_in_a_task_is_found_before_anything_runs(tmp_path):
    for wrong in ({"detector": "pcs"}, {"profile": "bok"}, {"changes": {"component": 1}}):
        with pytest.raises(ValueError, match="Did you mean"):
            sweep([Task(**TINY), Task(**TINY | wrong)], tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()
    with pytest.raises(ValueError, match=r"Did you mean .reserve."):
        list(grid(detector=["pca"], dataset=["texture/wood"], reserves=[0.1]))


# ---------------------------------------------------------------- one process
def test_what_is_recorded_is_not_even_loaded(tmp_path, monkeypatch):
    sweep([Task(**TINY)], tmp_path / "a.jsonl")
    monkeypatch.setattr(sweeping, "load", lambda **_: pytest.fail("loaded"))
    assert sweep([Task(**TINY)], tmp_path / "a.jsonl") == 0


def test_a_failing_task_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    perform = sweeping.perform

    def clumsy(task, *rest):
        if task.split.seed == 0:
            raise ArithmeticError("upside down")
        return perform(task, *rest)

    monkeypatch.setattr(sweeping, "perform", clumsy)
    tasks = list(grid(seed=[0, 1], **{key: [value] for key, value in TINY.items()}))
    with pytest.raises(SweepError, match=r"(?s)1 tasks failed, 1 were recorded.*seed 0.*upside down"):
        sweep(tasks, tmp_path / "a.jsonl")
    assert ids(tmp_path / "a.jsonl") == [task_id(tasks[1])]
    assert "FAILED pca texture/wood seed 0" in capsys.readouterr().out


def test_time_left_follows_the_detectors_that_wait(monkeypatch):
    waiting = {"a": Task("pca", "x"), "b": Task("pca", "x"), "c": Task("ganomaly", "x")}
    report = sweeping._Report(total=6, waiting=waiting)
    report._seconds = {"pca": [60.0, 60.0], "ganomaly": [600.0]}
    report._start = time.monotonic() - 720
    assert report._left() == ", about 12 min left"
    report.lanes, report._start = 2, time.monotonic()
    assert report._left() == ", about 6 min left"


def test_scheduler_or_workers_not_both(tmp_path):
    with pytest.raises(ValueError, match="which has its own workers"):
        sweep([], tmp_path / "a.jsonl", scheduler="tcp://127.0.0.1:1", workers=1)


def test_without_dask_sweeps_run_in_turn_and_workers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert sweep([Task(**TINY)], tmp_path / "a.jsonl") == 1
    with pytest.raises(ValueError, match=r"pip install .\.\[sweep\]"):
        sweep([Task(**TINY)], tmp_path / "a.jsonl", workers=1)


# ---------------------------------------------------------------- the ledger
def test_an_id_is_taken_once_whoever_else_writes(tmp_path):
    path = tmp_path / "a.jsonl"
    one, two = results.Ledger(path), results.Ledger(path)
    assert one.add({"id": "a"})
    assert not two.add({"id": "a"})
    assert two.add({"id": "b"})
    with open(path, "a") as file:
        file.write('{"id": "torn", "metr')
    assert one.refreshed() == {"a", "b"}
    assert one.add({"id": "torn"}), "a torn record is no record"
    assert two.refreshed() == {"a", "b", "torn"}
    with pytest.warns(UserWarning, match="line 3"):
        assert ids(path) == ["a", "b", "torn"]


def test_a_last_line_without_its_break_counts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id":"a"}')
    ledger = results.Ledger(path)
    assert not ledger.add({"id": "a"})
    assert ledger.add({"id": "b"})
    assert ids(path) == ["a", "b"]


# ---------------------------------------------------------------- Dask
@pytest.mark.slow
def test_workers_run_real_tasks_with_data_sent_to_them(tmp_path, monkeypatch, capsys):
    """The worker's home has no data at all: they come from here, by fingerprint."""
    tasks = list(grid(seed=[0, 1], **{key: [value] for key, value in TINY.items()}))
    alone, together = tmp_path / "alone.jsonl", tmp_path / "together.jsonl"
    sweep(tasks, alone)
    assert sweep(tasks, together, workers=1) == 2
    assert sweep(tasks, together, workers=1) == 0
    assert "dashboard: http" in capsys.readouterr().out
    here, there = (results.load(name, folder=tmp_path).set_index("id") for name in ("alone", "together"))
    assert set(here.index) == set(there.index)
    for column in ("metrics/image_auroc", "data_fingerprint", "adlib", "commit"):
        assert (here[column] == there.loc[here.index, column]).all(), column
    assert (there["hardware/threads"] == 1).all()


@pytest.mark.slow
def test_data_that_cannot_be_read_cost_their_task_only_here_and_on_workers(tmp_path, monkeypatch):
    monkeypatch.delenv("ADLIB_DATA", raising=False)
    gone = Task("pca", "mvtec/bottle", size=32)
    tasks = [Task(**TINY), gone, Task.of(**TINY, seed=1)]
    for workers in (0, 1):
        ledger = tmp_path / f"{workers}.jsonl"
        with pytest.raises(SweepError, match=r"(?s)1 tasks failed, 2 were recorded.*mvtec/bottle"):
            sweep(tasks, ledger, workers=workers)
        assert sorted(ids(ledger)) == sorted([task_id(tasks[0]), task_id(tasks[2])])


@pytest.mark.slow
def test_a_record_that_cannot_be_kept_costs_its_job_only(threads, tmp_path):
    made = [cluster.Job(key, "bad", (key,)) for key in "ab"]
    done = cluster.collect(threads, not_a_number_at_b, made, results.Ledger(tmp_path / "x"))
    outcomes = {job.key: outcome for job, outcome in done}
    assert outcomes["a"]["id"] == "a"
    assert "curves/loss[1] is nan" in str(outcomes["b"])
    assert ids(tmp_path / "x") == ["a"]


def test_another_version_of_the_package_is_refused():
    with pytest.raises(RuntimeError, match="their records must not mix"):
        sweeping.perform(Task(**TINY), None, "cpu", asked_by=("000000000000", "unknown"))


@pytest.mark.slow
def test_a_worker_killed_in_mid_task_costs_no_record_and_doubles_none(client, tmp_path):
    ledger, killed = results.Ledger(tmp_path / "a.jsonl"), None
    keys = [f"k{number}" for number in range(8)]
    for _ in cluster.collect(client, note, jobs(note, keys, str(tmp_path), 0.3), ledger):
        if killed is None:
            pids = client.run(os.getpid)
            killed = next(pid for pid in pids.values() if any(tmp_path.glob(f"*.{pid}")))
            os.kill(killed, signal.SIGKILL)
    assert sorted(ids(ledger.path)) == keys
    assert len(list(tmp_path.glob("k*"))) > len(keys), "the task that was running was begun again"


@pytest.mark.slow
def test_a_failed_job_is_given_back_and_the_others_go_on(threads, tmp_path):
    ledger = results.Ledger(tmp_path / "a.jsonl")
    done = cluster.collect(threads, fail_at_b, jobs(fail_at_b, "abc"), ledger)
    outcomes = {job.key: type(outcome) for job, outcome in done}
    assert outcomes == {"a": dict, "b": ArithmeticError, "c": dict}
    assert sorted(ids(ledger.path)) == ["a", "c"]


@pytest.mark.slow
def test_the_same_sweep_twice_and_two_at_once_record_each_job_once(threads, tmp_path):
    keys = [f"k{number}" for number in range(20)]
    path = tmp_path / "a.jsonl"
    with in_this_process(1) as other:
        running = [
            cluster.collect(client, note, jobs(note, keys, str(tmp_path), 0.01), results.Ledger(path))
            for client in (threads, other)
        ]
        recorded = 0
        while running:
            for each in list(running):
                try:
                    next(each)
                    recorded += 1
                except StopIteration:
                    running.remove(each)
    assert recorded == len(keys)
    assert sorted(ids(path)) == sorted(keys)
    assert not list(cluster.collect(threads, note, jobs(note, keys, str(tmp_path)), results.Ledger(path)))


@pytest.mark.slow
def test_a_client_that_was_killed_is_called_again_and_goes_on(client, tmp_path):
    script = f"""
        import sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        from sweep_jobs import cluster, jobs, note
        from adlib_book.ledger import results
        with cluster.connect({client.scheduler.address!r}) as client:
            ledger = results.Ledger({str(tmp_path / "a.jsonl")!r})
            for job, _ in cluster.collect(client, note, jobs(note, "abcdefghij", {str(tmp_path)!r}, 0.3), ledger):
                print(job.key, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.kill()
    before = ids(tmp_path / "a.jsonl")
    assert 0 < len(before) < 10
    ledger = results.Ledger(tmp_path / "a.jsonl")
    added = [
        job.key for job, _ in cluster.collect(client, note, jobs(note, "abcdefghij", str(tmp_path)), ledger)
    ]
    assert len(added) == 10 - len(before)
    assert sorted(ids(ledger.path)) == list("abcdefghij")


@pytest.mark.slow
def test_data_survive_the_worker_that_held_them(threads):
    sent = cluster.share(threads, {"pixels": b"1" * 1000}, "fingerprint")
    assert sent.result() == {"pixels": b"1" * 1000}
    (holder,) = threads.who_has(sent)[sent.key]
    threads.retire_workers([holder], close_workers=True)
    assert threads.submit(len, sent).result() == 1


def test_nobody_at_the_address(monkeypatch):
    import distributed

    def silent(*_, **__):
        raise OSError("Timed out")

    monkeypatch.setattr(distributed, "Client", silent)
    with pytest.raises(OSError, match="dask scheduler"), cluster.connect("tcp://127.0.0.1:1"):
        pass


@pytest.mark.slow
def test_many_tiny_jobs_leave_nothing_behind(threads, tmp_path):
    """Ten thousand, with memory and time, are measured in benchmarks/test_sweep_speed.py."""
    ledger = results.Ledger(tmp_path / "a.jsonl")
    keys = [f"k{number}" for number in range(300)]
    most = 0
    for _ in cluster.collect(threads, tiny, jobs(tiny, keys), ledger):
        most = max(most, len(threads.futures))
    assert sorted(ids(ledger.path)) == sorted(keys)
    # two threads times AHEAD, and some whose release the client has not yet noted
    assert most <= len(keys) // 10, "only what keeps the workers busy is in flight"
    deadline = time.monotonic() + 5
    while threads.futures and time.monotonic() < deadline:  # the last one is let go a moment later
        time.sleep(0.05)
    assert not threads.futures
