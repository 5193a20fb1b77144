"""Printed tables against the means that the specification derived from them: a slip of the pen would move one."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from adlib.data import classes
from adlib.detectors.dual_discriminator import Config
from adlib.environment import clear_cached_sources, hash_of
from adlib.models.dual_discriminator import DualDiscriminator, DualGenerator
from adlib.models.ganomaly import count_parameters
from adlib.transforms import TRANSFORMS
from adlib_book import published
from adlib_book.ledger import weight_search
from adlib_book.published import (
    anomalib_ganomaly,
    bergmann_surfaces,
    chung_averages,
    chung_classes,
    chung_surfaces,
    chung_transforms,
    dagan_recalled,
    kim_ablation,
    kim_averages,
    kim_classes,
    kim_classes_recalled,
    kim_defects,
    kim_imbalances,
    kim_speed,
    kim_weights,
    marked,
    mvtec_counts,
    origins,
    table_names,
    tang_contamination,
    tang_distances,
    tang_tables,
    tang_wood,
)
from adlib_book.runner.inputs import READ_BY_CHAPTERS
from adlib_book.site import pages

FOLDER = Path(published.__file__).parent
FILES = sorted(FOLDER.glob("*.csv"))
TABLES = [path for path in FILES if path.stem in table_names()]
KINDS = ("printed", "cited", "recalled", "lost", "none")
IN_WORDS = ("kim_imbalances",)
WORDS = "stated|inferred|texture|object|II|III|II and III"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_line_of_a_file_says_what_its_cells_are(path):
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header[-1] == "cells"
    assert len(set(header)) == len(header)
    assert len({line[0] for line in lines}) == len(lines) > 0
    kinds = origins(path.stem)
    assert list(kinds.index) == [line[0] for line in lines]
    for line, (_, row) in zip(lines, kinds.iterrows()):
        assert len(line) == len(header)
        for cell in line[1:-1]:
            assert path.stem in IN_WORDS or re.fullmatch(rf"~?\d+(\.\d+)?|lost|none|{WORDS}", cell), cell
        assert line[-1] == " and ".join(kind for kind in KINDS if kind in set(row))


def test_the_mark_of_a_cell_says_where_it_comes_from():
    table = marked("dagan_recalled")
    assert table.loc["bottle"].tolist() == ["~0.800", "0.794†", "~0.937", "~0.863", "~0.983"]
    assert marked("kim_cifar100").loc["dual_discriminator", ["fish", "people"]].tolist() == ["86.1", "lost"]
    assert marked("bergmann_surfaces").loc["cable", "variation_model"] == "–"
    signs = {"recalled": "~", "cited": "†", "lost": "lost", "none": "–"}
    assert all(sign in published.LEGEND for sign in signs.values())
    for name in table_names():
        for mark, kind in zip(marked(name).to_numpy().flat, origins(name).to_numpy().flat):
            assert [each for each, sign in signs.items() if sign in mark] == [kind] * (kind != "printed")


def test_an_unknown_table_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="chung_surfaces"):
        marked("chung_surface")


# What the papers print, counted there: rows, columns. Averages that a table prints are rows and columns, too.
SHAPES = {
    "tang_contamination": (12, 4),
    "tang_distances": (12, 4),  # three distances and the number of the table
    "tang_wood": (1, 3),
    "dagan_recalled": (15, 5),
    "anomalib_ganomaly": (16, 1),
    "bergmann_surfaces": (15, 5),
    "mvtec_counts": (15, 7),
    "chung_classes": (22, 7),
    "chung_surfaces": (17, 6),
    "chung_transforms": (10, 2),
    "kim_imbalances": (4, 2),
    "kim_weights": (6, 1),
    "kim_defects": (2, 2),
    "kim_mnist": (9, 12),
    "kim_fashion_mnist": (8, 12),
    "kim_cifar10": (10, 12),
    "kim_cifar100": (8, 22),
    "kim_ablation": (7, 2),
    "kim_speed": (3, 3),
}


def test_every_table_has_as_many_rows_and_columns_as_in_print():
    assert {name: marked(name).shape for name in table_names()} == SHAPES


def test_no_score_is_outside_its_range():
    tables = [tang_distances(), tang_contamination(), tang_wood(), dagan_recalled(), anomalib_ganomaly()]
    tables += [bergmann_surfaces(), chung_classes(), chung_surfaces(), chung_averages(), chung_transforms()]
    tables += [
        kim_defects(),
        kim_classes(),
        kim_classes_recalled(),
        kim_ablation()["auroc"],
        kim_speed()["auroc"],
    ]
    for table in tables:
        values = table.to_numpy().ravel()
        values = values[~pd.isna(values)]
        assert len(values)
        assert ((values >= 0) & (values <= 1)).all()
    assert kim_averages()["sd"].dropna().between(0.001, 0.25).all()


def test_a_changed_cell_changes_what_chapters_depend_on(tmp_path):
    book = tmp_path / "adlib_book"
    shutil.copytree(FOLDER, book / "published")
    before = hash_of(book, ("published",))
    for path in FILES:
        copy = book / "published" / path.name
        copy.write_text(copy.read_text() + "one more line\n")
        clear_cached_sources()
        after = hash_of(book, ("published",))
        assert after != before, path.name
        before = after
    assert "published" in READ_BY_CHAPTERS


def test_the_classes_of_kim_s_files_are_those_of_the_sets():
    sets = {
        "mnist": classes.MNIST,
        "fashion_mnist": classes.FASHION_MNIST,
        "cifar10": classes.CIFAR10,
        "cifar100": classes.CIFAR100,
    }
    for name, data_set in sets.items():
        with (FOLDER / f"kim_{name}.csv").open(newline="") as file:
            header = next(csv.reader(file))
        assert header[1:-3] == list(data_set.choices)


def test_means_of_tang_s_tables():
    assert tang_distances().mean().round(3).tolist() == [0.770, 0.756, 0.699]
    assert tang_distances().max(axis=1).mean().round(3) == 0.796
    assert tang_contamination().mean().round(3).tolist() == [0.770, 0.748, 0.764, 0.776]


def test_both_tables_print_the_same_clean_d1():
    assert (tang_contamination()[0.0].sort_index() == tang_distances()["D1"].sort_index()).all()


def test_tang_s_two_tables_share_the_cable_where_d1_and_d3_are_equal():
    table = tang_tables()
    assert table.loc["II"].shape == (6, 3)
    assert table.loc["III"].shape == (7, 3)
    assert set(table.loc["II"].index) & set(table.loc["III"].index) == {"mvtec/cable"}
    assert (table.loc["II"]["D3"] >= table.loc["II"]["D1"]).all()
    assert (table.loc["III"]["D1"] >= table.loc["III"]["D3"]).all()
    assert table.loc[("II", "mvtec/cable"), "D1"] == table.loc[("II", "mvtec/cable"), "D3"]


def test_the_wood_line_is_best_by_d1_as_the_text_says():
    assert tang_wood().to_dict() == {"D1": 0.915, "D2": 0.914, "D3": 0.849}
    assert tang_wood().idxmax() == "D1"


def dagan_whole() -> pd.DataFrame:
    """All fifteen categories: GANomaly's from the sister paper where that has them."""
    recalled = dagan_recalled()
    return recalled.assign(ganomaly=recalled["ganomaly"].combine_first(tang_distances()["D1"]))


def test_the_recalled_table_implies_what_the_text_of_the_paper_states():
    table = dagan_whole()
    assert table.notna().all(axis=None)
    gans = table[["anogan", "skip_ganomaly", "ganomaly"]].max(axis=1)
    gain = table["dagan"] - gans
    assert gain.idxmax() == "mvtec/toothbrush"
    assert gain.max().round(3) == 0.250
    largest = gain.nlargest(4).index
    assert set(largest) == {f"mvtec/{name}" for name in ("toothbrush", "tile", "hazelnut", "carpet")}
    assert table.mean().round(3).to_dict() == {
        "anogan": 0.503,
        "ganomaly": 0.782,
        "skip_ganomaly": 0.805,
        "unet": 0.819,
        "dagan": 0.873,
    }


def test_nine_of_fifteen_and_thirteen_of_seventeen_are_both_right():
    """Nine with the U-Net as a rival; eleven among GANs, which with both private sets are the abstract's thirteen."""
    table = dagan_whole()
    rivals = table.drop(columns="dagan")
    assert (table["dagan"] >= rivals.max(axis=1)).sum() == 9
    assert (table["dagan"] >= rivals.drop(columns="unet").max(axis=1)).sum() + 2 == 13


def test_ganomaly_s_cells_in_the_table_of_dagan_are_those_of_the_sister_paper():
    cited = origins("dagan_recalled")["ganomaly"] == "cited"
    cells = marked("dagan_recalled")["ganomaly"][cited].str.removesuffix("†").astype(float)
    assert (
        cells.rename("mvtec/{}".format).sort_index().to_dict()
        == tang_distances()["D1"].sort_index().to_dict()
    )


def test_the_mean_of_anomalib_s_benchmark_is_the_one_printed_there():
    printed = float(marked("anomalib_ganomaly").loc["average", "ganomaly"])
    assert anomalib_ganomaly().mean().round(3) == printed == 0.421
    assert len(anomalib_ganomaly()) == 15


def test_the_printed_totals_of_mvtec_ad():
    counts = mvtec_counts()
    totals = (
        counts[["train", "test_good", "test_defective", "defect_groups", "defect_regions"]].sum().tolist()
    )
    assert totals == [3629, 467, 1258, 73, 1888]
    assert 467 + 1258 == 1725
    assert counts["kind"].value_counts().to_dict() == {"object": 10, "texture": 5}
    assert (counts["side"].min(), counts["side"].max()) == (700, 1024)


TEXTURES = [f"mvtec/{name}" for name in ("carpet", "grid", "leather", "tile", "wood")]


def test_means_of_chung_s_classes_are_those_printed():
    """Within rounding: the printed averages are of unrounded values."""
    means = chung_classes().groupby(lambda name: name.split("/")[0]).mean()
    printed = chung_averages()[list(means)]
    for source in ("mnist", "cifar10"):
        assert (means.loc[source] - printed.loc[source]).abs().max() < 0.0011


def test_means_of_chung_s_surfaces_are_those_printed():
    """The last row is called "Average", and is of the objects: the mean of all fifteen is another."""
    table = chung_surfaces()
    printed = chung_averages()[list(table)]
    textures, objects = table.loc[TEXTURES].mean(), table.drop(TEXTURES).mean()
    assert (textures - printed.loc["textures"]).abs().max() < 0.0101
    assert (objects - printed.loc["objects"]).abs().max() < 0.0101
    assert (table.mean() - printed.loc["objects"]).abs().max() > 0.04


def test_what_chung_took_over_is_what_the_benchmark_printed():
    taken = list(published.CHUNG_SURFACES_COPIED)
    assert chung_surfaces()[taken].equals(bergmann_surfaces().loc[chung_surfaces().index, taken])
    for table, copied in (
        ("chung_surfaces", published.CHUNG_SURFACES_COPIED),
        ("chung_classes", published.CHUNG_COPIED),
    ):
        assert {name for name, kinds in origins(table).items() if (kinds == "cited").any()} == set(copied)
    assert bergmann_surfaces().loc["mvtec/cable", "l2_ae"] > chung_surfaces().loc["mvtec/cable", "oe_sdn"]


def test_chung_s_transforms_agree_with_the_other_table_and_with_ours():
    table, means = chung_transforms(), chung_classes().groupby(lambda name: name.split("/")[0]).mean()
    assert set(table.index) == {*TRANSFORMS, "none"}
    assert (table.idxmax() == "rotation").all()
    for source in ("mnist", "cifar10"):
        assert abs(table.loc["rotation", source] - means.loc[source, "oe_sdn"]) < 0.001
        assert abs(table.loc["none", source] - means.loc[source, "sdn"]) < 0.001


def kim_cells() -> pd.DataFrame:
    return kim_classes().combine_first(kim_classes_recalled())


def by_set(table: pd.DataFrame):
    return table.groupby(lambda name: name.split("/")[0])


def test_kim_s_reassembled_rows_give_the_printed_averages_and_deviations():
    """A row put together from the wrong pieces would not give a standard deviation that is printed elsewhere."""
    cells, printed = by_set(kim_cells()), kim_averages()
    whole = cells.count() == cells.size().to_frame().to_numpy()
    means, spreads = cells.mean().stack(), cells.std(ddof=1).stack()
    complete = [(name, method) for name, method in printed.index if whole.loc[name, method]]
    assert len(complete) == 23, "all but the paper's own row on CIFAR-100"
    for name, method in complete:
        row = printed.loc[(name, method)]
        # "not >" lets a lost average (NaN) pass
        assert not abs(row["average"] - means[name, method]) > 0.0010, (name, method)
        assert not abs(row["sd"] - spreads[name, method]) > 0.00025, (name, method)


def test_kim_s_own_rows_are_not_recalled_and_give_what_the_text_states():
    stated = {
        "mnist": (0.997, 0.0016),
        "fashion_mnist": (0.986, 0.0120),
        "cifar10": (0.906, 0.0314),
        "cifar100": (0.874, 0.0480),
    }
    assert "dual_discriminator" not in kim_classes_recalled()
    ours = by_set(kim_classes()["dual_discriminator"])
    for name, (average, sd) in stated.items():
        assert tuple(kim_averages().loc[(name, "dual_discriminator")]) == (average, sd)
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert abs(ours.mean()[name] - stated[name][0]) < 0.0010
        assert round(ours.std()[name], 4) == stated[name][1]


def test_what_kim_s_lost_superclasses_have_to_average():
    ours = kim_classes().filter(like="cifar100/", axis=0)["dual_discriminator"]
    assert ours.isna().sum() == 9
    assert round((20 * 0.874 - ours.sum()) / 9, 3) == 0.855


def test_no_cell_of_kim_s_is_both_recalled_and_not():
    assert not (kim_classes().notna() & kim_classes_recalled().reindex_like(kim_classes()).notna()).any(
        axis=None
    )
    assert kim_classes().index.equals(kim_classes_recalled().index)
    assert len(kim_classes()) == 50


def test_kim_s_accuracy_is_a_mean_of_aurocs():
    assert kim_defects()["test"].mean().round(5) == 0.99035


def test_three_of_kim_s_four_remedies_have_a_section():
    table = kim_imbalances()
    assert table["section"].tolist() == ["3.5", "3.4", "3.3", ""]
    assert table.loc["discriminator biased to one distribution", "remedy"] == "two discriminators"


def test_two_of_kim_s_printed_digits_do_not_follow_from_the_row():
    """Known and left as printed: GANomaly's deviation and ADGAN's average on MNIST are off by a digit."""
    row = by_set(kim_cells())
    assert marked("kim_mnist").loc["ganomaly", "SD"] == "6.12†"
    assert row.std(ddof=1).loc["mnist", "ganomaly"].round(4) == 0.0610
    assert marked("kim_mnist").loc["adgan", "average"] == "~94.7"
    assert row.mean().loc["mnist", "adgan"].round(4) == 0.9482


def test_the_line_that_the_copy_calls_ours_is_the_auto_encoder_on_photographs():
    assert tuple(kim_averages().loc[("cifar10", "ae")]) == (0.590, 0.0584)


def test_nothing_but_the_paper_s_own_row_of_table_5_is_its_own():
    for name in ("kim_mnist", "kim_fashion_mnist", "kim_cifar10", "kim_cifar100"):
        rows = origins(name).drop(index="dual_discriminator")
        assert not (rows == "printed").any(axis=None)


def test_the_rule_of_kim_s_search_leaves_one_more_than_printed():
    assert len(weight_search.candidates()) == 314 + 1


def test_the_printed_parameter_counts_are_sums_of_rounded_terms():
    generator, discriminator = DualGenerator(3), DualDiscriminator(3)
    terms = [384, 2080, 8256, 32896, 32832, 16416, 4112, 768]
    assert count_parameters(generator) == sum(terms) == 97_744
    assert round(sum([0.38, 2.08, 8.26, 32.9, 32.83, 16.42, 4.11, 0.77]), 2) == 97.75
    assert count_parameters(discriminator) == 76_384
    assert round(sum([0.38, 2.08, 8.26, 32.9, 32.77]), 2) == 76.39
    assert round(count_parameters(generator), -3) == kim_speed().loc["dual_discriminator", "parameters"]


def test_the_figure_about_speed_agrees_with_the_table():
    speed = kim_speed()
    for method in ("arnet", "dual_discriminator"):
        assert speed.loc[method, "auroc"] == kim_averages().loc[("cifar10", method), "average"]
    assert (
        round(speed.loc["dual_discriminator", "parameters"] / speed.loc["geotrans", "parameters"], 2) == 0.08
    )


def test_kim_s_weights_are_those_of_the_settings():
    weights = kim_weights()
    assert weights.sum() == 5.5
    assert all(getattr(Config.paper(), name) == weight for name, weight in weights.items())


def test_labels_supply_most_of_kim_s_ablation():
    auroc = kim_ablation()["auroc"]
    assert (auroc["abc"] - auroc["none"]).round(4) == 0.2076
    assert (auroc["all"] - auroc["none"]).round(4) == 0.2208
    rest = auroc[["adversarial", "anomaly_adversarial", "patch", "latent"]] - auroc["none"]
    assert rest.between(0.0018, 0.0130).all()


def test_the_page_shows_every_table_whole(tmp_path):
    page = tmp_path / "book" / "printed_tables.md"
    page.parent.mkdir()
    page.write_text("# Before")
    pages.write_printed_tables(tmp_path)
    text = page.read_text()
    assert sorted(published.TITLES) == table_names()
    for name in table_names():
        start = text.index(f"`published.marked({name!r})`")
        lines = [line for line in text[start:].split("\n## ")[0].splitlines() if line.startswith("|")]
        cells = {cell for line in lines[2:] for cell in line.strip("| ").split(" | ")}
        assert {*marked(name).to_numpy().flat} <= cells
        assert len({line.count("|") for line in lines}) == 1
    assert "| dog | 57.0† | ~49.3 |" in text, "of many classes each is a row"
