"""An approval, and where it was the last that was needed and that is asked for, the promotion."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import PromotionRequest, Reference, RequestChange, RequestStatus, VersionChange
from tfx_pedigree.service.promotion import promote
from tfx_pedigree.service.workspace import Workspace


@dataclass(frozen=True)
class Approved(JsonForm):
    """`promoted` is None where more approvals are needed, or nobody asked for it."""

    change: RequestChange
    promoted: VersionChange | None


def approve(
    workspace: Workspace, model: str, number: int, *, comment: str | None = None, promoting: bool = False
) -> Approved:
    """Two transactions: an approval stays given where the promotion is refused."""
    change = workspace.registry.approve(model, number, comment=comment)
    if not promoting or change.request.status is not RequestStatus.APPROVED:
        return Approved(change, None)
    try:
        return Approved(change, promote(workspace, Reference(model, change.request.version), PromotionRequest()))
    except PedigreeError as error:
        error.args = (f"Your approval counts: {change.request.name} is approved. But {error}",)
        raise
