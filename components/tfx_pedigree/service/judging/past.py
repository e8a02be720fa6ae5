"""Earlier decisions about a model, read from the audit log, and decisions that are made again at their place in it.

A comparison is made with the log as its run found it. Another run may have decided meanwhile: what counts is the log
before the evidence itself, which nobody can change any more. So a decision is looked at once more before its evidence
is written, and again after that. Where the log says something else now, the decision is made again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tfx_pedigree.comparison import (
    Comparison,
    Crowning,
    Decided,
    Key,
    Past,
    PastDecision,
    Standing,
    decide_again,
    stake_of,
    standing_of,
)
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import (
    DECIDED,
    LARGEST_PAGE,
    Action,
    Event,
    Evidence,
    Reference,
    RegistryApi,
    State,
    Verdict,
    VersionQuestions,
    every,
)
from tfx_pedigree.service.judging.gate import COMPARISON, kept_comparison

# Of a model's log the newest: of a longer one, the rest is too long ago to matter.
MOST_EVENTS = 20_000
# The digest of the evidence where it was filed, and what it says to later decisions; or who became champion.
Told = tuple[str | None, PastDecision | Crowning | None]
# A race is lost once or twice, and hardly more often.
_ATTEMPTS = 5


def past_of(registry: VersionQuestions, model: str, before: str | None = None) -> Past:
    """`before`: only what stands in the log before the evidence of that digest. Nothing of an unknown model."""
    return past_in(told_by(registry, model), before)


def told_by(registry: VersionQuestions, model: str) -> tuple[Told, ...]:
    """What a model's log tells of decisions and champions, the oldest first."""
    try:
        events = every(lambda after: registry.history(model, limit=LARGEST_PAGE, after=after))
        found = [told for event in itertools.islice(events, MOST_EVENTS) for told in _told(event)]
    except NotFoundError:
        return ()
    return tuple(reversed(found))


def past_in(told: Iterable[Told], before: str | None = None) -> Past:
    decisions: list[PastDecision] = []
    champions: list[Crowning] = []
    for evidence, one in told:
        if before is not None and evidence == before:
            break
        if isinstance(one, PastDecision):
            decisions.append(one)
        elif one is not None:
            champions.append(one)
    return Past(tuple(decisions), tuple(champions))


def _told(event: Event) -> Iterator[Told]:
    if event.action == Action.ATTACH_EVIDENCE.value:
        yield str(event.details.get("evidence")), _decision(event)
    elif event.action in ("promote", Action.ROLLBACK.value) and event.to_state == State.PRODUCTION.value:
        details, back = event.details, event.action == Action.ROLLBACK.value
        yield None, Crowning(str(event.subject), details.get("replaces"), details.get("evidence"), back)


def _decision(event: Event) -> PastDecision | None:
    """None of evidence that was attached by hand or says nothing of this; nor of what cannot be read."""
    try:
        decided = Decided.from_json(event.details.get(DECIDED), "the event")
    except InvalidInputError:
        return None
    return PastDecision(str(event.details["evidence"]), event.details["verdict"] == Verdict.PASS.value, decided)


def standing(past: Past, comparison: Comparison) -> Standing | None:
    """None where there was no champion: a first version is no test of anything."""
    champion = comparison.champion
    if champion is None:
        return None
    data = comparison.evaluated_on[0].fingerprint if comparison.evaluated_on else None
    digests = (comparison.challenger.digest, champion.digest)
    return standing_of(past, comparison.policy, digests, champion.version, data)


def decided(comparison: Comparison) -> Decided | None:
    """What later decisions must know of this one; None where the two scores were not tested against each other."""
    champion, policy, decision = comparison.champion, comparison.policy, comparison.decision
    found = comparison.basis.standing if comparison.basis is not None else None
    row = next((one for one in comparison.metrics if one.key == Key(policy.metric)), None)
    if champion is None or found is None or decision.won is None or row is None:
        return None
    if row.challenger is None or row.champion is None:
        return None
    ends = row.difference.interval if row.difference is not None else None
    return Decided(
        comparison.challenger.version,
        champion.version,
        (comparison.challenger.digest, champion.digest),
        policy.metric,
        row.challenger.value,
        row.champion.value,
        (ends[1] - ends[0]) / 2 if ends is not None else None,
        policy.confidence,
        comparison.evaluated_on[0].fingerprint if comparison.evaluated_on else None,
        policy.digest,
        decision.won,
        stake_of(policy, found),
    )


def decided_now(registry: VersionQuestions, evidence: Evidence, before: str | None = None) -> Evidence:
    """The same evidence, or that of the same comparison with what the log says of earlier decisions now."""
    if COMPARISON not in evidence.details:
        return evidence
    comparison = kept_comparison(evidence)
    if not comparison.policy.looks_back or comparison.basis is None or comparison.basis.standing is None:
        return evidence
    found = standing(past_of(registry, comparison.model, before), comparison)
    if found == comparison.basis.standing:
        return evidence
    comparison = replace(comparison, basis=replace(comparison.basis, standing=found))
    decision = decide_again(comparison)
    comparison = replace(comparison, decision=decision)
    said = decided(comparison)
    details: dict[str, Any] = {
        **evidence.details,
        "change": decision.change.to_json() if decision.change else None,
        "checks": [one.to_json() for one in decision.checks],
        "warnings": list(decision.warnings),
        COMPARISON: comparison.to_json(),
        DECIDED: said.to_json() if said else None,
    }
    return replace(
        evidence,
        verdict=decision.verdict,
        reason=decision.reason,
        recommendation=decision.recommendation,
        details=details,
    )


def settled(registry: RegistryApi, reference: Reference, evidence: Evidence) -> Evidence:
    """After the evidence was written: what stands at the end, once nothing in the log before it says otherwise. Only a
    PASS can be taken back."""
    for _ in range(_ATTEMPTS):
        if evidence.verdict is not Verdict.PASS:
            return evidence
        again = decided_now(registry, evidence, evidence.without_secrets().digest)
        if again is evidence:
            return evidence
        registry.attach_evidence(reference, again)
        evidence = again
    raise ConflictError(
        f"{reference} was decided {_ATTEMPTS} times, and each time another decision came in between. Run it again when "
        "fewer runs of the model end at once."
    )
