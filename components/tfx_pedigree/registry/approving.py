"""Protected models and requests to promote, of a local registry (see `api.Approvals`)."""

from __future__ import annotations

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.registry import approvals, promotion, reading
from tfx_pedigree.registry.api import PAGE, Approvals
from tfx_pedigree.registry.approvals import (
    DAYS,
    PROTECTION,
    ApprovalRequest,
    Days,
    Number,
    Protection,
    ProtectionChange,
    RequestChange,
    protection_in,
)
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.records import Page
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.transactions import Transactions


class LocalApprovals(Approvals):
    transactions: Transactions

    def protection(self, model: str) -> Protection | None:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            return protection_in(PROTECTION.rows(connection, model=model))

    def protect(self, model: str, approvals_needed: int, approvers: str = "reviewer") -> ProtectionChange:
        with self.transactions.changing(model, Action.PROTECT, (PROTECTION, {"model": model})) as write:
            return approvals.protect(write, protection_in(write.rows[0]), approvals_needed, approvers)

    def unprotect(self, model: str, *, reason: str) -> ProtectionChange:
        with self.transactions.changing(model, Action.PROTECT, (PROTECTION, {"model": model})) as write:
            return approvals.unprotect(write, protection_in(write.rows[0]), reason)

    def request_promotion(
        self, reference: str | Reference, *, comment: str | None = None, days: Days = DAYS
    ) -> RequestChange:
        reference = Reference.of(reference)
        asking = promotion.asking(reference)
        with self.transactions.changing(reference.model, Action.REQUEST_PROMOTION, *asking) as write:
            facts = promotion.answered(write.connection, reference, write.rows, write.now)
            version = facts.found.version
            promotion.check_worth_approving(write.connection, facts)
            if facts.protection is None:
                raise ConflictError(
                    f"{version.model} is not protected, so there is nothing to approve. Promote the version with "
                    f"`pedigree promote {version.model}@{version.version}`."
                )
            return approvals.file(write, facts.found, facts.binding, comment, days)

    def approve(self, model: str, number: Number, *, comment: str | None = None) -> RequestChange:
        with self.transactions.changing(model, Action.APPROVE) as write:
            return approvals.approve(write, number, comment)

    def reject(self, model: str, number: Number, *, reason: str) -> RequestChange:
        with self.transactions.changing(model, Action.REJECT) as write:
            return approvals.reject(write, number, reason)

    def approval_request(self, model: str, number: Number) -> ApprovalRequest:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            return approvals.find(connection, model, number, self.transactions.clock()).request

    def approval_requests(
        self, model: str | None = None, *, only_open: bool = True, limit: int = PAGE, after: str | None = None
    ) -> Page[ApprovalRequest]:
        before = None if after is None else reading.read_position(after)
        with self.transactions.reading(model) as connection:
            if model is not None:
                reading.find_model(connection, model)
            found = approvals.page(
                connection, model, only_open=only_open, limit=limit + 1, after=before, at=self.transactions.clock()
            )
        shown = [one.request for one in found[:limit] if one.request.status.is_open or not only_open]
        return Page(tuple(shown), str(found[limit - 1].id) if len(found) > limit else None)
