"""Chapter 5: every one-class detector on every surface."""

from __future__ import annotations

from adlib_book.ledger.plans.chapter2 import ALL_SURFACES, chapter2_ancestors
from adlib_book.ledger.plans.chapter4 import MASKED, STYLE_64, SVDD_COLOUR
from adlib_book.ledger.plans.task import Task, grid, last_weights


@last_weights
def chapter5() -> list[Task]:
    """What the other chapters' ledgers lack for one table of every one-class detector on every surface, seed 0."""
    common = {"seed": [0]}
    masked = [name for name in ALL_SURFACES if name in MASKED]
    bare = [name for name in ALL_SURFACES if name not in MASKED]
    ancestors = {task.dataset for task in chapter2_ancestors()}
    others = [name for name in ALL_SURFACES if name not in ancestors]
    return [
        *grid(dataset=ALL_SURFACES, detector=["ocsvm", "isolation_forest"], **common),
        *grid(dataset=bare, detector=["ssim_ae"], changes=[{"checkpoints": 4}], **common),
        *grid(dataset=bare, detector=["feature_dictionary"], **common),
        *grid(dataset=[*masked, *bare], detector=["vae"], changes=[{"checkpoints": 1}], **common),
        *grid(dataset=bare, detector=["oe_sdn", "sdn"], changes=[STYLE_64], **common),
        *grid(dataset=ALL_SURFACES, detector=["deep_svdd"], changes=[SVDD_COLOUR], **common),
        *grid(dataset=others, detector=["f_anogan", "began"], **common),
        *grid(dataset=others, detector=["anogan"], **common),
    ]
