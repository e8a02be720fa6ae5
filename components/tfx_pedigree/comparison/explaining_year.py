"""What a policy asks of many retrainings, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.comparison.policy_year import ErrorBudget, Holdout, Many, NeverBelow, Reused
from tfx_pedigree.comparison.wording import number, percent


def year_sentences(policy: Policy) -> Iterator[str]:
    if policy.error_budget is not None:
        yield _budget(policy.error_budget)
    if policy.holdout is not None:
        yield from _holdout(policy.holdout)
    if policy.never_below is not None:
        yield _never_below(policy, policy.never_below)
    if any(rail.many is Many.HOLM for rail in policy.guardrails):
        yield (
            "Of slices that are judged together (Holm), one refuses the challenger if it is shown to be worse than it "
            "may, with luck among so many taken into account; what is shown of no slice is no obstacle."
        )


def _budget(budget: ErrorBudget) -> str:
    share = percent(budget.false_promotions / budget.decisions)
    return (
        f"Error budget: in a period of {budget.decisions:,} decisions, the chance of any false promotion is at most "
        f"{percent(budget.false_promotions)}. Each decision risks an equal share of what is left of it ({share} at "
        "first), and gets its share back where the challenger's score won."
    )


def _holdout(holdout: Holdout) -> Iterator[str]:
    if holdout.uses is not None:
        then = {
            Reused.WARN: "a decision on them carries a warning",
            Reused.INSUFFICIENT: "they decide nothing any more",
        }[holdout.then]
        yield f"After the same rows have decided {holdout.uses:,} times for this model, {then}."
    if holdout.ladder:
        yield (
            "Ladder: the more often the same rows have answered, and above all said PASS, the less a decision on them "
            "may err, so that whoever reacts to their answers cannot climb on their noise."
        )


def _never_below(policy: Policy, demand: NeverBelow) -> str:
    may = "what the rule lets pass"
    if demand.relative is not None:
        may = f"{percent(demand.relative)} of its {policy.metric}"
    elif demand.absolute is not None:
        may = number(demand.absolute)
    return (
        f"The challenger may not be worse than the best champion so far by more than {may}: that one is measured on "
        "the same rows where its bytes are there, else what earlier comparisons say of it counts."
    )
