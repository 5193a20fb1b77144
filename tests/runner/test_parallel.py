"""Several chapters at once: in reading order, apart from each other, stopped together."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from nbformat.v4 import new_code_cell
from tiny_checkout import CELLS, write_notebook

from adlib.errors import ChapterError
from adlib_book.runner import kernel, parallel, worker
from adlib_book.runner.kernel import KernelDied
from adlib_book.runner.parallel import run_all, run_chapters, workers_for
from adlib_book.runner.run import run_chapter

MEET = """
import time
from pathlib import Path
Path({own!r}).touch()
start = time.monotonic()
while not Path({other!r}).exists():
    assert time.monotonic() - start < 100, "the other chapter does not run at the same time"
    time.sleep(0.1)
"""


@pytest.fixture
def chapters(workspace):
    """Write chapters of one cell each; gives their names."""

    def write(*sources: str) -> list[str]:
        for number, source in enumerate(sources, 1):
            path = workspace.root / "notebooks" / f"{number:02}_tiny.ipynb"
            write_notebook(path, [*CELLS[:2], new_code_cell(source)])
        return [f"{number + 1:02}_tiny" for number in range(len(sources))]

    return write


def records_of(workspace) -> list[str]:
    return sorted(path.stem for path in (workspace.build / "executed").rglob("*.json"))


ONE_THREAD = """
import sklearn.linear_model, torch
from threadpoolctl import threadpool_info
assert torch.get_num_threads() == 1
assert {pool["num_threads"] for pool in threadpool_info()} == {1}, threadpool_info()
"""


def test_chapters_run_at_the_same_time_with_one_thread_and_their_results_come_in_reading_order(
    workspace, chapters, tmp_path, monkeypatch
):
    """Each waits for the other; the first one ends last, and takes more memory."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    late = "\nblock = bytearray(400_000_000)\ntime.sleep(2)"
    names = chapters(MEET.format(own=one, other=two) + ONE_THREAD + late, MEET.format(own=two, other=one))
    results = list(run_chapters(names, workspace=workspace, workers=2))
    assert [name for name, _ in results] == names
    first, second = (record for _, record in results)
    assert [first["chapter"], second["chapter"]] == names
    assert first["hardware"]["threads"] == 1
    assert first["seconds"] > second["seconds"]
    assert first["peak_mb"] > 400 > second["peak_mb"] > 20, "each watches its own kernel"
    assert max(cell["peak_mb"] for cell in first["cells"]) > 400
    assert dict(results) == {name: run_chapter(name, workspace=workspace) for name in names}, "all is cached"


def test_a_chapter_that_fails_does_not_stop_the_others_and_all_failures_are_named(
    workspace, chapters, capsys
):
    names = chapters("1 / 0", "pass", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)", "pass")
    with pytest.raises(ChapterError) as error:
        list(run_all(names, "smoke", workspace=workspace, workers=2))
    assert records_of(workspace) == ["02_tiny", "04_tiny"]
    for part in (
        "2 of 4 chapters failed: 01_tiny, 03_tiny",
        "ZeroDivisionError",
        f"died. What it said: {workspace.build}",
    ):
        assert part in str(error.value)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "4 chapters (smoke), 2 at a time"
    assert [line[:7] for line in said[1:]] == names


class Unpicklable(ValueError):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()  # no library's way of pickling errors gets past it


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KernelDied("gone"), KernelDied("gone")),
        (ChapterError("cell 3"), ChapterError("cell 3")),
        (OSError(28, "No space left on device"), OSError(28, "No space left on device")),
        (Unpicklable("no copy"), RuntimeError("Unpicklable: no copy")),
    ],
)
def test_errors_keep_their_kind_from_process_to_process(error, expected):
    """A night judges by the kind whether the machine is at fault."""
    received = pickle.loads(pickle.dumps(worker._picklable(error)))
    assert (type(received), received.args) == (type(expected), expected.args)


def test_one_chapter_alone_raises_its_own_error(workspace, chapters):
    with pytest.raises(ChapterError, match=r"^chapter 01_tiny \(smoke\) failed in cell"):
        list(run_all(chapters("1 / 0"), "smoke", workspace=workspace))


def test_mistakes_are_refused_before_anything_is_executed(workspace, chapters):
    names = chapters("pass", "pass")
    with pytest.raises(ValueError, match="Did you mean 'seed'"):
        run_chapters(names, "smoke", {"sed": 1}, workspace=workspace, workers=2)
    with pytest.raises(ValueError, match="workers is 0"):
        run_chapters(names, workspace=workspace, workers=0)
    assert not workspace.build.exists()


ALONE = """
import time
from pathlib import Path
mark = Path({mark!r})
mark.open("x").close()  # fails if the chapter is being executed already
time.sleep(1)
mark.unlink()
with open({log!r}, "a") as file:
    file.write("executed\\n")
"""


def test_of_two_commands_that_want_one_chapter_one_waits_and_takes_the_record_of_the_other(
    workspace, chapters, tmp_path
):
    (name,) = chapters(ALONE.format(mark=str(tmp_path / "mark"), log=str(tmp_path / "log")))
    (_, first), (_, second) = run_chapters([name, name], workspace=workspace, workers=2)
    assert first == second
    assert first["chapter"] == name
    assert (tmp_path / "log").read_text() == "executed\n"


SCRIPT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background would ignore it
from adlib_book.runner.parallel import run_chapters
from adlib_book.runner.workspace import Workspace
print(list(run_chapters(["01", "02", "03"], workspace=Workspace(Path(sys.argv[1])), workers=2)))
"""
SLEEP = (
    "import os, time\nfrom pathlib import Path\nPath({place!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
)


def wait_for(condition, seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_however_the_command_ends_its_chapters_end_too_and_leave_no_record(
    workspace, chapters, tmp_path, how
):
    places = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    chapters(*(SLEEP.format(place=str(place)) for place in places))
    environment = {**os.environ, "PYTHONPATH": kernel.import_path()}
    command = [sys.executable, "-c", SCRIPT, str(workspace.root)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(lambda: all(place.is_file() and place.read_text() for place in places[:2]))
        children = psutil.Process(process.pid).children(recursive=True)
        assert {int(place.read_text()) for place in places[:2]} <= {child.pid for child in children}
        process.send_signal(how)
        output, errors = process.communicate(timeout=60)
    assert process.returncode
    assert (how == signal.SIGINT) == (b"KeyboardInterrupt" in errors)
    assert not output
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert not places[2].exists(), "no further chapter is begun"
    assert records_of(workspace) == []


def test_as_many_at_once_as_cores_memory_and_chapters_allow(monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def with_memory(gigabytes: float, chapters: int, workers: int | None = None) -> int:
        available = SimpleNamespace(available=gigabytes * 1e9)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
        return workers_for(chapters, workers)

    assert with_memory(100, 10) == 8
    assert with_memory(100, 3) == 3
    assert with_memory(7, 10) == 2
    assert with_memory(1, 10) == 1
    assert with_memory(1, 10, workers=4) == 4
    assert with_memory(100, 0) == 1
