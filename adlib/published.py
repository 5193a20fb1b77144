"""Numbers printed in the papers, for tables that put them beside ours. None of them was measured here.

Each function names the table it comes from. A number that was recalled and not re-verified carries no place here.
"""

from __future__ import annotations

import pandas as pd

_TANG_DISTANCES = {  # category: D1, D2, D3; clean training
    "pill": (0.671, 0.670, 0.778),
    "bottle": (0.794, 0.800, 0.871),
    "hazelnut": (0.874, 0.841, 0.948),
    "transistor": (0.808, 0.807, 0.852),
    "wood": (0.920, 0.922, 0.925),
    "cable": (0.711, 0.695, 0.711),
    "carpet": (0.821, 0.820, 0.392),
    "leather": (0.808, 0.801, 0.511),
    "tile": (0.720, 0.706, 0.538),
    "metal_nut": (0.694, 0.658, 0.556),
    "capsule": (0.721, 0.698, 0.662),
    "toothbrush": (0.700, 0.654, 0.642),
}

_TANG_CONTAMINATION = {  # category: D1 at 0, 3, 6 and 9 % of abnormal images mixed into training
    "bottle": (0.794, 0.775, 0.861, 0.773),
    "cable": (0.711, 0.694, 0.705, 0.675),
    "capsule": (0.721, 0.663, 0.648, 0.667),
    "carpet": (0.821, 0.581, 0.879, 0.837),
    "hazelnut": (0.874, 0.907, 0.964, 0.922),
    "leather": (0.808, 0.717, 0.738, 0.850),
    "metal_nut": (0.694, 0.746, 0.687, 0.744),
    "pill": (0.671, 0.665, 0.665, 0.675),
    "tile": (0.720, 0.727, 0.700, 0.711),
    "toothbrush": (0.700, 0.784, 0.622, 0.723),
    "transistor": (0.808, 0.780, 0.792, 0.793),
    "wood": (0.920, 0.938, 0.902, 0.943),
}


def tang_distances() -> pd.DataFrame:
    """AUROC by residual distance: index "mvtec/<category>", columns D1, D2, D3.

    One run each, best checkpoint on the test set, input size not printed.

    Source: Tang et al., "The industrial application and the method of improvement of GANomaly", Tables II and III.
    """
    table = pd.DataFrame.from_dict(_TANG_DISTANCES, orient="index", columns=["D1", "D2", "D3"])
    return table.rename(index="mvtec/{}".format).rename_axis("dataset")


def tang_contamination() -> pd.DataFrame:
    """AUROC with D1 when abnormal images are mixed into training: index "mvtec/<category>", columns 0.0 to 0.09.

    The share is relative to the original training size; where the abnormal images came from is not printed.

    Source: Tang et al., Table I.
    """
    table = pd.DataFrame.from_dict(_TANG_CONTAMINATION, orient="index", columns=[0.0, 0.03, 0.06, 0.09])
    return table.rename(index="mvtec/{}".format).rename_axis("dataset")
