"""Numbers printed in the papers, for tables that put them beside ours. None of them was measured here.

Each table is a CSV file in this folder: the first line names the columns, the first column the rows, and a cell is
written as the paper prints it. "~0.983" was recalled and not verified at the source, "lost" cannot be read in the
copy of the paper that this book works from; the last column says which kinds a row holds. Each function names the
table it comes from. Recalled numbers stand apart, in functions whose name ends in `_recalled`; pages show them
with a "~".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

CHUNG_COPIED = ("ocsvm", "isolation_forest", "anogan", "deep_svdd")
CHUNG_SURFACES_COPIED = ("anogan", "feature_dictionary", "ssim_ae")
_KIM_SETS = ("mnist", "fashion_mnist", "cifar10", "cifar100")


def tang_distances() -> pd.DataFrame:
    """AUROC by residual distance: index "mvtec/<category>", columns D1, D2, D3.

    One run each, best checkpoint on the test set, input size not printed.

    Source: Tang et al., "The industrial application and the method of improvement of GANomaly", Tables II and III.
    """
    return _of_mvtec(_numbers(_cells("tang_distances")))


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
    GANomaly's column equals D1 of `tang_distances` in all twelve shared categories and is left out here.

    Source: Tang et al. 2020 (DAGAN), table of MVTec AD results, recalled.
    """
    return _of_mvtec(_numbers(_cells("dagan_recalled"), recalled=True))


def chung_classes() -> pd.DataFrame:
    """AUROC with one class normal: index "mnist/<digit>" and "cifar10/<class>", columns by detector name.

    The four columns of `CHUNG_COPIED` equal those of Ruff et al. 2018, Table 1: copied, not run again. "cae" is the
    paper's "AE".

    Source: Chung et al. 2020 (OE-SDN), Table 1.
    """
    return _numbers(_cells("chung_classes")).rename_axis("dataset")


def chung_surfaces() -> pd.DataFrame:
    """Pixel AUROC on MVTec AD: index "mvtec/<category>", columns by detector name, two digits.

    The three columns of `CHUNG_SURFACES_COPIED` are those of Bergmann et al. 2019. The printed row "Average" below
    the objects is the mean over the objects, not over all categories.

    Source: Chung et al. 2020 (OE-SDN), Table 2.
    """
    return _of_mvtec(_numbers(_cells("chung_surfaces")))


def chung_transforms() -> pd.DataFrame:
    """Mean AUROC of OE-SDN by transform: index as in `adlib.transforms.TRANSFORMS` and "none", columns mnist, cifar10.

    "rotation" was chosen for the other tables because it is best here, on the same test sets.

    Source: Chung et al. 2020 (OE-SDN), Table 3.
    """
    return _numbers(_cells("chung_transforms")).rename_axis("transform")


def kim_weights() -> pd.Series:
    """Weights of the generator's six losses, indexed by the field names of the detector's settings.

    Source: Kim et al. 2020, Table 2.
    """
    return _numbers(_cells("kim_weights"))["weight"].rename_axis(None)


def kim_defects() -> pd.DataFrame:
    """AUROC on the private set of defects: index the size of the patches in pixels, columns train, test.

    The "average accuracy of 99.03 %" of the introduction is the mean of the two test values, which are AUROCs.

    Source: Kim et al. 2020, Table 4.
    """
    return _numbers(_cells("kim_defects")).rename_axis("patches")


def kim_classes() -> pd.DataFrame:
    """AUROC with one class normal: index "<set>/<class>", one column per method, NaN where the source is lost.

    In the copy of the paper that this book works from the table is scrambled: rows are fused, shifted and
    mislabelled. It was put together again by the averages and standard deviations that the text and the table
    print: `kim_averages`. Cells that had to be recalled are in `kim_classes_recalled`.

    "dual_discriminator" is the paper's method. It is trained on labelled anomalies; no other column is.

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


def _kim_classes(recalled: bool) -> pd.DataFrame:
    tables = []
    for name in _KIM_SETS:
        classes = _cells(f"kim_{name}").drop(columns=["average", "SD"])
        tables.append(_numbers(classes, recalled, percent=True).T.rename(index=f"{name}/{{}}".format))
    return pd.concat(tables).rename_axis(index="dataset", columns=None).dropna(axis=1, how="all")


def _cells(name: str) -> pd.DataFrame:
    """A table's cells as written in the file, text; the column that says what a row holds is left out."""
    path = Path(__file__).with_name(f"{name}.csv")
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=0).drop(columns="cells")


def _numbers(cells: pd.DataFrame, recalled: bool = False, percent: bool = False) -> pd.DataFrame:
    """The printed cells as floats, or the recalled ones; NaN for the others. Percents become fractions."""

    def number(cell: str) -> float:
        if cell == "lost" or cell.startswith("~") != recalled:
            return np.nan
        value = float(cell.removeprefix("~"))
        return round(value / 100, 6) if percent else value

    return cells.map(number)


def _of_mvtec(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(index="mvtec/{}".format).rename_axis("dataset")
