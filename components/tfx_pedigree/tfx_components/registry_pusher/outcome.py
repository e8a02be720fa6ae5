"""Registering, promoting and laying out one version, each step repeatable. Free of TensorFlow.

A run that dies between two steps and is started again ends as one that did not: registration and evidence are one
transaction, a promotion another, and files appear by a rename.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tfx_pedigree.errors import ConflictError, NotFoundError, StaleEvidenceError
from tfx_pedigree.registry import Evidence, Facts, PromotionRequest, Reference, Registry, State, Verdict, Version
from tfx_pedigree.tfx_components.registry_pusher.judgement import says_nothing_new

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
    THERE_ALREADY = "there already"
    REGISTERED = "registered"
    REFUSED = "refused"
    STALE = "stale"


@dataclass(frozen=True)
class Result:
    outcome: PushOutcome
    version: Version
    reason: str

    @property
    def serves(self) -> bool:
        return self.outcome in (PushOutcome.PROMOTED, PushOutcome.THERE_ALREADY)


def register_and_promote(
    registry: Registry,
    reference: Reference,
    facts: Facts,
    evidence: Evidence | None,
    *,
    target: PushTarget,
    check: Callable[[Version], None],
) -> Result:
    """`check` reads the version's bytes before it is promoted, and raises if they are damaged."""
    version = known(registry, reference)
    try:
        version = _register(registry, reference, version, facts, evidence)
    except ConflictError as refusal:  # reserved, then archived by somebody: theirs to restore
        return Result(PushOutcome.REFUSED, version, str(refusal))
    if target is PushTarget.NONE:
        return Result(PushOutcome.REGISTERED, version, "The pipeline promotes nothing (promote_to is none).")
    if version.state is State.PRODUCTION or version.state.value == target.value:
        return Result(PushOutcome.THERE_ALREADY, version, f"{version.name} is in {version.state} already.")
    if evidence is None:
        return Result(PushOutcome.REFUSED, version, "Nobody judged the model: no comparison and no blessing was given.")
    if evidence.verdict is not Verdict.PASS:
        return Result(PushOutcome.REFUSED, version, f"{evidence.verdict.value}: {evidence.reason}")
    return _promote(registry, reference, version, target, check)


def known(registry: Registry, reference: Reference) -> Version:
    """The version that this run's Versioner reserved."""
    try:
        return registry.get(reference)
    except NotFoundError as error:
        raise NotFoundError(
            f"{reference.model} with the digest {reference.selector[:19]}… is not in the registry {registry.url}, "
            f"though the Versioner of this run reserved it somewhere: {error} Give both components the same registry."
        ) from error


def _register(
    registry: Registry, reference: Reference, version: Version, facts: Facts, evidence: Evidence | None
) -> Version:
    """Adds nothing where there is nothing new: the champion compared with itself, or the same answer as before."""
    itself = evidence is not None and evidence.champion == evidence.challenger
    if version.state is State.RESERVED:
        return registry.register(reference, facts, None if itself else evidence)
    if evidence is None or itself or says_nothing_new(registry.evidence(reference), evidence):
        return version
    return registry.register(reference, facts, evidence)


def _promote(
    registry: Registry, reference: Reference, version: Version, target: PushTarget, check: Callable[[Version], None]
) -> Result:
    check(version)
    try:
        promoted = registry.promote(reference, PromotionRequest(State(target.value)))
    except StaleEvidenceError as lost:
        return Result(PushOutcome.STALE, _note(registry, reference, str(lost)), str(lost))
    except ConflictError as refusal:
        return Result(PushOutcome.REFUSED, _note(registry, reference, str(refusal)), str(refusal))
    version = _note(registry, reference, "", promoted)
    return Result(PushOutcome.PROMOTED, version, f"{version.name} is in {version.state} now.")


def _note(registry: Registry, reference: Reference, reason: str, version: Version | None = None) -> Version:
    """Keeps the reason with the version, so that a person who looks for it there finds it; empty takes it away."""
    if version is not None and NOT_PROMOTED not in version.tags:
        return version
    return registry.annotate(reference, Facts(tags={NOT_PROMOTED: reason}))
