"""Luck over many retrainings: how sure one decision must be so that all of them together keep a promise.

- **Error budget.** Before each decision it is fixed which chance of an error it gets: an equal share of what the period
  has left. A decision whose score did not win has lost its share; one that won gives it back. In a period, the shares
  of all decisions that could have been errors sum to no more than the budget before the first error, so the chance of
  any false promotion is at most the budget, however the decisions depend on one another.
- **Ladder.** Whoever trains the next model knows only the answers of the rows so far. k answers can have led here in
  C(k, w) ways with w times PASS, and w is one of k + 1 numbers. Each of these ways may err with its part of the chance,
  so that all of them together err no more often than one test on new rows.

Both come down to one number: the chance of an error that this decision gets, and so the width of its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import NormalDist

from tfx_pedigree.comparison.best_champion import NOT_TOLD, never_below
from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.comparison.margin import Pair, Spread
from tfx_pedigree.comparison.measured import Measured
from tfx_pedigree.comparison.numbers import Key
from tfx_pedigree.comparison.past import Anchor, Stake, Standing
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.comparison.policy_year import Reused
from tfx_pedigree.comparison.wording import number, percent

# No interval of 20 parts tells anything about a chance below this.
LEAST_LEVEL = 1e-9
# Where a policy does not say how often the same rows may decide, this often passes without a word.
USUAL_USES = 20


def stake_of(policy: Policy, standing: Standing) -> Stake | None:
    """None where the policy has no budget."""
    budget, confidence = policy.error_budget, policy.confidence
    if budget is None or confidence is None:
        return None
    here, lost = (standing.number, standing.lost) if standing.number <= budget.decisions else (1, 0.0)
    left = max(0.0, budget.false_promotions - lost)
    return Stake(here, lost, min((1 - confidence) / 2, left / (budget.decisions - here + 1)))


def level_of(policy: Policy, standing: Standing) -> float | None:
    """The chance that a challenger passes which is exactly on the line. None where the values decide."""
    if policy.confidence is None:
        return None
    stake = stake_of(policy, standing)
    level = (1 - policy.confidence) / 2 if stake is None else stake.level
    if policy.holdout is None or not policy.holdout.ladder or standing.reuse is None:
        return level
    ways = (standing.reuse.uses + 1) * math.comb(standing.reuse.uses, standing.reuse.passes)
    return level / ways if ways < 1e15 else 0.0


def confidence_of(policy: Policy, standing: Standing | None) -> float | None:
    """With which the score is judged: the policy's, or a higher one."""
    if standing is None or policy.confidence is None:
        return policy.confidence
    level = level_of(policy, standing)
    assert level is not None  # noqa: S101  there is a confidence
    if level == (1 - policy.confidence) / 2 or level < LEAST_LEVEL:
        return policy.confidence
    return 1 - 2 * level


def widened(pair: Pair, given: float | None, wanted: float | None) -> Pair:
    """The same measurement with another confidence."""
    if pair.spread is None or given is None or wanted is None or wanted == given:
        return pair
    by = t_quantile(wanted, TFMA_DEGREES_OF_FREEDOM) / t_quantile(given, TFMA_DEGREES_OF_FREEDOM)
    middle, (low, high) = pair.challenger - pair.champion, pair.spread.difference
    ends = middle - (middle - low) * by, middle + (high - middle) * by
    return replace(pair, spread=Spread(ends, pair.spread.challenger * by, pair.spread.champion * by))


def year_checks(policy: Policy, found: Measured, standing: Standing | None, anchor: Anchor | None) -> Iterator[Check]:
    """What the policy asks of this decision as one of many."""
    if policy.error_budget is not None:
        yield _budget(policy, standing)
    if policy.holdout is not None:
        yield from _holdout(policy, standing)
    if policy.never_below is not None:
        yield never_below(policy, policy.never_below, found, standing, anchor)


def reuse_warnings(policy: Policy, found: Measured, standing: Standing | None) -> Iterator[str]:
    """A best of many on the same rows seems better than it is: by how much."""
    if standing is None or standing.reuse is None:
        return
    uses = standing.reuse.uses
    most = policy.holdout.uses if policy.holdout is not None and policy.holdout.uses is not None else USUAL_USES
    if uses < most or (policy.holdout is not None and policy.holdout.then is Reused.INSUFFICIENT):
        return
    too_good = _overstated(policy, found, uses + 1)
    more = f": the best of so many equally good models seems {number(too_good)} better than it is" if too_good else ""
    yield f"the same rows have decided {uses} times for this model before{more}. Evaluate on new rows from time to time"


def _overstated(policy: Policy, found: Measured, models: int) -> float | None:
    """The expected largest of so many normal deviations, by Blom's approximation, in standard errors of the part of a
    score that two models on the same rows do not share."""
    value = found.differences.get(Key(policy.metric))
    if (
        value is None
        or value.interval is None
        or policy.confidence is None
        or not all(map(math.isfinite, value.interval))
    ):
        return None
    half = (value.interval[1] - value.interval[0]) / 2
    apart = half / t_quantile(policy.confidence, TFMA_DEGREES_OF_FREEDOM)
    largest = NormalDist().inv_cdf((models - 0.375) / (models + 0.25))
    return float(f"{largest * apart / math.sqrt(2):.2g}")


def _budget(policy: Policy, standing: Standing | None) -> Check:
    name, budget = "error budget", policy.error_budget
    stake = stake_of(policy, standing) if standing is not None else None
    if budget is None or stake is None:
        return Check(name, CheckOutcome.UNKNOWN, f"the policy has an error budget, and {NOT_TOLD}")
    numbers = {"decision": float(stake.number), "lost": stake.lost, "level": stake.level}
    if stake.level < LEAST_LEVEL:
        said = f"nothing is left of the error budget of {percent(budget.false_promotions)} in this period"
        return Check(name, CheckOutcome.UNKNOWN, said, numbers)
    said = (
        f"decision {stake.number} of {budget.decisions} in this period risks {percent(stake.level)} of the "
        f"{percent(budget.false_promotions)} that all of them may"
    )
    return Check(name, CheckOutcome.HOLDS, said, numbers)


def _holdout(policy: Policy, standing: Standing | None) -> Iterator[Check]:
    holdout, name = policy.holdout, "reuse of the rows"
    assert holdout is not None  # noqa: S101  the caller has looked
    strict = holdout.ladder or holdout.then is Reused.INSUFFICIENT
    if standing is None or standing.reuse is None:
        why = NOT_TOLD if standing is None else "the evaluation's rows have no fingerprint"
        said = f"how often the same rows have decided is not known: {why}"
        yield Check(name, CheckOutcome.UNKNOWN if strict else CheckOutcome.SKIPPED, said, warning=not strict)
        return
    uses, passes = standing.reuse.uses, standing.reuse.passes
    numbers = {"uses": float(uses), "passes": float(passes)}
    if holdout.uses is not None and holdout.then is Reused.INSUFFICIENT and uses >= holdout.uses:
        said = f"the same rows have decided {uses} times, and may decide {holdout.uses} times: evaluate on new rows"
        yield Check(name, CheckOutcome.UNKNOWN, said, numbers)
        return
    if not holdout.ladder:
        return
    level = level_of(policy, standing) or 0.0
    said = f"the same rows have decided {uses} times and said PASS {passes} times"
    if level < LEAST_LEVEL:
        said += ": what they say now would follow from their own noise. Evaluate on new rows"
        yield Check(name, CheckOutcome.UNKNOWN, said, numbers)
    elif uses:
        yield Check(name, CheckOutcome.HOLDS, f"{said}, so this decision may err in {percent(level)}", numbers)
