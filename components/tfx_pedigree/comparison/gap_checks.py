"""Gaps: how far a metric may be apart between the slices of a feature (`max_gap`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from tfx_pedigree.comparison.check import Check
from tfx_pedigree.comparison.guarded_slices import usable
from tfx_pedigree.comparison.measured import Measured
from tfx_pedigree.comparison.numbers import Interval, Key, MetricValue, Slice
from tfx_pedigree.comparison.policy import Guardrail, Policy
from tfx_pedigree.comparison.rule import TOLERANCE
from tfx_pedigree.comparison.verdict import CheckOutcome
from tfx_pedigree.comparison.wording import number, plain

# With more slices than this, their own intervals decide and not those of each pair: wider, and quick.
_PAIRED = 1000
_NEEDS_TWO = 2


def gap_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        if rail.max_gap is not None:
            yield _gap(policy, rail, rail.max_gap, usable(policy, rail, found), found)


def _gap(policy: Policy, rail: Guardrail, limit: float, keys: Sequence[Key], found: Measured) -> Check:
    """Slices by the same features share no example, so the interval of the gap of two follows from their own two."""
    name = f"gap of {plain(rail.metric)} between slices of {plain(' x '.join(rail.each_slice_of))}"
    if len(keys) < _NEEDS_TWO:
        return Check(
            name, CheckOutcome.UNKNOWN, f"the {name} needs two slices that can be judged: there is no second one"
        )
    values = {key.slice: found.challenger.metrics[key] for key in keys}
    low_slice, high_slice = (pick(values, key=lambda one: (values[one].value, one)) for pick in (min, max))
    gap = values[high_slice].value - values[low_slice].value
    numbers = {"lowest": values[low_slice].value, "highest": values[high_slice].value, "gap": gap, "limit": limit}
    confident = policy.confidence is not None and not rail.point_estimate
    ends = _interval(values) if confident else (gap, gap)
    if ends is None:
        return Check(
            name, CheckOutcome.UNKNOWN, f"the {name} has no interval, and the policy sets a confidence", numbers
        )
    most = limit * (1 + TOLERANCE)
    outcome = (
        CheckOutcome.HOLDS if ends[1] <= most else (CheckOutcome.BROKEN if ends[0] > most else CheckOutcome.UNKNOWN)
    )
    said = f"{name} is {number(gap)}"
    said += f" (interval {number(ends[0])} to {number(ends[1])})" if confident else ""
    said += f", from {number(values[low_slice].value)} on {_where(low_slice)} to {number(values[high_slice].value)} on "
    said += {
        CheckOutcome.HOLDS: f"{_where(high_slice)}, at most {number(limit)}",
        CheckOutcome.BROKEN: f"{_where(high_slice)}, more than {number(limit)}",
        CheckOutcome.UNKNOWN: f"{_where(high_slice)}, and whether that is at most {number(limit)} cannot be told",
    }[outcome]
    return Check(name, outcome, said, numbers)


def _where(where: Slice) -> str:
    return plain(str(where))


def _interval(values: dict[Slice, MetricValue]) -> Interval | None:
    """Of the largest gap: below the first end no pair's lies for sure, above the second one none can lie."""
    parts = []
    for one in values.values():
        if one.interval is None or not all(map(math.isfinite, one.interval)) or one.interval[0] == one.interval[1]:
            return None
        parts.append((one.value, one.value - one.interval[0], one.interval[1] - one.value))
    if len(parts) > _PAIRED:
        inner = max(value - down for value, down, _ in parts) - min(value + up for value, _, up in parts)
        outer = max(value + up for value, _, up in parts) - min(value - down for value, down, _ in parts)
        return max(0.0, inner), outer
    low = high = 0.0
    for (a, a_down, a_up), (b, b_down, b_up) in itertools.combinations(parts, 2):
        down, up = (math.hypot(a_down, b_up), math.hypot(a_up, b_down))
        down, up = (down, up) if a >= b else (math.hypot(b_down, a_up), math.hypot(b_up, a_down))
        low, high = max(low, abs(a - b) - down), max(high, abs(a - b) + up)
    return low, high
