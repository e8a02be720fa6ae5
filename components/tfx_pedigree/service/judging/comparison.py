"""From everything that was found out to the comparison and its evidence. Pure.

The evidence is what a decision rests on, and nothing else: a rerun on the same data has the same evidence, with the
same digest. Latency is the one number that differs each time. It is in comparison.json and in the report; in the
evidence it stands only where the policy budgets it, as a check that took part in the decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison import (
    Anchor,
    Comparison,
    Data,
    DeltaSums,
    FlipCounts,
    Key,
    LatencySummary,
    Measurements,
    MetricRow,
    MetricValue,
    Outcomes,
    Policy,
    Side,
    Standing,
    Timings,
    Verdict,
    compare_models,
    evaluator_plan,
    standing_of,
)
from tfx_pedigree.digest import plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import DECIDED, Evidence
from tfx_pedigree.service.judging.contestants import Contestants
from tfx_pedigree.service.judging.gate import COMPARISON
from tfx_pedigree.service.judging.past import decided

THE_SAME = "challenger and champion are the same bytes"
COUNT = "example_count"

Metrics = Mapping[Key, MetricValue]


@dataclass(frozen=True)
class Evaluated:
    """`champion` is None where the evaluation had no baseline; `differences` are challenger − champion, paired."""

    challenger: Metrics
    champion: Metrics | None = None
    differences: Metrics = field(default_factory=dict)

    @property
    def examples(self) -> int | None:
        found = self.challenger.get(Key(COUNT))
        return int(found.value) if found is not None and math.isfinite(found.value) else None


@dataclass(frozen=True)
class Latency:
    timings: Timings
    batch_size: int

    @property
    def challenger(self) -> LatencySummary:
        return LatencySummary.of(self.timings.challenger, self.batch_size)

    @property
    def champion(self) -> LatencySummary | None:
        return LatencySummary.of(self.timings.champion, self.batch_size) if self.timings.champion else None


@dataclass(frozen=True)
class Agreement(JsonForm):
    """How alike the predictions are, whatever is right. The correlation is NaN where one model always says the same."""

    mean_difference: float
    largest_difference: float
    correlation: float


@dataclass(frozen=True)
class Predicted:
    """How the predictions of both models on the same examples differ; None where that says nothing of them."""

    delta: DeltaSums | None = None
    flips: FlipCounts | None = None
    agreement: Agreement | None = None
    outcomes: Outcomes | None = None


@dataclass(frozen=True)
class Behaviour:
    """What only running the models shows. `damage` says why the champion's files cannot be loaded, `notes` why
    something was not measured."""

    latency: Latency | None = None
    predicted: Predicted = Predicted()
    damage: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TfmaWord:
    """What the Evaluator's blessing says (None: nothing), and which of its thresholds failed."""

    blessed: bool | None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """All that was found out. `not_comparable` and a champion's `behaviour.damage` are reasons without a full stop.
    `anchor` is the best champion so far on the same rows, where the policy asks and the pipeline evaluated it."""

    contestants: Contestants
    evaluated: Evaluated
    behaviour: Behaviour
    evaluated_on: Data
    not_comparable: str | None = None
    tfma: TfmaWord | None = None
    anchor: Anchor | None = None


def judge(policy: Policy, found: Found) -> tuple[Comparison, Evidence]:
    sides, behaviour = found.contestants, found.behaviour
    challenger, champion = _timed(found)
    missing = champion is not None and found.evaluated.champion is None
    reason = found.not_comparable or ("the evaluation holds no numbers of it" if missing else None)
    notes = [*sides.notes, *behaviour.notes]
    if champion is not None and champion.digest == challenger.digest:
        notes.append(THE_SAME)
    standing = _standing(policy, found)
    comparison = compare_models(
        sides.model,
        policy,
        challenger,
        champion,
        Measurements(
            found.evaluated.challenger,
            found.evaluated.champion or {},
            found.evaluated.differences,
            behaviour.latency.timings if behaviour.latency else None,
            behaviour.predicted.delta,
            behaviour.predicted.flips,
            (found.evaluated_on,),
            behaviour.predicted.outcomes,
        ),
        challenger_description=sides.challenger_description,
        champion_description=sides.champion_description,
        not_comparable=None if behaviour.damage else reason,
        undecided=_hopeless(found),
        notes=tuple(notes),
        earlier=sides.earlier,
        standing=standing,
        anchor=_anchor(policy, standing, found.anchor),
    )
    comparison = _with_word(comparison, found.tfma)
    return comparison, evidence_of(comparison, found)


def _standing(policy: Policy, found: Found) -> Standing | None:
    """None where there was no champion, or where version.json comes from an older release."""
    sides = found.contestants
    if sides.champion is None or sides.past is None:
        return None
    digests = (sides.challenger.digest, sides.champion.digest)
    return standing_of(sides.past, policy, digests, sides.champion.version, found.evaluated_on.fingerprint)


def _anchor(policy: Policy, standing: Standing | None, found: Anchor | None) -> Anchor | None:
    """None where nobody asks, or where the champion itself is the best one."""
    if policy.never_below is None or standing is None or standing.best is None:
        return None
    return found or Anchor(standing.best.version, missing="the pipeline does not evaluate it")


def evidence_of(comparison: Comparison, found: Found) -> Evidence:
    decision, rival = comparison.decision, comparison.champion
    return Evidence(
        comparison.challenger.digest,
        rival.digest if rival else None,
        decision.verdict,
        decision.reason,
        decision.recommendation,
        evaluation_data=found.evaluated_on.fingerprint,
        policy=comparison.policy.digest,
        metrics=_numbers(comparison.metrics),
        details=_details(comparison, found),
    )


def _details(comparison: Comparison, found: Found) -> dict[str, Any]:
    behaviour, decision = found.behaviour, comparison.decision
    agreement = behaviour.predicted.agreement
    delta, flips = comparison.performance_delta, comparison.flips
    details: dict[str, Any] = {
        "baseline": "compared" if comparison.champion else "none: no champion to compare with",
        "change": decision.change.to_json() if decision.change else None,
        "checks": [one.to_json() for one in decision.checks],
        "warnings": list(decision.warnings),
        "bump": comparison.bump,
        "examples": found.evaluated.examples,
        "similarity": comparison.similarity,
        "performance_delta": delta.to_json() if delta else None,
        "flips": flips.to_json() if flips else None,
        "agreement": agreement.to_json() if agreement else None,
        "tfma_blessed": found.tfma.blessed if found.tfma else None,
        # All that the decision follows from, so that it can be made again on any machine, also years later.
        COMPARISON: _kept(comparison).to_json(),
    }
    if (told := decided(comparison)) is not None:
        details[DECIDED] = told.to_json()
    if behaviour.damage:
        details["baseline"] = f"damaged: {behaviour.damage}"
    elif comparison.champion and (found.not_comparable or found.evaluated.champion is None):
        details["baseline"] = f"not comparable: {found.not_comparable or 'the evaluation holds no numbers of it'}"
    plain: dict[str, Any] = plain_json(details)
    return plain


def _kept(comparison: Comparison) -> Comparison:
    """Without the latencies where the policy does not ask for them: the evidence would be another in each run."""
    budget = comparison.policy.latency
    if budget.p95_ms is not None or budget.ratio is not None:
        return comparison
    champion = comparison.champion and replace(comparison.champion, latency=None)
    basis = comparison.basis and replace(comparison.basis, p95_ms=None, processor_ratio=None, waited=0.0)
    challenger = replace(comparison.challenger, latency=None)
    return replace(
        comparison, challenger=challenger, champion=champion, latency_ratio=None, importance=None, basis=basis
    )


def _numbers(rows: tuple[MetricRow, ...]) -> Mapping[str, Mapping[str, Any]]:
    """By model and name, over all examples. The slices that decided something stand among the checks."""
    overall = [row for row in rows if row.slice.is_overall]
    sides: dict[str, Mapping[str, Any]] = {
        "challenger": {row.metric: row.challenger.value for row in overall if row.challenger},
        "champion": {row.metric: row.champion.value for row in overall if row.champion},
        "difference": {row.metric: row.difference.to_json() for row in overall if row.difference},
    }
    return {name: one for name, one in sides.items() if one}


def _timed(found: Found) -> tuple[Side, Side | None]:
    challenger, champion = found.contestants.challenger, found.contestants.champion
    latency = found.behaviour.latency
    if latency is None:
        return challenger, champion
    return replace(challenger, latency=latency.challenger), champion and replace(champion, latency=latency.champion)


def _hopeless(found: Found) -> str | None:
    """What leaves nothing to decide on, whatever the policy would make of its traces.

    Where the champion's files are damaged, floors are no substitute for it: it may well be better. Neither are they for
    one that a pipeline forgot to connect. An evaluation of nothing has no slices either, which is no model's fault.
    """
    if found.behaviour.damage:
        return f"the champion's files are damaged, so nothing can be compared with it ({found.behaviour.damage})"
    if found.contestants.champion is None and (found.contestants.unconnected or found.evaluated.champion is not None):
        known = found.contestants.unconnected or "the baseline of the evaluation"
        return f"{known} is there to be beaten, but no champion was given to VersionComparator: connect `champion`"
    if not found.evaluated.challenger:
        return f"the evaluation holds no numbers, as one of no examples does (split '{found.evaluated_on.split}')"
    return None


def _with_word(comparison: Comparison, word: TfmaWord | None) -> Comparison:
    """The stock Pusher obeys both, so a person must find out here which of the two said no, and why."""
    if word is None:
        return comparison
    passed = comparison.decision.verdict is Verdict.PASS
    if passed is (word.blessed is True) or (comparison.basis and comparison.basis.not_comparable):
        return comparison  # a champion that cannot be compared is no question of who was asked what
    if not passed:
        why = "; ".join(_gate_alone(comparison.policy))
        sentence = "TFMA's Evaluator blessed the challenger, and the gate does not let it pass"
        sentence += f". What TFMA was not asked: {why}" if why else ", for the reason above"
    elif word.blessed is None:
        sentence = (
            "TFMA's Evaluator gave no blessing, because its EvalConfig has no thresholds: the Pusher pushes nothing, "
            "although the gate says PASS"
        )
    else:
        failed = "; ".join(word.failures) or "its results do not say which threshold failed"
        sentence = (
            "TFMA's Evaluator did not bless the challenger, so the Pusher pushes nothing, although the gate says PASS. "
            f"What failed there: {failed}"
        )
    return comparison.noted(sentence)


def _gate_alone(policy: Policy) -> tuple[str, ...]:
    try:
        return evaluator_plan(policy).notes
    except InvalidInputError:  # a metric that TFMA knows only by its class; what it was told is not known here
        return ()
