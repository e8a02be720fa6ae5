"""When the approval of people lets a version become champion: pure functions, for the registry and for the audit alike.

A request binds what its approvers saw: the version's bytes, its newest evidence, the champion that it would replace and
the protection of the model. When one of them changes the request is void for good, also if it changes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry.identity import GROUP, Identity, check_group
from tfx_pedigree.registry.roles import LEAST_ROLE, Action
from tfx_pedigree.role import Role
from tfx_pedigree.states import State
from tfx_pedigree.text import format_minute, plural

MOST_APPROVALS = 20
_PROMOTABLE = (State.DEVELOPMENT, State.STAGING)


class RequestStatus(str, Enum):
    """WAITING and APPROVED requests can still change; all other states are final."""

    WAITING = "waiting"
    APPROVED = "approved"
    VOID = "void"
    EXPIRED = "expired"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    PROMOTED = "promoted"

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        return self in (RequestStatus.WAITING, RequestStatus.APPROVED)


@dataclass(frozen=True)
class Approval(JsonForm):
    by: str
    at: datetime
    comment: str | None


class Bound(Protocol):
    """What a request holds. `period` is when the newest time in production began as it was filed: a champion that
    comes back begins another one."""

    @property
    def champion(self) -> str | None: ...
    @property
    def period(self) -> datetime | None: ...
    @property
    def evidence(self) -> str | None: ...
    @property
    def requested_at(self) -> datetime: ...
    @property
    def requested_by(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def approvals(self) -> Sequence[Approval]: ...
    @property
    def outcome(self) -> str | None: ...


@dataclass(frozen=True)
class Protected:
    approvals: int
    approvers: str
    set_at: datetime


@dataclass(frozen=True)
class Situation:
    """The present state that a request is compared with. The champion and the evidence are digests."""

    state: State
    champion: str | None
    period: datetime | None
    evidence: str | None
    protected: Protected | None


def judge(request: Bound, now: Situation, at: datetime) -> tuple[RequestStatus, str]:
    """A request's status, with the reason if there is one."""
    if request.outcome is not None:
        return RequestStatus(request.outcome), ""
    if (changed := _changed(request, now)) is not None:
        return RequestStatus.VOID, changed
    if request.expires_at <= at:
        return RequestStatus.EXPIRED, f"it expired on {format_minute(request.expires_at)}"
    given, needed = len(approvers_of(request)), now.protected.approvals if now.protected else 0
    told = f"it has {given} of {plural(needed, 'approval')}"
    return (RequestStatus.WAITING if given < needed else RequestStatus.APPROVED), told


def approvers_of(request: Bound) -> frozenset[str]:
    """Whose approvals count: each person once, and never who filed it."""
    return frozenset(one.by for one in request.approvals) - {request.requested_by}


def _changed(request: Bound, now: Situation) -> str | None:
    if now.protected is None or request.requested_at <= now.protected.set_at:
        return "the protection of the model has changed since it was filed"
    if (request.champion, request.period) != (now.champion, now.period):
        return "the champion has changed since it was filed"
    if request.evidence != now.evidence:
        return "newer evidence judges the version since it was filed"
    if now.state not in _PROMOTABLE:
        return f"the version is in {now.state} now"
    return None


def check_protection(approvals: int, approvers: str) -> None:
    if not 1 <= approvals <= MOST_APPROVALS:
        raise InvalidInputError(f"A model is protected by 1 to {MOST_APPROVALS} approvals, not by {approvals}.")
    if approvers.startswith(GROUP):
        check_group(approvers.removeprefix(GROUP))
        return
    least = LEAST_ROLE[Action.APPROVE]
    if Role.parse(approvers) < least:
        raise InvalidInputError(
            f"Who approves is at least {least}; {approvers} is less. Give a higher role or group:NAME."
        )


def may_approve(identity: Identity, role: Role | None, approvers: str) -> bool:
    """Whether the identity may approve. `role` is its role on the model."""
    if role is None or role < LEAST_ROLE[Action.APPROVE]:
        return False
    if approvers.startswith(GROUP):
        return approvers.removeprefix(GROUP) in identity.groups
    return role >= Role.parse(approvers)
