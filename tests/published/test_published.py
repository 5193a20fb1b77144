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
from adlib.transforms import TRANSFORMS
from adlib_book import published
from adlib_book.published import (
    chung_classes,
    chung_surfaces,
    chung_transforms,
    dagan_recalled,
    kim_ablation,
    kim_averages,
    kim_classes,
    kim_classes_recalled,
    kim_defects,
    kim_weights,
    tang_contamination,
    tang_distances,
)
from adlib_book.runner.inputs import READ_BY_CHAPTERS

FOLDER = Path(published.__file__).parent
FILES = sorted(FOLDER.glob("*.csv"))


def kind(cell: str) -> str:
    assert re.fullmatch(r"~?\d+(\.\d+)?|lost|stated|inferred", cell), cell
    return {"~": "recalled", "l": "lost"}.get(cell[0], "printed")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_of_a_file_says_what_its_cells_are(path):
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header[-1] == "cells"
    assert len(set(header)) == len(header)
    assert len({line[0] for line in lines}) == len(lines) > 1
    for line in lines:
        assert len(line) == len(header)
        kinds = {kind(cell) for cell in line[1:-1]}
        assert line[-1] == " and ".join(name for name in ("printed", "recalled", "lost") if name in kinds)


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


def test_the_recalled_table_implies_what_the_text_of_the_paper_states():
    table = pd.concat([dagan_recalled(), tang_distances()["D1"].rename("ganomaly")], axis=1)
    gans = table[["anogan", "skip_ganomaly", "ganomaly"]].max(axis=1)
    gain = table["dagan"] - gans
    assert gain.idxmax() == "mvtec/toothbrush"
    assert gain.max().round(3) == 0.250
    assert (gain >= 0).sum() == 11, "with both private sets, the thirteen of seventeen of the abstract"
    assert table["dagan"].mean().round(3) == 0.873


TEXTURES = [f"mvtec/{name}" for name in ("carpet", "grid", "leather", "tile", "wood")]


def test_means_of_chung_s_classes_are_those_printed():
    """Within rounding: the printed averages are of unrounded values."""
    means = chung_classes().groupby(lambda name: name.split("/")[0]).mean()
    printed = {
        "mnist": [0.913, 0.923, 0.913, 0.948, 0.961, 0.958, 0.975],
        "cifar10": [0.648, 0.555, 0.618, 0.648, 0.640, 0.616, 0.707],
    }
    for source, row in printed.items():
        assert (means.loc[source] - row).abs().max() < 0.0011


def test_means_of_chung_s_surfaces_are_those_printed():
    table = chung_surfaces()
    textures, objects = table.loc[TEXTURES].mean(), table.drop(TEXTURES).mean()
    assert (textures - [0.58, 0.80, 0.78, 0.87, 0.89, 0.89]).abs().max() < 0.0101
    assert (objects - [0.83, 0.77, 0.91, 0.92, 0.93, 0.93]).abs().max() < 0.0101


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
