"""`adlib fit`, `score` and the rest: three commands from a folder to a verdict, and exit codes that scripts can use."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from discs import disc, write_discs
from PIL import Image

from adlib.inspection import Inspector, Verdict, fit_inspector
from adlib.inspection.scoring import score_files
from adlib_book import cli


@pytest.fixture
def adlib(monkeypatch, capsys):
    """Call `adlib ...`; gives exit code, stdout, stderr."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["adlib", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Discs, and black images among them that every detector tells apart."""
    folder = write_discs(tmp_path_factory.mktemp("parts"), 12, 2)
    (folder / "test/black").mkdir()
    Image.new("RGB", (96, 96)).save(folder / "test/black/b.png")
    return folder


@pytest.fixture
def model(adlib, parts, tmp_path):
    path = tmp_path / "part.safetensors"
    code, out, err = adlib("fit", parts, "-o", path, "--detector", "pca", "--size", 16, "--false-alarms", 0.1)
    assert (code, "Not used: 'test'" in err) == (0, True)
    assert "fitted to 12 good images. From 12 good images: about 1 in 13" in out
    return path


def test_a_folder_without_labels_gets_a_verdict_for_each_image(adlib, model, parts):
    code, out, err = adlib("score", model, parts / "test")
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[0].split()[::2] == ["defective", str(parts / "test/black/b.png")]
    assert code == 10
    assert "5 images: " in err


def test_exit_codes_say_how_it_went(adlib, model, parts, tmp_path):
    good, black = parts / "train/good", parts / "test/black"
    assert adlib("score", model, good)[0] == 0
    assert adlib("score", model, black, good)[0] == 10
    assert adlib("score", model, black, tmp_path / "nothing.png")[0] == 3  # outranks 10
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert adlib("score", model, tmp_path / "broken.png", black)[0] == 3
    assert adlib("score", model)[0] == 2
    assert adlib("fit", good, "-o", tmp_path / "x", "--detector", "pcaa")[0] == 2
    assert adlib("fit", good, "-o", tmp_path / "x", "--false-alarms", 2)[0] == 2
    assert adlib("score", good / "0000.png", good)[0] == 1  # an image in the place of a model
    assert adlib("fit", parts / "nowhere", "-o", tmp_path / "x")[0] == 1


def test_strict_stops_at_what_would_be_left_out(adlib, model, parts, tmp_path):
    (tmp_path / "in").mkdir()
    disc(0).save(tmp_path / "in/a.png")
    (tmp_path / "in/readme.txt").write_text("x")
    code, _, err = adlib("score", model, tmp_path / "in")
    assert (code in (0, 10), "no images that can be read: 1 file (1 .txt" in err) == (True, True)
    code, _, err = adlib("score", model, tmp_path / "in", "--strict")
    assert (code, "readme.txt" in err) == (3, True)


def test_a_table_maps_and_json(adlib, model, parts, tmp_path):
    table, maps = tmp_path / "out/scores.csv", tmp_path / "maps"
    code, out, _ = adlib("score", model, parts / "test", "--csv", table, "--maps", maps, "--json")
    *rows, last = map(json.loads, out.splitlines())
    assert code == 10
    assert [row["file"] for row in rows] == [
        row["file"] for row in csv.DictReader(io.StringIO(table.read_text()))
    ]
    assert last["summary"]["defective"] + last["summary"]["good"] == 5
    assert "12 good images" in last["summary"]["threshold"]
    for row in rows:
        assert row["defective"] == (row["score"] > row["threshold"])
        name = row["file"].removeprefix(f"{parts / 'test'}/")
        assert Image.open(maps / f"{name}.png").size == (96, 96) == tuple(row["size"])
    assert np.asarray(Image.open(maps / "black/b.png.png")).max() > 128  # more suspicious than any good place


def test_patterns_and_standard_input_and_each_file_once(adlib, model, parts, monkeypatch):
    pattern = str(parts / "test/*/*.png")
    _, out, _ = adlib("score", model, pattern, parts / "test/good")
    assert len(out.splitlines()) == 5
    names = "\n".join(map(str, sorted((parts / "test/good").iterdir())))
    monkeypatch.setattr("sys.stdin", io.StringIO(names + "\n"))
    _, out, _ = adlib("score", model, "-")
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("between", ["\n", "\r\n", "\0"])
def test_standard_input_as_other_programs_write_it(adlib, model, parts, monkeypatch, between):
    names = between.join(["", *map(str, sorted((parts / "test/good").iterdir())), ""])
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff" + names))
    _, out, _ = adlib("score", model, "-")
    assert (len(out.splitlines()), "unreadable" in out) == (2, False)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("between", ["\r\n", "\r"])
def test_lists_of_other_systems_are_read(adlib, model, tmp_path, monkeypatch, encoding, between):
    (tmp_path / "Größe").mkdir()
    for name in ("ä.png", "b.png"):
        disc(1).save(tmp_path / "Größe" / name)
    listed = between.join([f"{tmp_path}/Größe/ä.png", f'"{tmp_path}\\Größe\\b.png"', ""]).encode(encoding)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listed)))
    code, out, _ = adlib("score", model, "-")
    assert (code, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{0};\n{1};\n", ("is a table",)),
        ("file;kind\n{0};scratch\n{1};hole\n", ("is a table", "headline")),
        ('Path,score\n"{2}",0.5\n"{1}",0.7\n', ("is a table", "headline")),
        ("\ufefffilename\t\n{0}\tgood\n{1}\t\n", ("is a table", "headline")),
        ("file\n{2}\n{1}\n", ("headline",)),
    ],
)
def test_the_first_column_of_a_table_is_taken_and_said(adlib, model, tmp_path, monkeypatch, table, said):
    files = [tmp_path / name for name in ("a.png", "d.png", "a, b; c.png")]
    for file in files:
        disc(1).save(file)
    monkeypatch.setattr("sys.stdin", io.StringIO(table.format(*files)))
    code, out, err = adlib("score", model, "-")
    assert (code, len(out.splitlines())) == (0, 2)
    assert tuple(words for words in ("is a table", "headline") if words in err) == said


def test_a_list_without_a_file_is_named_line_by_line(adlib, model, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("file\nnowhere.png;\n" + 150_000 * "x" + "\n"))
    code, out, _ = adlib("score", model, "-")
    assert (code, "nowhere.png;" in out, len(out.splitlines())) == (3, True, 2)


def test_of_a_tree_with_a_locked_folder_the_rest_is_scored(adlib, model, parts, tmp_path, monkeypatch):
    shutil.copytree(parts / "test/good", tmp_path / "tree/good")
    lock(monkeypatch, tmp_path / "tree/good/locked")
    code, out, _ = adlib("score", model, tmp_path / "tree")
    assert (code, len(out.splitlines())) == (3, 3)
    assert f"folder '{tmp_path / 'tree/good/locked'}' cannot be read" in out
    code, _, err = adlib("fit", tmp_path / "tree", "-o", tmp_path / "new.safetensors")
    assert (code, "cannot be read: Permission denied. Allow it" in err) == (1, True)


def lock(monkeypatch, folder):
    """Make a folder that may not be read, whoever asks."""
    folder.mkdir(parents=True)
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def test_the_list_that_is_read_is_not_written_over(adlib, model, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("a.png\n")
    with (tmp_path / "list.txt").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        code, _, err = adlib("score", model, "-", "--csv", tmp_path / "list.txt")
    assert (code, "is read for this" in err) == (1, True)


def test_paths_are_what_was_typed(adlib, model, parts, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PARTS", str(parts))
    monkeypatch.chdir(parts.parent)
    for typed in ("$PARTS/train/good", parts.as_uri() + "/train/good", f"{parts.name}\\train\\good"):
        assert len(adlib("score", model.as_uri(), typed)[1].splitlines()) == 12, typed
        assert adlib("doctor", typed)[0] == 10, typed
        assert adlib("fit", typed, "-o", "~/again.safetensors", "--detector", "pca", "--size", 16)[0] == 0, (
            typed
        )
    assert (tmp_path / "again.safetensors").is_file()
    for command in (
        ("fit", "", "-o", "x"),
        ("score", "", parts),
        ("report", model, parts, "-o", ""),
        ("doctor", ""),
    ):
        code, _, err = adlib(*command)
        assert (code, "expected the path" in err) == (1, True), command


def test_links_that_lead_nowhere_are_said(adlib, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dead.png").symlink_to("nowhere.png")
    for typed in ("loop.png", "dead.png", "*.png"):
        code, out, _ = adlib("score", model, typed)
        assert (code, "is a link that leads nowhere" in out) == (3, True)


def test_scores_that_are_all_the_same_are_said(parts, monkeypatch):
    inspector = fit_inspector(parts, "pca", size=16, profile="smoke")
    monkeypatch.setattr(Inspector, "_judge", lambda self, opened, seen: Verdict(
        opened.name, 1.0, True, opened.size, appearance=opened.appearance
    ))  # fmt: skip
    summary = score_files(inspector, [parts / "test"], lambda line: None)
    assert any(
        "All of these different images have the same score, 1:" in note for note in summary.sentences()
    )


def test_empty_standard_input_is_no_clean_bill(adlib, model, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, out, _ = adlib("score", model, "-")
    assert code == 3
    assert "standard input, which was empty" in out


def test_why_a_file_could_not_be_read_stands_in_its_line_and_the_rest_goes_on(adlib, model, parts, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    good = next((parts / "test/good").iterdir())
    code, out, _ = adlib("score", model, "x" * 300, tmp_path / "text.png", good)
    lines = out.splitlines()
    assert code == 3
    assert re.search(r"unreadable .*x  \(.*cannot be looked up: File name too long\)", lines[0])
    assert re.search(r"unreadable .*text\.png  \(.+\)", lines[1])
    assert lines[2].endswith(str(good))


def test_folders_in_a_pattern_are_taken_to_the_letter(adlib, model, tmp_path):
    (tmp_path / "part [2]").mkdir()
    Image.new("L", (96, 96)).save(tmp_path / "part [2]" / "a.png")
    _, out, _ = adlib("score", model, tmp_path / "part [2]" / "*.png")
    assert out.endswith("a.png\n")
    assert "unreadable" not in out


def test_nothing_that_is_read_is_written_over(adlib, model, parts, tmp_path):
    photograph = tmp_path / "photographs" / "a.png"
    photograph.parent.mkdir()
    photograph.write_bytes(next((parts / "test/good").iterdir()).read_bytes())
    before = {path: path.read_bytes() for path in (model, photograph)}
    for command in (
        ("score", model, photograph, "--csv", model),
        ("score", model, photograph, "--csv", photograph),
        ("score", model, photograph.parent, "--maps", photograph.parent / "maps"),
        ("score", model, photograph, "--maps", photograph),
        ("report", model, photograph, "-o", photograph),
        ("report", model, photograph, "-o", model),
        ("export", model, model),
        ("fit", parts, "-o", photograph, "--detector", "pca", "--size", 16),
    ):
        code, _, err = adlib(*command)
        assert (code, "Name another" in err or "Name a folder outside" in err) == (1, True), (command, err)
    assert {path: path.read_bytes() for path in before} == before
    assert [*photograph.parent.iterdir()] == [photograph]


def test_a_value_range_is_kept_in_the_file(adlib, parts, tmp_path):
    path = tmp_path / "part.safetensors"
    arguments = ("--detector", "pca", "--size", 16, "--value-range", 0, 1023)
    code, _, err = adlib("fit", parts, "-o", path, *arguments)
    assert (code, "1023 is white" in err) == (0, True)
    assert Inspector.load(path).detector.value_range == (0, 1023)


def test_what_is_unlike_the_good_images_altogether_is_said(adlib, model, tmp_path):
    for level in range(12):
        Image.new("L", (96, 96), 15 * level).save(tmp_path / f"{level}.png")
    _, _, err = adlib("score", model, tmp_path)
    assert "another camera, light or part?" in err


def test_help_has_an_example_and_the_exit_codes(adlib):
    for command in ("fit", "score"):
        code, out, _ = adlib(command, "--help")
        assert (code, "Example:" in out) == (0, True)
    assert "outranks 10" in " ".join(out.split())


@pytest.mark.slow
def test_the_readmes_first_example_for_own_images_works(adlib, tmp_path, monkeypatch):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    commands = re.search(r"```bash\n(adlib fit .*?)```", readme, re.S)[1].splitlines()
    assert len(commands) == 3
    discs = write_discs(tmp_path / "discs", 8, 1)
    (tmp_path / "parts").mkdir()
    (discs / "train/good").rename(tmp_path / "parts/good")
    discs.rename(tmp_path / "incoming")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert adlib(*shlex.split(command, comments=True)[1:])[0] in (0, 10)
    assert {"part.safetensors", "scores.csv", "report.html"} <= {path.name for path in tmp_path.iterdir()}
