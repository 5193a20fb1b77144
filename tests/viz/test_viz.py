"""Figures: what they say and what they share, not their pixels."""

from __future__ import annotations

import dataclasses
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from adlib import metrics, viz
from adlib.models.rnan import Rnan
from adlib.models.unet import UNet
from adlib.viz.captions import is_chart
from adlib.viz.networks import layers_of
from adlib.viz.runs import _label_ends
from adlib.viz.style import ANOMALOUS, MAP_COLOURS, NORMAL, REFERENCE, STYLE

RANDOM = np.random.default_rng(0)
KINDS = ["good", "good", "crack", "inactive_area"]

SPEEDS = pd.DataFrame(
    {
        "detector": ["small", "large"],
        "auroc": [0.8, 0.9],
        "images_per_second": [5000.0, 90.0],
        "parameters": [0, 2_000_000],
        "labels": [False, True],
    }
)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(RANDOM.integers(0, 256, (4, 1, 16, 16), dtype=np.uint8))


@pytest.fixture(scope="module")
def judged():
    """Labels and scores of 60 images, the anomalies higher on average."""
    labels = np.arange(60) % 3 == 0
    return labels, RANDOM.lognormal(0, 0.3, 60) + 0.6 * labels


def words(figure: Figure) -> str:
    """Everything a reader can read in a figure, axis by axis."""
    texts = [t.get_text() for t in figure.findobj(matplotlib.text.Text)]
    return "\n".join(text for text in texts if text)


def image_scales(figure: Figure, cmap: str) -> set[tuple[float, float]]:
    drawn = [image for axis in figure.axes for image in axis.images if image.get_cmap().name == cmap]
    assert len(drawn) > 1
    return {image.get_clim() for image in drawn}


RANKS = pd.DataFrame({"last": [3.0, 3.0], "first": [1.0, 1.5], "second": [2.0, 1.5]}, ["set a", "set b"])
KNOWN = np.array([True, False, True, True])


SEARCH = pd.DataFrame(
    {
        "a": [0.5, 1.0, 1.5, 0.5],
        "b": [1.0, 1.0, 0.5, 0.5],
        "AUROC": [0.7, 0.9, 0.8, 0.6],
        "ours": [0, 1, 0, 0],
    }
)


# --- every figure ---


def every_figure(images, judged):
    labels, scores = judged
    runs = pd.DataFrame({"dataset": ["a", "a"], "contamination": [0, 0.03], "auroc": [0.7, 0.6]})
    leaks = pd.DataFrame({"leak": ["best epoch"] * 2, "metric": ["AUROC"] * 2, "delta": [0.05, 0.03]})
    study = pd.DataFrame({"dataset": ["a", "a"], "n": [1, 2], "detector": ["x", "x"], "auroc": [0.6, 0.7]})
    yield viz.study_curves(study, "n")
    yield viz.image_rows({"two": images[:2], "four": images})
    yield viz.speed_figure(SPEEDS)
    yield viz.seed_spread(study)
    yield viz.landscape_figure(SEARCH, ["a", "b"], "AUROC", "ours")
    yield viz.seed_lines({"loss": {"x": [[1.0, 0.5], [1.2, 0.4]]}, "gradient": {"x": [[1.0]], "y": [[2.0]]}})
    maps = RANDOM.random((4, 16, 16))
    yield viz.detectors_on_images(images, {"x": images}, {"x": (maps, 1.0), "y": (maps, 0.5)}, maps > 0.9)
    yield viz.rank_figure(RANKS, 1.5)
    yield viz.rank_slopes({"threes": RANKS.T}, marked=["first"])
    yield viz.auroc_heatmap(RANKS.T / 4)
    yield viz.found_and_missed(images, {"x": (maps, 1.0)}, {"x": KNOWN}, maps > 0.9)
    yield viz.image_gallery(images, title="four")
    yield viz.reconstruction_grid(images, images, KINDS)
    yield viz.anomaly_map_grid(images, torch.rand(4, 16, 16), 0.5)
    yield viz.score_histograms({"D1": scores}, labels)
    yield viz.roc_figure({"D1": judged})
    yield viz.loss_curves({"adversarial": [1.0, 0.5, 0.2]})
    yield viz.checkpoint_curve([1, 2], [0.2, 0.1], {"D1": [0.6, 0.7]})
    yield viz.contamination_figure(runs)
    yield viz.paper_beside_ours({"bottle": 0.79}, {"bottle": [0.8, 0.7]})
    yield viz.leak_figure(leaks)
    yield viz.threshold_figure(labels, scores, 1.5)


@pytest.mark.slow
def test_every_figure_is_a_white_card_closed_in_pyplot_and_leaves_room_for_its_stamp(images, judged):
    before = matplotlib.rcParams.copy()
    for figure in every_figure(images, judged):
        assert isinstance(figure, Figure)
        assert plt.get_fignums() == []
        assert matplotlib.colors.to_hex(figure.get_facecolor()) == "#ffffff"
        assert figure.get_figwidth() <= 9
        lowest = min(axis.get_tightbbox().y0 for axis in figure.axes) / figure.dpi
        viz.stamp(figure, "elpv/mono · seed 0")
        stamped = next(t for t in figure.texts if t.get_gid() == "stamp").get_window_extent()
        assert stamped.y0 >= 0
        assert stamped.y1 / figure.dpi <= lowest + 0.02, words(figure)
    assert matplotlib.rcParams.copy() == before


def test_a_figure_drawn_by_hand_is_like_all_others():
    before, open_before = matplotlib.rcParams.copy(), plt.get_fignums()
    with viz.drawing(1, 2, (7.0, 3.0), sharey=True) as (figure, axes):
        axes[0].plot([0, 1], [0, 5])
        axes[1].set_xlabel("step")
    assert plt.get_fignums() == open_before
    assert matplotlib.rcParams.copy() == before
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert not axes[0].spines["top"].get_visible(), "drawn in the style"
    lowest = min(axis.get_tightbbox().y0 for axis in figure.axes) / figure.dpi
    viz.stamp(figure, "by hand")
    assert next(t for t in figure.texts).get_window_extent().y1 / figure.dpi <= lowest + 0.02
    with pytest.raises(ZeroDivisionError), viz.drawing():
        1 / 0  # noqa: B018
    assert plt.get_fignums() == open_before


def test_a_second_stamp_replaces_the_first(judged):
    figure = viz.stamp(viz.stamp(viz.roc_figure({"D1": judged}), "old"), "new")
    assert [t.get_text() for t in figure.texts if t.get_gid() == "stamp"] == ["new"]


def test_style_is_a_context():
    with viz.use_style():
        assert matplotlib.rcParams["figure.dpi"] == STYLE["figure.dpi"]
    assert matplotlib.rcParams["figure.dpi"] != STYLE["figure.dpi"]


# --- images and maps ---


def test_reconstruction_grid_names_its_rows_and_shares_the_scale_of_differences(images):
    again = images.clone()
    again[2] = again[2] // 2
    figure = viz.reconstruction_grid(images, again, KINDS, scores=[0.1, 0.2, 0.3, 0.4])
    largest = (images.int() - again.int()).abs().max().item()
    ((low, high),) = image_scales(figure, MAP_COLOURS)  # one scale for all
    assert low == 0
    assert 0.9 * largest < high <= largest
    assert image_scales(figure, "gray") == {(0.0, 255.0)}
    for word in ("image", "reconstruction", "difference", "crack\n0.300", "inactive\narea"):
        assert word in words(figure)


def test_identical_reconstructions_have_a_scale_too(images):
    assert image_scales(viz.reconstruction_grid(images, images), MAP_COLOURS) == {(0.0, 1.0)}


def test_anomaly_maps_share_the_given_scale_whatever_they_hold(images):
    maps = torch.rand(4, 16, 16) * torch.tensor([0.1, 1, 10, 100])[:, None, None]
    figure = viz.anomaly_map_grid(images, maps, scale=0.5, kinds=KINDS)
    assert image_scales(figure, MAP_COLOURS) == {(0.0, 0.5)}
    assert "0.500" in words(figure)


def test_masks_are_outlined_on_image_and_map_also_at_the_border(images):
    masks = np.zeros((4, 16, 16), dtype=bool)
    masks[2, :4, :4] = True
    figure = viz.anomaly_map_grid(images, np.zeros((4, 16, 16)), 1.0, masks=masks)
    outlined = [axis for axis in figure.axes if axis.collections and axis.images]
    outlines = [c for axis in outlined for c in axis.collections]
    assert len(outlines) == 2
    assert all(
        np.allclose(line[0], line[-1])
        for c in outlines
        for line in c.get_paths()[0].to_polygons(closed_only=False)
    )


def test_colour_images_are_drawn_in_colour():
    colour = RANDOM.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    figure = viz.reconstruction_grid(colour, colour)
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)


def test_images_that_cannot_be_drawn_are_refused(images):
    with pytest.raises(TypeError, match=r"reconstructions hold float32; expected uint8.*to_uint8"):
        viz.reconstruction_grid(images, images.float().numpy())
    with pytest.raises(ValueError, match=r"images have shape \(4, 16, 16\); expected \(N, C, H, W\)"):
        viz.anomaly_map_grid(images[:, 0], np.zeros((4, 16, 16)), 1.0)
    with pytest.raises(ValueError, match="lengths differ: images 4, maps 3"):
        viz.anomaly_map_grid(images, np.zeros((3, 16, 16)), 1.0)
    with pytest.raises(ValueError, match=r"scale is nan; expected a positive number.*map_scale"):
        viz.anomaly_map_grid(images, np.zeros((4, 16, 16)), float("nan"))
    with pytest.raises(ValueError, match=r"images are \(16, 16\) and reconstructions \(8, 8\)"):
        viz.reconstruction_grid(images, images[:, :, ::2, ::2])


# --- scores ---


def test_histograms_say_auroc_threshold_and_classes(judged):
    labels, scores = judged
    figure = viz.score_histograms({"D1": scores, "D3": -scores}, labels, {"D1": 1.7})
    first, second = figure.axes
    assert first.get_title("left") == f"D1   AUROC {metrics.image_auroc(labels, scores):.3f}"
    assert [line.get_xdata()[0] for line in first.lines] == [1.7]
    assert not len(second.lines)
    assert "normal (40)\nanomalous (20)" in words(figure)


def test_histogram_counts_far_images_in_its_last_bar(judged):
    labels, scores = judged
    far = scores.copy()
    far[0] = 1000.0
    axis = viz.score_histograms({"D1": far}, labels).axes[0]
    assert "1 beyond →" in [t.get_text() for t in axis.texts]
    assert axis.get_xlim()[1] < 1000


def test_roc_figure_names_curves_by_auroc_and_greys_pca(judged):
    labels, scores = judged
    figure = viz.roc_figure({"D1": judged, "PCA": (labels, scores + 2 * labels), "D0": (labels, -scores)})
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert [t for t in texts if t in ("D0", "D1", "PCA")] == ["PCA", "D1", "D0"]
    assert "chance" in texts
    assert "1.000" in texts
    named = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert named["PCA"] == REFERENCE


# --- training ---


def test_losses_get_a_log_axis_only_when_it_helps():
    losses = {
        "falls": np.geomspace(1, 1e-3, 200),
        "wobbles": 1 + 0.1 * RANDOM.random(200),
        "signed": np.arange(-9, 9),
    }
    figure = viz.loss_curves(losses)
    assert [axis.get_yscale() for axis in figure.axes] == ["log", "linear", "linear"]
    assert [axis.get_title("left") for axis in figure.axes] == list(losses)
    with pytest.raises(ValueError, match="'D' has no values"):
        viz.loss_curves({"D": []})
    with pytest.raises(ValueError, match="smooth is 0"):
        viz.loss_curves({"D": [1.0]}, smooth=0)
    with pytest.raises(ValueError, match="nothing to draw"):
        viz.loss_curves({})


def test_smoothing_is_a_moving_mean_and_can_be_turned_off():
    values = RANDOM.random(50)
    raw, mean = viz.loss_curves({"D": values}, smooth=5).axes[0].lines
    assert mean.get_ydata()[10] == pytest.approx(values[8:13].mean())
    assert np.allclose(viz.loss_curves({"D": values}, smooth=1).axes[0].lines[1].get_ydata(), raw.get_ydata())


def test_more_series_than_colours_are_refused():
    seven = {f"D{k}": [0.6, 0.7] for k in range(7)}
    with pytest.raises(ValueError, match=r"7 series in one figure .*; 6 colours can be told apart"):
        viz.checkpoint_curve([1, 2], [0.2, 0.1], seven)
    frame = pd.DataFrame({"dataset": "a", "auroc": 0.5, "detector": list(seven)})
    with pytest.raises(ValueError, match="7 series"):
        viz.seed_spread(frame, "detector")


def test_checkpoint_curve_marks_last_chosen_and_oracle():
    figure = viz.checkpoint_curve([100, 200, 300, 400], [0.4, 0.1, 0.2, 0.3], {"D1": [0.9, 0.7, 0.6, 0.65]})
    assert "D1  ■ 0.650  ● 0.700  ★ 0.900" in words(figure)
    points = {line.get_marker(): line.get_xdata()[0] for line in figure.axes[1].lines}
    assert (points["s"], points["o"], points["*"]) == (400, 200, 100)
    with pytest.raises(ValueError, match="steps 2, validation_error 2, D1 1"):
        viz.checkpoint_curve([1, 2], [1, 2], {"D1": [0.5]})


# --- many runs ---


@pytest.fixture(scope="module")
def runs():
    rows = [
        {
            "dataset": d,
            "contamination": c,
            "seed": s,
            "score": k,
            "auroc": 0.7 + 0.1 * (k == "D3") - c + 0.01 * s,
        }
        for d in ("elpv/mono", "bottle")
        for c in (0.0, 0.03, 0.09)
        for s in range(3)
        for k in ("D1", "D3")
    ]
    return pd.DataFrame(rows)


def test_contamination_panels_share_the_axis_and_show_mean_and_sd(runs):
    reference = runs[runs["score"] == "D3"].drop(columns="score")
    figure = viz.contamination_figure(runs, reference)
    assert [axis.get_title("left") for axis in figure.axes] == ["elpv/mono", "bottle"]
    assert len({axis.get_ylim() for axis in figure.axes}) == 1
    bars = figure.axes[0].containers
    assert len(bars) == 3  # PCA, D1, D3
    heights = [bar.lines[0].get_ydata() for bar in bars]
    assert np.allclose(heights[1], [0.71, 0.68, 0.62])
    segment = bars[1].lines[2][0].get_segments()[0]
    assert segment[1][1] - segment[0][1] == pytest.approx(0.02)  # twice the sample SD of 0, 0.01, 0.02
    for word in ("PCA", "D1", "D3", "image AUROC"):
        assert word in words(figure)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0", "3", "9"]


def test_frames_without_the_columns_or_the_rows_are_refused(runs):
    with pytest.raises(ValueError, match="no column 'auroc' among dataset"):
        viz.contamination_figure(runs.drop(columns="auroc"))
    with pytest.raises(ValueError, match="holds no run"):
        viz.contamination_figure(runs.iloc[:0])
    with pytest.raises(ValueError, match="no column 'delta'"):
        viz.leak_figure(pd.DataFrame({"leak": [], "metric": []}))


def test_names_at_line_ends_never_overlap():
    figure, axis = plt.subplots()
    axis.set_ylim(0, 1)
    _label_ends(axis, 0, {"a": (0.5, "k"), "b": (0.5, "k"), "c": (0.51, "k")}, gap=0.1)
    heights = sorted(t.xy[1] for t in axis.texts)
    plt.close(figure)
    assert np.diff(heights).min() >= 0.1 - 1e-9


def test_paper_beside_ours_keeps_the_order_and_leaves_out_what_was_not_printed():
    ours = {"bottle": [0.8, 0.7, 0.75], "magnetic_tile": 0.45}
    figure = viz.paper_beside_ours({"bottle": 0.794}, ours, {"bottle": [0.85]})
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["bottle", "magnetic_tile"]
    assert axis.get_yticks()[0] > axis.get_yticks()[1]  # the first row on top
    diamonds = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "D"]
    assert diamonds == [0.794]
    assert [t.get_text() for t in figure.legends[0].texts] == ["paper", "ours, mean ± SD over seeds", "PCA"]
    assert "chance" in words(figure)
    with pytest.raises(ValueError, match="ours holds no row"):
        viz.paper_beside_ours({}, {})


def test_leaks_are_sorted_and_written_with_their_sign():
    rows = [
        ("best epoch", "AUROC", 0.06),
        ("train mode", "AUROC", -0.02),
        ("train mode", "AUROC", -0.04),
        ("best threshold", "F1", 0.1),
    ]
    figure = viz.leak_figure(pd.DataFrame(rows, columns=["leak", "metric", "delta"]))
    auroc, f1 = figure.axes
    assert [t.get_text() for t in auroc.get_yticklabels()] == ["train mode   −0.030", "best epoch   +0.060"]
    assert [axis.get_title("left") for axis in (auroc, f1)] == ["gain in AUROC", "gain in F1"]
    assert auroc.get_xlim() == f1.get_xlim()


# --- the table ---


def table(values: dict[tuple[str, str], list[float]], **more):
    rows = [{"dataset": d, "score": s, "auroc": v} for (d, s), vs in values.items() for v in vs]
    return viz.score_table(pd.DataFrame(rows), rows="dataset", columns="score", **more)


def bold_texts(styler) -> list[str]:
    html = styler.to_html()
    cells = set(re.findall(r"#(T_\w+?_row\d+_col\d+)[^{]*\{\s*font-weight: bold", html))
    cells |= {
        c
        for group in re.findall(r"([^{}]*)\{\s*font-weight: bold", html)
        for c in re.findall(r"#(T_\w+)", group)
    }
    return [re.search(rf'id="{cell}"[^>]*>([^<]*)<', html)[1] for cell in sorted(cells)]


def test_table_is_bold_only_where_better_by_more_than_the_spread():
    styler = table(
        {
            ("clear", "D1"): [0.70, 0.72],
            ("clear", "D3"): [0.90, 0.92],
            ("close", "D1"): [0.70, 0.80],
            ("close", "D3"): [0.72, 0.86],
            ("single", "D1"): [0.6],
            ("single", "D3"): [0.9],
            ("alone", "D1"): [0.6, 0.7],
        }
    )
    assert bold_texts(styler) == ["0.910 ± 0.014"]
    assert styler.data.loc["single", "D3"] == "0.900"
    assert styler.data.loc["alone", "D3"] == "–"


def test_rivals_may_stand_in_the_rows():
    values = {("G", "bottle"): [0.6, 0.6], ("A", "bottle"): [0.9, 0.9], ("A", "wood"): [0.5, 0.5]}
    assert bold_texts(table(values, rivals="rows")) == ["0.900 ± 0.000"]
    with pytest.raises(ValueError, match="rivals"):
        table(values, rivals="lines")


def test_table_keeps_the_order_of_the_frame_and_puts_printed_values_first():
    printed = pd.DataFrame({"paper, D1": {"bottle": 0.794}})
    styler = table(
        {("wood", "D3"): [0.9, 0.9], ("bottle", "D3"): [0.5], ("wood", "D1"): [0.1]},
        printed=printed,
        caption="So.",
    )
    assert list(styler.data.columns) == ["paper, D1", "D3", "D1"]
    assert list(styler.data.index) == ["wood", "bottle"]
    assert styler.data["paper, D1"].tolist() == ["–", "0.794"]
    assert bold_texts(styler) == ["0.900 ± 0.000"]  # 0.794 is higher than 0.500 but is not ours to compare
    assert "So.</caption>" in styler.to_html()


# --- the threshold ---


def test_threshold_figure_writes_the_counts_of_its_threshold(judged, images):
    labels, scores = judged
    counts = metrics.confusion(labels, scores > 1.5)
    figure = viz.threshold_figure(labels, scores, 1.5, learnt=1.5, images=images.repeat(15, 1, 1, 1))
    texts = words(figure).split("\n")
    for key in ("tp", "fp", "fn", "tn"):
        assert str(counts[key]) in texts
    assert f"threshold 1.50  (learnt)   F1 {counts['f1']:.3f}" in texts
    assert sum(bool(axis.images) for axis in figure.axes) == 8
    assert "(learnt: 1.20)" in words(viz.threshold_figure(labels, scores, 1.5, learnt=1.2))


# --- source ---


@dataclasses.dataclass
class Example:
    """What it is."""

    size: int = 3
    name: str = "a"

    def first(self) -> int:
        """Says one.

        At length.
        """
        # why one
        return 1

    @property
    def second(self) -> int:
        return 2

    def third(self) -> int:
        return 3


def test_source_is_shown_dedented_without_docstrings():
    text = viz.show_source(Example.first).data
    assert text.startswith("```python\ndef first(self) -> int:\n    # why one\n    return 1\n```")
    assert "test_viz, line " in text
    assert "At length." in viz.show_source(Example.first, docstring=True).data


def test_source_of_a_class_can_be_cut_to_the_members_that_matter():
    block = viz.show_source(Example, only=["size", "second"]).data.split("```")[1]
    assert block == (
        "python\n@dataclasses.dataclass\nclass Example:\n\n    size: int = 3\n    ...\n\n    @property\n"
        "    def second(self) -> int:\n        return 2\n    ...\n"
    )
    assert '"""What it is."""' in viz.show_source(Example, only="first", docstring=True).data
    with pytest.raises(ValueError, match=r"unknown member of Example 'secnd'. Did you mean 'second'"):
        viz.show_source(Example, only="secnd")
    with pytest.raises(ValueError, match="not a class"):
        viz.show_source(Example.first, only="x")


def test_source_of_the_package_can_be_shown():
    assert "def styled" not in viz.show_source(viz.roc_figure).data  # the function, not its wrapper
    assert "def roc_figure" in viz.show_source(viz.roc_figure).data


def test_maps_of_several_detectors_share_a_scale_in_units_of_their_own(images):
    maps = RANDOM.random((4, 16, 16))
    figure = viz.detectors_on_images(images, {}, {"x": (maps, 0.5), "y": (2 * maps, 1.0)}, kinds=KINDS)
    assert image_scales(figure, MAP_COLOURS) == {(0, 1.5)}
    maps_drawn = [image.get_array() for axis in figure.axes for image in axis.images][4:12]
    for first, second in zip(maps_drawn[:4], maps_drawn[4:], strict=True):
        np.testing.assert_allclose(first, second)
    with pytest.raises(ValueError, match="map scale of x"):
        viz.detectors_on_images(images, {}, {"x": (maps, 0.0)})


def test_verdicts_are_written_on_the_maps_of_their_detector(images):
    maps = RANDOM.random((4, 16, 16))
    figure = viz.detectors_on_images(
        images, {"y": images}, {"x": (maps, 1.0), "y": (maps, 1.0)}, verdicts={"y": torch.from_numpy(KNOWN)}
    )
    on_axes = [[text.get_text() for text in axis.texts] for axis in figure.axes[:16]]
    assert on_axes == [[]] * 12 + [["refused"], ["passed"], ["refused"], ["refused"]]
    with pytest.raises(ValueError, match="y verdicts 3"):
        viz.detectors_on_images(images, {}, {"y": (maps, 1.0)}, verdicts={"y": KNOWN[:3]})


def test_a_spread_is_written_in_words_and_a_reference_is_grey():
    frame = pd.DataFrame(
        {
            "dataset": "a",
            "n": [1, 2, 1, 2],
            "detector": ["x", "x", "PCA", "PCA"],
            "auroc": [0.6, 0.8, 0.7, 0.75],
        }
    )
    assert "range 0.200" in words(viz.seed_spread(frame))
    lines = {line.get_color() for line in viz.study_curves(frame, "n", reference="PCA").axes[0].lines}
    assert REFERENCE in lines
    assert len(lines) == 2


def test_rows_of_images_may_differ_in_length_and_are_named(images):
    figure = viz.image_rows({"two": images[:2], "four": images})
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 0, 0, 1, 1, 1, 1]
    assert "two" in words(figure)
    with pytest.raises(ValueError, match="no row"):
        viz.image_rows({})


def test_the_landscape_has_a_panel_for_each_setting_and_sets_the_marked_candidate_apart():
    figure = viz.landscape_figure(SEARCH, ["a", "b"], "AUROC", "ours")
    for axis, name, level in zip(figure.axes, "ab", (1, 1)):
        others, highlighted, means = axis.lines
        assert axis.get_title(loc="left") == name
        assert len(others.get_xdata()) == 3
        assert (list(highlighted.get_xdata()), list(highlighted.get_ydata())) == ([level], [0.9])
        assert list(means.get_ydata()) == pytest.approx(SEARCH.groupby(name)["AUROC"].mean().tolist())
    assert "ours" in words(figure)
    with pytest.raises(ValueError, match="no column 'c'"):
        viz.landscape_figure(SEARCH, ["c"], "AUROC", "ours")


def test_rank_slopes_put_the_best_on_top_and_leave_out_candidates_without_a_value():
    table = pd.DataFrame(
        {"validation": [0.1, 0.3, 0.2], "test": [0.8, np.nan, 0.9]}, ["turned", "unseen", "blurred"]
    )
    figure = viz.rank_slopes({"threes": table}, marked=["turned"])
    (axis,) = figure.axes
    assert [list(line.get_ydata()) for line in axis.lines] == [[2, 2], [1, 1]]
    assert axis.lines[0].get_color() != axis.lines[1].get_color()
    bottom, top = axis.get_ylim()
    assert top < 1 < bottom
    assert [t.get_text() for t in axis.texts] == ["turned", "turned", "blurred", "blurred"]
    with pytest.raises(ValueError, match="threes: 3 candidates with a value for all of 1 criteria"):
        viz.rank_slopes({"threes": table[["validation"]]})


def test_speed_figure_marks_detectors_trained_with_labels_and_their_size():
    figure = viz.speed_figure(SPEEDS)
    discs = figure.axes[0].collections
    assert [len(group.get_offsets()) for group in discs] == [1, 1]
    assert discs[1].get_sizes()[0] > discs[0].get_sizes()[0]
    assert discs[0].get_facecolor()[0].tolist() != discs[1].get_facecolor()[0].tolist()
    assert all(
        text in words(figure) for text in ("small", "large", "labelled anomalies too", "images per second")
    )
    assert "larger: more weights" in words(figure)
    assert "labelled" not in words(viz.speed_figure(SPEEDS[~SPEEDS["labels"]])), (
        "nothing is named that is not there"
    )
    with pytest.raises(ValueError, match="no column 'labels'"):
        viz.speed_figure(SPEEDS.drop(columns="labels"))


def test_ranks_stand_in_order_and_mark_detectors_that_do_not_differ_significantly():
    figure = viz.rank_figure(RANKS, 0.6)
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["first", "second", "last"]
    discs = [line for line in axis.lines if line.get_marker() == "o"]
    assert [disc.get_color() for disc in discs] == [NORMAL, NORMAL, ANOMALOUS]
    assert "within 0.6 ranks" in words(figure)
    with pytest.raises(ValueError, match="critical difference"):
        viz.rank_figure(RANKS, 0.0)


def test_missed_defects_are_struck_out_and_counted(images):
    maps = RANDOM.random((4, 16, 16))
    figure = viz.found_and_missed(images, {"x": (maps, 1.0)}, {"x": KNOWN}, kinds=KINDS)
    assert "3 of 4" in words(figure)
    assert [len(axis.lines) for axis in figure.axes[4:8]] == [0, 1, 0, 0]
    with pytest.raises(ValueError, match="same detectors"):
        viz.found_and_missed(images, {"x": (maps, 1.0)}, {"y": KNOWN})
    with pytest.raises(ValueError, match="lengths differ"):
        viz.found_and_missed(images, {"x": (maps, 1.0)}, {"x": KNOWN[:3]})


def test_heat_map_writes_every_number_and_centres_its_colours_on_chance():
    table = pd.DataFrame({"set/a": [0.5, 0.912], "set/b": [np.nan, 0.1]}, ["one", "two"])
    figure = viz.auroc_heatmap(table)
    assert all(text in words(figure) for text in ("0.50", "0.91", "0.10", "one", "two"))
    (cells,) = (group for group in figure.axes[0].collections if group.get_array() is not None)
    assert cells.get_clim() == (0, 1)
    with pytest.raises(ValueError, match="between"):
        viz.auroc_heatmap(table + 1)


def test_a_network_is_drawn_from_its_modules():
    network = UNet(32).train()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    layers = layers_of(network, (3, 32, 32))
    assert [layer.side for layer in layers[:5]] == [16, 8, 4, 2, 1]
    assert [layer.skip for layer in layers if layer.skip is not None] == [3, 2, 1, 0]
    assert network.training
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    figure = viz.network_figure({"generator": network}, (3, 32, 32))
    written = {text.get_text() for text in figure.axes[0].texts}
    assert {str(layer.channels) for layer in layers} <= written
    assert figure.axes[0].get_title(loc="left").endswith(" weights")
    with pytest.raises(ValueError, match="nothing to draw"):
        viz.network_figure({}, (3, 32, 32))


def test_a_deep_network_is_drawn_by_its_parts_and_what_it_is_trained_on_stands_below():
    layers = layers_of(Rnan(width=4, plain_groups=0, attention_side=8), (1, 16, 16))
    assert [layer.channels for layer in layers] == [4, 4, 4, 4, 1]
    assert {layer.side for layer in layers} == {16}
    assert [layer.inside > 1 for layer in layers] == [False, True, False, True, False]
    student = {"student": Rnan(width=4, plain_groups=0, attention_side=8)}
    figure = viz.network_figure(student, (1, 16, 16), ["style"], ["style_distance"])
    assert "losses: style\nscores: style distance" in words(figure)
    colours = {matplotlib.colors.to_hex(block.get_facecolor()) for block in figure.axes[0].patches}
    assert ANOMALOUS.lower() not in colours, "nothing in it is narrower than the image"


def test_a_figure_is_shown_with_its_number_and_caption(judged, capsys):
    viz.show(viz.roc_figure({"D1": judged}), "1.7", "D1 is ahead.")
    assert capsys.readouterr().out == "Figure 1.7. D1 is ahead.\n"


def test_a_chart_is_told_from_a_picture_and_a_heat_map(images, judged):
    assert is_chart(viz.roc_figure({"D1": judged}))
    assert is_chart(viz.score_histograms({"D1": judged[1]}, judged[0]))
    assert not is_chart(viz.image_gallery(images))
    assert not is_chart(viz.auroc_heatmap(RANKS.T / 4))
