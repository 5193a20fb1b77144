"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the tree.

What a recipe tells to do stands in sentences of a few forms, each followed by a block: "New file `path`:"; "In `path`,
below the line `text`, add:"; "New notebook `path`, cell by cell:" with "A text cell:" and "A code cell, tagged `tag`:";
and blocks of bash, which are run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(r"^## (A new .+)$", TEXT, re.MULTILINE)
BLOCK = re.compile(
    r"(?P<sentence>[^\n]*)\n\n(?P<fence>`{3,})(?P<language>\w+)\n(?P<body>.*?)\n(?P=fence)$", re.M | re.S
)


def section(title: str) -> str:
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## A new |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def insert(path: Path, line: str, body: str) -> None:
    lines = path.read_text().splitlines()
    assert lines.count(line) == 1, f"{path.name} has {lines.count(line)} lines {line!r}; the recipe needs one"
    lines.insert(lines.index(line) + 1, body)
    path.write_text("\n".join(lines) + "\n")


def run(command: str, folder: Path) -> None:
    # As somebody would type it; only the environment is the one that is there already.
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV", "PYTHONPATH"))
    }
    env |= {"PYTHON": sys.executable, "MAKEFLAGS": ""}
    result = subprocess.run(
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}\n{result.stderr[-2000:]}"


def follow(recipe: str, folder: Path) -> list[Path]:
    """Do what a recipe says, in this folder; gives the new files."""
    files, cells, notebook = [], [], None
    for match in BLOCK.finditer(recipe):
        sentence, body = match["sentence"], match["body"]
        if new := re.search(r"New notebook `([^`]+)`, cell by cell:", recipe[: match.end()]):
            notebook = folder / new[1]
        if new := re.fullmatch(r"New file `([^`]+)`:", sentence):
            files.append(folder / new[1])
            assert not files[-1].exists(), new[1]
            files[-1].write_text(body + "\n")
        elif place := re.fullmatch(r"In `([^`]+)`, below the line `([^`]+)`, add:", sentence):
            insert(folder / place[1], place[2], body)
        elif sentence == "A text cell:":
            cells.append(new_markdown_cell(body))
        elif cell := re.fullmatch(r"A code cell(?:, tagged `([^`]+)`)?:", sentence):
            cells.append(new_code_cell(body, metadata={"tags": [cell[1]]} if cell[1] else {}))
        elif match["language"] == "bash":
            if cells:
                write_notebook(notebook, cells)
                files, cells = [*files, notebook], []
            for command in body.splitlines():
                run(command, folder)
        else:
            raise AssertionError(f"no sentence that says what to do with the block after: {sentence}")
    return files


def write_notebook(path: Path, cells: list) -> None:
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def tree(tmp_path):
    """A copy of the checkout without what runs have made."""
    ignored = shutil.ignore_patterns("_build", ".git", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT, tmp_path / "tree", ignore=ignored)
    if (ROOT / "_build" / "env").is_dir():
        shutil.copytree(ROOT / "_build" / "env", tmp_path / "tree" / "_build" / "env")
    return tmp_path / "tree"


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_when_it_is_followed(title, tree):
    files = follow(section(title), tree)
    assert files
    for command in ("ruff check", "ruff format --check"):
        names = " ".join(str(path.relative_to(tree)) for path in files)
        run(f"{sys.executable} -m {command} {names}", tree)


def test_there_are_the_three_recipes_that_are_promised():
    assert RECIPES == ["A new detector", "A new data set", "A new chapter"]


def test_a_recipe_that_no_longer_fits_the_code_fails(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    follow("In `a.py`, below the line `x = 1`, add:\n\n```python\ny = 2\n```\n", tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 1\ny = 2\n"
    with pytest.raises(AssertionError, match="0 lines 'z = 1'"):
        follow("In `a.py`, below the line `z = 1`, add:\n\n```python\ny = 2\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="false"):
        follow("Then:\n\n```bash\nfalse\n```\n", tmp_path)
