"""Numbers printed in the papers, for tables that put them beside ours. None of them was measured here.

Each table is a CSV file in this folder: the first line names the columns, the first column the rows, and a cell is
written as the paper prints it. Every cell is one of these:

printed    in that paper, of its own experiments
cited      in that paper, taken over from another: the column's name ends in "(cited)", or the last column says so
recalled   "~0.983": from memory, not verified at the source
lost       "lost": printed, and not to be read in the copy of the paper that this book works from
none       "none": not in print

The last column of a file says which kinds a row holds; `origins` says it cell by cell, and `marked` gives a table whole
as a page shows it, with the marks of `LEGEND`. The other functions give numbers, and name the table that these come
from. Recalled numbers stand apart, in functions whose name ends in `_recalled`; pages show them with a "~".

What is not here is in figures only, or not to be had: DAGAN's AUROCs on its two private sets and with few images.

Beside the tables: `settings`, how the papers and their code train, and what our profiles have in its place.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlib.errors import unknown_name

LEGEND = "~ recalled, not verified; † taken over from another paper; lost: printed, not to be read; –: not in print"
CHUNG_COPIED = ("ocsvm", "isolation_forest", "anogan", "deep_svdd")
CHUNG_SURFACES_COPIED = ("anogan", "feature_dictionary", "ssim_ae")
# In the order of the chapters: table -> what it holds, and the paper's own number for it.
TITLES = {
    "mvtec_counts": (
        "MVTec AD: images and defects of each category",
        "Bergmann et al. 2019, table of the data",
    ),
    "tang_contamination": ("GANomaly with abnormal images mixed into training", "Tang et al., Table I"),
    "tang_distances": ("GANomaly by residual distance", "Tang et al., Tables II and III"),
    "tang_wood": ("GANomaly on the authors' own wood line", "Tang et al., Table IV"),
    "anomalib_ganomaly": (
        "GANomaly in another implementation",
        "benchmark in anomalib's repository, April 2025",
    ),
    "dagan_recalled": ("DAGAN and its rivals on MVTec AD", "Tang et al. 2020 (DAGAN), recalled"),
    "kim_imbalances": ("Four imbalances and their remedies", "Kim et al. 2020, Table 1"),
    "kim_weights": ("Weights of the six losses", "Kim et al. 2020, Table 2"),
    "kim_defects": ("Metal surfaces", "Kim et al. 2020, Table 4"),
    "kim_mnist": ("MNIST, each digit normal in turn", "Kim et al. 2020, Table 5"),
    "kim_fashion_mnist": ("Fashion-MNIST, each class normal in turn", "Kim et al. 2020, Table 5"),
    "kim_cifar10": ("CIFAR-10, each class normal in turn", "Kim et al. 2020, Table 5"),
    "kim_cifar100": ("CIFAR-100, each superclass normal in turn", "Kim et al. 2020, Table 5"),
    "kim_ablation": ("One loss after the other, on the class bird", "Kim et al. 2020, Table 6"),
    "kim_speed": ("Images per second", "Kim et al. 2020, section 4.3"),
    "chung_classes": ("Style distillation: classes of MNIST and CIFAR-10", "Chung et al. 2020, Table 1"),
    "chung_surfaces": ("Style distillation: maps on MVTec AD", "Chung et al. 2020, Table 2"),
    "chung_transforms": ("Style distillation: kinds of outliers", "Chung et al. 2020, Table 3"),
    "bergmann_surfaces": ("Five methods' maps on MVTec AD", "Bergmann et al. 2019, as reproduced in slides"),
}
_CITED = " (cited)"  # ends the name of a column that a paper has taken over
_KIM_SETS = ("mnist", "fashion_mnist", "cifar10", "cifar100")


def table_names() -> list[str]:
    """The printed tables: what `marked` and `origins` take."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.csv") if path.stem != "settings")


def marked(name: str) -> pd.DataFrame:
    """A printed table whole, as text, every cell with its mark: "0.983", "~0.983", "0.54†", "lost", "–".

    Args:
        name: one of `table_names()`. See `LEGEND` for the marks.

    Returns:
        Rows and columns as in the file, averages among them; numbers as printed, so some tables are in per cent.

    Raises:
        ValueError: no such table; the nearest is suggested.
    """
    kinds = origins(name)
    return _cells(name).replace("none", "–").mask(kinds == "cited", lambda cells: cells + "†")


def origins(name: str) -> pd.DataFrame:
    """Where each cell of a printed table comes from: "printed", "cited", "recalled", "lost" or "none".

    Args:
        name: one of `table_names()`.

    Returns:
        Rows and columns as in `marked`.

    Raises:
        ValueError: no such table; the nearest is suggested.
    """
    return _origins(name).copy()


@functools.cache
def _origins(name: str) -> pd.DataFrame:
    table = _file(name)
    kinds = pd.DataFrame("printed", table.index, table.columns)
    kinds.loc[[kinds_of_row.startswith("cited") for kinds_of_row in table["cells"]]] = "cited"
    kinds.loc[:, [column.endswith(_CITED) for column in table]] = "cited"
    kinds = kinds.mask(table.apply(lambda column: column.str.startswith("~")), "recalled")
    kinds = kinds.mask(table.isin(["lost", "none"]), table)
    return kinds.drop(columns="cells").rename(columns=_plain)


def tang_distances() -> pd.DataFrame:
    """AUROC by residual distance: index "mvtec/<category>", columns D1, D2, D3.

    One run each, best checkpoint on the test set, input size not printed.

    Source: Tang et al., "The industrial application and the method of improvement of GANomaly", Tables II and III.
    """
    return _of_mvtec(_numbers(_cells("tang_distances").drop(columns="table")))


def tang_tables() -> pd.DataFrame:
    """The same numbers as they are printed, in two tables: index (table "II" or "III", "mvtec/<category>").

    Table II holds the categories with the best D3, Table III those with the best D1; the cable, where both are equal,
    stands in both.

    Source: Tang et al., Tables II and III.
    """
    where = _cells("tang_distances")["table"].str.split(" and ")
    table = tang_distances().assign(table=where.to_numpy()).explode("table")
    return table.set_index("table", append=True).swaplevel().sort_index(level="table", sort_remaining=False)


def tang_wood() -> pd.Series:
    """AUROC on the private wood line, index D1, D2, D3.

    Source: Tang et al., Table IV.
    """
    return _numbers(_cells("tang_wood")).loc["wood_line"].rename(None)


def tang_contamination() -> pd.DataFrame:
    """AUROC with D1 when abnormal images are mixed into training: index "mvtec/<category>", columns 0.0 to 0.09.

    The share is relative to the original training size; where the abnormal images came from is not printed.

    Source: Tang et al., Table I.
    """
    table = _numbers(_cells("tang_contamination"))
    return _of_mvtec(table.set_axis([float(name.removesuffix(" %")) / 100 for name in table], axis=1))


def dagan_recalled() -> pd.DataFrame:
    """AUROC of the DAGAN paper's comparison, from memory: index "mvtec/<category>", columns by detector name.

    Not verified at the source. What speaks for the numbers: the wins they imply (13 of 17 sets over GAN rivals,
    9 of 15 with the U-Net) and the largest gain (toothbrush, 0.250) are those that the paper's text states.
    GANomaly's column equals D1 of `tang_distances` in the twelve categories that both have: these cells are read
    there, and NaN here; `marked("dagan_recalled")` shows all fifteen. The two private sets of the comparison, phone
    glass and wood, are in a figure only and left out.

    Source: Tang et al. 2020 (DAGAN), table of MVTec AD results, recalled.
    """
    return _of_mvtec(_numbers(_cells("dagan_recalled"), recalled=True))


def anomalib_ganomaly() -> pd.Series:
    """AUROC of GANomaly in another implementation, anomalib's: index "mvtec/<category>".

    The library is maintained by the first author of GANomaly. Its mean over the same fifteen categories is 0.421, where
    the DAGAN paper has 0.782 for what carries the same name.

    Source: the benchmark in anomalib's repository, April 2025.
    """
    return _of_mvtec(_numbers(_cells("anomalib_ganomaly")).drop(index="average"))["ganomaly"]


def bergmann_surfaces() -> pd.DataFrame:
    """Pixel AUROC of the first comparison on MVTec AD: index "mvtec/<category>", columns by detector name, two digits.

    "ssim_ae" and "l2_ae" are one auto-encoder with two losses, "variation_model" the texture or variation model,
    which was not run on four objects (NaN). Chung et al. took over three of the columns, and not "l2_ae".

    Source: Bergmann et al. 2019 (MVTec AD), as reproduced in slides.
    """
    return _of_mvtec(_numbers(_cells("bergmann_surfaces")))


def mvtec_counts() -> pd.DataFrame:
    """What MVTec AD holds: index "mvtec/<category>", counts of images, of defect groups and of regions, side in pixels.

    Columns: kind ("texture" or "object"), train, test_good, test_defective, defect_groups, defect_regions, side.
    The printed totals are the sums of the columns. A copy may hold fewer or smaller images: `load` says what it has.

    Source: Bergmann et al. 2019, table of the data.
    """
    cells = _cells("mvtec_counts")
    return _of_mvtec(_numbers(cells.drop(columns="kind")).astype(int).assign(kind=cells["kind"])[list(cells)])


def chung_classes() -> pd.DataFrame:
    """AUROC with one class normal: index "mnist/<digit>" and "cifar10/<class>", columns by detector name.

    The four columns of `CHUNG_COPIED` equal those of Ruff et al. 2018, Table 1: copied, not run again. "cae" is the
    paper's "AE".

    Source: Chung et al. 2020 (OE-SDN), Table 1.
    """
    table = _numbers(_cells("chung_classes")).rename_axis("dataset")
    return table[~table.index.str.endswith("/average")]


def chung_averages() -> pd.DataFrame:
    """The printed averages of `chung_classes` and `chung_surfaces`, columns by detector name.

    Index: "mnist" and "cifar10", of the ten classes each; "textures" and "objects", of two digits. The last is printed
    as "Average" below the table, and is of the ten objects, not of all fifteen categories. NaN: not in that table.

    Source: Chung et al. 2020 (OE-SDN), Tables 1 and 2.
    """
    both = pd.concat([_numbers(_cells(name)) for name in ("chung_classes", "chung_surfaces")])
    averages = both[both.index.str.contains("average")]
    return averages.rename(
        index=lambda name: name.removesuffix("/average").removeprefix("average_of_")
    ).rename_axis(None)


def chung_surfaces() -> pd.DataFrame:
    """Pixel AUROC on MVTec AD: index "mvtec/<category>", columns by detector name, two digits.

    The three columns of `CHUNG_SURFACES_COPIED` are those of Bergmann et al. 2019, see `bergmann_surfaces`. The
    averages, of textures and of objects, are in `chung_averages`. At which size the images were seen is not printed.

    Source: Chung et al. 2020 (OE-SDN), Table 2.
    """
    table = _numbers(_cells("chung_surfaces"))
    return _of_mvtec(table[~table.index.str.startswith("average")])


def chung_transforms() -> pd.DataFrame:
    """Mean AUROC of OE-SDN by transform: index as in `adlib.transforms.TRANSFORMS` and "none", columns mnist, cifar10.

    "rotation" was chosen for the other tables because it is best here, on the same test sets.

    Source: Chung et al. 2020 (OE-SDN), Table 3.
    """
    return _numbers(_cells("chung_transforms")).rename_axis("transform")


def kim_imbalances() -> pd.DataFrame:
    """The four imbalances that the paper names, in words: index imbalance, columns remedy and section ("" where none).

    Our copy has this table in Chinese only; the words are a translation, near those of the paper's text.

    Source: Kim et al. 2020, Table 1.
    """
    return _cells("kim_imbalances").replace("none", "")


def kim_weights() -> pd.Series:
    """Weights of the generator's six losses, indexed by the field names of the detector's settings.

    Source: Kim et al. 2020, Table 2.
    """
    return _numbers(_cells("kim_weights"))["weight"].rename_axis(None)


def kim_defects() -> pd.DataFrame:
    """AUROC on the private set of defects: index the size of the patches in pixels, columns train, test.

    The "average accuracy of 99.03 %" of the introduction is the mean of the two test values, which are AUROCs. The
    table has no other method beside the paper's own.

    Source: Kim et al. 2020, Table 4.
    """
    return _numbers(_cells("kim_defects")).rename_axis("patches")


def kim_classes() -> pd.DataFrame:
    """AUROC with one class normal: index "<set>/<class>", one column per method, NaN where the source is lost.

    In the copy of the paper that this book works from the table is scrambled: rows are fused, shifted and
    mislabelled. It was put together again by the averages and standard deviations that the text and the table
    print: `kim_averages`. Cells that had to be recalled are in `kim_classes_recalled`.

    "dual_discriminator" is the paper's method. It is trained on labelled anomalies; no other column is. The others
    are cited from the literature, as the table says. On CIFAR-100 nine of its twenty superclasses are lost, on CIFAR-10
    and Fashion-MNIST a row "VAE" whose numbers do not survive.

    Source: Kim et al. 2020, Table 5, reassembled.
    """
    return _kim_classes(recalled=False)


def kim_classes_recalled() -> pd.DataFrame:
    """The other cells of `kim_classes`, in the same form: from the baselines' own paper (ARNet), as recalled.

    Not verified at the source; with them each row gives the averages and standard deviations that are printed.

    Source: Kim et al. 2020, Table 5, recalled.
    """
    return _kim_classes(recalled=True)


def kim_averages() -> pd.DataFrame:
    """Printed mean and SD over the classes: index (set, method), columns average, sd, NaN where the source is lost.

    Source: Kim et al. 2020, Table 5, reassembled.
    """
    sets = {name: _numbers(_cells(f"kim_{name}")[["average", "SD"]], percent=True) for name in _KIM_SETS}
    table = pd.concat(sets, names=["set", "method"]).rename(columns={"SD": "sd"})
    return table.dropna(how="all")


def kim_ablation() -> pd.DataFrame:
    """AUROC on CIFAR-10 bird: index the loss that joins the auto-encoder's, columns auroc, inferred.

    The marks of the table are lost. Rows "none", "abc" and "all" are fixed by the text; the others are read as
    one loss each, in the order of the columns.

    Source: Kim et al. 2020, Table 6.
    """
    cells = _cells("kim_ablation").rename_axis("added")
    return _numbers(cells[["auroc"]]).assign(inferred=cells["the loss is"] == "inferred")


def kim_speed() -> pd.DataFrame:
    """What the text says of the figure about speed: index the method, columns auroc, images_per_second, parameters.

    On CIFAR-10, with a GTX 1080 Ti, mean of ten passes over 10,000 images. NaN: in the figure only.

    Source: Kim et al. 2020, section 4.3, about Figure 2.
    """
    table = _numbers(_cells("kim_speed")).rename_axis("method")
    return table.assign(auroc=(table["auroc in %"] / 100).round(6))[
        ["auroc", "images_per_second", "parameters"]
    ]


def settings() -> pd.DataFrame:
    """How the papers and their code train, and what our profiles have in its place: a row per setting and source.

    Returns:
        Columns: detector, a name as in `make_detector`, or "every detector". setting: a field of its settings, a part
        of one of GANomaly's variants ("tang.latent"), an argument of a loss ("patch_loss.side"), or words. printed: as
        printed, "" where nobody prints it. value: the same in our units. paper, book: what these profiles have, None
        also where the setting is words. source: section or table. origin: "printed", "released code" (the authors'),
        "re-implementation" (other people's), "recalled" (from memory, not verified) or "ours" (nobody prints it).
        deviation: why `paper` differs, "" where it agrees. note: anything else.

    A detector that builds on another (OE-SDN on SDN, the balanced DAGAN on DAGAN) has rows only for what it changes.
    """
    path = Path(__file__).with_name("settings.csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table["value"] = [_literal(row.value or row.printed) for row in table.itertuples()]
    for profile in ("paper", "book"):
        table[profile] = pd.Series(
            [_set(row.detector, row.setting, profile) for row in table.itertuples()], dtype=object
        )
    columns = [
        "detector",
        "setting",
        "printed",
        "value",
        "paper",
        "book",
        "source",
        "origin",
        "deviation",
        "note",
    ]
    return table[columns]


def _literal(text: str) -> Any:
    """The Python value of a cell: "20,000" -> 20000, "(0.5, 0.999)" -> the pair, other text as it is."""
    try:
        return ast.literal_eval(text if text.startswith("(") else text.replace(",", ""))
    except (SyntaxError, ValueError):
        return text


def _set(detector: str, setting: str, profile: str) -> Any:
    """What a profile of ours has for a setting; None where it is no field."""
    from adlib import losses
    from adlib.detectors import detector_class, detector_names, ganomaly

    owner, _, part = setting.partition(".")
    if part and owner in ganomaly.VARIANTS:
        return getattr(ganomaly.VARIANTS[owner], part)
    if part:
        return inspect.signature(getattr(losses, owner)).parameters[part].default
    if detector not in detector_names():
        return None
    config = getattr(detector_class(detector).Config, profile)()
    return dataclasses.asdict(config).get(setting)


def _kim_classes(recalled: bool) -> pd.DataFrame:
    tables = []
    for name in _KIM_SETS:
        classes = _cells(f"kim_{name}").drop(columns=["average", "SD"])
        tables.append(_numbers(classes, recalled, percent=True).T.rename(index=f"{name}/{{}}".format))
    return pd.concat(tables).rename_axis(index="dataset", columns=None).dropna(axis=1, how="all")


def _file(name: str) -> pd.DataFrame:
    if name not in table_names():
        raise unknown_name("printed table", name, table_names())
    return _read(name).copy()


@functools.cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name(f"{name}.csv"), dtype=str, keep_default_na=False, index_col=0)


def _cells(name: str) -> pd.DataFrame:
    """A table's cells as written in the file, text; the column that says what a row holds is left out."""
    return _file(name).drop(columns="cells").rename(columns=_plain)


def _plain(column: str) -> str:
    return column.removesuffix(_CITED)


def _numbers(cells: pd.DataFrame, recalled: bool = False, percent: bool = False) -> pd.DataFrame:
    """The printed cells as floats, or the recalled ones; NaN for the others. Percents become fractions."""

    def number(cell: str) -> float:
        if cell in ("lost", "none") or cell.startswith("~") != recalled:
            return np.nan
        value = float(cell.removeprefix("~"))
        return round(value / 100, 6) if percent else value

    return cells.map(number)


def _of_mvtec(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(index="mvtec/{}".format).rename_axis("dataset")
