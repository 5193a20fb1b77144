"""The table in README.md is made of the ledger's numbers, and stays so."""

from __future__ import annotations

from pathlib import Path

from adlib_book.ledger import results

ROOT = Path(__file__).resolve().parents[2]


def ledger_rows() -> list[str]:
    """One line per data set: D1, D3 and PCA of the clean runs, mean ± SD over seeds."""
    runs = results.load("chapter1").query("contamination == 0 and variant in ['tang', 'standard']")
    scores = results.by_score(runs).query("score in ['D1', 'D3', 'mean_error']")
    cells = scores.groupby(["dataset", "score"])["auroc"].agg(["mean", "std"])
    rows = []
    for name in sorted(scores["dataset"].unique()):
        texts = [
            f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in cells.loc[name].itertuples(index=False)
        ]
        rows.append(f"| `{name}` | {' | '.join(texts)} |")
    return rows


def test_the_table_says_what_the_ledger_says():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in ledger_rows() if row not in lines] == []
