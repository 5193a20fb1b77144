"""The search for loss weights, and the plans of chapter 3."""

from __future__ import annotations

import pandas as pd
import pytest

from adlib_book.ledger import weight_search
from adlib_book.ledger.plans import PLANS
from adlib_book.ledger.plans.chapter3 import chapter3_weights
from adlib_book.ledger.sweep import task_id

CHAPTER = [name for name in PLANS if name.startswith("chapter3")]


@pytest.mark.parametrize(
    ("rule", "count"), [("more than twice", 315), ("at least twice", 414), ("none", 729)]
)
def test_number_of_candidates(rule, count):
    """The paper prints 314; its rule, taken literally, leaves one more."""
    candidates = weight_search.candidates(rule)
    assert len(candidates) == len({tuple(weights.values()) for weights in candidates}) == count
    assert weight_search.PUBLISHED in candidates


def test_the_rule_written_out():
    for weights in weight_search.candidates():
        normal = sum(weights[name] for name in ("reconstruction", "adversarial", "patch", "latent"))
        assert normal > 2 * (weights["abc"] + weights["anomaly_adversarial"])


def test_draws_are_nested_and_begin_with_the_published_weights():
    few, more = weight_search.draw(5), weight_search.draw(20)
    assert few == more[:5]
    assert few[0] == weight_search.PUBLISHED
    assert len({tuple(weights.values()) for weights in weight_search.draw(315)}) == 315
    with pytest.raises(ValueError, match="count is 316"):
        weight_search.draw(316)
    with pytest.raises(ValueError, match="rule is 'twice'"):
        weight_search.candidates("twice")


def test_the_ranking_goes_by_the_validation_and_marks_the_published_point():
    rows = []
    for number, weights in enumerate(weight_search.draw(4)):
        for seed in (0, 1):
            rows.append(
                {f"config/{name}": value for name, value in weights.items()}
                | {"metrics/validation_auroc": 0.9 + 0.01 * number + 0.001 * seed, "metrics/image_auroc": 0.5}
            )
    ranked = weight_search.ranking(pd.DataFrame(rows))
    assert ranked.index.tolist() == [1, 2, 3, 4]
    assert ranked["validation_auroc"].is_monotonic_decreasing
    assert ranked["runs"].tolist() == [2, 2, 2, 2]
    assert ranked.loc[4, "published"]
    assert ranked["published"].sum() == 1
    with pytest.raises(ValueError, match="adlib sweep chapter3_weights"):
        weight_search.ranking(pd.DataFrame())


@pytest.mark.parametrize("name", CHAPTER)
def test_every_task_of_the_plans_is_known_and_asked_for_once(name):
    ids = [task_id(task) for task in PLANS[name]()]
    assert len(ids) == len(set(ids)) > 0


def test_the_whole_search_is_one_call():
    assert len(chapter3_weights(315)) == 315
