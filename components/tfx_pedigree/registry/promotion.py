"""How versions move: promotion, rollback, archiving, restoring. Decided by `decisions`, done under the model's lock.

A change of champion ends one reign and begins the next in one transaction, so that no reader sees two champions or none
between them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import reading
from tfx_pedigree.registry.decisions import (
    Champion,
    GateResult,
    PromotionCheck,
    PromotionRequest,
    check_promotion,
    decide_archive,
    decide_promotion,
    decide_restore,
    decide_rollback,
)
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.records import PromotionPreview
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.states import State
from tfx_pedigree.registry.write import Write, check_role

_V = schema.model_versions.c
_R = schema.reigns.c


def promote(write: Write, model: RowMapping, row: RowMapping, request: PromotionRequest) -> RowMapping:
    to_production = request.target is State.PRODUCTION
    champion = reading.champion_of(write.connection, model["id"])
    evidence = reading.newest_evidence(write.connection, row["id"])
    gate = _gate_result(write.connection, model, evidence)
    if not decide_promotion(reading.standing(model["name"], row), champion, gate, request):
        return row
    details: dict[str, Any] = {
        "evidence": evidence.digest if evidence else None,
        "expect": request.expect,
        "override": request.override,
        "replaces": champion.version if champion and to_production else None,
    }
    if to_production:
        _make_champion(write, model, row, champion, back_to=_top(write.connection, model["id"]))
    else:
        _set_state(write, row["id"], request.target)
    write.log(
        "promote",
        row["version"],
        before=row["state"],
        after=request.target,
        reason=request.reason or (evidence.reason if evidence else None),
        details=details,
    )
    return _reload(write, model, row)


def preview(
    connection: Connection, actor: str, model: RowMapping, row: RowMapping, request: PromotionRequest
) -> PromotionPreview:
    """What `promote` would say now. Nothing is written, also no refusal."""
    champion = reading.champion_of(connection, model["id"])
    gate = _gate_result(connection, model, reading.newest_evidence(connection, row["id"]))
    version = reading.to_version(connection, model["name"], row)
    checks = check_promotion(reading.standing(model["name"], row), champion, gate, request)
    role = _check_role(connection, actor, model["name"], request)
    return PromotionPreview(version, request.target, champion.version if champion else None, (role, *checks))


def _check_role(connection: Connection, actor: str, model: str, request: PromotionRequest) -> PromotionCheck:
    try:
        check_role(connection, actor, model, request.action)
    except ForbiddenError as refusal:
        return PromotionCheck("role", False, str(refusal))
    return PromotionCheck("role", True, f"{actor} may promote to {request.target}.")


def rollback(
    write: Write,
    model: RowMapping,
    target: RowMapping | None,
    reign: RowMapping | None,
    *,
    to: str | None,
    expect: str | None,
    reason: str,
) -> RowMapping:
    """The champion before the present one reigns again; with `to`, any former champion."""
    champion = reading.champion_of(write.connection, model["id"])
    standing = reading.standing(model["name"], target) if target else None
    asked = {"named": to is not None, "served": reign is not None}
    if not decide_rollback(model["name"], champion, standing, **asked, expect=expect):
        assert target is not None  # noqa: S101  decide_rollback refuses a missing target
        return target
    assert target is not None  # noqa: S101
    assert reign is not None  # noqa: S101
    _make_champion(write, model, target, champion, back_to=reign["back_to"])
    write.log(
        "rollback",
        target["version"],
        before=target["state"],
        after=State.PRODUCTION,
        reason=reason,
        details={"replaces": champion.version if champion else None, "named": to is not None},
    )
    return _reload(write, model, target)


def archive(write: Write, model: RowMapping, row: RowMapping, reason: str) -> RowMapping:
    """Takes a version out of use until it is restored. Archiving the champion leaves the model without one."""
    if row["state"] == State.PRODUCTION:
        write.require(Action.ARCHIVE_CHAMPION)
    if not decide_archive(reading.standing(model["name"], row)):
        return row
    if row["state"] == State.PRODUCTION:
        _end_reign(write, model)
    _set_state(write, row["id"], State.ARCHIVED, withdrawn=True)
    write.log("archive", row["version"], before=row["state"], after=State.ARCHIVED, reason=reason)
    return _reload(write, model, row)


def restore(write: Write, model: RowMapping, row: RowMapping, reason: str | None) -> RowMapping:
    if not decide_restore(reading.standing(model["name"], row)):
        return row
    registered = row["registered_at"] is not None
    after = State.DEVELOPMENT if registered else State.RESERVED
    _set_state(write, row["id"], after, withdrawn=False)
    write.log("restore", row["version"], before=row["state"], after=after, reason=reason)
    return _reload(write, model, row)


def set_alias(write: Write, model: RowMapping, row: RowMapping, alias: str) -> RowMapping:
    a = schema.aliases
    key = sa.and_(a.c.model_id == model["id"], a.c.name == alias)
    held = write.connection.execute(sa.select(a.c.version_id).where(key)).scalar_one_or_none()
    if held == row["id"]:
        return row
    values = {"version_id": row["id"], "set_at": write.now, "set_by": write.actor}
    if held is None:
        write.connection.execute(a.insert().values(model_id=model["id"], name=alias, **values))
    else:
        write.connection.execute(a.update().where(key).values(**values))
    write.log("set-alias", row["version"], details={"alias": alias, "before": _number(write.connection, held)})
    return row


def remove_alias(write: Write, model: RowMapping, row: RowMapping, alias: str) -> RowMapping:
    a = schema.aliases
    write.connection.execute(a.delete().where(a.c.model_id == model["id"], a.c.name == alias))
    write.log("remove-alias", row["version"], details={"alias": alias})
    return row


def _make_champion(
    write: Write, model: RowMapping, row: RowMapping, champion: Champion | None, back_to: int | None
) -> None:
    """Ends the present reign and begins the next. The database allows one at a time, so the old one goes first."""
    if champion is not None:
        write.replaced = champion.version
        condition = sa.and_(_V.model_id == model["id"], _V.state == State.PRODUCTION)
        write.connection.execute(schema.model_versions.update().where(condition).values(state=State.ARCHIVED))
        write.log(
            "replace",
            champion.version,
            before=State.PRODUCTION,
            after=State.ARCHIVED,
            details={"by": row["version"]},
        )
        # At the moment at which the next one begins: `at` finds no gap between them.
        _end_reign(write, model)
    _set_state(write, row["id"], State.PRODUCTION)
    write.connection.execute(
        schema.reigns.insert().values(model_id=model["id"], version_id=row["id"], began_at=write.now, back_to=back_to)
    )


def _end_reign(write: Write, model: RowMapping) -> None:
    open_reign = sa.and_(_R.model_id == model["id"], _R.ended_at.is_(None))
    write.connection.execute(schema.reigns.update().where(open_reign).values(ended_at=write.now))


def _newest_reign(connection: Connection, model_id: int, version_id: int | None = None) -> RowMapping | None:
    query = sa.select(schema.reigns).where(_R.model_id == model_id).order_by(_R.began_at.desc()).limit(1)
    if version_id is not None:
        query = query.where(_R.version_id == version_id)
    return connection.execute(query).mappings().one_or_none()


def _top(connection: Connection, model_id: int) -> int | None:
    """The reign to which a rollback of the next champion returns: the open one, or what lay under an archived one."""
    reign = _newest_reign(connection, model_id)
    if reign is None:
        return None
    result: int | None = reign["id"] if reign["ended_at"] is None else reign["back_to"]
    return result


def rollback_target(
    connection: Connection, model: RowMapping, to: str | None
) -> tuple[RowMapping | None, RowMapping | None]:
    if to is not None:
        row = reading.find_version(connection, model, to)
        return row, _newest_reign(connection, model["id"], row["id"])
    reign = _newest_reign(connection, model["id"])
    if reign is None or reign["back_to"] is None:
        return None, None
    back = connection.execute(sa.select(schema.reigns).where(_R.id == reign["back_to"])).mappings().one()
    query = sa.select(schema.model_versions).where(_V.id == back["version_id"])
    return connection.execute(query).mappings().one(), back


def _gate_result(connection: Connection, model: RowMapping, evidence: Evidence | None) -> GateResult | None:
    if evidence is None:
        return None
    query = sa.select(_V.version).where(_V.model_id == model["id"], _V.digest == evidence.champion)
    baseline = connection.execute(query).scalar_one_or_none() if evidence.champion else None
    return GateResult(evidence.verdict, evidence.reason, evidence.champion, baseline)


def _set_state(write: Write, version_id: int, state: State, **values: Any) -> None:
    statement = schema.model_versions.update().where(_V.id == version_id).values(state=state, **values)
    write.connection.execute(statement)


def _number(connection: Connection, version_id: int | None) -> str | None:
    return connection.execute(sa.select(_V.version).where(_V.id == version_id)).scalar_one_or_none()


def _reload(write: Write, model: RowMapping, row: RowMapping) -> RowMapping:
    return reading.find_version(write.connection, model, row["digest"])
