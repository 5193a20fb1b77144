"""The page stands alone and says everything; the evaluation counts as one counts by hand."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from discs import disc, write_discs
from PIL import Image

from adlib.inspection.evaluation import evaluate
from adlib.inspection.inspector import Inspector, fit_inspector
from adlib.inspection.report import write_report


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = write_discs(tmp_path_factory.mktemp("parts"), 12, 3)
    (folder / "test/black").mkdir()
    Image.new("RGB", (96, 64)).save(folder / "test/black/<b>&.png")
    (folder / "test/black/broken.png").write_bytes(b"x")
    mask = np.zeros((64, 96), np.uint8)
    mask[:] = 255
    (folder / "ground_truth/black").mkdir(parents=True)
    Image.fromarray(mask).save(folder / "ground_truth/black/<b>&_mask.png")
    return folder


@pytest.fixture(scope="module")
def inspector(parts) -> Inspector:
    return fit_inspector(parts, "pca", size=16, profile="smoke", false_alarms=0.1)


def test_the_page_is_one_file_and_holds_verdicts_threshold_pictures_and_what_was_left_out(
    parts, inspector, tmp_path
):
    summary = write_report(inspector, [parts / "test"], tmp_path / "report.html", pictures=3)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\(|https?://""", page)
    assert "{{" not in page
    assert summary.unreadable == 1
    for said in (str(summary), "broken.png", "squeezed to 16 x 16", "At fit: Good images are those",
                 inspector.threshold.words(), inspector.fingerprint, "&lt;b&gt;&amp;.png", "96 x 64 pixels",
                 "3 photographs of 7"):  # fmt: skip
        assert said in page
    assert "<b>&.png" not in page
    assert page.count('class="picture"') == 3
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page)[1])
    assert data["threshold"] == inspector.threshold.value
    assert len(data["rates"]) == len(data["good"]) + 1 == 13
    assert sum(score > data["threshold"] for score in data["scores"]) == summary.defective


def test_a_page_of_nothing_readable_can_be_written(parts, inspector, tmp_path):
    summary = write_report(inspector, [parts / "test/black/broken.png"], tmp_path / "report.html")
    assert summary.exit_code == 3
    assert "broken.png" in (tmp_path / "report.html").read_text()


def test_an_evaluation_counts_verdicts_by_kind(parts, inspector):
    evaluation = evaluate(inspector, parts)
    assert evaluation.defective["black"] == (1, 1)
    assert {kind: total for kind, (_, total) in evaluation.defective.items()} == {
        "good": 3,
        "scratch": 3,
        "black": 1,
    }
    called = sum(verdict.defective for verdict in inspector.score(parts / "test/good"))
    assert evaluation.defective["good"][0] == called
    assert evaluation.inside == (1, 1)
    text = "\n".join(evaluation.lines())
    assert "black, called defective: 1 of 1 (100%; 95 % confidence 2.5% to 100%)" in text
    assert "broken.png" in text
    assert evaluation.to_dict()["image_auroc"] == evaluation.auroc


def test_what_cannot_be_measured_is_said(inspector, tmp_path):
    (tmp_path / "OK").mkdir()
    disc(3).save(tmp_path / "OK/a.png")
    evaluation = evaluate(inspector, tmp_path)
    assert evaluation.auroc is None
    assert "cannot be measured" in "\n".join(evaluation.lines())
    assert set(evaluation.to_dict()) == {"called_defective", "notes", "unreadable"}
