"""Widgets: their state is complete, small and true; what they do with it is tested in a browser."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from adlib import metrics, viz

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(RANDOM.integers(0, 256, (60, 1, 16, 16), dtype=np.uint8))


@pytest.fixture(scope="module")
def judged():
    labels = np.arange(60) % 3 == 0
    return labels, RANDOM.lognormal(0, 0.3, 60) + 0.6 * labels


@pytest.fixture(scope="module")
def kinds(judged):
    return ["crack" if label else "good" for label in judged[0]]


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def every_widget(images, judged, kinds):
    labels, scores = judged
    yield viz.threshold_explorer(labels, scores, images, threshold=1.7)
    yield viz.training_scrubber(images[:4], [0, 10], torch.stack([images[:4], images[4:8]]), kinds[:4])
    yield viz.map_overlay(images[:4], torch.rand(4, 16, 16), 0.5, kinds[:4])
    yield viz.defect_quiz(images, labels, scores, kinds, rounds=3)


@pytest.mark.slow
def test_the_whole_state_is_json_so_that_a_page_can_carry_it(images, judged, kinds):
    for widget in every_widget(images, judged, kinds):
        state = {name: value for name, value in widget.get_state().items() if name != "layout"}
        assert json.dumps(state)
        assert "export default" in state["_esm"]
        assert "http" not in state["_esm"].replace("http://www.w3.org/2000/svg", "")


@pytest.mark.slow
def test_a_plain_figure_stands_in_where_widgets_are_not_shown(images, judged, kinds):
    for widget in every_widget(images, judged, kinds):
        data, _ = widget._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).width > 300
        assert widget.figure().axes


def test_the_threshold_comes_back_from_the_reader(judged):
    labels, scores = judged
    explorer = viz.threshold_explorer(labels, scores, threshold=1.7)
    assert explorer.counts() == metrics.confusion(labels, scores > 1.7)
    explorer.threshold = 1.2
    assert explorer.counts() == metrics.confusion(labels, scores > 1.2)
    assert explorer.learnt == 1.7
    assert not explorer.sheet


def test_scores_keep_their_order_and_their_side_of_the_threshold(judged):
    labels, scores = judged
    scores = scores.astype(np.float32)
    explorer = viz.threshold_explorer(labels, scores, threshold=float(scores[7]))
    assert (np.float32(explorer.scores) == scores).all()
    assert explorer.counts() == metrics.confusion(labels, scores > scores[7])


@pytest.mark.slow
def test_a_sheet_holds_every_picture_in_its_place(judged):
    grey = np.arange(60, dtype=np.uint8)[:, None, None, None] * np.full((1, 1, 16, 16), 4, np.uint8)
    labels, scores = judged
    explorer = viz.threshold_explorer(labels, scores, grey, threshold=1.7)
    sheet = picture(explorer.sheet)
    assert (explorer.columns, explorer.count, sheet.shape) == (16, 60, (64, 256))
    for index in (0, 15, 16, 59):
        row, column = divmod(index, 16)
        tile = sheet[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        assert abs(tile.astype(int) - 4 * index).max() <= 3


@pytest.mark.slow
def test_the_scrubber_tells_the_error_of_each_image_at_each_step(images, kinds):
    again = torch.stack([images[:4], images[:4].flip(0), images[:4]])
    scrubber = viz.training_scrubber(images[:4], [0, 5, 9], again, kinds[:4])
    assert scrubber.errors[0] == [0, 0, 0, 0]
    expected = (again[1].float() - images[:4].float()).abs().mean((1, 2, 3))
    assert np.allclose(scrubber.errors[1], expected, rtol=0.01)
    assert picture(scrubber.strips[0]).shape == (36, 72, 3)
    assert len(scrubber.strips) == 3


def test_maps_share_one_scale_and_defects_their_outline(images, kinds):
    maps, masks = torch.zeros(2, 16, 16), np.zeros((2, 16, 16), bool)
    maps[1], masks[1, 4:12, 4:12] = 0.25, True
    overlay = viz.map_overlay(images[:2], maps, 0.5, kinds[:2], masks)
    assert overlay.peaks == [0.0, 0.5]
    outline = picture(overlay.outlines)[..., 3] > 0
    assert outline.sum() == 28
    assert outline[4, 18 + 4]


def test_every_round_has_one_defective_image_and_the_detector_takes_the_highest_score(images, judged, kinds):
    labels, scores = judged
    quiz = viz.defect_quiz(images, labels, scores, kinds, rounds=6, seed=1)
    assert len(quiz.rounds) == 6
    assert sorted(np.ravel(quiz.rounds)) == list(range(24))
    for places, answer in zip(quiz.rounds, quiz.answers):
        assert [quiz.kinds[place] == "crack" for place in places] == [n == answer for n in range(4)]
    perfect = viz.defect_quiz(images, labels, labels.astype(float), kinds, rounds=6)
    assert perfect.choices == perfect.answers


def test_what_cannot_be_shown_is_refused(images, judged, kinds):
    labels, scores = judged
    with pytest.raises(ValueError, match="lengths differ"):
        viz.threshold_explorer(labels, scores, images[:5], threshold=1.0)
    with pytest.raises(ValueError, match="at most 2,000"):
        viz.threshold_explorer(
            np.arange(2001) % 2, np.arange(2001), np.zeros((2001, 1, 4, 4), np.uint8), threshold=1.0
        )
    with pytest.raises(ValueError, match="21 rounds want 21 anomalous and 63 normal"):
        viz.defect_quiz(images, labels, scores, kinds, rounds=21)
    with pytest.raises(ValueError, match="expected the reconstructions of at least one"):
        viz.training_scrubber(images[:4], [], np.zeros((0, 4, 1, 16, 16), np.uint8), kinds[:4])
    with pytest.raises(ValueError, match="of the same images at K checkpoints"):
        viz.training_scrubber(images[:4], [1], images[None, :3], kinds[:4])
    with pytest.raises(ValueError, match="scale is 0"):
        viz.map_overlay(images[:2], torch.rand(2, 16, 16), 0, kinds[:2])
