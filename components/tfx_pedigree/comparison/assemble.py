"""From everything that was measured to the comparison, in one call: decides, computes the scores, lists the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tfx_pedigree.comparison.checks import Latency
from tfx_pedigree.comparison.document import Comparison, Data, MetricRow, Side
from tfx_pedigree.comparison.gate import GateDecision, decide
from tfx_pedigree.comparison.latency import Timings, highest, ratio
from tfx_pedigree.comparison.metrics import Direction, known
from tfx_pedigree.comparison.numbers import Key, MetricValue, Scores
from tfx_pedigree.comparison.policy import Gain, Policy
from tfx_pedigree.comparison.scores import DeltaSums, FlipCounts, characteristics, importance, similarity
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import Bump, ModelDescription
from tfx_pedigree.versioning import compare as compare_descriptions

Metrics = Mapping[Key, MetricValue]
# Of the latencies' intervals, which always decide, where the policy names none for the metrics.
DEFAULT_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measurements:
    """What was measured of both. Leave out what was not: the gate says so where the policy needs it."""

    challenger: Metrics
    champion: Metrics = field(default_factory=dict)
    differences: Metrics = field(default_factory=dict)
    timings: Timings | None = None
    performance_delta: DeltaSums | None = None
    flips: FlipCounts | None = None
    evaluated_on: tuple[Data, ...] = ()


def compare_models(
    model: str,
    policy: Policy,
    challenger: Side,
    champion: Side | None,
    measured: Measurements,
    *,
    challenger_description: ModelDescription | None = None,
    champion_description: ModelDescription | None = None,
    not_comparable: str | None = None,
    warnings: tuple[str, ...] = (),
) -> Comparison:
    """`not_comparable` says why a champion that exists could not be evaluated on these data."""
    latency = _latency(policy, measured.timings)
    bump, changes = _changes(champion_description, challenger_description)
    decision = decide(
        policy,
        _scores(challenger, measured.challenger),
        _scores(champion, measured.champion) if champion else None,
        differences=measured.differences,
        latency=latency,
        not_comparable=not_comparable,
        breaking=changes[0] if bump == str(Bump.MAJOR) else None,
    )
    return Comparison(
        model,
        challenger,
        champion,
        policy,
        replace(decision, warnings=(*decision.warnings, *warnings)),
        metrics=_rows(policy, measured, comparable=champion is not None and not_comparable is None),
        evaluated_on=measured.evaluated_on,
        bump=bump,
        changes=changes,
        similarity=_similarity(challenger, champion, challenger_description, champion_description, measured),
        performance_delta=measured.performance_delta,
        flips=measured.flips,
        importance=_importance(policy, decision, challenger, champion),
        latency_ratio=latency.ratio,
    )


def _scores(side: Side, metrics: Metrics) -> Scores:
    return Scores(metrics, side.size_bytes)


def _latency(policy: Policy, timings: Timings | None) -> Latency:
    if timings is None:
        return Latency()
    confidence = policy.confidence or DEFAULT_CONFIDENCE
    p95 = highest(timings, confidence=confidence)
    if not timings.champion:
        return Latency(p95, waited=timings.waited)
    worked = timings.on_processor
    by_processor = ratio(worked, confidence=confidence) if worked else None
    return Latency(p95, ratio(timings, confidence=confidence), by_processor, timings.waited)


def _changes(old: ModelDescription | None, new: ModelDescription | None) -> tuple[str | None, tuple[str, ...]]:
    if old is None or new is None:
        return None, ()
    try:
        change = compare_descriptions(old, new)
    except InvalidInputError as error:
        return None, (str(error),)
    return str(change.bump), change.reasons


def _rows(policy: Policy, measured: Measurements, comparable: bool) -> tuple[MetricRow, ...]:
    """The score first, then by name; within a metric all examples first, then the slices."""
    directions = {policy.metric: policy.better}
    directions |= {rail.metric: rail.direction for rail in policy.guardrails if rail.direction is not None}
    champion = measured.champion if comparable else {}
    differences = measured.differences if comparable else {}
    keys = sorted({*measured.challenger, *champion}, key=lambda key: (key.metric != policy.metric, key))
    return tuple(
        MetricRow(
            key.metric,
            key.slice,
            directions.get(key.metric, known(key.metric).direction),
            measured.challenger.get(key),
            champion.get(key),
            differences.get(key) or _difference(measured.challenger.get(key), champion.get(key)),
        )
        for key in keys
    )


def _difference(new: MetricValue | None, old: MetricValue | None) -> MetricValue | None:
    """Without its interval, which only the two together can give."""
    if new is None or old is None:
        return None
    return MetricValue(new.value - old.value, None, new.count)


def _similarity(
    challenger: Side,
    champion: Side | None,
    new: ModelDescription | None,
    old: ModelDescription | None,
    measured: Measurements,
) -> float | None:
    if champion is None or new is None or old is None:
        return None
    return similarity(
        characteristics(new, challenger.parameters, {key.metric for key in measured.challenger}),
        characteristics(old, champion.parameters, {key.metric for key in measured.champion}),
    )


def _importance(policy: Policy, decision: GateDecision, challenger: Side, champion: Side | None) -> float | None:
    """None where there is no finite improvement, or where a latency is missing that has a weight."""
    if decision.change is None or champion is None:
        return None
    change = decision.change
    gain = change.relative
    if policy.importance.gain is Gain.ABSOLUTE:
        gain = change.difference if policy.better is Direction.HIGHER else -change.difference
    seconds = 0.0
    if policy.importance.latency:
        if challenger.latency is None or champion.latency is None:
            return None
        seconds = (challenger.latency.p50_ms - champion.latency.p50_ms) / 1000
    found = importance(gain, seconds, policy.importance)
    return found if math.isfinite(found) else None
