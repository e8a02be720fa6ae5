"""How the scores of both models are spread, and what they said against the truth: counts, from which plots follow.

Counts only, so that parts add up in any order to exactly the whole; bounded, whatever the number of examples. Nothing
is decided on them. Law: `Outcomes.from_json(o.to_json()) == o`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Count, JsonForm, Layout

# Equal parts of 0 to 1. A hundred thresholds draw a curve that no eye tells from the exact one.
BINS = 100
# A matrix of more classes is not kept: it would be larger than all the rest.
MOST_CLASSES = 20
_Z = 1.959964  # both tails of the normal distribution together hold 5 %

Counts = tuple[Count, ...]
Point = tuple[float, float]


@dataclass(frozen=True)
class Calibrated:
    """Of the examples with a score near `score`: how many there are, and which share was positive."""

    score: float
    share: float
    interval: Interval
    count: int


@dataclass(frozen=True)
class ModelOutcomes(JsonForm):
    """Of one model. `negative` and `positive`: how many examples of that truth got a score in each bin. Of several
    classes the score is that of the class that was said, and the truth is whether it was right.

    `matrix` has a row for each true class and a column for each that was said; it is empty of too many classes.
    """

    JSON: ClassVar[Layout] = Layout(whole=True)

    negative: Counts = ()
    positive: Counts = ()
    matrix: tuple[Counts, ...] = ()

    def __post_init__(self) -> None:
        if len(self.negative) != len(self.positive) or len(self.negative) not in (0, BINS):
            raise InvalidInputError(f"The scores of the negative and the positive examples must be {BINS} counts each.")
        if len(self.matrix) > MOST_CLASSES or any(len(row) != len(self.matrix) for row in self.matrix):
            raise InvalidInputError(f"The matrix must be a square of at the most {MOST_CLASSES} classes.")

    @property
    def has_scores(self) -> bool:
        return any(self.negative) or any(self.positive)

    @property
    def has_both(self) -> bool:
        """Without examples of either truth there is no curve."""
        return any(self.negative) and any(self.positive)

    def roc(self) -> list[Point]:
        """(false positive rate, true positive rate), from the highest threshold to the lowest."""
        negatives, positives = sum(self.negative), sum(self.positive)
        return [(0.0, 0.0), *((false / negatives, true / positives) for true, false in self._above())]

    def precision_recall(self) -> list[Point]:
        """(recall, precision), from the highest threshold at which anything is positive."""
        positives = sum(self.positive)
        found = [(true / positives, true / (true + false)) for true, false in self._above() if true + false]
        return [(0.0, found[0][1]), *found] if found else []

    def _above(self) -> list[tuple[int, int]]:
        return list(zip(accumulate(reversed(self.positive)), accumulate(reversed(self.negative)), strict=True))

    def calibration(self, groups: int = 10) -> list[Calibrated]:
        """The score of a group is the mean of its bins' middles, each as often as it was given."""
        width = BINS // groups
        found = []
        for first in range(0, BINS, width):
            bins = range(first, first + width)
            positive = sum(self.positive[at] for at in bins)
            count = positive + sum(self.negative[at] for at in bins)
            if count:
                middle = sum((at + 0.5) / BINS * (self.positive[at] + self.negative[at]) for at in bins) / count
                found.append(Calibrated(middle, positive / count, share_interval(positive, count), count))
        return found


@dataclass(frozen=True)
class Outcomes(JsonForm):
    """`classes` is 2 where the truth is yes or no; a score from `threshold` on then says yes."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    threshold: float
    classes: Count
    challenger: ModelOutcomes
    champion: ModelOutcomes | None = None

    def __post_init__(self) -> None:
        for side in (self.challenger, self.champion):
            if side is not None and len(side.matrix) not in (0, self.classes):
                raise InvalidInputError(f"There are {self.classes} classes and a matrix of {len(side.matrix)}.")


def share_interval(hits: int, count: int) -> Interval:
    """Wilson's 95 % interval of a share: it stays between 0 and 1, also of few examples."""
    if not count:
        return (0.0, 1.0)
    share, square = hits / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def thinned(points: Sequence[Point], step: float = 0.002) -> list[Point]:
    """Without points that lie on those before them."""
    kept: list[Point] = []
    for point in points:
        if not kept or max(abs(point[0] - kept[-1][0]), abs(point[1] - kept[-1][1])) >= step:
            kept.append(point)
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]
