"""How versions move: promotion, rollback, archiving, restoring. Decided by `decisions`, done under the model's lock.

A change of champion ends one time in production and begins the next in one transaction, so that no reader sees two
champions or none between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Question, Row, Statement, schema
from tfx_pedigree.errors import ApprovalNeededError, ConflictError, ForbiddenError
from tfx_pedigree.registry import approvals, reading, signatures
from tfx_pedigree.registry.access import check_role
from tfx_pedigree.registry.approval_rules import RequestStatus
from tfx_pedigree.registry.approvals import Protection, StoredRequest
from tfx_pedigree.registry.decisions import (
    Champion,
    GateResult,
    PromotionCheck,
    PromotionRequest,
    SignatureCheck,
    VersionSnapshot,
    check_promotion,
    decide_archive,
    decide_promotion,
    decide_restore,
    decide_rollback,
)
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.identity import Identity
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.records import PromotionPreview, Version
from tfx_pedigree.registry.registration import update
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.signatures import Trust
from tfx_pedigree.registry.stored import MODEL_ID, OF_MODEL, PRODUCTION, Period, StoredVersion
from tfx_pedigree.registry.write import Write
from tfx_pedigree.states import State

_V, _R, _A = schema.model_versions.c, schema.reigns.c, schema.aliases.c
_ALIAS = sa.bindparam("alias", type_=_A.name.type)
_REPLACE = Statement(
    schema.model_versions.update()
    .where(_V.model_id == OF_MODEL, _V.state == PRODUCTION)
    .values(state=State.ARCHIVED.value)
)
_END_PERIOD = Statement(
    schema.reigns.update()
    .where(_R.model_id == OF_MODEL, _R.ended_at.is_(None))
    .values(ended_at=sa.bindparam("new_ended_at", type_=_R.ended_at.type))
)
_BEGIN_PERIOD = Statement(schema.reigns.insert().inline(), ["model_id", "version_id", "began_at", "back_to"])
ALIAS_HELD = Statement(
    sa.select(_A.version_id, _V.version)
    .join_from(schema.aliases, schema.model_versions, _V.id == _A.version_id)
    .where(_A.model_id == MODEL_ID, _A.name == _ALIAS)
)
_NEW_ALIAS = Statement(schema.aliases.insert(), _A.keys())
_MOVE_ALIAS = Statement(
    schema.aliases.update()
    .where(_A.model_id == OF_MODEL, _A.name == _ALIAS)
    .values(
        version_id=sa.bindparam("new_version_id", type_=_A.version_id.type),
        set_at=sa.bindparam("new_set_at", type_=_A.set_at.type),
        set_by=sa.bindparam("new_set_by", type_=_A.set_by.type),
    )
)
_DROP_ALIAS = Statement(schema.aliases.delete().where(_A.model_id == OF_MODEL, _A.name == _ALIAS))


@dataclass(frozen=True)
class Moved:
    """A version after its move, and the number of the champion whose place it took."""

    found: StoredVersion
    replaced: str | None = None


@dataclass(frozen=True)
class PromotionFacts:
    """All that a promotion is decided on: the version, its newest evidence, the model's newest time in production, the
    keys of which one must have signed what goes there, and where the model is protected, the newest request for the
    version that nobody closed."""

    found: StoredVersion
    evidence: Evidence | None
    newest: Period | None
    trusted: Sequence[Trust]
    protection: Protection | None
    standing: StoredRequest | None

    @property
    def champion(self) -> Champion | None:
        return self.newest.champion if self.newest else None

    @property
    def binding(self) -> approvals.Binding:
        champion, evidence = self.champion, self.evidence
        began = self.newest.began_at if self.newest else None
        return approvals.Binding(champion.digest if champion else None, began, evidence.digest if evidence else None)


def asking(reference: Reference) -> tuple[Question, ...]:
    """What is to be asked under the model's lock; `answered` reads the answers."""
    model = {"model": reference.model}
    of_model = (reading.NEWEST_PERIOD, signatures.TRUSTED, approvals.PROTECTION)
    return reading.selecting(reference, judged=True), *((statement, model) for statement in of_model)


def answered(connection: Connection, reference: Reference, rows: Sequence[list[Row]], at: datetime) -> PromotionFacts:
    versions, periods, trusted, protections = rows
    found = reading.resolve(connection, reference, versions)
    protection = approvals.protection_in(protections)
    standing = approvals.of_version(connection, found.id, at) if protection else None
    evidence, newest = reading.evidence_in(versions), reading.one_period(periods)
    return PromotionFacts(found, evidence, newest, signatures.trust(trusted), protection, standing)


def facts_of(connection: Connection, reference: Reference, at: datetime) -> PromotionFacts:
    return answered(connection, reference, [one.rows(connection, **values) for one, values in asking(reference)], at)


def promote(write: Write, facts: PromotionFacts, request: PromotionRequest) -> Moved:
    found, evidence, champion = facts.found, facts.evidence, facts.champion
    version = found.version
    if not would_change(write, facts, request):
        return Moved(found)
    to_production = request.target is State.PRODUCTION
    details: dict[str, Any] = {
        "evidence": evidence.digest if evidence else None,
        "expect": request.expect,
        "override": request.override,
        "replaces": champion.version if champion and to_production else None,
    }
    approved = _approved(facts, request)
    if facts.protection is not None and to_production:
        details["request"] = approved.request.number if approved else None
    if to_production:
        after = _make_champion(write, found, champion, back_to=_top(facts.newest))
    else:
        after = update(write, found, state=request.target)
    event = write.log(
        "promote",
        version.version,
        before=version.state,
        after=request.target,
        reason=request.reason or (evidence.reason if evidence else None),
        details=details,
    )
    if approved is not None:
        approvals.close(write, approved, RequestStatus.PROMOTED, event.at)
    return Moved(after, details["replaces"])


def would_change(write: Write, facts: PromotionFacts, request: PromotionRequest) -> bool:
    """Whether there is anything to promote; raises what `promote` would raise."""
    if not _decide(write.connection, facts, request):
        return False
    if _asks_approval(facts, request) and _approved(facts, request) is None:
        write.require(Action.OVERRIDE_APPROVALS)
    return True


def check_worth_approving(connection: Connection, facts: PromotionFacts) -> None:
    """Refuses what a promotion would refuse however many approve."""
    if not _decide(connection, facts, PromotionRequest()):
        raise ConflictError(f"{facts.found.version.name} is champion already, so there is nothing to approve.")


def _decide(connection: Connection, facts: PromotionFacts, request: PromotionRequest) -> bool:
    return decide_promotion(_snapshot(facts.found.version), *_checked(connection, facts, request), request)


def _asks_approval(facts: PromotionFacts, request: PromotionRequest) -> bool:
    return facts.protection is not None and request.target is State.PRODUCTION


def _approved(facts: PromotionFacts, request: PromotionRequest) -> StoredRequest | None:
    """By which request the version may be promoted: none where none is asked for, or where that is overridden."""
    if facts.protection is None or not _asks_approval(facts, request):
        return None
    version = facts.found.version
    try:
        return approvals.check(version.model, version.version, facts.protection, facts.standing)
    except ApprovalNeededError:
        if not request.override:
            raise
        return None


def preview(
    connection: Connection, identity: Identity, facts: PromotionFacts, request: PromotionRequest
) -> PromotionPreview:
    """What `promote` would say now. Nothing is written, also no refusal."""
    version = facts.found.version
    checks = check_promotion(_snapshot(version), *_checked(connection, facts, request), request)
    role = _check_role(connection, identity, version.model, request)
    if _asks_approval(facts, request) and version.state is not State.PRODUCTION:
        checks = (*checks, _check_approval(connection, identity, facts, request))
    number = facts.champion.version if facts.champion else None
    return PromotionPreview(version, request.target, number, (role, *checks))


def _checked(
    connection: Connection, facts: PromotionFacts, request: PromotionRequest
) -> tuple[Champion | None, GateResult | None, SignatureCheck]:
    gate = _gate_result(connection, facts.found.version.model, facts.champion, facts.evidence)
    return facts.champion, gate, _signature_check(connection, facts.found, facts.trusted, request)


def _check_approval(
    connection: Connection, identity: Identity, facts: PromotionFacts, request: PromotionRequest
) -> PromotionCheck:
    try:
        approved = _approved(facts, request)
        if approved is None:
            check_role(connection, identity, facts.found.version.model, Action.OVERRIDE_APPROVALS)
            return PromotionCheck("approvals", True, "It is not approved; this is overridden.")
    except (ApprovalNeededError, ForbiddenError) as refusal:
        return PromotionCheck("approvals", False, str(refusal))
    return PromotionCheck("approvals", True, f"The request {approved.request.number}: {approved.request.detail}.")


def _check_role(connection: Connection, identity: Identity, model: str, request: PromotionRequest) -> PromotionCheck:
    try:
        check_role(connection, identity, model, request.action)
    except ForbiddenError as refusal:
        return PromotionCheck("role", False, str(refusal))
    return PromotionCheck("role", True, f"{identity.principal} may promote to {request.target}.")


@dataclass(frozen=True)
class Rollback:
    """Where a rollback leads: the version that would serve, and its last time in production."""

    newest: Period | None
    target: StoredVersion | None
    period: Period | None


def rollback_target(write: Write, model: str, to: str | None) -> Rollback:
    newest = reading.one_period(write.ask((reading.NEWEST_PERIOD, {"model": model}))[0])
    connection = write.connection
    if to is not None:
        target = reading.resolve(connection, Reference(model, to))
        return Rollback(newest, target, reading.one_period(reading.NEWEST_PERIOD_OF.rows(connection, id=target.id)))
    if newest is None or newest.back_to is None:
        return Rollback(newest, None, None)
    back = reading.one_period(reading.PERIOD.rows(connection, id=newest.back_to))
    return Rollback(newest, reading.version_of(connection, model, back.version_id) if back else None, back)


def rollback(write: Write, model: str, way: Rollback, *, to: str | None, expect: str | None, reason: str) -> Moved:
    """The champion before the present one serves again; with `to`, any former champion."""
    champion = way.newest.champion if way.newest else None
    target = way.target
    asked = {"named": to is not None, "served": way.period is not None}
    changes = decide_rollback(model, champion, _snapshot(target.version) if target else None, **asked, expect=expect)
    assert target is not None  # noqa: S101  decide_rollback refuses a missing target
    if not changes:
        return Moved(target)
    assert way.period is not None  # noqa: S101  and one that never served
    after = _make_champion(write, target, champion, back_to=way.period.back_to)
    replaced = champion.version if champion else None
    write.log(
        "rollback",
        target.version.version,
        before=target.version.state,
        after=State.PRODUCTION,
        reason=reason,
        details={"replaces": replaced, "named": to is not None},
    )
    return Moved(after, replaced)


def archive(write: Write, found: StoredVersion, reason: str) -> StoredVersion:
    """Takes a version out of use until it is restored. Archiving the champion leaves the model without one."""
    version = found.version
    if version.state is State.PRODUCTION:
        write.require(Action.ARCHIVE_CHAMPION)
    if not decide_archive(_snapshot(version)):
        return found
    if version.state is State.PRODUCTION:
        write.later(_END_PERIOD, of_model=found.model_id, new_ended_at=write.now)
    after = update(write, found, state=State.ARCHIVED, withdrawn=True)
    write.log("archive", version.version, before=version.state, after=State.ARCHIVED, reason=reason)
    return after


def restore(write: Write, found: StoredVersion, reason: str | None) -> StoredVersion:
    version = found.version
    if not decide_restore(_snapshot(version)):
        return found
    state = State.DEVELOPMENT if version.registered_at is not None else State.RESERVED
    after = update(write, found, state=state, withdrawn=False)
    write.log("restore", version.version, before=version.state, after=state, reason=reason)
    return after


def set_alias(write: Write, found: StoredVersion, alias: str, held: tuple[int, str] | None) -> StoredVersion:
    """`held` is the version that has the alias now: its key and its number."""
    version = found.version
    if held is not None and held[0] == found.id:
        return found
    if held is None:
        names = {"model_id": found.model_id, "name": alias}
        write.later(_NEW_ALIAS, **names, version_id=found.id, set_at=write.now, set_by=write.actor)
    else:
        new = {"new_version_id": found.id, "new_set_at": write.now, "new_set_by": write.actor}
        write.later(_MOVE_ALIAS, of_model=found.model_id, alias=alias, **new)
    write.log("set-alias", version.version, details={"alias": alias, "before": held[1] if held else None})
    return found.now(aliases=(*version.aliases, alias))


def remove_alias(write: Write, found: StoredVersion, alias: str) -> StoredVersion:
    write.later(_DROP_ALIAS, of_model=found.model_id, alias=alias)
    write.log("remove-alias", found.version.version, details={"alias": alias})
    return found.now(aliases=tuple(name for name in found.version.aliases if name != alias))


def _make_champion(write: Write, found: StoredVersion, champion: Champion | None, back_to: int | None) -> StoredVersion:
    """Ends the present time in production and begins the next. The database allows one at a time: the old one first."""
    if champion is not None:
        write.later(_REPLACE, of_model=found.model_id)
        write.log(
            "replace",
            champion.version,
            before=State.PRODUCTION,
            after=State.ARCHIVED,
            details={"by": found.version.version},
        )
        # At the moment at which the next one begins: `at` finds no gap between them.
        write.later(_END_PERIOD, of_model=found.model_id, new_ended_at=write.now)
    after = update(write, found, state=State.PRODUCTION)
    write.later(_BEGIN_PERIOD, model_id=found.model_id, version_id=found.id, began_at=write.now, back_to=back_to)
    return after


def _snapshot(version: Version) -> VersionSnapshot:
    return VersionSnapshot(version.model, version.version, version.digest, version.state, version.withdrawn)


def _signature_check(
    connection: Connection, found: StoredVersion, trusted: Sequence[Trust], request: PromotionRequest
) -> SignatureCheck:
    """Only what goes into production must be signed; a rollback brings back what was there."""
    if request.target is not State.PRODUCTION:
        return SignatureCheck()
    return SignatureCheck(len(trusted), bool(trusted) and signatures.is_signed(connection, found, trusted))


def _top(newest: Period | None) -> int | None:
    """Where a rollback of the next champion returns to: the open time, or what lay under an archived one."""
    if newest is None:
        return None
    return newest.id if newest.ended_at is None else newest.back_to


def _gate_result(
    connection: Connection, model: str, champion: Champion | None, evidence: Evidence | None
) -> GateResult | None:
    if evidence is None:
        return None
    return GateResult(
        evidence.verdict, evidence.reason, evidence.champion, _number_of(connection, model, champion, evidence.champion)
    )


_NUMBER = Statement(
    sa.select(_V.version).where(_V.model_id == MODEL_ID, _V.digest == sa.bindparam("digest", type_=sa.Text))
)


def _number_of(connection: Connection, model: str, champion: Champion | None, digest: str | None) -> str | None:
    """The number of the version that was compared with: mostly the champion's."""
    if digest is None or (champion is not None and champion.digest == digest):
        return champion.version if digest and champion else None
    rows = _NUMBER.rows(connection, model=model, digest=digest)
    return rows[0][0] if rows else None
