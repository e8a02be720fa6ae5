"""Changes to versions, each one transaction (see `api.VersionChanges`). Bytes are never read inside one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import numbering, promotion, reading, registration, stored
from tfx_pedigree.registry.api import VersionChanges
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import Reference, check_alias
from tfx_pedigree.registry.numbering import Known
from tfx_pedigree.registry.records import VersionChange
from tfx_pedigree.registry.registration import Candidate, Facts
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.stored import StoredVersion
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.text import listed
from tfx_pedigree.versioning import Request


class LocalChanges(VersionChanges):
    transactions: Transactions

    def reserve(self, model: str, candidate: Candidate, request: Request | None = None) -> VersionChange:
        return self._take(
            model, candidate, Action.RESERVE, lambda w, k: registration.reserve(w, k, candidate, request or Request())
        )

    def register(
        self, reference: str | Reference, facts: Facts | None = None, evidence: Evidence | None = None
    ) -> VersionChange:
        return self._on(reference, Action.REGISTER, lambda w, v: _register(w, v, facts, evidence))

    def add(
        self,
        model: str,
        candidate: Candidate,
        request: Request | None = None,
        facts: Facts | None = None,
        evidence: Evidence | None = None,
    ) -> VersionChange:
        def reserve_and_register(write: Write, known: Known) -> StoredVersion:
            added = registration.add(write, known, candidate, request or Request(), facts or Facts())
            return added if evidence is None else registration.attach_evidence(write, added, evidence)

        return self._take(model, candidate, Action.REGISTER, reserve_and_register)

    def annotate(self, reference: str | Reference, facts: Facts) -> VersionChange:
        return self._on(reference, Action.ANNOTATE, lambda w, v: registration.annotate(w, v, facts))

    def attach_evidence(self, reference: str | Reference, evidence: Evidence) -> VersionChange:
        return self._on(reference, Action.ATTACH_EVIDENCE, lambda w, v: registration.attach_evidence(w, v, evidence))

    def promote(self, reference: str | Reference, request: PromotionRequest | None = None) -> VersionChange:
        request, reference = request or PromotionRequest(), Reference.of(reference)
        with self.transactions.changing(reference.model, request.action, *promotion.asking(reference)) as write:
            facts = promotion.answered(write.connection, reference, write.rows, write.now)
            moved = promotion.promote(write, facts, request)
            return _change(write, facts.found, moved.found, moved.replaced)

    def rollback(self, model: str, *, reason: str, to: str | None = None, expect: str | None = None) -> VersionChange:
        with self.transactions.changing(model, Action.ROLLBACK) as write:
            way = promotion.rollback_target(write, model, to)
            moved = promotion.rollback(write, model, way, to=to, expect=expect, reason=reason)
            return _change(write, way.target, moved.found, moved.replaced)

    def archive(self, reference: str | Reference, *, reason: str) -> VersionChange:
        return self._on(reference, Action.ARCHIVE, lambda w, v: promotion.archive(w, v, reason))

    def restore(self, reference: str | Reference, *, reason: str | None = None) -> VersionChange:
        return self._on(reference, Action.RESTORE, lambda w, v: promotion.restore(w, v, reason))

    def set_alias(self, alias: str, reference: str | Reference) -> VersionChange:
        check_alias(alias)
        reference = Reference.of(reference)
        asked = (promotion.ALIAS_HELD, {"model": reference.model, "alias": alias})
        with self.transactions.changing(
            reference.model, Action.SET_ALIAS, reading.selecting(reference), asked
        ) as write:
            found = reading.resolve(write.connection, reference, write.rows[0])
            held = next(((key, number) for key, number in write.rows[1]), None)
            return _change(write, found, promotion.set_alias(write, found, alias, held))

    def remove_alias(self, model: str, alias: str) -> VersionChange:
        asked = (promotion.ALIAS_HELD, {"model": model, "alias": alias})
        with self.transactions.changing(model, Action.SET_ALIAS, asked) as write:
            if not write.rows[0]:
                raise NotFoundError(f"{model} has no alias {alias!r}. See `pedigree alias list {model}`.")
            found = reading.version_of(write.connection, model, write.rows[0][0][0])
            return _change(write, found, promotion.remove_alias(write, found, alias))

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
        with self.transactions.changing(model, action) as write:
            return write_note(write, action, subject=subject, reason=reason, details=details, expect=expect)

    def _take(
        self,
        model: str,
        candidate: Candidate,
        action: Action,
        operation: Callable[[Write, Known], StoredVersion],
    ) -> VersionChange:
        self.transactions.ensure_model(model)
        questions = numbering.knowing(model, candidate.digest)
        with self.transactions.changing(model, action, *questions) as write:
            known = numbering.known(*write.rows)
            return _change(write, known.existing, operation(write, known))

    def _on(
        self, reference: str | Reference, action: Action, operation: Callable[[Write, StoredVersion], StoredVersion]
    ) -> VersionChange:
        """One operation on one version; what it returns is the version afterwards."""
        reference = Reference.of(reference)
        with self.transactions.changing(reference.model, action, reading.selecting(reference)) as write:
            found = reading.resolve(write.connection, reference, write.rows[0])
            return _change(write, found, operation(write, found))


def _change(
    write: Write, before: StoredVersion | None, after: StoredVersion, replaced: str | None = None
) -> VersionChange:
    return VersionChange(after.version, before.version if before else None, replaced, write.written > 0)


def _register(write: Write, found: StoredVersion, facts: Facts | None, evidence: Evidence | None) -> StoredVersion:
    found = registration.register(write, found, facts or Facts())
    return found if evidence is None else registration.attach_evidence(write, found, evidence)


# Events that change nothing: a training run that was begun, or was not worth its cost, leaves no version, and that it
# was considered is history all the same. Of all other actions the events tell of changes, which no note may pretend.
NOTES = (Action.RETRAIN, Action.REPRODUCE, Action.DESCRIBE)


def write_note(
    write: Write,
    action: Action,
    *,
    subject: str | None,
    reason: str | None,
    details: Mapping[str, Any],
    expect: int | None,
) -> Event:
    """With `expect`, the position of the newest note of this action that the caller has seen (0: none), it is a
    compare-and-swap: of two who decided upon the same history, one is refused."""
    if action not in NOTES:
        raise InvalidInputError(f"`{action}` is no note, but a change of its own. Notes are {listed(map(str, NOTES))}.")
    asked = {"chain": write.chain, "model": write.chain, "actor": "", "action": action.value, "limit": 1}
    rows = reading.events(action=True).rows(write.connection, **asked)
    seen = stored.read_event(rows[0]).position if rows else 0
    if expect is not None and seen != expect:
        raise ConflictError(
            f"{write.chain}: somebody else noted `{action}` since this was decided (event {seen} of its history). "
            f"Nothing was done. Look at `pedigree history {write.chain}`, and call again."
        )
    return write.log(action.value, subject, reason=reason, details=clean_values(details))
