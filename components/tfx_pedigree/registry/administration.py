"""Roles and the audit of a local registry (see `api.Administration`)."""

from __future__ import annotations

from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import audit, grants, reading
from tfx_pedigree.registry.api import PAGE, Administration
from tfx_pedigree.registry.audit import Anchor, AuditReport
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.records import Grant, Judgement, Page, RoleChange
from tfx_pedigree.registry.roles import EVERYWHERE, Action, Role
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.text import format_timestamp

# No key of a row is larger.
NEWEST = 2**62


class LocalAdministration(Administration):
    transactions: Transactions

    def grants(self) -> tuple[Grant, ...]:
        with self.transactions.reading(None) as connection:
            return grants.grants(connection)

    def grant(self, principal: str, role: Role, scope: str = EVERYWHERE) -> RoleChange:
        with self.transactions.administering(Action.GRANT) as write:
            return grants.grant(write, principal, role, scope)

    def revoke(self, principal: str, scope: str = EVERYWHERE) -> RoleChange:
        with self.transactions.administering(Action.GRANT) as write:
            return grants.revoke(write, principal, scope)

    def require(self, action: Action, model: str | None = None) -> None:
        self.transactions.require(action, model)

    def role(self, model: str | None = None) -> Role | None:
        return self.transactions.role(model)

    def judgements(self, model: str, *, limit: int = PAGE, after: str | None = None) -> Page[Judgement]:
        before = NEWEST if after is None else reading.read_position(after)
        with self.transactions.reading(model) as connection:
            found = reading.find_model(connection, model)
            rows = reading.JUDGEMENTS.rows(connection, id=found.id, before=before, limit=limit + 1)
        items = tuple(Judgement(row[1], Evidence.from_text(row[2]), *row[3:5]) for row in rows[:limit])
        return Page(items, str(rows[limit - 1][0]) if len(rows) > limit else None)

    def verify_audit(self, anchor: Anchor | None = None, progress: Progress = silent) -> AuditReport:
        with self.transactions.reading(None) as connection:
            return audit.verify(connection, anchor, progress)

    def anchor(self) -> Anchor:
        with self.transactions.reading(None) as connection:
            return audit.take_anchor(connection, format_timestamp(self.transactions.clock()))
