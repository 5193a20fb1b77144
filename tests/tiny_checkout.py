"""A checkout in miniature: a chapter of a few cells, two pages, the glossary, and a page in Chinese and in Korean."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from adlib_book.runner.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]

CELLS = [
    new_markdown_cell("# A tiny chapter\n\nMaths: $x^2$. The score is {glue:text}`score/D1:.3f`."),
    new_code_cell('profile = "live"\nseed = 0\nrate = 0.5', metadata={"tags": ["parameters"]}),
    new_code_cell(
        "import sys\nfrom pathlib import Path\nimport adlib\nfrom adlib_book.reading import report\n"
        'report("score/D1", rate + seed, limits=(0, None))\nPath("made_by_the_chapter.txt").write_text("x")\n'
        "print(sys.executable, profile)"
    ),
    new_code_cell("import ipywidgets\nipywidgets.IntSlider(3)"),
    new_code_cell(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        metadata={"mystnb": {"image": {"alt": "A line that rises from one to two."}}},
    ),
]


def write_notebook(path: Path, cells: list) -> Path:
    notebook = new_notebook(cells=[nbformat.from_dict(dict(cell)) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def make_workspace(root: Path) -> Workspace:
    """A checkout with one chapter, a landing page, and the project's own configuration and style."""
    write_notebook(root / "notebooks" / "01_tiny.ipynb", CELLS)
    (root / "book").mkdir()
    for name in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name)
    for name in ("references.bib", "glossary.md", "glossary.yml"):
        shutil.copy(ROOT / "book" / name, root / "book")
    (root / "book" / "index.md").write_text("# A tiny book\n\n" + "Prose with maths: $E = mc^2$.\n\n" * 5)
    (root / "book" / "zh.md").write_text("# 摘要\n\n異常偵測看的是AUROC與殘差。\n")
    (root / "book" / "ko.md").write_text("# 요약\n\n이상 탐지를 위한 AUROC와 잔차입니다.\n")
    chapters = "".join(
        f"  - file: {name}\n" for name in ("notebooks/01_tiny", "book/glossary", "book/zh", "book/ko")
    )
    (root / "book" / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{chapters}")
    shutil.copy(ROOT / "_config.yml", root)
    (root / "requirements.lock").write_text("nothing==1\n")
    (root / "pyproject.toml").write_text('[tool.adlib]\nrepository = ""\nbranch = "main"\n')
    return Workspace(root)
