"""What a model's events say of its protection and of the requests to promote there: part of `replay`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tfx_pedigree.json_form import read
from tfx_pedigree.registry.approval_rules import (
    Approval,
    Protected,
    RequestStatus,
    Situation,
    check_protection,
    judge,
)
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.model_rows import ProtectionRow, RequestRow


@dataclass
class ExpectedApprovals:
    """Fed with one event after the other. What the registry would not have written raises a ValueError; `situation` is
    how things were before the event, but for the protection, which is known here."""

    protection: ProtectionRow | None = None
    requests: list[RequestRow] = field(default_factory=list)

    def protect(self, event: Event) -> None:
        approvals, approvers = event.details["approvals"], event.details["approvers"]
        check_protection(approvals, approvers)
        self.protection = ProtectionRow(approvals, approvers, event.at, event.actor)

    def unprotect(self, event: Event) -> None:
        _require(self.protection is not None)
        self.protection = None

    def file(self, event: Event, version: str, situation: Situation) -> None:
        d = event.details
        _require(_number(event) == len(self.requests) + 1)
        row = RequestRow(
            number=_number(event),
            champion=d["champion"],
            period=None if d["period"] is None else _time(d["period"]),
            evidence=d["evidence"],
            comment=event.reason,
            requested_at=event.at,
            requested_by=event.actor,
            expires_at=_time(d["expires"]),
            approvals=(),
            outcome=None,
            closed_at=None,
            closed_by=None,
            version=version,
        )
        _require(self._status(row, situation, event.at).is_open)
        self.requests.append(row)

    def approve(self, event: Event, version: str, situation: Situation) -> None:
        row = self._open(event, version, situation)
        _require(event.actor not in (row.requested_by, *(one.by for one in row.approvals)))
        given = (*row.approvals, Approval(event.actor, event.at, event.reason))
        self.requests[row.number - 1] = replace(row, approvals=given)

    def reject(self, event: Event, version: str, situation: Situation) -> None:
        row = self._open(event, version, situation)
        self._close(row, event, "withdrawn" if event.actor == row.requested_by else "rejected")

    def promote(self, event: Event, version: str, situation: Situation, at: datetime) -> None:
        """A version becomes champion: approved by enough people, or against the protection by an override."""
        if event.details.get("request") is None:
            _require(self.protection is None or event.details["override"] is True)
            return
        row = self.requests[_number(event) - 1]
        _require(row.version == version and self._status(row, situation, at) is RequestStatus.APPROVED)
        self._close(row, event, "promoted")

    def _open(self, event: Event, version: str, situation: Situation) -> RequestRow:
        row = self.requests[_number(event) - 1]
        _require(row.version == version)
        _require(self._status(row, situation, event.at).is_open)
        return row

    def _status(self, row: RequestRow, situation: Situation, at: datetime) -> RequestStatus:
        held = self.protection
        protected = None if held is None else Protected(held.approvals, held.approvers, held.set_at)
        return judge(row, replace(situation, protected=protected), at)[0]

    def _close(self, row: RequestRow, event: Event, outcome: Any) -> None:
        self.requests[row.number - 1] = replace(row, outcome=outcome, closed_at=event.at, closed_by=event.actor)


def _number(event: Event) -> int:
    number: int = event.details["request"]
    _require(type(number) is int and number > 0)
    return number


def _time(value: object) -> datetime:
    found: datetime = read(datetime, value, "a time")
    return found


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("an event that the registry would not have written")
