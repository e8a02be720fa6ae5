"""Bringing a version to staging or production: its bytes are read before, outside of any transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tfx_pedigree.errors import DamagedError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import PromotionRequest, Reference, Version, VersionChange
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
