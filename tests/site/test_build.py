"""The pages: one real build of a tiny book, and every guard that must stop a bad one."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tiny_checkout import make_workspace

from adlib.errors import ChapterError
from adlib.files import write_atomic
from adlib_book import npm
from adlib_book.npm import Package
from adlib_book.runner.run import run_chapter
from adlib_book.site import scripts
from adlib_book.site.build import build_site
from adlib_book.site.chapter_page import last_verified, staged_notebook
from adlib_book.site.checks import check_executed, check_pages, foreign_resources
from adlib_book.site.repository import repository_setting, with_repository
from adlib_book.site.scripts import PACKAGES, fetch_scripts
from adlib_book.site.stage import page_names

# One worker builds the pages, once.

RECORD = {
    "id": "01_tiny.live.20261122T200000.abcdef",
    "chapter": "01_tiny",
    "profile": "live",
    "seconds": 192.0,
    "started_at": "2026-11-22T20:00:00+00:00",
    "commit": "0123456789ab",
    "device": "cpu",
    "hardware": {"processor": "Some Processor", "cores": 2, "threads": 1},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A finished site, made the way `make book` makes it, from a run with one parameter changed."""
    workspace = make_workspace(tmp_path_factory.mktemp("checkout"))
    held = {"score/D1": {"value": 0.5, "tolerance": 0.1, "source": "a run", "reason": "a test"}}
    write_atomic(workspace.root / "baselines" / "01_tiny.live.json", json.dumps(held))
    record = run_chapter("01", "live", {"seed": 1}, workspace=workspace)
    return workspace, record, build_site([record], workspace=workspace)


@pytest.fixture(scope="module")
def page(built) -> str:
    return (built[2] / "notebooks" / "01_tiny.html").read_text()


def test_the_page_shows_what_was_executed(page):
    assert "Last verified" in page
    assert "The score is <strong" in page or "1.500" in page
    assert 'alt="A line that rises from one to two."' in page
    assert "application/vnd.jupyter.widget-view+json" in page


def test_a_page_with_a_number_outside_its_band_says_so_at_the_top(page):
    article = page[page.index("<article") :]
    warning = article[article.index("admonition warning") :]
    assert "score/D1" in warning
    assert "1.5 is outside [0.4, 0.6]" in warning
    assert article.index("admonition warning") < article.index("Maths")


def test_the_injected_parameters_are_not_shown(page):
    assert "# Parameters" not in page


def test_no_page_names_another_host(built):
    for path in built[2].rglob("*.html"):
        text = path.read_text()
        assert not foreign_resources(text), path
        for name in ("unpkg.com", "jsdelivr", "cdnjs", "googleapis", "executablebooks", "colab.research"):
            assert name not in text, (path, name)


def test_the_scripts_come_in_an_order_that_works(page):
    assert page.index("_static/widgets.js") < page.index("vendor/require.js")
    assert page.index("vendor/require.js") < page.index("vendor/embed-amd.js")
    for name in ("tex-svg.js", "require.js", "embed-amd.js"):
        assert f"_static/vendor/{name}" in page


def test_every_script_is_on_the_site(built):
    for package in PACKAGES:
        for name in package.files.values():
            assert (built[2] / "_static" / "vendor" / name).stat().st_size > 1_000


def test_the_download_is_the_executed_notebook_without_the_machines_traces(built):
    workspace, record, pages = built
    download = nbformat.read(pages / "_sources" / "notebooks" / "01_tiny.ipynb", as_version=4)
    executed = nbformat.read(workspace.executed("01_tiny", "live")[0], as_version=4)
    outputs = [cell.get("outputs") for cell in executed.cells]
    assert [cell.get("outputs") for cell in download.cells] == outputs
    assert any(outputs)
    assert "papermill" not in download.metadata
    assert all("papermill" not in cell.metadata for cell in download.cells)
    assert download.metadata.kernelspec.name == "python3"
    assert record["commit"] in download.cells[0].source


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("異常檢測", "book/zh"),
        ("殘差", "book/zh"),
        ("이상감지", "book/ko"),
        ("이상 탐지", "book/ko"),
        ("잔차", "book/ko"),
    ],
)
def test_the_search_knows_a_term_by_its_other_words(built, query, name):
    """Each word of a query has to be in the index as it stands."""
    script = (built[2] / "searchindex.js").read_text()
    index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))
    pages = [index["terms"][word] for word in query.split()]
    pages = [{numbers} if isinstance(numbers, int) else set(numbers) for numbers in pages]
    assert {index["docnames"][number] for number in set.intersection(*pages)} == {"book/glossary", name}


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("zh", "zh-Hant", {"anomaly-detection": "異常偵測", "residual": "殘差", "AUROC": "AUROC"}),
        ("ko", "ko", {"anomaly-detection": "이상 탐지", "residual": "잔차", "AUROC": "AUROC"}),
    ],
)
def test_a_page_in_another_language_says_so_and_links_its_terms(built, name, code, words):
    page = (built[2] / "book" / f"{name}.html").read_text()
    assert re.search(rf'<section[^>]* lang="{code}"', page)
    for term, word in words.items():
        assert re.search(rf'href="glossary\.html#term-{term}"[^>]*><span[^>]*>{word}</span></a>', page)


def test_a_warning_stops_the_build_and_leaves_the_old_pages(built):
    workspace, record, pages = built
    landing = workspace.root / "book" / "index.md"
    before, text = landing.read_text(), (pages / "book" / "index.html").read_text()
    try:
        landing.write_text(before + "\n[nowhere](no_such_page.md)\n")
        with pytest.raises(ChapterError, match="no_such_page"):
            build_site([record], workspace=workspace)
    finally:
        landing.write_text(before)
    assert (pages / "book" / "index.html").read_text() == text


def executed_notebook(**changes):
    cell = new_code_cell("1", execution_count=1, outputs=[new_output("stream", text="1")])
    cell.update(changes)
    return new_notebook(cells=[new_markdown_cell("# Title\n\nText."), cell])


def test_an_executed_notebook_passes():
    check_executed(executed_notebook(), RECORD)


@pytest.mark.parametrize(
    ("notebook", "record", "message"),
    [
        (executed_notebook(execution_count=None), RECORD, "cell 1 of 01_tiny was not executed"),
        (
            executed_notebook(outputs=[new_output("error", ename="E", evalue="", traceback=[])]),
            RECORD,
            "error",
        ),
        (executed_notebook(outputs=[]), RECORD, "0 outputs"),
        (executed_notebook(), {**RECORD, "seconds": 0.0}, "after 0.0 s"),
    ],
)
def test_what_was_not_executed_is_not_published(notebook, record, message):
    with pytest.raises(ChapterError, match=message):
        check_executed(notebook, record)


def test_a_chapter_without_a_title_is_refused():
    notebook = executed_notebook()
    notebook.cells[0].source = "No title"
    with pytest.raises(ChapterError, match="does not begin with its title"):
        staged_notebook(notebook, RECORD)


def test_a_progress_bar_is_no_part_of_the_page():
    cell = new_code_cell("detector.fit(images)", execution_count=1)
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    texts = ["dagan:   0%|          | 0/300 [00:00<?, ?step/s]", "MapOverlay(opacity=50)"]
    cell.outputs = [new_output("display_data", {**view, "text/plain": text}) for text in texts]
    page = staged_notebook(new_notebook(cells=[new_markdown_cell("# Title"), cell]), RECORD)
    assert [output.data["text/plain"] for output in page.cells[1].outputs] == texts[1:]


def shown_figure(*more):
    """A cell that has shown a chart with viz.show."""
    about = {"number": "1e.2", "caption": "It rises.", "chart": True}
    cell = new_code_cell(
        "viz.show(figure)", execution_count=1, metadata={"mystnb": {"image": {"alt": "A line."}}}
    )
    cell.outputs = [
        new_output("display_data", {"image/png": "AAAA"}, metadata={"adlib_figure": about}),
        new_output(
            "display_data",
            {"text/markdown": "**Figure 1e.2.** It rises."},
            metadata={"adlib_caption": "1e.2"},
        ),
        *more,
    ]
    return new_notebook(cells=[new_markdown_cell("# Title"), cell])


def test_a_figure_gets_its_caption_and_its_anchor_and_a_chart_is_marked():
    (_, cell) = staged_notebook(shown_figure(), RECORD).cells
    assert cell.metadata["mystnb"] == {
        "image": {"alt": "A line.", "classes": "chart"},
        "figure": {"name": "figure-1e-2", "caption": "**Figure 1e.2.** It rises."},
    }
    assert [list(output.data) for output in cell.outputs] == [["image/png"]]


def test_a_cell_that_shows_more_than_its_figure_is_refused():
    table = new_output("display_data", {"text/html": "<table></table>"})
    with pytest.raises(ChapterError, match="shows nothing else"):
        staged_notebook(shown_figure(table), RECORD)


def test_staging_leaves_the_executed_notebook_alone():
    notebook = executed_notebook()
    before = nbformat.writes(notebook)
    staged_notebook(notebook, RECORD)
    assert nbformat.writes(notebook) == before


def test_the_last_verified_line_says_when_from_what_on_what_and_how_long():
    line = last_verified(RECORD)
    for part in ("22 November 2026", "0123456789ab", "CPU (Some Processor, 1 thread)", "3.2 minutes"):
        assert part in line
    assert "12 seconds" in last_verified({**RECORD, "seconds": 12.2})


def test_missing_empty_and_unexecuted_pages_are_found(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "empty.html").write_text("<html></html>")
    (tmp_path / "notebooks" / "01.html").write_text("<p>text</p>" * 1000)
    (tmp_path / "book" / "cdn.html").write_text('<script src="https://cdn.example/x.js"></script>' * 200)
    with pytest.raises(ChapterError) as error:
        check_pages(tmp_path, ["book/none", "book/empty", "notebooks/01", "book/cdn"])
    for part in ("there is no page", "13 bytes only", "no output of any cell", "https://cdn.example/x.js"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ('<script async src="//cdn.example/x.js">', ["//cdn.example/x.js"]),
        ('<link href="https://fonts.example/a.css" rel="stylesheet">', ["https://fonts.example/a.css"]),
        ('<style>@import url("https://fonts.example/a.css")</style>', ["https://fonts.example/a.css"]),
        ('<img src="https://pictures.example/a.png">', ["https://pictures.example/a.png"]),
        ('<a href="https://doi.org/10.3390/s20123336">paper</a>', []),
        ('<link rel="canonical" href="https://book.example/">', []),
        ('<script src="../_static/vendor/require.js">', []),
    ],
)
def test_resources_of_other_hosts_are_told_from_links(text, addresses):
    assert foreign_resources(text) == addresses


def test_a_table_of_contents_is_read_whole(tmp_path):
    toc = {"root": "a", "parts": [{"caption": "P", "chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    assert page_names(tmp_path / "_toc.yml") == ["a", "b", "c"]


def setting(tmp_path, repository):
    (tmp_path / "pyproject.toml").write_text(f'[tool.adlib]\nrepository = "{repository}"\nbranch = "trunk"\n')
    return repository_setting(tmp_path)


def test_without_an_address_there_are_no_buttons(tmp_path):
    config = with_repository({}, **setting(tmp_path, ""))
    assert not config["repository"]["url"]
    assert not config["launch_buttons"]["colab_url"]
    assert not any(config["html"].values())


def test_with_an_address_the_buttons_point_there(tmp_path):
    config = with_repository(
        {"html": {"favicon": "x"}}, **setting(tmp_path, "https://github.com/owner/name/")
    )
    assert config["repository"] == {
        "url": "https://github.com/owner/name",
        "branch": "trunk",
        "path_to_book": "",
    }
    assert config["launch_buttons"]["colab_url"].startswith("https://colab")
    assert config["html"]["use_repository_button"]
    assert config["html"]["favicon"] == "x"


def test_colab_opens_github_only(tmp_path):
    config = with_repository({}, **setting(tmp_path, "https://gitlab.com/owner/name"))
    assert not config["launch_buttons"]["colab_url"]


@pytest.mark.parametrize(
    "address", ["github.com/owner/name", "https://github.com/owner", "https://x.example/a/b"]
)
def test_an_address_that_jupyter_book_cannot_use_is_refused(tmp_path, address):
    with pytest.raises(ValueError, match="expected https://github"):
        setting(tmp_path, address)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """One small package in place of the three, and a registry that serves it and counts how often."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/x.js")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"1+1"))
    data, served = buffer.getvalue(), []
    small = Package("small", "1.0.0", npm._integrity(data), {"package/x.js": "x.js"})
    monkeypatch.setattr(scripts, "PACKAGES", (small,))

    def pack(command, *, cwd, **_):
        served.append(command)
        (tmp_path / cwd / "small-1.0.0.tgz").write_bytes(data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(npm.subprocess, "run", pack)
    return small, data, served


def test_scripts_are_fetched_once(package, tmp_path):
    for folder in ("first", "second"):
        fetch_scripts(tmp_path / folder, tmp_path / "cache")
        assert (tmp_path / folder / "x.js").read_bytes() == b"1+1"
    assert len(package[2]) == 1


def test_a_torn_package_in_the_cache_is_fetched_again(package, tmp_path):
    fetch_scripts(tmp_path / "site", tmp_path / "cache")
    (tmp_path / "cache" / "small-1.0.0.tgz").write_bytes(package[1][:20])
    fetch_scripts(tmp_path / "site", tmp_path / "cache")
    assert len(package[2]) == 2


def test_a_package_that_somebody_changed_is_refused(package, tmp_path, monkeypatch):
    changed = Package("small", "1.0.0", "another hash", {"package/x.js": "x.js"})
    monkeypatch.setattr(scripts, "PACKAGES", (changed,))
    with pytest.raises(ChapterError, match=r"small@1\.0\.0 from npm is not the published package"):
        fetch_scripts(tmp_path / "site", tmp_path / "cache")


def test_without_a_network_the_remedy_is_named(package, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "npm error network")
    monkeypatch.setattr(npm.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        ChapterError, match=r"(?s)could not fetch small.*npm error network.*connect to a network"
    ):
        fetch_scripts(tmp_path / "site", tmp_path / "cache")
