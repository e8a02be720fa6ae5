"""Gaps: how far a metric may be apart between the slices of a feature (`max_gap`), and against the champion's gap.

Slices by the same features share no example, so what is measured on two of them is independent. On one slice both
models saw the same rows, and the interval of their difference says how alike they vary there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tfx_pedigree.comparison.check import NO_CHAMPION, Check, CheckOutcome
from tfx_pedigree.comparison.guarded_slices import usable
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM as _FREEDOM
from tfx_pedigree.comparison.intervals import t_quantile
from tfx_pedigree.comparison.measured import Measured, missing
from tfx_pedigree.comparison.numbers import Interval, Key, MetricValue, Slice
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.comparison.rule import TOLERANCE
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.text import plain

Values = Mapping[Slice, MetricValue]
Pair = tuple[Slice, Slice]

# With more slices than this, their own intervals decide and not those of each pair: wider, and quick.
_PAIRED = 1000
_NEEDS_TWO = 2
# Two gaps that are equal differ by what their subtractions rounded.
_ROUNDING = 1e-12


def gap_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        gap = rail.max_gap
        if gap is None:
            continue
        keys = usable(policy, rail, found)
        name = f"gap of {plain(rail.metric)} between slices of {plain(' x '.join(rail.each_slice_of))}"
        if len(keys) < _NEEDS_TWO:
            said = f"the {name} needs two slices that can be judged: there is no second one"
            yield Check(name, CheckOutcome.UNKNOWN, said)
            continue
        confident = policy.confidence is not None and not rail.point_estimate
        if gap.at_most is not None:
            yield _largest(name, gap.at_most, _values(found.challenger.metrics, keys), confident=confident)
        if gap.worse_by is not None:
            yield _against(name, gap.worse_by, keys, found, None if rail.point_estimate else policy.confidence)


def _values(metrics: Mapping[Key, MetricValue], keys: Iterable[Key]) -> dict[Slice, MetricValue]:
    return {key.slice: metrics[key] for key in keys if key in metrics}


def _largest(name: str, limit: float, values: Values, *, confident: bool) -> Check:
    low, high = widest = _widest(values)
    gap = _gap(values, widest)
    numbers = {"lowest": values[low].value, "highest": values[high].value, "gap": gap, "limit": limit}
    ends = _interval(values) if confident else (gap, gap)
    if ends is None:
        said = f"the {name} has no interval, and the policy sets a confidence"
        return Check(name, CheckOutcome.UNKNOWN, said, numbers)
    outcome = _outcome(ends, limit)
    said = f"{name} is {number(gap)}{_ends(ends) if confident else ''}, {_from_to(values, widest)}"
    said += {
        CheckOutcome.HOLDS: f", at most {number(limit)}",
        CheckOutcome.BROKEN: f", more than {number(limit)}",
        CheckOutcome.UNKNOWN: f", and whether that is at most {number(limit)} cannot be told",
    }[outcome]
    return Check(name, outcome, said, numbers)


def _against(bare: str, limit: float, keys: Sequence[Key], found: Measured, confidence: float | None) -> Check:
    name = f"{bare} against the champion's"
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the {name} does not count: {NO_CHAMPION}")
    problem = next(filter(None, (missing("champion", key, found.champion) for key in keys)), None)
    if problem is not None:
        return Check(name, CheckOutcome.UNKNOWN, problem)
    both = _Both(*(_values(one, keys) for one in (found.challenger.metrics, found.champion.metrics, found.differences)))
    mine, theirs = _widest(both.new), _widest(both.old)
    gap, before = _gap(both.new, mine), _gap(both.old, theirs)
    numbers = {"gap": gap, "champion": before, "wider": gap - before, "limit": limit}
    ends = both.interval(mine, theirs, confidence) if confidence is not None else (gap - before, gap - before)
    if ends is None:
        said = f"the {name} has no interval, and the policy sets a confidence"
        return Check(name, CheckOutcome.UNKNOWN, said, numbers)
    outcome = _outcome(ends, limit)
    how = f"{number(abs(gap - before))} {'wider' if gap > before else 'narrower'}" if gap != before else "as wide"
    said = f"the widest {bare} is {number(gap)}, {_from_to(both.new, mine)}, and the champion's {number(before)}, "
    said += f"{_from_to(both.old, theirs)}: {how}{_ends(ends) if confidence is not None else ''}"
    more = f"more than {number(limit)} wider" if limit else "wider"
    said += {
        CheckOutcome.HOLDS: f", and up to {number(limit)} is allowed" if limit else "",
        CheckOutcome.BROKEN: f", and it may not be {more}",
        CheckOutcome.UNKNOWN: f", and whether it is {more} cannot be told",
    }[outcome]
    return Check(name, outcome, said, numbers)


@dataclass(frozen=True)
class _Both:
    """Both models' values on the slices, and their paired differences."""

    new: Values
    old: Values
    differences: Values

    def interval(self, mine: Pair, theirs: Pair, confidence: float) -> Interval | None:
        """In which the challenger's widest gap less the champion's lies. The champion's is at least that of any of its
        pairs: each pair of the challenger's is held against the same pair and against the widest one, and what shows
        more counts. These are two chances of an error, so each gets half of it. The other end: the challenger's widest
        pair against each of the champion's. None where a number has no interval."""
        if any(_half(one) is None for values in (self.new, self.old) for one in values.values()):
            return None
        if len(self.new) > _PAIRED:
            new, old = _outer(_parts(self.new)), _outer(_parts(self.old))
            return new[0] - old[1], new[1] - old[0]
        surer = t_quantile((1 + confidence) / 2, _FREEDOM) / t_quantile(confidence, _FREEDOM)
        high = max(
            min(self._wider(pair, other, surer if set(pair) != set(theirs) else 1.0) for other in (pair, theirs))
            for pair in _pairs(self.new)
        )
        return min(self._wider(mine, pair, -1) for pair in _pairs(self.old)), high

    def _wider(self, mine: Pair, theirs: Pair, way: float) -> float:
        """How much wider one pair is than another of the champion's, and `way` half widths of its interval above."""
        wider = abs(_gap(self.new, mine)) - abs(_gap(self.old, theirs))
        return wider + way * self._half(mine, theirs)

    def _apart(self, where: Slice) -> float | None:
        """Half the width of the paired difference's interval; 0 where both models say the same."""
        value = self.differences.get(where)
        if value is None:
            return None
        return 0.0 if value.interval == (0.0, 0.0) else _half(value)

    def _half(self, mine: Pair, theirs: Pair) -> float:
        """Of the gap of one pair less that of another. Each slice counts with the weights that it has in both. How both
        models vary together on a slice is held to what is possible, and never makes the difference of two gaps that
        point in opposite directions more certain."""
        mine, theirs = _upright(self.new, mine), _upright(self.old, theirs)
        square = 0.0
        for where in {*mine, *theirs}:
            a = (where == mine[1]) - (where == mine[0])
            b = (where == theirs[0]) - (where == theirs[1])
            new, old = _half(self.new[where]) or 0.0, _half(self.old[where]) or 0.0
            apart = self._apart(where)
            shared = 0.0 if apart is None else min((new**2 + old**2 - apart**2) / 2, new * old)
            if a * b > 0:
                shared = max(shared, 0.0)
            square += a * a * new**2 + b * b * old**2 + 2 * a * b * shared
        return math.sqrt(max(0.0, square))


def _upright(values: Values, pair: Pair) -> Pair:
    return pair if values[pair[0]].value <= values[pair[1]].value else (pair[1], pair[0])


def _pairs(values: Values) -> Iterable[Pair]:
    return itertools.combinations(values, 2)


def _widest(values: Values) -> Pair:
    """The lowest slice and the highest one."""
    low, high = (pick(values, key=lambda one: (values[one].value, one)) for pick in (min, max))
    return low, high


def _gap(values: Values, pair: Pair) -> float:
    return values[pair[1]].value - values[pair[0]].value


def _outcome(ends: Interval, limit: float) -> CheckOutcome:
    most = max(limit * (1 + TOLERANCE), _ROUNDING)
    if ends[1] <= most:
        return CheckOutcome.HOLDS
    return CheckOutcome.BROKEN if ends[0] > most else CheckOutcome.UNKNOWN


def _ends(ends: Interval) -> str:
    return f" (interval {number(ends[0])} to {number(ends[1])})"


def _from_to(values: Values, pair: Pair) -> str:
    low, high = ((number(values[where].value), plain(str(where))) for where in pair)
    return f"from {low[0]} on {low[1]} to {high[0]} on {high[1]}"


def _half(value: MetricValue) -> float | None:
    if value.interval is None or not all(map(math.isfinite, value.interval)) or value.interval[0] == value.interval[1]:
        return None
    return (value.interval[1] - value.interval[0]) / 2


Part = tuple[float, float, float]


def _parts(values: Values) -> list[Part]:
    """Value, and how far its interval reaches down and up."""
    return [
        (one.value, one.value - one.interval[0], one.interval[1] - one.value)
        for one in values.values()
        if one.interval is not None
    ]


def _outer(parts: Sequence[Part]) -> Interval:
    inner = max(value - down for value, down, _ in parts) - min(value + up for value, _, up in parts)
    outer = max(value + up for value, _, up in parts) - min(value - down for value, down, _ in parts)
    return max(0.0, inner), outer


def _interval(values: Values) -> Interval | None:
    """Of the largest gap: below the first end no pair's lies for sure, above the second one none can lie."""
    if any(_half(one) is None for one in values.values()):
        return None
    parts = _parts(values)
    if len(parts) > _PAIRED:
        return _outer(parts)
    low = high = 0.0
    for (a, a_down, a_up), (b, b_down, b_up) in itertools.combinations(parts, 2):
        down, up = (math.hypot(a_down, b_up), math.hypot(a_up, b_down))
        down, up = (down, up) if a >= b else (math.hypot(b_down, a_up), math.hypot(b_up, a_down))
        low, high = max(low, abs(a - b) - down), max(high, abs(a - b) + up)
    return low, high
