"""Guardrails: how much worse than the champion a metric may be (`max_regression`), or how much better it must be
(`min_gain`), on all examples and on each slice; and bounds and floors, which the value itself must keep.

Of many slices that are judged together (Holm), the p-values of "this slice lost more than it may" are held, the
smallest first, against the chance of an error divided by how many are left. With equal models, some slice is called
worse in no more cases than one test would call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tfx_pedigree.comparison.check import NO_CHAMPION, Check, CheckOutcome
from tfx_pedigree.comparison.guarded_slices import (
    least_of,
    no_slice,
    nothing_guarded,
    obstacle,
    slices_of_rail,
    usable,
    vanished,
)
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile, t_within
from tfx_pedigree.comparison.margin import Measure
from tfx_pedigree.comparison.measured import Measured, missing, named, numbers_of, paired
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Interval, Key
from tfx_pedigree.comparison.policy import Bounds, Guardrail, Policy, Rule, RuleKind
from tfx_pedigree.comparison.policy_year import Many
from tfx_pedigree.comparison.rule import TOLERANCE, Contest, score_change, share
from tfx_pedigree.comparison.wording import amount, asked_of, graded, moved, number
from tfx_pedigree.comparison.wording import interval as interval_text
from tfx_pedigree.text import plain

# Of a slice's loss being within its limit, where many slices are judged together.
P_VALUE = "p"


def guardrail_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        slices = slices_of_rail(rail, found)
        if not slices:
            yield no_slice(rail, policy.missing_slice)
        checks = [check for where in slices for check in _guard(policy, rail, Key(rail.metric, where), found)]
        if rail.many is Many.HOLM and policy.confidence is not None:
            checks = _together(checks, (1 - policy.confidence) / 2)
        yield from checks
        if slices:
            yield from vanished(policy, rail, slices, found)
        if rail.slice is None and checks and all(check.warning for check in checks):
            yield nothing_guarded(rail)


def _guard(policy: Policy, rail: Guardrail, key: Key, found: Measured) -> Iterator[Check]:
    if problem := obstacle(policy, rail, key, found):
        yield problem
        return
    if rail.bounds is not None:
        yield bounds_check(named(key), key, rail.bounds, found.challenger.metrics[key].value)
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


def p_value(margin: Interval, confidence: float) -> float:
    """Of the margin being 0 or more, from the interval in which it lies with this confidence."""
    middle, half = (margin[0] + margin[1]) / 2, (margin[1] - margin[0]) / 2
    if not half or not math.isfinite(half):
        return 1.0 if middle >= 0 or not math.isfinite(half) else 0.0
    t = -middle / half * t_quantile(confidence, TFMA_DEGREES_OF_FREEDOM)
    inside = t_within(abs(t), TFMA_DEGREES_OF_FREEDOM)
    return (1 - inside) / 2 if t > 0 else (1 + inside) / 2


def rejected(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Which of the hypotheses fall, at this chance of any error among them."""
    fallen = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        if p_values[index] > level / (len(p_values) - place):
            break
        fallen[index] = True
    return tuple(fallen)


def gain_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    for rail in policy.guardrails:
        if rail.min_gain is not None:
            for key in usable(policy, rail, found):
                yield _gain(policy, rail, rail.min_gain, key, found)


def _gain(policy: Policy, rail: Guardrail, asked: Rule, key: Key, found: Measured) -> Check:
    name, numbers = f"gain of {named(key)}", numbers_of(key, found)
    if found.champion is None:
        return Check(name, CheckOutcome.SKIPPED, f"the {name} does not count: {NO_CHAMPION}", numbers)
    assert rail.direction is not None  # noqa: S101  Guardrail has made sure of it
    contest = Contest(asked, rail.direction)
    confidence = None if rail.point_estimate else policy.confidence
    pair = paired(key, found, contest.measure, confident=confidence is not None, least=least_of(policy, rail))
    if isinstance(pair, str):
        return Check(name, CheckOutcome.UNKNOWN, pair, numbers)
    low, high = contest.ahead(pair)
    outcome = CheckOutcome.HOLDS if low > 0 else (CheckOutcome.BROKEN if high <= 0 else CheckOutcome.UNKNOWN)
    change = score_change(contest, pair)
    said = moved(named(key), pair.champion, pair.challenger)
    said += f", {graded(asked.kind, change.gain)}" if change.gain else ""
    if change.gain_interval is not None:
        said += f" ({interval_text(asked.kind, change.gain_interval, confidence)})"
    least = f"{asked_of(asked)} that must be gained"
    words = {
        CheckOutcome.HOLDS: f", more than the {least}",
        CheckOutcome.BROKEN: f", not more than the {least}",
        CheckOutcome.UNKNOWN: f", and whether that is more than the {least} cannot be told",
    }
    return Check(name, outcome, said + words[outcome], numbers | {"gain": change.gain})


def floor_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    """What a model without a champion must reach."""
    for metric, bounds in policy.first_version.items():
        key = Key(metric)
        name = f"floor of {plain(metric)}"
        if problem := missing("challenger", key, found.challenger):
            yield Check(name, CheckOutcome.UNKNOWN, problem)
        else:
            yield bounds_check(name, key, bounds, found.challenger.metrics[key].value)


def bounds_check(name: str, key: Key, bounds: Bounds, value: float) -> Check:
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
