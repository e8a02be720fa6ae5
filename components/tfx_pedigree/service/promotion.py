"""Bringing a version to staging or production: its bytes are read before, outside of any transaction. And the approval
after which that may be done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.errors import DamagedError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import PromotionRequest, Reference, RequestChange, RequestStatus, Version, VersionChange
from tfx_pedigree.service.intake import check_bytes
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import Store


def check_or_heal(store: Store, version: Version, files: Callable[[], AbstractContextManager[Path]] | None) -> bool:
    """Whether the store's bytes were damaged and are whole again, from `files`: a folder that holds the same model."""
    try:
        check_bytes(store, version)
        return False
    except DamagedError:
        if files is None:
            raise
    with files() as folder:
        store.put(folder, heal=True)
    check_bytes(store, version)
    return True


def check_first(workspace: Workspace, version: Version, request: PromotionRequest, progress: Progress = silent) -> None:
    """The role, and then the bytes, of a version that is to move."""
    if version.state is not request.target:
        workspace.registry.require(request.action, version.model)
        check_bytes(workspace.store, version, progress)


def promote(
    workspace: Workspace,
    reference: str | Reference,
    request: PromotionRequest,
    *,
    verify: bool = True,
    progress: Progress = silent,
) -> VersionChange:
    """What `reference` means is looked up once: the version whose bytes were read is the one that moves. Who may not
    promote is told so before gigabytes are read."""
    registry = workspace.registry
    version = registry.get(reference)
    if verify:
        check_first(workspace, version, request, progress)
    return registry.promote(Reference(version.model, version.version), request)


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
