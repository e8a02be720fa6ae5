"""Gains: metrics besides the score that must rise as well (`min_gain`)."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.comparison.check import NO_CHAMPION, Check
from tfx_pedigree.comparison.guarded_slices import least_of, usable
from tfx_pedigree.comparison.measured import Measured, named, numbers_of, paired
from tfx_pedigree.comparison.numbers import Key
from tfx_pedigree.comparison.policy import Guardrail, Policy, Rule
from tfx_pedigree.comparison.rule import Contest, score_change
from tfx_pedigree.comparison.verdict import CheckOutcome
from tfx_pedigree.comparison.wording import asked_of, graded, moved
from tfx_pedigree.comparison.wording import interval as interval_text


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
