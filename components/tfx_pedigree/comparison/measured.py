"""What was measured of both models, and what of it a check can go by: a number that is missing, or of too few examples,
decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tfx_pedigree.comparison.class_counts import counted, is_of_each_class
from tfx_pedigree.comparison.earlier import Earlier
from tfx_pedigree.comparison.margin import Measure, Pair, Spread
from tfx_pedigree.comparison.metric_names import MetricName
from tfx_pedigree.comparison.metrics import known
from tfx_pedigree.comparison.numbers import Interval, Key, MetricValue, Scores
from tfx_pedigree.comparison.policy import RuleKind
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.text import nearest, plain

# An interval of zero width says that nothing varied. Of fewer examples than this nothing could vary.
FEW = 100
# What lies outside a metric's range, or outside its own interval, by no more than this came there by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Latency:
    """With intervals: the challenger's 95th percentile, its ratio to the champion's, the same ratio by processor time,
    and the share of the time in which other programs had the processors."""

    p95_ms: MetricValue | None = None
    ratio: MetricValue | None = None
    processor_ratio: MetricValue | None = None
    waited: float = 0.0


@dataclass(frozen=True)
class Measured:
    """Both models' numbers. `differences` holds challenger − champion with its paired interval, as TFMA's `_diff`."""

    challenger: Scores
    champion: Scores | None = None
    differences: Mapping[Key, MetricValue] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)
    earlier: Earlier = field(default_factory=dict)


def named(key: Key) -> str:
    return plain(key.metric) if key.slice.is_overall else f"{plain(key.metric)} on {plain(str(key.slice))}"


def missing(whose: str, key: Key, scores: Scores) -> str | None:
    """What is wrong with a number, or None if it can be used."""
    value = scores.metrics.get(key)
    if value is None:
        return f"{named(key)} of the {whose} is missing{_meant(key, scores)}"
    if not math.isfinite(value.value):
        return f"{named(key)} of the {whose} is {number(value.value)}"
    metric = known(key.metric)
    if not metric.low - _ROUNDING <= value.value <= metric.high + _ROUNDING:
        return f"{named(key)} of the {whose} is {number(value.value)}, which no {plain(metric.name)} can be"
    if value.interval is not None and not _holds(value.interval, value.value):
        return f"{named(key)} of the {whose} lies outside its own interval"
    return None


def _meant(key: Key, scores: Scores) -> str:
    """A typing error in the policy shows as a number that is missing."""
    near = nearest(key.metric, {other.metric for other in scores.metrics if other.slice == key.slice} - {key.metric}, 1)
    return f" (there is {plain(near[0])})" if near else ""


def enough(key: Key, found: Measured, least: int) -> str | None:
    """Why fewer than `least` examples are known to stand behind a number."""
    if not least:
        return None
    count = count_of(key, found)
    if count is None:
        return (
            f"the evaluation does not say how many examples {named(key)} was measured on (its EvalConfig lacks an "
            f"unweighted ExampleCount), and the policy asks for {least}"
        )
    if count < least:
        return f"{named(key)} was measured on {count} examples, fewer than the {least} that the policy asks for"
    return None


def few_of_class(key: Key, found: Measured, least: Mapping[str, int]) -> tuple[str, bool] | None:
    """Which class has fewer examples than asked for, and whether that is known or only feared. None if neither."""
    there = {one.metric for one in found.challenger.metrics if one.slice == key.slice}
    for which, asked in least.items():
        if not asked:
            continue
        names = counted(key.metric, which, there)
        if not names:
            of = " of each class" if is_of_each_class(key.metric) else ""
            return f"the evaluation does not say how many {which}{of} {named(key)} was measured on", False
        for name in names:
            if problem := _few(key, found, name, which, asked):
                return problem
    return None


def _few(key: Key, found: Measured, name: str, which: str, asked: int) -> tuple[str, bool] | None:
    value = found.challenger.get(name, key.slice)
    if value is None or not math.isfinite(value.value):
        return f"the evaluation does not say how many {which} {named(key)} was measured on ({name})", False
    if value.value >= asked:
        return None
    count, each = number(value.value), is_of_each_class(key.metric)
    of_class = f" of class {MetricName.parse(name).class_id}" if each else ""
    sentence = (
        f"{named(key)} was measured on {count} {which}{of_class}, fewer than the {asked} that the policy asks for"
    )
    return f"{sentence}{' of each class' if each else ''}", True


def count_of(key: Key, found: Measured) -> int | None:
    for value in (found.challenger.metrics.get(key), found.differences.get(key)):
        if value is not None and value.count is not None:
            return value.count
    return None


def numbers_of(key: Key, found: Measured) -> dict[str, float]:
    numbers = {}
    for whose, scores in (("challenger", found.challenger), ("champion", found.champion)):
        value = scores.metrics.get(key) if scores else None
        if value is not None:
            numbers[whose] = value.value
    count = count_of(key, found)
    return numbers if count is None else numbers | {"count": float(count)}


def paired(key: Key, found: Measured, measure: Measure, *, confident: bool, least: int) -> Pair | str:
    """Both models' values, with their intervals where a confidence is asked for; or what is wrong with them."""
    assert found.champion is not None  # noqa: S101  the callers have looked
    problem = missing("challenger", key, found.challenger) or missing("champion", key, found.champion)
    if problem:
        return problem
    new, old = found.challenger.metrics[key], found.champion.metrics[key]
    if not confident:
        return Pair(new.value, old.value)
    ends = _difference(key, found, new.value - old.value, least)
    if isinstance(ends, str):
        return ends
    if measure.kind is RuleKind.ABSOLUTE:
        return Pair(new.value, old.value, Spread(ends))
    widths = _half_width(new), _half_width(old)
    if widths[0] is None or widths[1] is None:
        whose = "challenger" if widths[0] is None else "champion"
        return (
            f"the interval of {named(key)} of the {whose} is missing: a share of a score is as uncertain as the score"
        )
    return Pair(new.value, old.value, Spread(ends, widths[0], widths[1]))


def _difference(key: Key, found: Measured, difference: float, least: int) -> Interval | str:
    """The interval of challenger − champion, or what is wrong with it."""
    value = found.differences.get(key)
    ends = value.interval if value is not None else None
    if ends is None:
        return f"the interval of the difference of {named(key)} is missing, and the policy sets a confidence"
    if not all(map(math.isfinite, ends)):
        return f"the interval of the difference of {named(key)} is not finite"
    count = count_of(key, found)
    if ends[0] == ends[1] and (ends[0] != 0 or count is None or count < max(least, FEW)):
        return f"the interval of the difference of {named(key)} has no width: too few examples to trust it"
    if not _holds(ends, difference):
        return f"the interval of the difference of {named(key)} does not hold the difference itself"
    return ends


def _holds(ends: Interval, value: float) -> bool:
    slack = _ROUNDING * max(1e-12, *map(abs, ends), abs(value))
    return ends[0] - slack <= value <= ends[1] + slack


def _half_width(value: MetricValue) -> float | None:
    if value.interval is None or not all(map(math.isfinite, value.interval)):
        return None
    return (value.interval[1] - value.interval[0]) / 2
