"""Changes to versions, each one transaction (see `api.VersionChanges`). Bytes are never read inside one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import RowMapping

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import notes, promotion, reading, registration
from tfx_pedigree.registry.api import VersionChanges
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import Reference, check_alias
from tfx_pedigree.registry.records import VersionChange
from tfx_pedigree.registry.registration import Candidate, Facts
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.registry.write import Write
from tfx_pedigree.versioning import Request


class LocalChanges(VersionChanges):
    transactions: Transactions

    def reserve(self, model: str, candidate: Candidate, request: Request | None = None) -> VersionChange:
        self.transactions.ensure_model(model)
        with self.transactions.changing(model, Action.RESERVE) as (write, found):
            known = registration.by_digest(write.connection, found, candidate.digest)
            return _change(
                write, found, known, lambda: registration.reserve(write, found, candidate, request or Request())
            )

    def register(
        self, reference: str | Reference, facts: Facts | None = None, evidence: Evidence | None = None
    ) -> VersionChange:
        return self._on(reference, Action.REGISTER, lambda w, m, v: _register(w, m, v, facts, evidence))

    def add(
        self,
        model: str,
        candidate: Candidate,
        request: Request | None = None,
        facts: Facts | None = None,
        evidence: Evidence | None = None,
    ) -> VersionChange:
        self.transactions.ensure_model(model)
        with self.transactions.changing(model, Action.REGISTER) as (write, found):

            def reserve_and_register() -> RowMapping:
                row = registration.reserve(write, found, candidate, request or Request())
                return _register(write, found, row, facts, evidence)

            known = registration.by_digest(write.connection, found, candidate.digest)
            return _change(write, found, known, reserve_and_register)

    def annotate(self, reference: str | Reference, facts: Facts) -> VersionChange:
        return self._on(reference, Action.ANNOTATE, lambda w, m, v: registration.annotate(w, m, v, facts))

    def attach_evidence(self, reference: str | Reference, evidence: Evidence) -> VersionChange:
        return self._on(
            reference, Action.ATTACH_EVIDENCE, lambda w, m, v: registration.attach_evidence(w, m, v, evidence)
        )

    def promote(self, reference: str | Reference, request: PromotionRequest | None = None) -> VersionChange:
        request = request or PromotionRequest()
        return self._on(reference, request.action, lambda w, m, v: promotion.promote(w, m, v, request))

    def rollback(self, model: str, *, reason: str, to: str | None = None, expect: str | None = None) -> VersionChange:
        with self.transactions.changing(model, Action.ROLLBACK) as (write, found):
            target, period = promotion.rollback_target(write.connection, found, to)
            options = {"to": to, "expect": expect}
            return _change(
                write, found, target, lambda: promotion.rollback(write, found, target, period, reason=reason, **options)
            )

    def archive(self, reference: str | Reference, *, reason: str) -> VersionChange:
        return self._on(reference, Action.ARCHIVE, lambda w, m, v: promotion.archive(w, m, v, reason))

    def restore(self, reference: str | Reference, *, reason: str | None = None) -> VersionChange:
        return self._on(reference, Action.RESTORE, lambda w, m, v: promotion.restore(w, m, v, reason))

    def set_alias(self, alias: str, reference: str | Reference) -> VersionChange:
        return self._on(reference, Action.SET_ALIAS, lambda w, m, v: promotion.set_alias(w, m, v, check_alias(alias)))

    def remove_alias(self, model: str, alias: str) -> VersionChange:
        with self.transactions.changing(model, Action.SET_ALIAS) as (write, found):
            if alias not in reading.aliases_of(write.connection, found["id"]):
                raise NotFoundError(f"{model} has no alias {alias!r}. See `pedigree alias list {model}`.")
            row = reading.find_version(write.connection, found, alias)
            return _change(write, found, row, lambda: promotion.remove_alias(write, found, row, alias))

    def note(
        self,
        model: str,
        action: Action,
        *,
        reason: str | None,
        details: Mapping[str, Any],
        subject: str | None = None,
        expect: int | None = None,
    ) -> Event:
        self.transactions.ensure_model(model)
        with self.transactions.changing(model, action) as (write, _):
            return notes.write_note(write, action, subject=subject, reason=reason, details=details, expect=expect)

    def _on(
        self,
        reference: str | Reference,
        action: Action,
        operation: Callable[[Write, RowMapping, RowMapping], RowMapping],
    ) -> VersionChange:
        """One operation on one version, given its model's and its own row; what it returns is the row afterwards."""
        reference = Reference.of(reference)
        with self.transactions.changing(reference.model, action) as (write, found):
            row = reading.find_version(write.connection, found, reference.selector)
            return _change(write, found, row, lambda: operation(write, found, row))


def _change(
    write: Write, model: RowMapping, row: RowMapping | None, operation: Callable[[], RowMapping]
) -> VersionChange:
    before = reading.to_version(write.connection, model["name"], row) if row else None
    after = operation()
    version = reading.to_version(write.connection, model["name"], after)
    return VersionChange(version, before, write.replaced, write.written > 0)


def _register(
    write: Write, model: RowMapping, row: RowMapping, facts: Facts | None, evidence: Evidence | None
) -> RowMapping:
    row = registration.register(write, model, row, facts or Facts())
    return row if evidence is None else registration.attach_evidence(write, model, row, evidence)
