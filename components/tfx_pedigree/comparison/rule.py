"""The arithmetic of "better by more than": one predicate, from which the recommendation and all its laws follow.

x beats y if x is better than y by more than the threshold, measured on y: if `margin` is more than 0. The challenger is
recommended if it beats the champion and the champion if it beats the challenger, so that swapping the two swaps the
recommendation. The comparison multiplies and never divides: it needs no sign and no exception for zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfx_pedigree.comparison.check import CheckOutcome
from tfx_pedigree.comparison.margin import Measure, Pair
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.comparison.policy import Rule, Similar
from tfx_pedigree.json_form import JsonForm, Measured
from tfx_pedigree.verdict import Recommendation

# "More than 5 %" begins at 5.00005 %: a score that was rounded to float32 on its way can't turn an exact 5 % into more.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Contest:
    """The rule together with the direction in which the score gets better."""

    rule: Rule
    direction: Direction

    @property
    def measure(self) -> Measure:
        perfect = math.nan if self.rule.perfect is None else self.rule.perfect
        return Measure(self.direction, self.rule.kind, perfect)

    @property
    def share(self) -> float:
        """Who is better by more than this share of the other's unit beats it."""
        return self.rule.threshold * (1 + TOLERANCE)

    @property
    def _demands(self) -> tuple[tuple[Measure, float], ...]:
        """All of which who beats the other must exceed."""
        also = self.rule.and_absolute
        first = (self.measure, self.share)
        return (first,) if also is None else (first, (Measure(self.direction), also * (1 + TOLERANCE)))

    def ahead(self, pair: Pair) -> Interval:
        """How far the challenger is beyond what it must exceed to beat the champion."""
        ends = [measure.margin(pair, share) for measure, share in self._demands]
        return min(low for low, _ in ends), min(high for _, high in ends)

    def kept(self, pair: Pair) -> Interval:
        """How far the challenger is from a loss that counts, with what may be lost measured on the champion."""
        ends = [measure.margin(pair, -share) for measure, share in self._demands]
        return max(low for low, _ in ends), max(high for _, high in ends)

    def beats(self, value: float, baseline: float) -> bool:
        return self.ahead(Pair(value, baseline))[0] > 0


def recommend(contest: Contest, pair: Pair) -> Recommendation | None:
    """None if parts of the interval say different things."""
    win, loss = contest.ahead(pair), contest.ahead(pair.swapped())
    if win[0] > 0:
        return Recommendation.CHALLENGER
    if loss[0] > 0:
        return Recommendation.CHAMPION
    return Recommendation.SIMILAR if win[1] <= 0 and loss[1] <= 0 else None


def score_outcome(contest: Contest, similar: Similar, pair: Pair) -> CheckOutcome:
    """Who prefers fresher data still refuses what lost by either reading of "worse": see docs/policy.md."""
    win = contest.ahead(pair)
    if win[0] > 0:
        return CheckOutcome.HOLDS
    if similar is Similar.KEEP_CHAMPION:
        return CheckOutcome.BROKEN if win[1] <= 0 else CheckOutcome.UNKNOWN
    kept, beaten = contest.kept(pair), contest.ahead(pair.swapped())
    if kept[0] >= 0 and beaten[1] <= 0:
        return CheckOutcome.HOLDS
    return CheckOutcome.BROKEN if kept[1] < 0 or beaten[0] > 0 else CheckOutcome.UNKNOWN


def share(gain: float, unit: float) -> float:
    """`gain` as a multiple of `unit`. Of nothing, every gain is infinitely much, and no gain is none."""
    if unit:
        return gain / unit
    return math.copysign(math.inf, gain) if gain else 0.0


@dataclass(frozen=True)
class ScoreChange(JsonForm):
    """`difference` is challenger − champion as measured, `gain` how much better in the rule's unit.

    `relative` is the gain as a share of the champion's score, whatever the rule: the importance score uses it.
    """

    challenger: Measured
    champion: Measured
    difference: Measured
    gain: Measured
    relative: Measured
    interval: Interval | None = None
    gain_interval: Interval | None = None


def score_change(contest: Contest, pair: Pair) -> ScoreChange:
    challenger, champion, measure = pair.challenger, pair.champion, contest.measure
    plain = challenger - champion if contest.direction is Direction.HIGHER else champion - challenger
    return ScoreChange(
        challenger=challenger,
        champion=champion,
        difference=challenger - champion,
        gain=share(measure.gain(pair), measure.unit(champion)),
        relative=share(plain, abs(champion)),
        interval=pair.spread.difference if pair.spread else None,
        gain_interval=measure.shares(pair),
    )
