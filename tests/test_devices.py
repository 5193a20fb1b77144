"""How many threads compute: a rule on network and batch, overridden by whoever asks, put back afterwards."""

from __future__ import annotations

import pytest
import torch

from adlib.detectors import make_detector
from adlib.devices import threads_for


@pytest.fixture
def two_threads(monkeypatch):
    """As on a machine with two cores, where nobody has asked for a number of threads."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "ADLIB_THREADS"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_inside(work, device="cpu"):
    with threads_for(work, torch.device(device)):
        return torch.get_num_threads()


def test_small_batches_have_one_thread_and_large_ones_all(two_threads):
    assert [threads_inside(work) for work in (0, 9e11, 1e12, float("inf"))] == [1, 1, 2, 2]
    assert threads_inside(0, "meta") == 2
    assert torch.get_num_threads() == 2


def test_whoever_asks_for_threads_gets_them(two_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_inside(0) == 2
    monkeypatch.setenv("ADLIB_THREADS", "1")
    assert threads_inside(1e13) == 1
    monkeypatch.setenv("ADLIB_THREADS", "two")
    with pytest.raises(ValueError, match="ADLIB_THREADS is 'two'; expected a whole number"):
        threads_inside(0)


def test_threads_are_put_back_also_after_an_error(two_threads):
    with pytest.raises(KeyError), threads_for(0, torch.device("cpu")):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_training_and_scoring_follow_the_rule(two_threads, monkeypatch):
    counts = []
    detector = make_detector("unet", (1, 16, 16), "smoke", device="cpu", steps=2, checkpoints=1)
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    detector.fit(images, progress="quiet", on_checkpoint=lambda *_: counts.append(torch.get_num_threads()))
    step = detector.score_step
    monkeypatch.setattr(detector, "score_step", lambda *a: counts.append(torch.get_num_threads()) or step(*a))
    detector.anomaly_score(images)
    monkeypatch.setattr(type(detector), "reuse", 1e12)
    detector.anomaly_score(images)
    assert counts == [1, 1, 2]
    assert torch.get_num_threads() == 2
