"""What a policy can't mean: a demand that nobody can meet, or that forbids nothing. Pure.

Only what people write is held to this. A decision on file stays readable whatever its policy asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from tfx_pedigree.comparison.class_counts import has_classes
from tfx_pedigree.comparison.metric_names import MetricName, base_of
from tfx_pedigree.comparison.metrics import KNOWN, Direction, Metric, is_neutral, known, meant, of_no_model
from tfx_pedigree.comparison.policy import Bounds, Gap, Guardrail, Policy, Regression, Rule, RuleKind
from tfx_pedigree.comparison.wording import number, percent
from tfx_pedigree.errors import InvalidInputError

# Where it stands in the file, and the rest of the sentence about it.
Problem = tuple[str, str]


def nonsense(policy: Policy) -> Iterator[Problem]:
    for path, name in _names(policy):
        if problem := misnamed(name):
            yield path, problem
    yield from _score(policy)
    yield from _utilities(policy)
    for index, rail in enumerate(policy.guardrails):
        yield from _guardrail(f"guardrails[{index}]", rail, policy.least_of_each(rail))
    yield from _budget(policy)
    for name, bounds in policy.first_version.items():
        yield from _bounds(f"first_version.{name}", known(name), bounds)
    if policy.size.bytes == 0:
        yield "size.bytes", "is 0, and no model has so few: nobody can win."


def _score(policy: Policy) -> Iterator[Problem]:
    metric = known(policy.metric)
    yield from _direction("direction", metric, policy.better)
    if base_of(policy.metric) in policy.utilities and policy.better is Direction.LOWER:
        yield "direction", "is lower, but more of a utility is always better. Turn the signs of its numbers round."
    yield from _rule("rule", policy.rule, policy.better, metric)
    yield from _classes("metric", policy.metric, policy.least_of_each())
    if policy.never_below is not None:
        for share, limit in ((True, policy.never_below.relative), (False, policy.never_below.absolute)):
            if limit is not None:
                yield from _regression("never_below.best_champion", metric, Regression(limit, relative=share))


def _guardrail(here: str, rail: Guardrail, least: Mapping[str, int]) -> Iterator[Problem]:
    metric = known(rail.metric)
    yield from _classes(here, rail.metric, least)
    if rail.direction is not None:
        yield from _direction(f"{here}.direction", metric, rail.direction)
    if rail.max_regression is not None:
        yield from _regression(f"{here}.max_regression", metric, rail.max_regression)
    if rail.min_gain is not None:
        yield from _rule(f"{here}.min_gain", rail.min_gain, rail.direction, metric)
    if rail.max_gap is not None:
        yield from _gap(f"{here}.max_gap", metric, rail.max_gap)
    if rail.bounds is not None:
        yield from _bounds(here, metric, rail.bounds)


def _names(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "metric", policy.metric
    yield from ((f"guardrails[{index}].metric", rail.metric) for index, rail in enumerate(policy.guardrails))
    yield from ((f"first_version.{name}", name) for name in policy.first_version)


def misnamed(name: str) -> str | None:
    """What is wrong with a name that begins like that of a known metric. Others may be called what they like."""
    try:
        metric = MetricName.parse(name)
    except InvalidInputError as error:
        bare = re.split(r"[@(]", name.rpartition("/")[2])[0]
        return f"cannot be read. {error}" if bare in KNOWN else None
    problem = of_no_model(metric)
    return f"is `{name}`: {problem}" if problem else None


def unfamiliar(policy: Policy) -> Iterator[str]:
    """Of names that are no known metric's but nearly: whoever meant their own reads on, whoever made a typo sees it."""
    terms = [(f"utilities.{name}.weights", term) for name, one in policy.utilities.items() for term in one.weights]
    for path, name in [*_names(policy), *terms]:
        if base_of(name) not in policy.utilities and (near := meant(name)):
            yield f"`{path}` is '{name}', which Pedigree does not know. Did you mean `{near}`?"


def _classes(path: str, metric: str, least: Mapping[str, int]) -> Iterator[Problem]:
    for which, asked in least.items():
        if asked and not has_classes(metric):
            yield path, f"is of no class, so it cannot be measured on {asked} {which}. Give `min_{which}: 0` here."


def _utilities(policy: Policy) -> Iterator[Problem]:
    for name, utility in policy.utilities.items():
        if utility.outcomes and not 0 <= utility.threshold <= 1:
            yield f"utilities.{name}.threshold", f"is {number(utility.threshold)}, but predictions lie from 0 to 1."
        for term, weight in utility.weights.items():
            better = known(term).direction
            if better is not None and weight * (1 if better is Direction.HIGHER else -1) < 0:
                problem = (
                    f"weighs {term} by {number(weight)}, so it rises as {term} gets worse: {term} is better as it gets "
                )
                yield f"utilities.{name}.weights", f"{problem}{better.value}."


def _direction(path: str, metric: Metric, given: Direction) -> Iterator[Problem]:
    if is_neutral(metric.name):
        yield path, f"is {given.value}, but neither way is better for {metric.name}: it can only have bounds."
    elif metric.direction not in (None, given):
        assert metric.direction is not None  # noqa: S101  for the type checker: None is in the tuple above
        yield path, f"is {given.value}, but {metric.name} gets better as it gets {metric.direction.value}."


def _rule(path: str, rule: Rule, better: Direction | None, metric: Metric) -> Iterator[Problem]:
    width = metric.high - metric.low
    absolute = rule.threshold if rule.kind is RuleKind.ABSOLUTE else rule.and_absolute
    if absolute is not None and absolute >= width:
        yield f"{path}.absolute", f"is {number(absolute)}, and {metric.name} lies {_range(metric)}: nobody can win."
    perfect = rule.perfect
    if perfect is None or metric.direction is None:
        return
    worst = metric.low if better is Direction.HIGHER else metric.high
    if perfect == worst or not metric.low <= perfect <= metric.high:
        yield f"{path}.perfect", f"is {number(perfect)}, which no perfect {metric.name} is: it lies {_range(metric)}."


def _budget(policy: Policy) -> Iterator[Problem]:
    budget, confidence = policy.error_budget, policy.confidence
    if budget is None or confidence is None:
        return
    each = (1 - confidence) / 2
    if budget.false_promotions >= each * budget.decisions * (1 - 1e-9):
        yield (
            "error_budget.false_promotions",
            f"is {number(budget.false_promotions)}, and {budget.decisions} decisions risk no more than "
            f"{percent(min(1.0, each * budget.decisions))} with this `confidence` anyway: it bounds nothing.",
        )


def _regression(path: str, metric: Metric, limit: Regression) -> Iterator[Problem]:
    limits = dict(limit.limits)
    share, absolute = limits.get(RuleKind.RELATIVE), limits.get(RuleKind.ABSOLUTE)
    if share is not None and share >= 1:
        yield (
            f"{path}.relative",
            f"is {number(share)}, which allows a loss of {number(share * 100)} %: give a share below 1 "
            "(0.02 is 2 %), or `absolute`.",
        )
    if absolute is not None and absolute >= metric.high - metric.low:
        yield f"{path}.absolute", f"is {number(absolute)}, and {metric.name} lies {_range(metric)}: it forbids nothing."


def _gap(path: str, metric: Metric, gap: Gap) -> Iterator[Problem]:
    for name, value in (("at_most", gap.at_most), ("worse_by", gap.worse_by)):
        if value is not None and value >= metric.high - metric.low:
            within = f".{name}" if gap.worse_by is not None else ""
            yield f"{path}{within}", f"is {number(value)}, and {metric.name} lies {_range(metric)}: it forbids nothing."


def _bounds(path: str, metric: Metric, bounds: Bounds) -> Iterator[Problem]:
    for name, value in (("at_least", bounds.at_least), ("at_most", bounds.at_most)):
        if value is not None and not metric.low <= value <= metric.high:
            share = value / 100
            meant = f" Did you mean {number(share)}?" if metric.high == 1 and 0 <= share <= 1 else ""
            yield f"{path}.{name}", f"is {number(value)}, but {metric.name} lies {_range(metric)}.{meant}"


def _range(metric: Metric) -> str:
    if math.isinf(metric.high):
        return f"from {number(metric.low)} on"
    return (
        f"up to {number(metric.high)}"
        if math.isinf(metric.low)
        else f"from {number(metric.low)} to {number(metric.high)}"
    )
