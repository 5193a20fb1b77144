"""One thing, one name, in all prose: the terms of the glossary, in British spelling."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "book").glob("*.md")),
    *sorted((ROOT / "baselines").glob("*.md")),
    *sorted((ROOT / "results").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]
# What is not written: what is.
TERMS = {
    r"auto ?encoders?": "auto-encoder",  # "autoencoding binary classifier" is the name of a published loss
    r"heat ?-?maps?": "anomaly map",
    r"data-?sets?": "data set",
    r"hyper-parameters?": "hyperparameter",
    r"fake images?": "generated image, or reconstruction",
    r"epoch-wise|batch-wise": "per epoch, per batch",
    r"gr[a]y": "grey",
    r"colors?|colored": "colour",
    r"behavior": "behaviour",
    r"normalize[sd]?|normalization|optimize[sd]?|optimizers?|initialization": "-ise, -isation",
}
CODE = re.compile(
    r"^(`{3,}|:{3,})\{?(?:bash|python|eval-rst|bibliography).*?^\1"  # blocks of code
    r"|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\{[a-z:]+\}|\]\([^)]*\)|<[^>]*>",
    re.MULTILINE | re.DOTALL,
)


def prose(path: Path) -> str:
    """What a reader reads as sentences: no code, no formulas, no addresses."""
    if path.suffix == ".md":
        text = path.read_text()
    else:
        cells = nbformat.read(path, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return CODE.sub(" ", text)


def strays(text: str) -> list[str]:
    complaints = []
    for pattern, right in TERMS.items():
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
            around = " ".join(text[max(0, match.start() - 30) : match.end() + 20].split())
            complaints.append(f"{match[0]!r} is called {right} here: … {around} …")
    return complaints


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_uses_the_terms_of_the_house(path):
    complaints = strays(prose(path))
    assert not complaints, "\n".join(complaints)


def test_a_stray_term_is_found_and_code_is_left_alone():
    assert len(strays("The autoencoder's heatmap over the dataset.")) == 3
    assert not strays(CODE.sub(" ", "`dataset` and $color$ stay, as in [x](data/dataset.html)"))
    assert not strays("the autoencoding binary classifier and a data set")


def test_the_field_s_own_words_stay():
    assert not strays("The ground truth of a mask, ground-truth masks, and hyperparameters of the optimiser.")
