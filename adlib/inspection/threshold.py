"""A threshold for a false-alarm rate, from good images only, with what so few images can know of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import beta

CONFIDENCE = 0.95  # of every interval here


@dataclass(frozen=True)
class Threshold:
    """The score above which an image counts as defective.

    The threshold is the k-th smallest of the n scores of good images that the detector was not trained on. Whatever
    the scores' distribution, as long as it is continuous and future good images come from it too, the share of them
    that exceeds it follows Beta(n + 1 - k, k), with mean (n + 1 - k) / (n + 1).

    Attributes:
        value: the threshold; an image is defective if its score is larger.
        false_alarms: the false-alarm rate that was asked for, between 0 and 1.
        scores: of the n good images, ascending.

    Source: Wilks 1941, "Determination of sample sizes for setting tolerance limits"; with the quantiles of split
    conformal prediction (Vovk et al. 2005).
    """

    value: float
    false_alarms: float
    scores: tuple[float, ...]

    @classmethod
    def from_scores(cls, scores: Iterable[float], false_alarms: float = 0.02) -> Threshold:
        """The lowest threshold whose expected false-alarm rate is not above `false_alarms`.

        Where the images are too few for that (`needed` of them are enough), it is the largest score.

        Args:
            scores: of good images that the detector was not trained on; finite, larger is more anomalous.
            false_alarms: share of good images that may be called defective, between 0 and 1.

        Raises:
            ValueError: no score, one that is not finite, or a rate out of range.
        """
        ordered = sorted(float(score) for score in scores)
        if not 0 < false_alarms < 1:
            raise ValueError(
                f"false_alarms is {false_alarms}; expected a share between 0 and 1, e.g. 0.02: one good image in fifty."
            )
        if not ordered or not all(map(math.isfinite, ordered)):
            raise ValueError(
                f"a threshold needs finite scores of good images, got {ordered[:5]}. Give more images; if some scores "
                "are not finite, the training has diverged: fit again with another detector."
            )
        count = len(ordered)
        # 1e-9: (1 - 0.02) * 50 is a little more than 49 in binary.
        rank = min(count, math.ceil((1 - false_alarms) * (count + 1) - 1e-9))
        return cls(ordered[max(rank, 1) - 1], false_alarms, tuple(ordered))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Threshold:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError: values are missing, or are no finite numbers.
        """
        threshold = cls(values["value"], values["false_alarms"], tuple(values["scores"]))
        if not threshold.scores or not all(map(math.isfinite, (threshold.value, *threshold.scores))):
            raise TypeError(f"the threshold is {threshold.value}, from {len(threshold.scores)} scores")
        return threshold

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @property
    def needed(self) -> int:
        """Good images, not trained on, from which a threshold for this rate can be set."""
        return math.ceil(1 / self.false_alarms - 1 - 1e-9)

    @property
    def enough(self) -> bool:
        """Whether there were as many."""
        return len(self.scores) >= self.needed

    @property
    def constant(self) -> bool:
        """Whether all scores are equal: such a detector says nothing about these images."""
        return len(self.scores) > 1 and self.scores[0] == self.scores[-1]

    @property
    def saturated(self) -> int:
        """How many of the scores are equal to the largest, where they are not all: 0 if only one is."""
        ties = self.scores.count(self.scores[-1])
        return 0 if ties == 1 or self.constant else ties

    @property
    def expected(self) -> float:
        """The false-alarm rate to expect: (n + 1 - k) / (n + 1)."""
        return (self._above + 1) / (len(self.scores) + 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Limits between which the false-alarm rate lies with 95 % confidence."""
        above, at_or_below = self._above + 1, len(self.scores) - self._above
        low, high = beta.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], above, at_or_below)
        return float(low), float(high)

    @property
    def _above(self) -> int:
        return sum(score > self.value for score in self.scores)

    def words(self) -> str:
        """What is known of the false alarms, in a sentence or three."""
        count = len(self.scores)
        images = "1 good image" if count == 1 else f"{count} good images"
        low, high = self.interval
        text = (
            f"From {images}: about {one_in(self.expected)} good parts will be called defective, "
            f"between {one_in(high)} and {one_in(low)} with 95 % confidence."
        )
        if not self.enough:
            text += (
                f" Too few for {one_in(self.false_alarms)}: that needs {self.needed}; the threshold is the largest "
                "score of a good image."
            )
        if self.saturated:
            text += (
                f" {self.saturated} of them share the largest score, {self.scores[-1]:.6g}: if no score can be larger, "
                "no defect will be called one; look at their scores."
            )
        if self.constant:
            text += " All of them have the same score: this detector says nothing about these images; try another."
        return text


def one_in(rate: float) -> str:
    """A rate in words: 0.02 -> "1 in 50", 0.7 -> "7 in 10", 0 -> "none"."""
    if rate <= 0:
        return "none"
    if rate > 0.4:
        return f"{max(1, round(10 * rate))} in 10"
    return f"1 in {1 / rate:,.0f}" if rate < 0.15 else f"1 in {1 / rate:.1f}".replace(".0", "")


def proportion_interval(count: int, total: int) -> tuple[float, float]:
    """Limits between which a proportion lies with 95 % confidence, for `count` seen in `total`.

    Args:
        count: how often it was seen, 0 to total.
        total: of how many; with 0 nothing is known, and the limits are 0 and 1.

    Source: Clopper and Pearson 1934.
    """
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count == total else float(beta.ppf(1 - tail, count + 1, total - count))
    return low, high
