"""How far one model is ahead of a share of the other's score, and in which interval that lies.

`gain − share · unit`: the gain of the challenger, less what the rule asks of it. The unit (the size of the champion's
score, or what it lacks to perfect) was measured on the same rows as the gain, so it is not a constant: the interval is
that of the whole expression. It follows from three intervals that TFMA gives, of both models' values and of their
difference, because a jackknife's variances are those of one set of samples: they determine the covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.comparison.policy import RuleKind


@dataclass(frozen=True)
class Spread:
    """The interval of challenger − champion, and half the width of each one's own interval."""

    difference: Interval
    challenger: float = 0.0
    champion: float = 0.0

    def swapped(self) -> Spread:
        low, high = self.difference
        return Spread((-high, -low), self.champion, self.challenger)


@dataclass(frozen=True)
class Pair:
    """Both models' values of one metric. Without a spread the values themselves decide."""

    challenger: float
    champion: float
    spread: Spread | None = None

    def swapped(self) -> Pair:
        return Pair(self.champion, self.challenger, self.spread and self.spread.swapped())


@dataclass(frozen=True)
class Measure:
    """Which way a metric gets better, and what a share is a share of."""

    direction: Direction
    kind: RuleKind = RuleKind.ABSOLUTE
    perfect: float = math.nan

    def gain(self, pair: Pair) -> float:
        """How much better the challenger is; negative if it is worse."""
        return self._sign * (self._clipped(pair.challenger) - self._clipped(pair.champion))

    def unit(self, value: float) -> float:
        """What a share of this value is a share of."""
        if self.kind is RuleKind.ABSOLUTE:
            return 1.0
        return abs(value) if self.kind is RuleKind.RELATIVE else abs(self.perfect - self._clipped(value))

    def margin(self, pair: Pair, share: float) -> Interval:
        """Where `gain − share · unit(champion)` lies: one point where the values decide."""
        if pair.spread is None or (self.kind is RuleKind.ABSOLUTE):
            low, high = self._gains(pair)
            least = share * self.unit(pair.champion)
            return low - least, high - least
        ends = [self._margin(pair, pair.spread, share, slope) for slope in self._slopes(pair, pair.spread)]
        # The unit is the larger of a value and its negative. Where it is not known which, both lines count.
        bound = min if share >= 0 else max
        return bound(low for low, _ in ends), bound(high for _, high in ends)

    def shares(self, pair: Pair) -> Interval | None:
        """The gain's interval in units of the champion's score: exactly the shares that `margin` does not rule out.

        None if there is no interval, or none that ends, as where the champion's score may be 0.
        """
        if pair.spread is None:
            return None
        if self.kind is RuleKind.ABSOLUTE:
            return self._gains(pair)
        slopes = self._slopes(pair, pair.spread)
        unit = self.unit(pair.champion)
        if len(slopes) > 1 or not unit:
            return None
        constant, linear, square = _squared_width(pair.spread, self._sign * slopes[0])
        gain = self.gain(pair)
        # (gain − t · unit)² = constant + linear · t + square · t²
        a, b, c = unit**2 - square, -(2 * gain * unit + linear), gain**2 - constant
        inside = b * b - 4 * a * c
        if a <= 0 or inside < 0 or not math.isfinite(inside):
            return None
        root = math.sqrt(inside)
        return (-b - root) / (2 * a), (-b + root) / (2 * a)

    @property
    def _sign(self) -> float:
        return 1.0 if self.direction is Direction.HIGHER else -1.0

    def _gains(self, pair: Pair) -> Interval:
        """By the ends of the difference as they were measured, so that no digit of theirs is lost."""
        if pair.spread is None:
            return (self.gain(pair),) * 2
        low, high = pair.spread.difference
        return (low, high) if self.direction is Direction.HIGHER else (-high, -low)

    def _margin(self, pair: Pair, spread: Spread, share: float, slope: float) -> Interval:
        half = _half_width(spread, self._sign * slope, share)
        value = self.gain(pair) - share * self._line(pair.champion, slope)
        low, high = self._gains(pair)
        width = (high - low) / 2
        if not width:
            return value - half, value + half
        # Ends that are not the same distance from the middle keep their proportion.
        middle = self._sign * (pair.challenger - pair.champion)
        return value - (middle - low) * half / width, value + (high - middle) * half / width

    def _line(self, champion: float, slope: float) -> float:
        """The unit as a straight line in the champion's value."""
        if self.kind is RuleKind.RELATIVE:
            return slope * champion
        return slope * (self._clipped(champion) - self.perfect)

    def _slopes(self, pair: Pair, spread: Spread) -> tuple[float, ...]:
        """How the unit changes with the champion's value. Both ways where its interval holds 0."""
        if self.kind is RuleKind.ERROR_REDUCTION:
            return (-self._sign,)
        if pair.champion - spread.champion >= 0:
            return (1.0,)
        return (-1.0,) if pair.champion + spread.champion <= 0 else (1.0, -1.0)

    def _clipped(self, value: float) -> float:
        """Nothing is better than perfect."""
        if self.kind is not RuleKind.ERROR_REDUCTION:
            return value
        return min(value, self.perfect) if self.direction is Direction.HIGHER else max(value, self.perfect)


def _half_width(spread: Spread, slope: float, share: float) -> float:
    """Half the width of `gain − share · unit`, also where the squares are no numbers any more."""
    low, high = spread.difference
    scale = max(high - low, spread.challenger, spread.champion)
    if not scale or not math.isfinite(scale):
        return scale
    scaled = Spread((low / scale, high / scale), spread.challenger / scale, spread.champion / scale)
    constant, linear, square = _squared_width(scaled, slope)
    return scale * math.sqrt(max(0.0, constant + share * linear + share**2 * square))


def _squared_width(spread: Spread, slope: float) -> tuple[float, float, float]:
    """Of `gain − t · unit`, the square of half the interval's width, as the coefficients of 1, t and t².

    Var(x − y − t·s·y) with the covariance out of Var(x − y) = Var(x) + Var(y) − 2 Cov(x, y).
    """
    new, old = spread.challenger, spread.champion
    half = (spread.difference[1] - spread.difference[0]) / 2
    # No three numbers that were measured together are further apart; rounding can bring them there.
    half = max(half, abs(new - old))
    return half**2, slope * (half**2 + (old - new) * (old + new)), old**2
