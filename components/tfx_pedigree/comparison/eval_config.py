"""From the policy to the Evaluator's EvalConfig, as the plain JSON form of the protocol buffer.

TFMA gets the part of the policy that it decides soundly. Law: what the gate passes, TFMA blesses too (it only knows
conditions that follow from ours); where `Share.SAME_RULE` is reported, it also refuses what the gate refuses by the
score. The one exception, a champion whose score is exactly 0, is explained in docs/policy.md.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tfx_pedigree.comparison.metrics import Direction, Metric, known
from tfx_pedigree.comparison.metrics_specs import ExtraMetric, ModelInputs, metrics_specs, utility_metrics
from tfx_pedigree.comparison.numbers import Slice
from tfx_pedigree.comparison.policy import (
    Bounds,
    Guardrail,
    MissingSlice,
    Policy,
    Rule,
    RuleKind,
    Similar,
    TooFew,
)
from tfx_pedigree.comparison.policy_year import Many
from tfx_pedigree.comparison.rule import TOLERANCE

Json = dict[str, Any]
# Half-way between "exactly the threshold" and where the gate begins to count it as more.
_MORE = 1 + TOLERANCE / 2
_NOT_WORSE = 1 + 2 * TOLERANCE
# A slice of fewer examples can honestly score 0 in any metric, and TFMA then compares with NaN.
_SAFE_SLICE = 30
# The fields of a change threshold with one demand: the demand and the direction.
_ONE_DEMAND = 2


class Share(str, Enum):
    """How much of the policy's rule for the score TFMA got."""

    SAME_RULE = "same rule"
    NECESSARY_PART = "necessary part"


@dataclass(frozen=True)
class EvaluatorPlan:
    """`config` is the EvalConfig; `notes` say in sentences what TFMA was not given, and why."""

    config: Json
    share: Share
    notes: tuple[str, ...]


def evaluator_plan(
    policy: Policy,
    model: ModelInputs | None = None,
    *,
    slices: Iterable[Slice] = (),
    slice_features: Iterable[Sequence[str]] = (),
    metrics: Iterable[ExtraMetric] = (),
    first_version: bool = False,
) -> EvaluatorPlan:
    """With `first_version` there is certainly no baseline: the floors are then TFMA's to decide as well.

    Without it the floors stay out: TFMA would hold them against later versions too, which need only beat the champion.
    """
    thresholds, share, notes = _thresholds(policy, first_version)
    specs = [
        {},
        *_slicing(policy),
        *map(_slice_spec, slices),
        *({"featureKeys": list(one)} for one in slice_features),
    ]
    inputs, extra = model or ModelInputs(), {one.name: one for one in metrics}
    utilities = utility_metrics(policy.utilities, extra, inputs)
    config: Json = {
        "modelSpecs": [inputs.to_json()],
        "slicingSpecs": _distinct(specs),
        "metricsSpecs": metrics_specs(
            [*policy.metrics, *policy.counts(inputs.classes), *extra], thresholds, extra | utilities, inputs
        ),
    }
    if policy.confidence is not None:
        config["options"] = {
            "computeConfidenceIntervals": True,
            "confidenceIntervals": {"method": "JACKKNIFE"},
        }
    return EvaluatorPlan(config, share, tuple(notes))


def _thresholds(policy: Policy, first_version: bool) -> tuple[dict[str, list[Json]], Share, list[str]]:
    score, share, note = _score(policy)
    found: dict[str, list[Json]] = {policy.metric: [_of_slice({}, score)]}
    notes = [note] if note else []
    for rail in policy.guardrails:
        threshold, note = _guardrail(policy, rail)
        if threshold:
            found.setdefault(rail.metric, []).append(_of_slice(_guard_spec(rail), threshold))
        if note:
            notes.append(note)
    if first_version:
        for metric, bounds in policy.first_version.items():
            found.setdefault(metric, []).append(_of_slice({}, {"valueThreshold": _value(bounds)}))
    elif policy.first_version:
        notes.append("the floors of a first version are the gate's alone: TFMA would hold them against every version")
    return found, share, notes


def _score(policy: Policy) -> tuple[Json, Share, str | None]:
    """A value threshold that any number meets, so that TFMA blesses at all; and the change threshold that is sound."""
    metric = known(policy.metric)
    lowest = metric.low if math.isfinite(metric.low) else -sys.float_info.max
    threshold: Json = {"valueThreshold": {"lowerBound": lowest}}
    change, share, note = _score_change(policy, metric)
    if change is not None:
        threshold["changeThreshold"] = change
    return threshold, share, note


def _score_change(policy: Policy, metric: Metric) -> tuple[Json | None, Share, str | None]:
    rule, higher = policy.rule, policy.direction is Direction.HIGHER
    wins = policy.similar is Similar.KEEP_CHAMPION
    limit = rule.threshold
    if rule.and_absolute is not None:
        return _both(policy, metric)
    if rule.kind is RuleKind.ABSOLUTE:
        least = _more_than(limit) if wins else -limit * _NOT_WORSE
        return _change(policy.better, absolute=least), Share.SAME_RULE, None
    if rule.kind is RuleKind.RELATIVE and metric.low >= 0 and _sound_at_zero(metric, wins):
        if wins:
            return _change(policy.better, relative=_more_than(limit)), Share.SAME_RULE, None
        # The gate lets neither the champion beat the challenger nor more than the limit of the champion's score go.
        lost = limit / (1 + limit) if higher else limit
        return _change(policy.better, relative=-lost * _NOT_WORSE), Share.SAME_RULE, None
    note = f"the rule `{rule.kind.value}` on {policy.metric} is the gate's alone: " + (
        "TFMA does not know it"
        if rule.kind is RuleKind.ERROR_REDUCTION
        else "TFMA's inverts for a champion below 0 and refuses every challenger of one at 0"
    )
    if wins:
        return _change(policy.better, absolute=0.0), Share.NECESSARY_PART, f"{note}; it only asks for no loss"
    return None, Share.NECESSARY_PART, note


def _both(policy: Policy, metric: Metric) -> tuple[Json | None, Share, str | None]:
    """Two demands are TFMA's as well. That a loss counts only where it is more than both of two limits is not."""
    note = (
        f"the rule of two kinds on {policy.metric} is the gate's alone: TFMA knows no loss that must be more than both"
    )
    if policy.similar is not Similar.KEEP_CHAMPION:
        return None, Share.NECESSARY_PART, note
    found = _gain(policy.rule, policy.better, metric)
    same = len(found) > _ONE_DEMAND
    note = f"of the rule of two kinds on {policy.metric} TFMA gets the absolute difference alone"
    return found, Share.SAME_RULE if same else Share.NECESSARY_PART, None if same else note


def _gain(rule: Rule, direction: Direction, metric: Metric) -> Json:
    """What follows from "more than": the same, as far as TFMA decides it soundly; else no loss."""
    least = {}
    if rule.kind is RuleKind.RELATIVE and metric.low >= 0 and _sound_at_zero(metric, wins=True):
        least["relative"] = _more_than(rule.threshold)
    absolute = rule.threshold if rule.kind is RuleKind.ABSOLUTE else rule.and_absolute
    if absolute is not None:
        least["absolute"] = _more_than(absolute)
    return _change(direction, **(least or {"absolute": 0.0}))


def _more_than(limit: float) -> float:
    """TFMA's thresholds are met by equality, the gate's are not."""
    return limit * _MORE or sys.float_info.min


def _sound_at_zero(metric: Metric, wins: bool) -> bool:
    """TFMA refuses whatever is compared with 0. So does the gate where 0 is perfect; else 0 must not occur."""
    unbeatable = metric.direction is Direction.LOWER and metric.low == 0 and wins
    return metric.low > 0 or unbeatable or not metric.honest_zero


def _guardrail(policy: Policy, rail: Guardrail) -> tuple[Json | None, str | None]:
    name = f"the guardrail on {rail.metric} ({rail.where}) is the gate's alone: "
    of_slices = bool(rail.slice or rail.each_slice_of)
    if rail.too_few is TooFew.SKIP:
        return None, name + "TFMA does not skip what has too few examples"
    if rail.many is Many.HOLM:
        return None, name + "TFMA judges each slice by itself"
    if of_slices and policy.missing_slice is MissingSlice.WARN:
        return None, name + "TFMA does not forgive a missing slice"
    threshold: Json = {}
    if rail.bounds is not None:
        threshold["valueThreshold"] = _value(rail.bounds)
    limit = rail.max_regression
    note = None
    if rail.direction is not None and (limit is not None or rail.min_gain is not None):
        metric = known(rail.metric)
        least = policy.min_examples if rail.min_examples is None else rail.min_examples
        sound = metric.low >= 0 and not metric.honest_zero and (not of_slices or least >= _SAFE_SLICE)
        if rail.min_gain is not None:
            threshold["changeThreshold"] = _gain(
                rail.min_gain, rail.direction, metric if sound else Metric(rail.metric)
            )
        else:
            change = {
                kind.value: -most * _NOT_WORSE
                for kind, most in (limit.limits if limit else ())
                if sound or kind is RuleKind.ABSOLUTE
            }
            if change:
                threshold["changeThreshold"] = _change(rail.direction, **change)
            if len(change) < len(limit.limits if limit else ()):
                note = name + "TFMA's relative change is not sound where the champion may be 0 or less"
    if rail.max_gap is not None:
        note = f"the gap of {rail.metric} ({rail.where}) is the gate's alone: TFMA's thresholds compare no slices"
    return threshold or None, note


def _change(direction: Direction, **least_gain: float) -> Json:
    """TFMA compares the plain difference, so what is lower-is-better needs the opposite sign."""
    sign = 1.0 if direction is Direction.HIGHER else -1.0
    return {kind: sign * gain for kind, gain in least_gain.items()} | {"direction": f"{direction.name}_IS_BETTER"}


def _value(bounds: Bounds) -> Json:
    found = {"lowerBound": bounds.at_least, "upperBound": bounds.at_most}
    return {key: value for key, value in found.items() if value is not None}


def _of_slice(spec: Json, threshold: Json) -> Json:
    """A plain threshold would hold for every slice; an empty spec means all examples together."""
    return {"slicingSpecs": [spec], "threshold": threshold}


def _guard_spec(rail: Guardrail) -> Json:
    if rail.each_slice_of:
        return {"featureKeys": list(rail.each_slice_of)}
    return _slice_spec(rail.slice) if rail.slice else {}


def _slice_spec(where: Slice) -> Json:
    return {"featureValues": where.to_json()} if where.pairs else {}


def _slicing(policy: Policy) -> list[Json]:
    return [_guard_spec(rail) for rail in policy.guardrails]


def _distinct(specs: Iterable[Json]) -> list[Json]:
    return list({json.dumps(one, sort_keys=True): one for one in specs}.values())
