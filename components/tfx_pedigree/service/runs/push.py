"""The end of a run: one version is registered with what judged it, and promoted if that allows. Each step repeatable.

A run that dies between two steps and is started again ends as one that did not: registration and evidence are one
transaction, a promotion another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from tfx_pedigree.errors import ConflictError, NotFoundError, StaleEvidenceError
from tfx_pedigree.registry import (
    LEAST_ROLE,
    Action,
    Evidence,
    Facts,
    PromotionRequest,
    Reference,
    RegistryApi,
    RequestStatus,
    Role,
    State,
    Verdict,
    Version,
)
from tfx_pedigree.service.judging.past import decided_now, settled
from tfx_pedigree.service.promotion import check_or_heal
from tfx_pedigree.service.runs.judgement import says_nothing_new
from tfx_pedigree.store import Store
from tfx_pedigree.text import short_digest

# A tag that says why a version is not where its run would have put it.
NOT_PROMOTED = "not_promoted"


class PushTarget(str, Enum):
    """How far a PASS leads by itself."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"


class PushOutcome(str, Enum):
    """What came of it. Only PROMOTED and THERE_ALREADY are laid out for serving."""

    PROMOTED = "promoted"
    ROLLING_OUT = "rollout started"
    THERE_ALREADY = "there already"
    REQUESTED = "approval requested"
    REGISTERED = "registered"
    REFUSED = "refused"
    STALE = "stale"


@dataclass(frozen=True)
class Pushed:
    """`version` as it was when that came of it; `healed`: its bytes in the store were damaged, and are whole again.
    `rollout` is the number of the one that brings it to production, or brought the traffic to it."""

    outcome: PushOutcome
    version: Version
    reason: str
    healed: bool = False
    rollout: int | None = None

    @property
    def serves(self) -> bool:
        return self.outcome in (PushOutcome.PROMOTED, PushOutcome.THERE_ALREADY)


class Move(Protocol):
    """How a version that passed comes to where it was to go. Refusals are the registry's `ConflictError`s."""

    def __call__(self, registry: RegistryApi, reference: Reference, request: PromotionRequest) -> Pushed: ...

    def command(self, model: str, version: str) -> str:
        """What a person types to do the same."""
        ...


class PromoteAtOnce:
    """It is promoted, and serves from then on."""

    def __call__(self, registry: RegistryApi, reference: Reference, request: PromotionRequest) -> Pushed:
        promoted = registry.promote(reference, request).version
        return Pushed(PushOutcome.PROMOTED, promoted, f"{promoted.name} is in {promoted.state} now.")

    def command(self, model: str, version: str) -> str:
        return f"pedigree promote {model}@{version}"


def register_and_promote(
    registry: RegistryApi,
    store: Store,
    reference: Reference,
    facts: Facts,
    evidence: Evidence | None,
    *,
    target: PushTarget,
    files: Callable[[], AbstractContextManager[Path]] | None = None,
    move: Move | None = None,
) -> Pushed:
    """The version's bytes are read before it is promoted. `files` is a folder that holds the same model, from which
    damaged ones are healed. `move` brings it to `target`: left out, a promotion at once."""
    version = reserved_version(registry, reference)
    if evidence is not None and evidence.verdict is Verdict.PASS:
        evidence = decided_now(registry, evidence)
    try:
        version = _register(registry, reference, version, facts, evidence)
    except ConflictError as refusal:  # reserved, then archived by somebody: theirs to restore
        return Pushed(PushOutcome.REFUSED, version, str(refusal))
    if target is PushTarget.NONE:
        return Pushed(PushOutcome.REGISTERED, version, "The pipeline promotes nothing (promote_to is none).")
    if version.state is State.PRODUCTION or version.state.value == target.value:
        return Pushed(PushOutcome.THERE_ALREADY, version, f"{version.name} is in {version.state} already.")
    if evidence is None:
        return Pushed(PushOutcome.REFUSED, version, "Nobody judged the model: no comparison and no blessing was given.")
    evidence = settled(registry, reference, evidence)
    if evidence.verdict is not Verdict.PASS:
        return Pushed(PushOutcome.REFUSED, version, f"{evidence.verdict.value}: {evidence.reason}")
    request = PromotionRequest(State(target.value))
    asking = target is PushTarget.PRODUCTION and registry.protection(version.model) is not None
    # Before gigabytes are read.
    registry.require(Action.REQUEST_PROMOTION if asking else request.action, version.model)
    healed = check_or_heal(store, version, files)
    move = move or PromoteAtOnce()
    if asking:
        done = _ask(registry, reference, request, evidence.reason, move)
    else:
        done = _move(registry, reference, request, move)
    return replace(done, healed=healed)


def reserved_version(registry: RegistryApi, reference: Reference) -> Version:
    """The version that this run's Versioner reserved."""
    try:
        return registry.get(reference)
    except NotFoundError as error:
        raise NotFoundError(
            f"{reference.model} with the digest {short_digest(reference.selector)} is not in the registry "
            f"{registry.url}, though the Versioner of this run reserved it somewhere: {error} Give both components the "
            "same registry."
        ) from error


def _register(
    registry: RegistryApi, reference: Reference, version: Version, facts: Facts, evidence: Evidence | None
) -> Version:
    """Adds nothing where there is nothing new: the champion compared with itself, or the same answer as before."""
    itself = evidence is not None and evidence.champion == evidence.challenger
    if version.state is State.RESERVED:
        return registry.register(reference, facts, None if itself else evidence).version
    if evidence is None or itself or says_nothing_new(registry.evidence(reference), evidence):
        return version
    return registry.register(reference, facts, evidence).version


def _ask(registry: RegistryApi, reference: Reference, request: PromotionRequest, comment: str, move: Move) -> Pushed:
    """Files a request where the model is protected; one that is approved leads on to the promotion, for who may."""
    try:
        asked = registry.request_promotion(reference, comment=comment).request
    except ConflictError as refusal:
        outcome = PushOutcome.STALE if isinstance(refusal, StaleEvidenceError) else PushOutcome.REFUSED
        return Pushed(outcome, _note(registry, reference, str(refusal)), str(refusal))
    approved = asked.status is RequestStatus.APPROVED
    if approved and (registry.role(asked.model) or Role.VIEWER) >= LEAST_ROLE[request.action]:
        return _move(registry, reference, request, move)
    told = f"{asked.model} is protected, and {asked.name} {'is approved' if approved else 'waits'}: {asked.detail}."
    step = f"`{move.command(asked.model, asked.version)}`" if approved else f"`pedigree requests {asked.model}`"
    reason = f"{told} Go on with {step}."
    return Pushed(PushOutcome.REQUESTED, _note(registry, reference, reason), reason)


def _move(registry: RegistryApi, reference: Reference, request: PromotionRequest, move: Move) -> Pushed:
    try:
        done = move(registry, reference, request)
    except StaleEvidenceError as lost:
        return Pushed(PushOutcome.STALE, _note(registry, reference, str(lost)), str(lost))
    except ConflictError as refusal:
        return Pushed(PushOutcome.REFUSED, _note(registry, reference, str(refusal)), str(refusal))
    if NOT_PROMOTED in done.version.tags:
        return replace(done, version=_note(registry, reference, ""))
    return done


def _note(registry: RegistryApi, reference: Reference, reason: str) -> Version:
    """Keeps the reason with the version, so that a person who looks for it there finds it; empty takes it away."""
    return registry.annotate(reference, Facts(tags={NOT_PROMOTED: reason})).version
