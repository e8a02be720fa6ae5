"""The arithmetic of "better by more than": one predicate, from which the recommendation and all its laws follow.

`beats(x, y)`: x is better than y by more than the threshold, measured on y. The challenger is recommended if it beats
the champion and the champion if it beats the challenger, so that swapping the two swaps the recommendation. The
comparison multiplies and never divides: it needs no sign and no exception for zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode, optional
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Interval, read_interval
from tfx_pedigree.comparison.policy import Regression, Rule, RuleKind
from tfx_pedigree.comparison.verdict import Recommendation
from tfx_pedigree.digest import plain_json

# "More than 5 %" begins at 5.00005 %: a score that was rounded to float32 on its way can't turn an exact 5 % into more.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Contest:
    """The rule together with the direction in which the score gets better."""

    rule: Rule
    direction: Direction

    def gain(self, value: float, baseline: float) -> float:
        """How much better `value` is; negative if it is worse."""
        value, baseline = self._clipped(value), self._clipped(baseline)
        return value - baseline if self.direction is Direction.HIGHER else baseline - value

    def unit(self, baseline: float) -> float:
        """What the threshold is a share of."""
        if self.rule.kind is RuleKind.ABSOLUTE:
            return 1.0
        if self.rule.kind is RuleKind.RELATIVE:
            return abs(baseline)
        assert self.rule.perfect is not None  # noqa: S101  Rule has made sure of it
        return abs(self.rule.perfect - self._clipped(baseline))

    def limit(self, baseline: float) -> float:
        """Who is better than `baseline` by more than this beats it."""
        return self.rule.threshold * (1 + TOLERANCE) * self.unit(baseline)

    def beats(self, value: float, baseline: float) -> bool:
        return self.gain(value, baseline) > self.limit(baseline)

    def oriented(self, difference: Interval) -> Interval:
        """The interval of challenger − champion as one of the gain."""
        low, high = difference
        return (low, high) if self.direction is Direction.HIGHER else (-high, -low)

    def _clipped(self, value: float) -> float:
        """Nothing is better than perfect."""
        if self.rule.perfect is None:
            return value
        bound = min if self.direction is Direction.HIGHER else max
        return bound(value, self.rule.perfect)


def recommend(contest: Contest, challenger: float, champion: float, gain: Interval) -> Recommendation | None:
    """By the interval in which the gain lies, which is one point where the values decide.

    None if parts of the interval say different things.
    """
    low, high = gain
    if low > contest.limit(champion):
        return Recommendation.CHALLENGER
    if -high > contest.limit(challenger):
        return Recommendation.CHAMPION
    if high <= contest.limit(champion) and -low <= contest.limit(challenger):
        return Recommendation.SIMILAR
    return None


def allowed_loss(regression: Regression, champion: float) -> float:
    unit = abs(champion) if regression.relative else 1.0
    return regression.limit * (1 + TOLERANCE) * unit


def share(gain: float, unit: float) -> float:
    """`gain` as a multiple of `unit`. Of nothing, every gain is infinitely much, and no gain is none."""
    if unit:
        return gain / unit
    return math.copysign(math.inf, gain) if gain else 0.0


@dataclass(frozen=True)
class ScoreChange:
    """`difference` is challenger − champion as measured, `gain` how much better in the rule's unit.

    `relative` is the gain as a share of the champion's score, whatever the rule: the importance score uses it.
    """

    challenger: float
    champion: float
    difference: float
    gain: float
    relative: float
    interval: Interval | None = None
    gain_interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = plain_json(vars(self))
        return found

    @classmethod
    def read(cls, place: ConfigNode) -> ScoreChange:
        names = ("challenger", "champion", "difference", "gain", "relative")
        found = place.fields((*names, "interval", "gain_interval"), names)
        return cls(
            found["challenger"].measured(),
            found["champion"].measured(),
            found["difference"].measured(),
            found["gain"].measured(),
            found["relative"].measured(),
            optional(found, "interval", read_interval),
            optional(found, "gain_interval", read_interval),
        )


def score_change(contest: Contest, challenger: float, champion: float, interval: Interval | None) -> ScoreChange:
    unit = contest.unit(champion)
    gain = contest.gain(challenger, champion)
    plain = challenger - champion if contest.direction is Direction.HIGHER else champion - challenger
    low_high = contest.oriented(interval) if interval else None
    return ScoreChange(
        challenger=challenger,
        champion=champion,
        difference=challenger - champion,
        gain=share(gain, unit),
        relative=share(plain, abs(champion)),
        interval=interval,
        gain_interval=(share(low_high[0], unit), share(low_high[1], unit)) if low_high else None,
    )
