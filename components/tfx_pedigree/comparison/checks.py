"""What must hold besides the score: guardrails, budgets and floors. Each check says in a sentence how it came out.

Every one is monotone: a model that is better in the number it looks at never fares worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import OVERALL, Interval, Key, MetricValue, Scores, Slice
from tfx_pedigree.comparison.policy import (
    Bounds,
    Guardrail,
    MissingSlice,
    Policy,
    Regression,
    RuleKind,
    TooFew,
)
from tfx_pedigree.comparison.rule import allowed_loss, share
from tfx_pedigree.comparison.verdict import CheckOutcome
from tfx_pedigree.comparison.wording import amount, bytes_text, moved, number, percent, plain
from tfx_pedigree.comparison.wording import interval as interval_text
from tfx_pedigree.digest import plain_json

# An interval of zero width says that nothing varied. Of fewer examples than this nothing could vary.
FEW = 100
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
class Measured:
    """Both models' numbers. `differences` holds challenger − champion with its paired interval, as TFMA's `_diff`."""

    challenger: Scores
    champion: Scores | None = None
    differences: Mapping[Key, MetricValue] = field(default_factory=dict)
    latency_ratio: MetricValue | None = None


def named(key: Key) -> str:
    return plain(key.metric) if key.slice.is_overall else f"{plain(key.metric)} on {plain(str(key.slice))}"


def missing(whose: str, key: Key, value: MetricValue | None) -> str | None:
    """What is wrong with a number, or None if it can be used."""
    if value is None:
        return f"{named(key)} of the {whose} is missing"
    if not math.isfinite(value.value):
        return f"{named(key)} of the {whose} is {number(value.value)}"
    return None


def enough(key: Key, found: Measured, least: int) -> str | None:
    """What is wrong with the number of examples, or None."""
    if least <= 0:
        return None
    count = count_of(key, found)
    if count is None:
        return f"it is not known of how many examples {named(key)} was measured, and the policy asks for {least}"
    if count < least:
        return f"{named(key)} was measured on {count} examples, fewer than the {least} that the policy asks for"
    return None


def count_of(key: Key, found: Measured) -> int | None:
    for value in (found.challenger.metrics.get(key), found.differences.get(key)):
        if value is not None and value.count is not None:
            return value.count
    return None


def paired_interval(key: Key, found: Measured, least: int) -> Interval | str:
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
    return ends


def floor_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    """What a model without a champion must reach."""
    for metric, bounds in policy.first_version.items():
        key = Key(metric)
        value = found.challenger.get(metric)
        problem = missing("challenger", key, value)
        if problem or value is None:
            yield Check(f"floor of {plain(metric)}", CheckOutcome.UNKNOWN, problem or "")
        else:
            yield _bounds(f"floor of {plain(metric)}", key, bounds, value.value)


def guardrail_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        slices = _slices(rail, found)
        if not slices:
            yield _no_slice(rail, policy.missing_slice)
        for where in slices:
            yield from _guard(policy, rail, Key(rail.metric, where), found)


def budget_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    budget, size = policy.latency, policy.size
    mine, theirs = found.challenger, found.champion
    if budget.p95_ms is not None:
        name = "latency (p95)"
        yield _budget(name, mine.p95_ms, budget.p95_ms, lambda ms: f"{number(ms)} ms")
    if budget.ratio is not None:
        yield _latency_ratio(policy, budget.ratio, found)
    if size.bytes is not None:
        yield _budget("size", mine.size_bytes, size.bytes, bytes_text)
    if size.ratio is not None:
        name = "size against the champion"
        if theirs is None:
            yield Check(name, CheckOutcome.SKIPPED, f"the {name} does not apply: {NO_CHAMPION}")
        else:
            yield _ratio(name, _divided(mine.size_bytes, theirs.size_bytes), size.ratio, None)


def _slices(rail: Guardrail, found: Measured) -> list[Slice]:
    if rail.each_slice_of:
        champion = found.champion.slices_by(rail.each_slice_of) if found.champion else []
        return sorted({*found.challenger.slices_by(rail.each_slice_of), *champion})
    where = rail.slice or OVERALL
    return [where] if where.is_overall or found.challenger.has_slice(where) else []


def _no_slice(rail: Guardrail, answer: MissingSlice) -> Check:
    outcome = {
        MissingSlice.FAIL: CheckOutcome.BROKEN,
        MissingSlice.INSUFFICIENT: CheckOutcome.UNKNOWN,
        MissingSlice.WARN: CheckOutcome.SKIPPED,
    }[answer]
    where, metric = plain(rail.where), plain(rail.metric)
    sentence = f"the evaluation has no slice for the guardrail on {metric} ({where})"
    return Check(f"{metric} on {where}", outcome, sentence, warning=outcome is CheckOutcome.SKIPPED)


def _guard(policy: Policy, rail: Guardrail, key: Key, found: Measured) -> Iterator[Check]:
    least = policy.min_examples if rail.min_examples is None else rail.min_examples
    problem = enough(key, found, least)
    if problem and rail.too_few is TooFew.SKIP:
        yield Check(named(key), CheckOutcome.SKIPPED, problem, _numbers(key, found), warning=True)
        return
    value = found.challenger.metrics.get(key)
    problem = problem or missing("challenger", key, value)
    if problem or value is None:
        yield Check(named(key), CheckOutcome.UNKNOWN, problem or "", _numbers(key, found))
        return
    if rail.bounds is not None:
        yield _bounds(named(key), key, rail.bounds, value.value)
    if rail.max_regression is not None:
        confidence = None if rail.point_estimate else policy.confidence
        yield _regression(rail.max_regression, rail.direction, key, found, confidence=confidence, least=least)


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
    limit: Regression,
    direction: Direction | None,
    key: Key,
    found: Measured,
    *,
    confidence: float | None,
    least: int,
) -> Check:
    name, numbers = named(key), _numbers(key, found)
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the change of {name} does not count: {NO_CHAMPION}", numbers)
    new, old = found.challenger.metrics[key], found.champion.metrics.get(key)
    problem = missing("champion", key, old)
    ends = paired_interval(key, found, least) if confidence is not None else None
    if isinstance(ends, str):
        problem = problem or ends
    if problem or old is None or isinstance(ends, str):
        return Check(name, CheckOutcome.UNKNOWN, problem or "", numbers)
    sign = -1.0 if direction is Direction.HIGHER else 1.0
    loss = sign * (new.value - old.value)
    low, high = sorted((sign * ends[0], sign * ends[1])) if ends else (loss, loss)
    allowed = allowed_loss(limit, old.value)
    outcome = _beyond(low, high, allowed)
    kind = RuleKind.RELATIVE if limit.relative else RuleKind.ABSOLUTE
    unit = abs(old.value) if limit.relative else 1.0
    numbers |= {"loss": share(loss, unit), "allowed": limit.limit}
    said = f"{moved(name, old.value, new.value)}: {_lost(kind, share(loss, unit))}"
    if ends:
        said += f" ({interval_text(kind, (-share(high, unit), -share(low, unit)), confidence)})"
    permitted = f"the {amount(kind, limit.limit)} that may be lost"
    words = {
        CheckOutcome.HOLDS: f", and up to {amount(kind, limit.limit)} may be lost",
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


def _numbers(key: Key, found: Measured) -> dict[str, float]:
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


def _latency_ratio(policy: Policy, limit: float, found: Measured) -> Check:
    name = "latency against the champion"
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the {name} does not apply: {NO_CHAMPION}")
    ratio = found.latency_ratio
    if ratio is None:
        return _ratio(name, _divided(found.challenger.p95_ms, found.champion.p95_ms), limit, None)
    return _ratio(name, ratio.value, limit, ratio.interval if policy.confidence is not None else None)


def _ratio(name: str, ratio: float | None, limit: float, ends: Interval | None) -> Check:
    if ratio is None or not all(map(math.isfinite, (ratio, *(ends or ())))):
        return Check(name, CheckOutcome.UNKNOWN, f"the {name} is missing, and the policy limits it")
    low, high = ends or (ratio, ratio)
    outcome = _beyond(low, high, limit)
    said = f"{name} is {percent(ratio)}"
    said += f" ({percent(low)} to {percent(high)})" if ends else ""
    words = {
        CheckOutcome.HOLDS: f", within the budget of {percent(limit)}",
        CheckOutcome.BROKEN: f", over the budget of {percent(limit)}",
        CheckOutcome.UNKNOWN: f", and whether that is within the budget of {percent(limit)} cannot be told",
    }
    return Check(name, outcome, said + words[outcome], {"ratio": ratio, "limit": limit})


def _divided(value: float | None, by: float | None) -> float | None:
    if value is None or by is None or not math.isfinite(value) or not math.isfinite(by):
        return None
    return share(value, by)
