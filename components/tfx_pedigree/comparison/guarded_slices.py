"""Which slices a guardrail looks at, and whether it can be judged on each: one may be gone, or have few examples."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.measured import (
    Measured,
    count_of,
    enough,
    few_of_class,
    missing,
    named,
    numbers_of,
)
from tfx_pedigree.comparison.numbers import OVERALL, Key, Slice
from tfx_pedigree.comparison.policy import Guardrail, MissingSlice, Policy, TooFew
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.text import plain

# A slice of which so many examples were to be expected is not there by chance in one of a thousand evaluations.
_BY_CHANCE = 7
_MISSING = {
    MissingSlice.FAIL: CheckOutcome.BROKEN,
    MissingSlice.INSUFFICIENT: CheckOutcome.UNKNOWN,
    MissingSlice.WARN: CheckOutcome.SKIPPED,
}


def slices_of_rail(rail: Guardrail, found: Measured) -> list[Slice]:
    if rail.each_slice_of:
        champion = found.champion.slices_by(rail.each_slice_of) if found.champion else []
        return sorted({*found.challenger.slices_by(rail.each_slice_of), *champion})
    where = rail.slice or OVERALL
    return [where] if where.is_overall or found.challenger.has_slice(where) else []


def vanished(policy: Policy, rail: Guardrail, slices: list[Slice], found: Measured) -> Iterator[Check]:
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


def no_slice(rail: Guardrail, answer: MissingSlice) -> Check:
    outcome = _MISSING[answer]
    where, metric = plain(rail.where), plain(rail.metric)
    sentence = f"the evaluation has no slice for the guardrail on {metric} ({where})"
    return Check(f"{metric} on {where}", outcome, sentence, warning=outcome is CheckOutcome.SKIPPED)


def nothing_guarded(rail: Guardrail) -> Check:
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


def usable(policy: Policy, rail: Guardrail, found: Measured) -> list[Key]:
    """The slices of a guardrail on which it can be judged. What it says of the others stands among its checks once."""
    keys = [Key(rail.metric, where) for where in slices_of_rail(rail, found)]
    return [key for key in keys if obstacle(policy, rail, key, found) is None]
