"""Scoring on the workers of a Dask scheduler: the same verdicts, in order, each file once."""

from __future__ import annotations

import json

import pytest
from discs import disc, write_discs
from typer.testing import CliRunner

from adlib.inspection import fit_inspector
from adlib.inspection.inspector import expand
from adlib_book import distributed_scoring
from adlib_book.cli import app

distributed = pytest.importorskip("distributed", reason="the extra `sweep` is not installed")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    inspector = fit_inspector([disc(seed) for seed in range(8)], "pca", size=32, profile="smoke")
    return inspector.save(tmp_path_factory.mktemp("model") / "part.safetensors")


@pytest.fixture(scope="module")
def incoming(tmp_path_factory):
    folder = write_discs(tmp_path_factory.mktemp("incoming"), 11, 3)
    (folder / "train/good/0005.png").write_bytes(b"no image")
    return folder


def test_verdicts_are_those_of_one_machine_in_order(client, model, incoming, monkeypatch):
    monkeypatch.setattr(distributed_scoring, "PORTION", 3)
    listed = list(expand([incoming], []))
    here = list(distributed_scoring.Inspector.load(model).score(listed))
    there = list(distributed_scoring.score_on(client, model, listed))
    assert [each.file for each in there] == [each.file for each in here]
    assert [each.score for each in there] == pytest.approx([each.score for each in here], nan_ok=True)
    assert [each.error for each in there] == [each.error for each in here]
    assert sum(each.error is not None for each in there) == 1
    bare = list(distributed_scoring.score_on(client, model, listed, maps=False))
    assert all(each.map is None for each in bare)


def test_two_who_score_other_files_with_one_detector_get_their_own_verdicts(client, model, incoming):
    """At the same time: the second asks before the first has taken anything."""
    good, bad = (list(expand([incoming / place], [])) for place in ("test/good", "test/scratch"))
    first = distributed_scoring.score_on(client, model, good)
    begun = next(first)
    second = list(distributed_scoring.score_on(client, model, bad))
    assert [each.file for each in (begun, *first)] == [str(each.file) for each in good]
    assert [each.file for each in second] == [str(each.file) for each in bad]


def test_the_command_takes_a_scheduler(client, model, incoming, tmp_path):
    arguments = ["score", str(model), str(incoming), "--json", "--csv", str(tmp_path / "scores.csv")]
    alone = CliRunner().invoke(app, arguments)
    table = (tmp_path / "scores.csv").read_bytes()
    shared = CliRunner().invoke(app, [*arguments, "--scheduler", client.scheduler.address])
    assert alone.exit_code == shared.exit_code == 3
    assert shared.stdout == alone.stdout
    assert (tmp_path / "scores.csv").read_bytes() == table
    assert json.loads(shared.stdout.splitlines()[-1])["summary"]["unreadable"] == 1


def test_no_scheduler_is_said(model, incoming, monkeypatch):
    monkeypatch.setattr("adlib_book.ledger.cluster.PATIENCE", 1)
    result = CliRunner().invoke(app, ["score", str(model), str(incoming), "--scheduler", "tcp://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "dask scheduler" in str(result.exception)
