"""The command line says what is there and what to do; it ends with 1 when something is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tiny_checkout import CELLS, make_workspace, write_notebook

from adlib_book import cli
from adlib_book.nightly import baselines, night
from adlib_book.runner import parallel
from adlib_book.runner import workspace as places
from adlib_book.site import build


@pytest.fixture
def adlib(tmp_path, monkeypatch, capsys):
    """Call `adlib ...` in a miniature checkout; gives exit code, stdout, stderr."""
    workspace = make_workspace(tmp_path)
    monkeypatch.setattr(places.Workspace, "here", classmethod(lambda _: workspace))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["adlib", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def no_kernel(monkeypatch):
    """Runs without executing anything: the numbers are given."""
    numbers = {"auroc": 0.9}

    def fake(name, profile="smoke", parameters=None, **_):
        metrics = {key: {"value": value, "limits": [0, 1]} for key, value in numbers.items()}
        where = {"adlib": "0", "commit": "0", "device": "cpu"}
        return {
            "id": "a run",
            "chapter": "01_tiny",
            "profile": profile,
            "seconds": 1.0,
            "metrics": metrics,
            **where,
        }

    for module in (baselines, parallel):
        monkeypatch.setattr(module, "run_chapter", fake)
    return numbers


def test_chapters_are_listed(adlib):
    assert adlib("chapters", "list") == (0, "01_tiny\n", "")


def test_the_life_of_a_baseline(adlib, no_kernel):
    code, _, err = adlib("chapters", "run", "01", "--profile", "smoke")
    assert code == 1
    assert "auroc: 0.9 has no baseline (run a run)" in err

    code, out, _ = adlib("baselines", "update", "01_tiny", "--profile", "smoke", "--reason", "first")
    assert (code, out) == (0, "auroc: none -> 0.9\nreason: first\nrecord: a run, commit 0\n")
    assert adlib("baselines", "check", "01_tiny", "--profile", "smoke")[0] == 0

    no_kernel["auroc"] = 0.7
    code, _, err = adlib("chapters", "run", "--all")
    assert code == 1
    for part in ("auroc: 0.7", "[0.81, 0.99]", "01_tiny.json"):
        assert part in err


def test_the_book_is_built_whatever_its_numbers_and_the_last_lines_name_them(adlib, no_kernel, monkeypatch):
    monkeypatch.setattr(build, "build_site", lambda records, name, workspace: workspace.build / name)
    assert adlib("baselines", "update", "01", "--profile", "live", "--reason", "first")[0] == 0
    code, _, err = adlib("site", "build")
    assert (code, "differ" in err) == (0, False)

    no_kernel["auroc"] = 0.565
    code, _, err = adlib("site", "build")
    lines = [line for line in err.splitlines() if "auroc" in line]
    assert (code, len(lines)) == (0, 1)
    assert "1 number differs from the baselines" in lines[0]
    assert "auroc: 0.565 is outside [0.81, 0.99]" in lines[0]
    assert adlib("chapters", "run", "01", "--profile", "live")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("measure", "--reason", " "), "--reason"),
        (("update", "01", "--reason", " "), "--reason"),
    ],
)
def test_baselines_are_refused_before_anything_is_executed(adlib, monkeypatch, arguments, message):
    monkeypatch.setattr(baselines, "run_chapter", lambda *_, **__: pytest.fail("executed"))
    code, _, err = adlib("baselines", *arguments)
    assert code == 1
    assert message in err


def test_a_run_with_parameters_of_ones_own_has_no_baselines(adlib, no_kernel):
    code, _, err = adlib("chapters", "run", "01", "-p", "seed=3")
    assert code == 0
    assert "not held against baselines" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chapters", "run", "07"), "unknown chapter '07'"),
        (("chapters", "run", "01", "--profile", "lve"), "Did you mean 'live'"),
        (("chapters", "run", "01", "-p", "sed=1"), "Did you mean 'seed'"),
        (("site", "serve"), "make book"),
        (("history", "keep", "nowhere/live.jsonl"), "no history file nowhere/live.jsonl"),
    ],
)
def test_mistakes_are_answered_in_one_line(adlib, arguments, message):
    code, _, err = adlib(*arguments)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_a_name_that_several_chapters_begin_with_is_called_ambiguous(adlib):
    write_notebook(places.Workspace.here().root / "notebooks" / "02_tiny.ipynb", CELLS)
    code, _, err = adlib("chapters", "run", "0")
    assert code == 1
    assert "chapter '0' is ambiguous: 01_tiny, 02_tiny. Give more of the name." in err


@pytest.mark.parametrize("arguments", [("chapters", "run"), ("chapters", "run", "01", "-p", "seed")])
def test_wrong_usage_is_refused(adlib, arguments):
    assert adlib(*arguments)[0] == 2


@pytest.mark.parametrize(
    ("text", "value"), [("seed=3", 3), ("d=elpv/mono", "elpv/mono"), ("r=0.5", 0.5), ("x=", "")]
)
def test_parameters_are_read_as_json_or_text(text, value):
    assert list(cli._parameters([text]).values()) == [value]


def test_data_sets_are_listed(adlib):
    code, out, _ = adlib("data", "list")
    assert code == 0
    for part in ("elpv/mono", "CC BY-NC-SA", "mvtec/bottle", "ADLIB_DATA"):
        assert part in out


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), 4), (ValueError("no such tier"), 2)]
)
def test_a_night_that_cannot_be_written_is_the_machines_fault(adlib, monkeypatch, error, code):

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(night, "nightly", fails)
    ended, _, err = adlib("nightly")
    assert ended == code
    assert str(error) in err


def test_a_night_that_cannot_begin_ends_with_2(adlib):
    code, out, err = adlib("nightly", "--profile", "lve")
    assert (code, out) == (2, "")
    assert "unknown profile 'lve'. Did you mean 'live'?" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [(("data", "list"), 0, "texture/wood"), (("chapters", "run", "01"), 1, "needs the package nbformat")],
)
def test_the_core_install_has_the_commands_about_data_and_says_what_the_others_need(command, code, printed):
    blocked = "dict.fromkeys(['nbformat', 'nbclient', 'papermill', 'yaml', 'distributed'])"
    program = f"import sys; sys.modules |= {blocked}; sys.argv = ['adlib', *{command!r}]"
    program += "; from adlib_book.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert printed in done.stdout + done.stderr
