"""Protected models and the requests to promote there: their rows, and what may be done with them.

Everything happens under the model's lock with an event in its chain. The rules are in `approval_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Row, Statement, schema
from tfx_pedigree.errors import ApprovalNeededError, ConflictError, ForbiddenError, NotFoundError
from tfx_pedigree.json_form import Bounds, JsonForm, read, to_json
from tfx_pedigree.registry.approval_rules import (
    Approval,
    Protected,
    RequestStatus,
    Situation,
    check_protection,
    judge,
    may_approve,
)
from tfx_pedigree.registry.model_rows import RequestRow
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.stored import MODEL_ID, PRODUCTION, StoredVersion
from tfx_pedigree.registry.write import Write
from tfx_pedigree.states import State
from tfx_pedigree.text import plural

DAYS = 7
Days = Annotated[int, Bounds(1, 90)]
Number = Annotated[int, Bounds(1, 2**31 - 1)]
_M, _V, _R, _E = schema.models.c, schema.model_versions.c, schema.reigns.c, schema.evidence.c
_P, _Q = schema.protections.c, schema.promotion_requests.c


@dataclass(frozen=True)
class Protection(JsonForm):
    """How many must approve before a version of the model becomes champion, and who may: a role or a group."""

    approvals: int
    approvers: str
    set_at: datetime
    set_by: str


@dataclass(frozen=True)
class ProtectionChange(JsonForm):
    protection: Protection | None
    before: Protection | None

    @property
    def changed(self) -> bool:
        return self.protection != self.before


@dataclass(frozen=True)
class ApprovalRequest(JsonForm):
    """A promotion that waits for approvals. `replaces` is the number of the champion whose place the version would
    take, `needed` how many approvals the model asks for; `detail` says why the request stands where it does."""

    model: str
    number: int
    version: str
    digest: str
    replaces: str | None
    champion: str | None
    evidence: str | None
    comment: str | None
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    approvals: tuple[Approval, ...]
    needed: int
    approvers: str | None
    status: RequestStatus
    detail: str
    closed_at: datetime | None
    closed_by: str | None

    @property
    def name(self) -> str:
        return f"the request {self.number} to promote {self.model} {self.version}"


@dataclass(frozen=True)
class RequestChange(JsonForm):
    request: ApprovalRequest
    changed: bool


# Rows

_SUPERSEDED = schema.model_versions.alias("superseded").c
_PERIOD = sa.select(_R.began_at).where(_R.model_id == _Q.model_id).order_by(_R.began_at.desc()).limit(1)
_CHAMPION = schema.model_versions.alias("champion").c
_NEWEST = sa.select(_E.digest).where(_E.version_id == _Q.version_id).order_by(_E.id.desc()).limit(1)
_REQUEST_COLUMNS = (
    _Q.number,
    _Q.champion,
    _Q.period,
    _Q.evidence,
    _Q.comment,
    _Q.requested_at,
    _Q.requested_by,
    _Q.expires_at,
    _Q.approvals,
    _Q.outcome,
    _Q.closed_at,
    _Q.closed_by,
    _V.version,
)
_REQUESTS = (
    sa.select(
        *_REQUEST_COLUMNS,
        _M.name,
        _V.digest,
        _V.state,
        sa.select(_SUPERSEDED.version)
        .where(_SUPERSEDED.model_id == _Q.model_id, _SUPERSEDED.digest == _Q.champion)
        .scalar_subquery(),
        sa.select(_CHAMPION.digest)
        .where(_CHAMPION.model_id == _Q.model_id, _CHAMPION.state == PRODUCTION)
        .scalar_subquery(),
        _PERIOD.scalar_subquery(),
        _NEWEST.scalar_subquery(),
        _P.approvals,
        _P.approvers,
        _P.set_at,
        _Q.id,
    )
    .join_from(schema.promotion_requests, schema.models, _M.id == _Q.model_id)
    .join(schema.model_versions, _V.id == _Q.version_id)
    .outerjoin(schema.protections, _P.model_id == _Q.model_id)
)
_NUMBER = sa.bindparam("number", type_=_Q.number.type)
ONE = Statement(_REQUESTS.where(_Q.model_id == MODEL_ID, _Q.number == _NUMBER))
OF_VERSION = Statement(
    _REQUESTS.where(_Q.version_id == sa.bindparam("id", type_=_V.id.type), _Q.closed_at.is_(None))
    .order_by(_Q.number.desc())
    .limit(1)
)
PROTECTION = Statement(sa.select(_P.approvals, _P.approvers, _P.set_at, _P.set_by).where(_P.model_id == MODEL_ID))
_LAST = Statement(sa.select(sa.func.max(_Q.number)).where(_Q.model_id == MODEL_ID))
_CLOSE = Statement(
    schema.promotion_requests.update()
    .where(_Q.id == sa.bindparam("of_request", type_=_Q.id.type))
    .values(
        outcome=sa.bindparam("new_outcome", type_=_Q.outcome.type),
        closed_at=sa.bindparam("new_closed_at", type_=_Q.closed_at.type),
        closed_by=sa.bindparam("new_closed_by", type_=_Q.closed_by.type),
    )
)


@dataclass(frozen=True)
class StoredRequest:
    id: int
    request: ApprovalRequest


def read_request(row: Row, at: datetime) -> StoredRequest:
    """As it stands at that moment."""
    *own, model, digest, state, replaces, champion, period, evidence, needed, approvers, set_at, key = row
    values = dict(zip((column.key for column in _REQUEST_COLUMNS), own, strict=True))
    approvals = read(tuple[Approval, ...], values.pop("approvals"), "the approvals")
    held = RequestRow(**values, approvals=approvals)
    protected = None if needed is None else Protected(needed, approvers, set_at)
    status, detail = judge(held, Situation(State(state), champion, period, evidence, protected), at)
    return StoredRequest(
        key,
        ApprovalRequest(
            model=model,
            number=held.number,
            version=held.version,
            digest=digest,
            replaces=replaces,
            champion=held.champion,
            evidence=held.evidence,
            comment=held.comment,
            requested_at=held.requested_at,
            requested_by=held.requested_by,
            expires_at=held.expires_at,
            approvals=approvals,
            needed=needed or 0,
            approvers=approvers,
            status=status,
            detail=detail,
            closed_at=held.closed_at,
            closed_by=held.closed_by,
        ),
    )


def protection_in(rows: list[Row]) -> Protection | None:
    return Protection(*rows[0]) if rows else None


def find(connection: Connection, model: str, number: int, at: datetime) -> StoredRequest:
    rows = ONE.rows(connection, model=model, number=number)
    if not rows:
        raise NotFoundError(f"{model} has no request {number}. See `pedigree requests {model} --all`.")
    return read_request(rows[0], at)


def of_version(connection: Connection, version_id: int | None, at: datetime) -> StoredRequest | None:
    """The newest request for the version that nobody closed."""
    rows = OF_VERSION.rows(connection, id=version_id)
    return read_request(rows[0], at) if rows else None


def page(
    connection: Connection, model: str | None, *, only_open: bool, limit: int, after: int | None, at: datetime
) -> list[StoredRequest]:
    """Newest first."""
    query = _REQUESTS.order_by(_Q.id.desc()).limit(limit)
    if model is not None:
        query = query.where(_M.name == model)
    if only_open:
        query = query.where(_Q.closed_at.is_(None), _Q.expires_at > at)
    if after is not None:
        query = query.where(_Q.id < after)
    return [read_request(tuple(row), at) for row in connection.execute(query)]


# Operations, each under the model's lock


def protect(write: Write, held: Protection | None, approvals: int, approvers: str) -> ProtectionChange:
    check_protection(approvals, approvers)
    if held is not None and (held.approvals, held.approvers) == (approvals, approvers):
        return ProtectionChange(held, held)
    new = Protection(approvals, approvers, write.now, write.actor)
    _unprotect(write)
    write.connection.execute(schema.protections.insert().values(model_id=_model_id(write), **vars(new)))
    write.log(str(Action.PROTECT), details={"approvals": approvals, "approvers": approvers})
    return ProtectionChange(new, held)


def unprotect(write: Write, held: Protection | None, reason: str) -> ProtectionChange:
    if held is not None:
        _unprotect(write)
        write.log("unprotect", reason=reason)
    return ProtectionChange(None, held)


def _unprotect(write: Write) -> None:
    write.connection.execute(schema.protections.delete().where(_P.model_id == _model_id(write)))


def _model_id(write: Write) -> Any:
    return sa.select(_M.id).where(_M.name == write.chain).scalar_subquery()


@dataclass(frozen=True)
class Binding:
    """What a request holds of the moment at which it is filed."""

    champion: str | None
    period: datetime | None
    evidence: str | None


def file(write: Write, found: StoredVersion, binding: Binding, comment: str | None, days: int) -> RequestChange:
    """The one that is open for the same version stays."""
    standing = of_version(write.connection, found.id, write.now)
    if standing is not None and standing.request.status.is_open:
        return RequestChange(standing.request, changed=False)
    number = (_LAST.rows(write.connection, model=write.chain)[0][0] or 0) + 1
    expires = write.now + timedelta(days=days)
    event = write.log(
        str(Action.REQUEST_PROMOTION),
        found.version.version,
        reason=comment,
        details={"request": number, "expires": to_json(expires), **to_json(vars(binding))},
    )
    values = {
        "model_id": found.model_id,
        "version_id": found.id,
        "number": number,
        **vars(binding),
        "expires_at": expires,
    }
    told: dict[str, Any] = {
        "comment": event.reason,
        "requested_at": event.at,
        "requested_by": event.actor,
        "approvals": [],
    }
    write.connection.execute(schema.promotion_requests.insert().values(**values, **told))
    return RequestChange(find(write.connection, write.chain, number, write.now).request, changed=True)


def approve(write: Write, number: int, comment: str | None) -> RequestChange:
    standing = _open(write, number)
    request = standing.request
    if write.actor == request.requested_by:
        raise _forbidden(write, Action.APPROVE, request, "who filed it is never one of those who approve it")
    if not may_approve(write.identity, write.role, request.approvers or ""):
        raise _forbidden(write, Action.APPROVE, request, f"its model lets {request.approvers} approve")
    if any(one.by == write.actor for one in request.approvals):
        return RequestChange(request, changed=False)
    event = write.log(str(Action.APPROVE), request.version, reason=comment, details={"request": number})
    given = (*request.approvals, Approval(event.actor, event.at, event.reason))
    mine = schema.promotion_requests.update().where(_Q.id == standing.id)
    write.connection.execute(mine.values(approvals=to_json(given)))
    return RequestChange(find(write.connection, write.chain, number, write.now).request, changed=True)


def reject(write: Write, number: int, reason: str) -> RequestChange:
    """By one of those who may approve, or by who filed it, for whom it is a withdrawal."""
    standing = find(write.connection, write.chain, number, write.now)
    request, own = standing.request, write.actor == standing.request.requested_by
    if request.status in (RequestStatus.REJECTED, RequestStatus.WITHDRAWN):
        return RequestChange(request, changed=False)
    standing = _open(write, number)
    if not own and not may_approve(write.identity, write.role, request.approvers or ""):
        raise _forbidden(write, Action.REJECT, request, f"its model lets {request.approvers} approve and reject")
    outcome = RequestStatus.WITHDRAWN if own else RequestStatus.REJECTED
    event = write.log(str(Action.REJECT), request.version, reason=reason, details={"request": number})
    close(write, standing, outcome, event.at)
    write.ask()
    return RequestChange(find(write.connection, write.chain, number, write.now).request, changed=True)


def close(write: Write, standing: StoredRequest, outcome: RequestStatus, at: datetime) -> None:
    write.later(_CLOSE, of_request=standing.id, new_outcome=outcome.value, new_closed_at=at, new_closed_by=write.actor)


def check(model: str, version: str, held: Protection, standing: StoredRequest | None) -> StoredRequest:
    """The request by which the version may be promoted, or what it still needs."""
    request = standing.request if standing else None
    if standing is not None and standing.request.status is RequestStatus.APPROVED:
        return standing
    needs = f"{model} is protected, so a new champion needs {plural(held.approvals, 'approval')} by {held.approvers}"
    if request is not None and request.status is RequestStatus.WAITING:
        waits = f"{request.name[0].upper()}{request.name[1:]} waits: {request.detail}."
        then = f"{waits} Approve it with `pedigree approve {model} {request.number}`."
    else:
        void = f"{request.name[0].upper()}{request.name[1:]} is {request.status}: {request.detail}. " if request else ""
        then = f"{void}Ask for approval with `pedigree request {model}@{version}`."
    raise ApprovalNeededError(f"{model} {version} cannot be promoted: {needs}. {then}")


def _open(write: Write, number: int) -> StoredRequest:
    standing = find(write.connection, write.chain, number, write.now)
    request = standing.request
    if not request.status.is_open:
        why = request.detail or f"it was {request.status} by {request.closed_by}"
        raise ConflictError(
            f"{request.name[0].upper()}{request.name[1:]} is closed: {why}. "
            f"Ask anew with `pedigree request {request.model}@{request.version}`."
        )
    return standing


def _forbidden(write: Write, action: Action, request: ApprovalRequest, why: str) -> ForbiddenError:
    return ForbiddenError(f"{write.actor} may not {action} {request.name}: {why}.", operation=str(action))
