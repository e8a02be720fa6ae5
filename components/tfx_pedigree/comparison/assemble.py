"""From everything that was measured to the comparison, in one call: decides, computes the scores, lists the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tfx_pedigree.comparison.document import Basis, Comparison, Data, MetricRow, Side
from tfx_pedigree.comparison.earlier import Earlier, by_features
from tfx_pedigree.comparison.gate import GateDecision, decide
from tfx_pedigree.comparison.latency import Timings, highest, ratio
from tfx_pedigree.comparison.measured import Latency
from tfx_pedigree.comparison.metrics import Direction, known
from tfx_pedigree.comparison.numbers import Key, MetricValue, Scores
from tfx_pedigree.comparison.outcomes import Outcomes
from tfx_pedigree.comparison.past import Anchor, Standing
from tfx_pedigree.comparison.policy import Gain, Policy
from tfx_pedigree.comparison.scores import DeltaSums, FlipCounts, characteristics, importance, similarity
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.verdict import Verdict
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
    outcomes: Outcomes | None = None


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
    undecided: str | None = None,
    notes: tuple[str, ...] = (),
    earlier: Earlier | None = None,
    standing: Standing | None = None,
    anchor: Anchor | None = None,
) -> Comparison:
    """`not_comparable` says why a champion that exists could not be evaluated on these data, `undecided` what leaves
    nothing to decide on, `earlier` on which slices the champion was judged, `standing` what earlier decisions mean for
    this one, `anchor` the best champion on the same rows."""
    latency = _latency(policy, measured.timings)
    bump, changes = _changes(champion_description, challenger_description)
    breaking = changes[0] if bump == str(Bump.MAJOR) else None
    guarded = by_features(earlier or {}, (rail.each_slice_of for rail in policy.guardrails))
    basis = Basis(
        latency.p95_ms,
        latency.processor_ratio,
        latency.waited,
        not_comparable,
        breaking,
        undecided,
        notes,
        guarded,
        standing,
        anchor,
    )
    decision = conclude(
        policy,
        _scores(challenger, measured.challenger),
        _scores(champion, measured.champion) if champion else None,
        measured.differences,
        latency.ratio,
        basis,
    )
    return Comparison(
        model,
        challenger,
        champion,
        policy,
        decision,
        metrics=_rows(policy, measured, comparable=champion is not None and not_comparable is None),
        evaluated_on=measured.evaluated_on,
        bump=bump,
        changes=changes,
        similarity=_similarity(challenger, champion, challenger_description, champion_description, measured),
        performance_delta=measured.performance_delta,
        flips=measured.flips,
        importance=_importance(policy, decision, challenger, champion),
        latency_ratio=latency.ratio,
        basis=basis,
        outcomes=measured.outcomes,
    )


def decide_again(comparison: Comparison, policy: Policy | None = None) -> GateDecision:
    """The decision from the document alone; with another policy, what that would have said of the same numbers.

    With the document's own policy it is the decision that stands in the document, to the letter.
    """
    if comparison.basis is None:
        raise InvalidInputError(
            "This comparison was written by an older release, which did not keep all that its decision followed from. "
            "Compare the two versions again."
        )
    rows, champion = comparison.metrics, comparison.champion
    return conclude(
        policy or comparison.policy,
        _scores(comparison.challenger, {row.key: row.challenger for row in rows if row.challenger}),
        _scores(champion, {row.key: row.champion for row in rows if row.champion}) if champion else None,
        {row.key: row.difference for row in rows if row.difference},
        comparison.latency_ratio,
        comparison.basis,
    )


def conclude(  # noqa: PLR0917  each is one of the things that a decision follows from
    policy: Policy,
    challenger: Scores,
    champion: Scores | None,
    differences: Metrics,
    latency_ratio: MetricValue | None,
    basis: Basis,
) -> GateDecision:
    decision = decide(
        policy,
        challenger,
        champion,
        differences=differences,
        latency=Latency(basis.p95_ms, latency_ratio, basis.processor_ratio, basis.waited),
        not_comparable=basis.not_comparable,
        breaking=basis.breaking,
        earlier=basis.earlier,
        standing=basis.standing,
        anchor=basis.anchor,
    )
    if basis.undecided is not None:
        decision = GateDecision(Verdict.INSUFFICIENT, f"Not decided: {basis.undecided}.", warnings=decision.warnings)
    return replace(decision, warnings=(*decision.warnings, *basis.notes))


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
