"""A policy in sentences, and by simulation: how often equal models would pass, and what a true gain would need.

The simulation asks the gate itself. Two scores are drawn around their true values with the noise that so many examples
have, and the interval as a jackknife of 20 parts would give it. Pure: the seed is fixed, so that the same question has
the same answer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tfx_pedigree.comparison.class_counts import NEGATIVES, POSITIVES
from tfx_pedigree.comparison.gate import decide
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.comparison.metrics import Direction, known
from tfx_pedigree.comparison.numbers import Key, MetricValue, Scores
from tfx_pedigree.comparison.past import FIRST
from tfx_pedigree.comparison.policy import (
    Gap,
    Guardrail,
    LatencyBudget,
    MajorChange,
    MissingSlice,
    NotComparable,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Similar,
    SizeBudget,
    TooFew,
)
from tfx_pedigree.comparison.policy_utility import Utility
from tfx_pedigree.comparison.policy_year import ErrorBudget, Holdout, Many, NeverBelow, Reused
from tfx_pedigree.comparison.wording import amount, number, percent
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import listed
from tfx_pedigree.verdict import Verdict

ROUNDS = 2000
_SEED = 20130101
# How alike the errors of two models of the same making are on the same rows. Most retrainings are above it.
CORRELATION = 0.8
_HALVINGS = 12
WEEKS = 52


@dataclass(frozen=True)
class Situation:
    """`champion` is the true score of the model that serves, `noise` the standard error of one score on the examples,
    and `correlation` that of the two models' errors on the same rows."""

    champion: float
    examples: int
    noise: float
    correlation: float = CORRELATION


@dataclass(frozen=True)
class Odds:
    """Shares of simulated evaluations, and the true gains (as differences) that pass in half and in nine of ten."""

    equal_pass: float
    equal_fail: float
    half: float | None
    nine_of_ten: float | None
    rounds: int = ROUNDS

    @property
    def equal_pass_in_a_year(self) -> float:
        """At least one of a retraining each week."""
        return 1 - (1 - self.equal_pass) ** WEEKS


def situation(policy: Policy, examples: int, champion: float, correlation: float = CORRELATION) -> Situation:
    """With the noise of a share of right answers where the score is a share; else of errors as widely spread as they
    are large."""
    metric = known(policy.metric)
    if not metric.low <= champion <= metric.high:
        lies = f"from {number(metric.low)} to {number(metric.high)}"
        raise InvalidInputError(f"No {policy.metric} is {number(champion)}: it lies {lies}.")
    if examples < 1:
        raise InvalidInputError(f"{examples} examples measure nothing: ask for one or more.")
    is_share = (metric.low, metric.high) == (0, 1)
    spread = math.sqrt(champion * (1 - champion)) if is_share else abs(champion)
    return Situation(champion, examples, spread / math.sqrt(examples), correlation)


def simulate(policy: Policy, where: Situation, rounds: int = ROUNDS) -> Odds:
    """Of the score alone: guardrails, budgets and MAJOR changes can only refuse more."""
    alone = replace(
        policy,
        guardrails=(),
        latency=LatencyBudget(),
        size=SizeBudget(),
        first_version={},
        never_below=None,
        min_positives=0,
        min_negatives=0,
    )
    equal = [_verdict(alone, where, 0.0, at) for at in range(rounds)]
    return Odds(
        equal.count(Verdict.PASS) / rounds,
        equal.count(Verdict.FAIL) / rounds,
        _gain_that_passes(alone, where, 0.5, rounds),
        _gain_that_passes(alone, where, 0.9, rounds),
        rounds,
    )


def passes(policy: Policy, where: Situation, gain: float, rounds: int) -> float:
    """In which share of evaluations a challenger passes that is truly better by so much."""
    return sum(_verdict(policy, where, gain, at) is Verdict.PASS for at in range(rounds)) / rounds


def _gain_that_passes(policy: Policy, where: Situation, share: float, rounds: int) -> float | None:
    """By halving between no gain and all that the metric allows. The chance rises with the gain: the gate is monotone,
    and every gain meets the same noise."""

    def enough(gain: float) -> bool:
        return passes(policy, where, gain, rounds // 4) >= share

    metric = known(policy.metric)
    best = metric.high if policy.better is Direction.HIGHER else metric.low
    low, high = 0.0, abs(best - where.champion) if math.isfinite(best) else 4 * abs(where.champion) + 8 * where.noise
    if enough(low):
        return 0.0
    if not enough(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _verdict(policy: Policy, where: Situation, gain: float, at: int) -> Verdict:
    new, old, difference = draw(policy, where, gain, at)
    key = Key(policy.metric)
    return decide(policy, Scores({key: new}), Scores({key: old}), differences={key: difference}, standing=FIRST).verdict


def draw(policy: Policy, where: Situation, gain: float, at: int) -> tuple[MetricValue, MetricValue, MetricValue]:
    """One evaluation of a challenger that is truly better by so much: both scores and their difference, as TFMA would
    measure them. `at` says which one."""
    chance = random.Random(_SEED + at)  # noqa: S311  a simulation needs no secret
    sign = 1.0 if policy.better is Direction.HIGHER else -1.0
    shared, own = chance.gauss(0, 1), (chance.gauss(0, 1), chance.gauss(0, 1))
    r = where.correlation
    new, old = (
        _inside(policy, true + where.noise * (math.sqrt(r) * shared + math.sqrt(1 - r) * noise))
        for true, noise in zip((where.champion + sign * gain, where.champion), own, strict=True)
    )
    # The width of an interval is measured as well: a χ² of the parts' freedom.
    scale = math.sqrt(chance.gammavariate(TFMA_DEGREES_OF_FREEDOM / 2, 2) / TFMA_DEGREES_OF_FREEDOM)
    half = where.noise * scale * t_quantile(policy.confidence or 0.95, TFMA_DEGREES_OF_FREEDOM)
    apart = half * math.sqrt(2 * (1 - r))
    return (
        MetricValue(new, (new - half, new + half), where.examples),
        MetricValue(old, (old - half, old + half), where.examples),
        MetricValue(new - old, (new - old - apart, new - old + apart), where.examples),
    )


def _inside(policy: Policy, value: float) -> float:
    metric = known(policy.metric)
    return min(max(value, metric.low), metric.high)


def in_words(policy: Policy, where: Situation, odds: Odds) -> Iterator[str]:
    """What the simulation found."""
    yield (
        f"Two equally good models with a true {policy.metric} of {number(where.champion)}, on {where.examples:,} "
        f"examples and with a correlation of {number(where.correlation)} between their errors: the newer one passes in "
        f"{percent(odds.equal_pass)} of {odds.rounds:,} simulated evaluations and fails in {percent(odds.equal_fail)}."
    )
    if policy.error_budget is None and odds.equal_pass:
        yield (
            f"Retrained each week, at least one of {WEEKS} such models passes in {percent(odds.equal_pass_in_a_year)} "
            "of years: an `error_budget` bounds that."
        )
    if odds.half is None:
        yield f"No gain that {policy.metric} leaves room for passes in half of the evaluations."
        return
    nine = (
        "no gain passes in nine of ten"
        if odds.nine_of_ten is None
        else (f"one of {_gained(where, odds.nine_of_ten)} in nine of ten")
    )
    yield f"A true gain of {_gained(where, odds.half)} passes in half of the evaluations, and {nine}."


def _gained(where: Situation, gain: float) -> str:
    share = f" ({percent(gain / abs(where.champion))})" if where.champion else ""
    return f"{number(float(f'{gain:.3g}'))}{share}"


def sentences(policy: Policy) -> Iterator[str]:
    """What the policy demands, in the order in which the gate looks at it."""
    yield _score(policy)
    yield from map(_utility, policy.utilities, policy.utilities.values())
    yield _similar(policy)
    yield _sureness(policy)
    yield from year_sentences(policy)
    for rail in policy.guardrails:
        yield _guardrail(rail)
    if policy.guardrails:
        yield {
            MissingSlice.FAIL: "A slice that a guardrail names and the evaluation lacks refuses the challenger.",
            MissingSlice.INSUFFICIENT: "A slice that a guardrail names and the evaluation lacks leaves it undecided.",
            MissingSlice.WARN: "A slice that a guardrail names and the evaluation lacks is only warned of.",
        }[policy.missing_slice]
    yield from _budgets(policy)
    yield (
        "A MAJOR change, which breaks those who call the model, waits for a person."
        if policy.major is MajorChange.HUMAN
        else "A MAJOR change is promoted like any other."
    )
    floors = [f"{name} {_bounds(one.at_least, one.at_most)}" for name, one in policy.first_version.items()]
    yield f"A first version must have {listed(floors)}." if floors else "Any first version passes: there are no floors."
    yield (
        "Where the champion cannot be evaluated on the new data, a person decides."
        if policy.not_comparable is NotComparable.HUMAN
        else "Where the champion cannot be evaluated on the new data, the challenger is judged as a first version."
    )


def _score(policy: Policy) -> str:
    way = "higher" if policy.better is Direction.HIGHER else "lower"
    asked = _more(policy.rule, policy.metric)
    return f"The challenger wins if its {policy.metric} is {way} than the champion's by {asked}."


def _utility(name: str, utility: Utility) -> str:
    if utility.weights:
        return f"{name} is the sum of {listed([f'{number(one)} · {term}' for term, one in utility.weights.items()])}."
    worth = listed([f"{number(one)} for a {outcome.replace('_', ' ')}" for outcome, one in utility.outcomes.items()])
    return f"{name} is the mean worth of a prediction: {worth}, at a threshold of {number(utility.threshold)}."


def _fewer(examples: int | None, of_each: Mapping[str, int]) -> str:
    return " or ".join(f"{asked:,} {which}" for which, asked in {"examples": examples, **of_each}.items() if asked)


def _more(rule: Rule, metric: str) -> str:
    asked = amount(rule.kind, rule.threshold)
    said = {
        RuleKind.RELATIVE: f"more than {asked} of the champion's {metric}",
        RuleKind.ABSOLUTE: f"more than {asked}",
        RuleKind.ERROR_REDUCTION: f"more than {asked} of what the champion lacks to {number(rule.perfect or 0.0)}",
    }[rule.kind]
    return said if rule.and_absolute is None else f"{said}, and by more than {number(rule.and_absolute)}"


def _similar(policy: Policy) -> str:
    if policy.similar is Similar.KEEP_CHAMPION:
        return "Where the two are alike, the champion stays."
    return "Where the two are alike, the challenger wins, as its data are fresher."


def _sureness(policy: Policy) -> str:
    asked = _fewer(policy.min_examples, policy.least_of_each())
    least = f" Fewer than {asked} decide nothing." if asked else ""
    if policy.confidence is None:
        return f"The measured values decide, without regard to chance.{least}"
    wrong = percent((1 - policy.confidence) / 2)
    return (
        f"The {percent(policy.confidence)} interval decides: a challenger that is exactly on the line passes in "
        f"{wrong} of evaluations, and what the interval leaves open is not decided.{least}"
    )


def _guardrail(rail: Guardrail) -> str:
    demands = []
    if rail.max_regression is not None:
        demands.append(f"may not get worse by more than {_loss(rail.max_regression)}")
    if rail.min_gain is not None:
        demands.append(f"must be better by {_more(rail.min_gain, rail.metric)}")
    if rail.max_gap is not None:
        demands += _gap(rail.max_gap)
    if rail.bounds is not None:
        demands.append(f"must be {_bounds(rail.bounds.at_least, rail.bounds.at_most)}")
    where = "" if rail.where == "overall" else f" on {rail.where}"
    few = ""
    asked = _fewer(rail.min_examples, {POSITIVES: rail.min_positives or 0, NEGATIVES: rail.min_negatives or 0})
    if asked:
        then = "is skipped" if rail.too_few is TooFew.SKIP else "leaves it undecided"
        what = "one" if rail.where == "overall" else "a slice"
        few = f"; {what} of fewer than {asked} {then}"
    return f"Guardrail: {rail.metric}{where} {' and '.join(demands)}{few}."


def _gap(gap: Gap) -> Iterator[str]:
    if gap.at_most is not None:
        yield f"may differ between any two of them by at most {number(gap.at_most)}"
    if gap.worse_by is not None:
        more = f"more than {number(gap.worse_by)} " if gap.worse_by else ""
        yield f"may not have a widest gap that is {more}wider than the champion's"


def _loss(limit: Regression) -> str:
    return " nor by more than ".join(
        f"{percent(most)} of the champion's" if kind is RuleKind.RELATIVE else number(most)
        for kind, most in limit.limits
    )


def _bounds(low: float | None, high: float | None) -> str:
    parts = [f"at least {number(low)}"] if low is not None else []
    parts += [f"at most {number(high)}"] if high is not None else []
    return " and ".join(parts)


def _budgets(policy: Policy) -> Iterator[str]:
    latency, size = policy.latency, policy.size
    limits = [f"a 95th percentile of {number(latency.p95_ms)} ms"] if latency.p95_ms else []
    limits += [f"{percent(latency.ratio)} of the champion's 95th percentile"] if latency.ratio else []
    if limits:
        yield f"A call may take at most {listed(limits)}, judged by its interval."
    sizes = [f"{size.bytes:,} bytes"] if size.bytes is not None else []
    sizes += [f"{percent(size.ratio)} of the champion's size"] if size.ratio else []
    if sizes:
        yield f"The files may have at most {listed(sizes)}."


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
