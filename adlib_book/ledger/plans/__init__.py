"""What the long runs behind the chapters are: one named list of experiments per question.

A plan is ordered so that every prefix of it is worth having: seed 0 of everything comes before seed 1.
"""

from __future__ import annotations

from adlib_book.ledger.plans import averaged, chapter1, chapter2, chapter3, chapter4, chapter5, patches
from adlib_book.ledger.plans.task import Plan, Task, grid

PLANS: dict[str, Plan] = {
    plan.__name__: plan
    for plan in (
        chapter1.chapter1,
        chapter1.chapter1_gap,
        chapter1.chapter1_areas,
        chapter2.chapter2,
        chapter2.chapter2_large,
        chapter2.chapter2_ancestors,
        chapter2.chapter2_stability,
        chapter2.chapter2_ablations,
        chapter2.chapter2_few,
        chapter2.chapter2_balance,
        chapter3.chapter3,
        chapter3.chapter3_longer,
        chapter3.chapter3_unseen,
        chapter3.chapter3_ablation,
        chapter3.chapter3_weights,
        chapter3.chapter3_surfaces,
        chapter3.chapter3_shared,
        chapter3.chapter3_turns,
        chapter4.chapter4,
        chapter4.chapter4_surfaces,
        chapter4.chapter4_transforms,
        chapter4.chapter4_longer,
        chapter4.chapter4_anogan,
        chapter4.chapter4_bottleneck,
        chapter5.chapter5,
        averaged.averaged,
        patches.patches,
    )
}

__all__ = ["PLANS", "Task", "grid"]
