"""What must hold besides the score: guardrails, budgets and floors. Each check says in a sentence how it came out.

Every one is monotone: a model that is better in the number it looks at never fares worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison.class_counts import count_name
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.comparison.earlier import Earlier
from tfx_pedigree.comparison.holm import p_value, rejected
from tfx_pedigree.comparison.margin import Measure, Pair, Spread
from tfx_pedigree.comparison.metrics import Direction, known
from tfx_pedigree.comparison.numbers import OVERALL, Interval, Key, MetricValue, Scores, Slice
from tfx_pedigree.comparison.policy import (
    Bounds,
    Guardrail,
    MissingSlice,
    Policy,
    RuleKind,
    TooFew,
)
from tfx_pedigree.comparison.policy_year import Many
from tfx_pedigree.comparison.rule import TOLERANCE, share
from tfx_pedigree.comparison.verdict import CheckOutcome
from tfx_pedigree.comparison.wording import amount, bytes_text, moved, number, percent, plain
from tfx_pedigree.comparison.wording import interval as interval_text
from tfx_pedigree.digest import plain_json
from tfx_pedigree.text import nearest

# An interval of zero width says that nothing varied. Of fewer examples than this nothing could vary.
FEW = 100
# What lies outside a metric's range, or outside its own interval, by no more than this came there by rounding.
_ROUNDING = 1e-6
# Where a call had no processor for more than this share of its time, other programs are worth a word.
_BUSY = 0.3
# A slice of which so many examples were to be expected is not there by chance in one of a thousand evaluations.
_BY_CHANCE = 7
_MISSING = {
    MissingSlice.FAIL: CheckOutcome.BROKEN,
    MissingSlice.INSUFFICIENT: CheckOutcome.UNKNOWN,
    MissingSlice.WARN: CheckOutcome.SKIPPED,
}
# Of a slice's loss being within its limit, where many slices are judged together.
P_VALUE = "p"
NO_CHAMPION = "there is no champion to compare it with"


@dataclass(frozen=True)
class Check:
    """`sentence` has no full stop. `warning`: it was skipped, and somebody should know."""

    name: str
    outcome: CheckOutcome
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    warning: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "numbers": plain_json(self.numbers),
            "warning": self.warning,
        }

    @classmethod
    def read(cls, place: ConfigNode) -> Check:
        names = tuple(cls.__dataclass_fields__)
        found = place.fields(names, names)
        return cls(
            found["name"].text(),
            found["outcome"].choice(CheckOutcome),
            found["sentence"].text(),
            {key: one.measured() for key, one in found["numbers"].table().items()},
            found["warning"].truth(),
        )


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
    for which, asked in least.items():
        if not asked:
            continue
        name = count_name(key.metric, which)
        if name is None:
            return f"there is no one class of which {named(key)} could have {asked} {which}", False
        value = found.challenger.get(name, key.slice)
        if value is None or not math.isfinite(value.value):
            return f"the evaluation does not say how many {which} {named(key)} was measured on ({name})", False
        if value.value < asked:
            count = number(value.value)
            return (
                f"{named(key)} was measured on {count} {which}, fewer than the {asked} that the policy asks for",
                True,
            )
    return None


def count_of(key: Key, found: Measured) -> int | None:
    for value in (found.challenger.metrics.get(key), found.differences.get(key)):
        if value is not None and value.count is not None:
            return value.count
    return None


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


def floor_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    """What a model without a champion must reach."""
    for metric, bounds in policy.first_version.items():
        key = Key(metric)
        name = f"floor of {plain(metric)}"
        if problem := missing("challenger", key, found.challenger):
            yield Check(name, CheckOutcome.UNKNOWN, problem)
        else:
            yield _bounds(name, key, bounds, found.challenger.metrics[key].value)


def guardrail_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        slices = slices_of_rail(rail, found)
        if not slices:
            yield _no_slice(rail, policy.missing_slice)
        checks = [check for where in slices for check in _guard(policy, rail, Key(rail.metric, where), found)]
        if rail.many is Many.HOLM and policy.confidence is not None:
            checks = _together(checks, (1 - policy.confidence) / 2)
        yield from checks
        if slices:
            yield from _vanished(policy, rail, slices, found)
        if rail.slice is None and checks and all(check.warning for check in checks):
            yield _nothing_guarded(rail)


def budget_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    budget, size = policy.latency, policy.size
    mine, theirs = found.challenger, found.champion
    if budget.p95_ms is not None:
        yield _within("latency (p95)", found.latency.p95_ms, budget.p95_ms, found.latency, _milliseconds)
    if budget.ratio is not None:
        yield _latency_ratio(budget.ratio, found)
    if size.bytes is not None:
        yield _budget("size", mine.size_bytes, size.bytes, bytes_text)
    if size.ratio is not None:
        name = "size against the champion"
        if theirs is None:
            yield Check(name, CheckOutcome.SKIPPED, f"the {name} does not apply: {NO_CHAMPION}")
        else:
            yield _ratio(name, _divided(mine.size_bytes, theirs.size_bytes), size.ratio)


def slices_of_rail(rail: Guardrail, found: Measured) -> list[Slice]:
    if rail.each_slice_of:
        champion = found.champion.slices_by(rail.each_slice_of) if found.champion else []
        return sorted({*found.challenger.slices_by(rail.each_slice_of), *champion})
    where = rail.slice or OVERALL
    return [where] if where.is_overall or found.challenger.has_slice(where) else []


def _vanished(policy: Policy, rail: Guardrail, slices: list[Slice], found: Measured) -> Iterator[Check]:
    """A slice that the champion was judged on and that today's examples do not have."""
    if not rail.each_slice_of:
        return
    whole, now = found.earlier.get(OVERALL), count_of(Key(rail.metric), found)
    for where in sorted({*found.earlier} - {*slices}):
        if where.features != rail.each_slice_of:
            continue
        name, had = f"{plain(rail.metric)} on {plain(str(where))}", found.earlier[where]
        said = f"the evaluation has no examples of {plain(str(where))}, on which the champion was judged"
        numbers = {} if had is None else {"count": 0.0, "earlier": float(had)}
        expected = had * now / whole if had is not None and now is not None and whole else math.inf
        if expected < _BY_CHANCE:
            said += f": about {number(expected)} were to be expected, so that may be chance"
            yield Check(name, CheckOutcome.SKIPPED, said, numbers, warning=True)
        else:
            said += "" if had is None else f" with {had}"
            outcome = _MISSING[policy.missing_slice]
            yield Check(name, outcome, said, numbers, warning=outcome is CheckOutcome.SKIPPED)


def _no_slice(rail: Guardrail, answer: MissingSlice) -> Check:
    outcome = _MISSING[answer]
    where, metric = plain(rail.where), plain(rail.metric)
    sentence = f"the evaluation has no slice for the guardrail on {metric} ({where})"
    return Check(f"{metric} on {where}", outcome, sentence, warning=outcome is CheckOutcome.SKIPPED)


def _nothing_guarded(rail: Guardrail) -> Check:
    """Skipping a slice is one thing. A guardrail of which nothing is left has not been kept."""
    where, metric = plain(rail.where), plain(rail.metric)
    sentence = f"the guardrail on {metric} ({where}) guarded nothing: everything it looks at has too few examples"
    return Check(f"{metric} on {where}", CheckOutcome.UNKNOWN, sentence)


def least_of(policy: Policy, rail: Guardrail) -> int:
    return policy.min_examples if rail.min_examples is None else rail.min_examples


def obstacle(policy: Policy, rail: Guardrail, key: Key, found: Measured) -> Check | None:
    """Why the guardrail cannot be judged here; None if it can."""
    problem, counted = enough(key, found, least_of(policy, rail)), count_of(key, found) is not None
    if problem is None and (few := few_of_class(key, found, policy.least_of_each(rail))):
        problem, counted = few
    # A count that is not known is not "too few": whatever hides it would switch the guardrail off.
    if problem and rail.too_few is TooFew.SKIP and counted:
        return Check(named(key), CheckOutcome.SKIPPED, problem, numbers_of(key, found), warning=True)
    problem = problem or missing("challenger", key, found.challenger)
    return Check(named(key), CheckOutcome.UNKNOWN, problem, numbers_of(key, found)) if problem else None


def _guard(policy: Policy, rail: Guardrail, key: Key, found: Measured) -> Iterator[Check]:
    if problem := obstacle(policy, rail, key, found):
        yield problem
        return
    if rail.bounds is not None:
        yield _bounds(named(key), key, rail.bounds, found.challenger.metrics[key].value)
    if rail.max_regression is not None:
        confidence = None if rail.point_estimate else policy.confidence
        for kind, limit in rail.max_regression.limits:
            how: dict[str, Any] = {"confidence": confidence, "least": least_of(policy, rail), "many": rail.many}
            yield _regression(kind, limit, rail.direction, key, found, **how)


def _together(checks: list[Check], level: float) -> list[Check]:
    """Of slices that are judged together, one is broken if that is shown in spite of how many they are; what is not
    shown of the others is no obstacle."""
    tested = [check for check in checks if P_VALUE in check.numbers]
    fallen = dict(zip(map(id, tested), rejected([check.numbers[P_VALUE] for check in tested], level), strict=True))
    return [
        check if id(check) not in fallen else _among(check, len(tested), broken=fallen[id(check)]) for check in checks
    ]


def _among(check: Check, many: int, *, broken: bool) -> Check:
    if check.outcome is CheckOutcome.HOLDS:
        return check
    said = f"{check.sentence}; among {many} slices (Holm) that is {'shown' if broken else 'not shown'}"
    return replace(check, outcome=CheckOutcome.BROKEN if broken else CheckOutcome.HOLDS, sentence=said)


def _bounds(name: str, key: Key, bounds: Bounds, value: float) -> Check:
    numbers = {"challenger": value}
    sentence = f"{named(key)} is {number(value)}"
    if bounds.at_least is not None:
        numbers["at_least"] = bounds.at_least
        if value < bounds.at_least:
            return Check(name, CheckOutcome.BROKEN, f"{sentence}, less than {number(bounds.at_least)}", numbers)
        sentence += f", at least {number(bounds.at_least)}"
    if bounds.at_most is not None:
        numbers["at_most"] = bounds.at_most
        if value > bounds.at_most:
            said = f"{named(key)} is {number(value)}, more than {number(bounds.at_most)}"
            return Check(name, CheckOutcome.BROKEN, said, numbers)
        sentence += f", at most {number(bounds.at_most)}"
    return Check(name, CheckOutcome.HOLDS, sentence, numbers)


def _regression(
    kind: RuleKind,
    limit: float,
    direction: Direction | None,
    key: Key,
    found: Measured,
    *,
    confidence: float | None,
    least: int,
    many: Many,
) -> Check:
    name, numbers = named(key), numbers_of(key, found)
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the change of {name} does not count: {NO_CHAMPION}", numbers)
    assert direction is not None  # noqa: S101  Guardrail has made sure of it
    measure = Measure(direction, kind)
    pair = paired(key, found, measure, confident=confidence is not None, least=least)
    if isinstance(pair, str):
        return Check(name, CheckOutcome.UNKNOWN, pair, numbers)
    low, high = measure.margin(pair, -limit * (1 + TOLERANCE))
    outcome = CheckOutcome.HOLDS if low >= 0 else (CheckOutcome.BROKEN if high < 0 else CheckOutcome.UNKNOWN)
    loss = share(-measure.gain(pair), measure.unit(pair.champion))
    numbers |= {"loss": loss, "allowed": limit}
    if many is Many.HOLM and confidence is not None:
        numbers[P_VALUE] = p_value((low, high), confidence)
    said = f"{moved(name, pair.champion, pair.challenger)}: {_lost(kind, loss)}"
    if ends := measure.shares(pair):
        said += f" ({interval_text(kind, ends, confidence)})"
    permitted = f"the {amount(kind, limit)} that may be lost"
    words = {
        CheckOutcome.HOLDS: f", and up to {amount(kind, limit)} may be lost",
        CheckOutcome.BROKEN: f", more than {permitted}",
        CheckOutcome.UNKNOWN: f", and whether that is within {permitted} cannot be told",
    }
    return Check(name, outcome, said + words[outcome], numbers)


def _lost(kind: RuleKind, loss: float) -> str:
    if loss == 0:
        return "no change"
    return f"{amount(kind, abs(loss))} {'worse' if loss > 0 else 'better'}"


def _beyond(low: float, high: float, limit: float) -> CheckOutcome:
    """Whether all, nothing or only a part of the interval keeps within the limit."""
    if high <= limit:
        return CheckOutcome.HOLDS
    return CheckOutcome.BROKEN if low > limit else CheckOutcome.UNKNOWN


def numbers_of(key: Key, found: Measured) -> dict[str, float]:
    numbers = {}
    for whose, scores in (("challenger", found.challenger), ("champion", found.champion)):
        value = scores.metrics.get(key) if scores else None
        if value is not None:
            numbers[whose] = value.value
    count = count_of(key, found)
    return numbers if count is None else numbers | {"count": float(count)}


def _budget(name: str, value: float | None, limit: float, said: Callable[[float], str]) -> Check:
    if value is None or not math.isfinite(value):
        return Check(name, CheckOutcome.UNKNOWN, f"the {name} of the challenger is missing, and the policy limits it")
    numbers = {"challenger": float(value), "limit": float(limit)}
    if value > limit:
        return Check(name, CheckOutcome.BROKEN, f"{name} is {said(value)}, over the budget of {said(limit)}", numbers)
    return Check(name, CheckOutcome.HOLDS, f"{name} is {said(value)}, within the budget of {said(limit)}", numbers)


def _latency_ratio(limit: float, found: Measured) -> Check:
    name, latency = "latency against the champion", found.latency
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the {name} does not apply: {NO_CHAMPION}")
    check = _within(name, latency.ratio, limit, latency, percent)
    by_processor = latency.processor_ratio
    if check.outcome is not CheckOutcome.BROKEN or by_processor is None:
        return check
    low = by_processor.interval[0] if by_processor.interval else by_processor.value
    if low > limit:
        return check
    said = f"{check.sentence}, but its processor time is {percent(by_processor.value)}: the machine was busy"
    return Check(name, CheckOutcome.UNKNOWN, said, {**check.numbers, "processor_ratio": by_processor.value})


def _within(
    name: str, value: MetricValue | None, limit: float, latency: Latency, said: Callable[[float], str]
) -> Check:
    """By the interval alone: one slow round must not refuse a model, nor one quick round let it pass."""
    ends = value.interval if value is not None else None
    if value is None or ends is None or not all(map(math.isfinite, (value.value, *ends))):
        return Check(name, CheckOutcome.UNKNOWN, f"the {name} is missing, and the policy limits it")
    outcome = _beyond(*ends, limit)
    numbers = {"measured": value.value, "low": ends[0], "high": ends[1], "limit": limit}
    sentence = f"{name} is {said(value.value)} ({said(ends[0])} to {said(ends[1])})"
    sentence += {
        CheckOutcome.HOLDS: f", within the budget of {said(limit)}",
        CheckOutcome.BROKEN: f", over the budget of {said(limit)}",
        CheckOutcome.UNKNOWN: f", and whether that is within the budget of {said(limit)} cannot be told",
    }[outcome]
    if outcome is CheckOutcome.UNKNOWN and latency.waited > _BUSY:
        sentence += f": the machine was busy with other work for {percent(latency.waited)} of the time"
    return Check(name, outcome, sentence, numbers)


def _milliseconds(value: float) -> str:
    return f"{number(value)} ms"


def _ratio(name: str, ratio: float | None, limit: float) -> Check:
    if ratio is None or not math.isfinite(ratio):
        return Check(name, CheckOutcome.UNKNOWN, f"the {name} is missing, and the policy limits it")
    numbers = {"ratio": ratio, "limit": limit}
    if ratio > limit:
        return Check(
            name, CheckOutcome.BROKEN, f"{name} is {percent(ratio)}, over the budget of {percent(limit)}", numbers
        )
    return Check(
        name, CheckOutcome.HOLDS, f"{name} is {percent(ratio)}, within the budget of {percent(limit)}", numbers
    )


def _divided(value: float | None, by: float | None) -> float | None:
    if value is None or by is None or not math.isfinite(value) or not math.isfinite(by):
        return None
    return share(value, by)
