"""Roles and the audit of a local registry (see `api.Administration`)."""

from __future__ import annotations

from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import grants
from tfx_pedigree.registry.anchor import Anchor, AuditReport
from tfx_pedigree.registry.api import Administration
from tfx_pedigree.registry.records import Grant, RoleChange
from tfx_pedigree.registry.roles import EVERYWHERE, Action
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.role import Role
from tfx_pedigree.text import format_timestamp


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

    def verify_audit(self, anchor: Anchor | None = None, progress: Progress = silent) -> AuditReport:
        from tfx_pedigree.registry import audit  # noqa: PLC0415  a room of its own, which hardly any command enters

        with self.transactions.reading(None) as connection:
            return audit.verify(connection, anchor, progress)

    def anchor(self) -> Anchor:
        from tfx_pedigree.registry import audit  # noqa: PLC0415  a room of its own, which hardly any command enters

        with self.transactions.reading(None) as connection:
            return audit.take_anchor(connection, format_timestamp(self.transactions.clock()))
