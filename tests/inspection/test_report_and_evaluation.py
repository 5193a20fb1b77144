"""The page stands alone and says everything; the evaluation counts as one counts by hand."""

from __future__ import annotations

import json
import re
import shutil

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


def test_a_photograph_that_is_gone_when_the_page_is_written_is_missing_there_alone(
    parts, inspector, tmp_path, monkeypatch
):
    disc(60).save(tmp_path / "gone.png")
    score = Inspector.score

    def and_remove(*arguments):
        yield from score(*arguments)
        (tmp_path / "gone.png").unlink()

    monkeypatch.setattr(Inspector, "score", and_remove)
    summary = write_report(inspector, [tmp_path, parts / "test/good"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert (summary.good + summary.defective, page.count('class="picture"')) == (4, 3)
    assert "Not shown: image" in page


def test_images_that_it_was_fitted_to_prove_nothing(parts, tmp_path):
    """OK and NG in one folder: fit takes OK, and so would evaluate; as another format, too."""
    shutil.copytree(parts / "train/good", tmp_path / "OK")
    shutil.copytree(parts / "test/scratch", tmp_path / "NG")
    fit_inspector(tmp_path, "pca", size=16, profile="smoke").save(tmp_path / "part.safetensors")
    Image.open(tmp_path / "OK/0000.png").convert("L").save(tmp_path / "OK/0000.bmp")
    disc(70).save(tmp_path / "OK/new.png")
    evaluation = evaluate(Inspector.load(tmp_path / "part.safetensors"), tmp_path)
    assert {kind: total for kind, (_, total) in evaluation.defective.items()} == {"good": 1, "NG": 3}
    said = "Left out, because the detector was fitted to them: 13 of 17 images"
    assert any(said in note and "From 12 good images" in note for note in evaluation.summary.notes)
    shutil.rmtree(tmp_path / "NG")
    (tmp_path / "OK/new.png").unlink()
    assert evaluate(Inspector.load(tmp_path / "part.safetensors"), tmp_path).defective == {}


MASKS = {  # of test/scratch/0015.png
    "ground_truth/scratch/{}_mask.png": 3,
    "GT/scratch/{}.png": 3,
    "masks/{}_label.tif": 3,
    "test/scratch/{}_gt.bmp": 3,
    "defect_masks/scratch/{}.png": 3,
    "ground_truth/scratch/x{}y.png": 0,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_found_as_elsewhere_and_what_is_wrong_with_them_is_said(inspector, tmp_path, name):
    folder = write_discs(tmp_path, 0, 3, start=1)
    stems = [file.stem for file in sorted((folder / "test/scratch").iterdir())]
    for stem in stems:
        path = folder / name.format(stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (96, 96), 255).save(path)
    evaluation = evaluate(inspector, folder)
    assert evaluation.inside == (MASKS[name], MASKS[name])
    if not MASKS[name]:
        assert any("No mask is used: none of the 3 masks" in note for note in evaluation.summary.notes)
        return
    Image.new("L", (96, 96)).save(folder / name.format(stems[0]))
    Image.new("L", (50, 50), 255).save(folder / name.format(stems[1]))
    evaluation = evaluate(inspector, folder)
    text = "\n".join(evaluation.lines())
    assert "hottest place of the map inside the mask: 1 of 1; 2 defective images without a mask" in text
    assert "is empty" in text
    assert "is 50x50 pixels, its image 96x96" in text


def test_what_cannot_be_measured_is_said(inspector, tmp_path):
    (tmp_path / "OK").mkdir()
    disc(50).save(tmp_path / "OK/a.png")
    evaluation = evaluate(inspector, tmp_path)
    assert evaluation.auroc is None
    assert "cannot be measured" in "\n".join(evaluation.lines())
    assert set(evaluation.to_dict()) == {"called_defective", "notes", "unreadable"}
