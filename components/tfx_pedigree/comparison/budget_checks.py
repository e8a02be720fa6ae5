"""Budgets of latency and size: so many at the most, or so many times the champion's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from tfx_pedigree.comparison.check import NO_CHAMPION, Check, CheckOutcome
from tfx_pedigree.comparison.measured import Latency, Measured
from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.comparison.rule import share
from tfx_pedigree.comparison.wording import bytes_text, number, percent

# Where a call had no processor for more than this share of its time, other programs are worth a word.
_BUSY = 0.3


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


def _beyond(low: float, high: float, limit: float) -> CheckOutcome:
    """Whether all, nothing or only a part of the interval keeps within the limit."""
    if high <= limit:
        return CheckOutcome.HOLDS
    return CheckOutcome.BROKEN if low > limit else CheckOutcome.UNKNOWN


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
