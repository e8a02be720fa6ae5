"""What an ML Metadata store knows of pipelines, brought into the lineage graph. Nothing is written there."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tfx_pedigree.extras import not_installed
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.service.workspace import Workspace

if TYPE_CHECKING:
    from tfx_pedigree.mlmd import Imported


@dataclass(frozen=True)
class MlmdImport:
    """`source` names the store, without its password; `whole` where all of it was asked for."""

    source: str
    whole: bool
    found: Imported


def import_mlmd(
    workspace: Workspace,
    source: str,
    *,
    pipeline: str | None = None,
    since: datetime | None = None,
    digests: bool = False,
    dry_run: bool = False,
    progress: Progress = silent,
) -> MlmdImport:
    """Only what is new is added. With `digests`, models, schemas and transform graphs are known by the files that still
    lie there."""
    if importlib.util.find_spec("ml_metadata") is None:
        raise not_installed(
            "ML Metadata (packages for Python 3.10 and 3.11, and for 3.12 and 3.13 where glibc is 2.39 or newer) is",
            "lineage",
        )
    # Only now: they need the package.
    from tfx_pedigree.mlmd import ArtifactFiles, Selection, connect, import_store  # noqa: PLC0415
    from tfx_pedigree.mlmd.artifact_files import versions_in  # noqa: PLC0415

    registry, selection = workspace.database("An import from ML Metadata"), Selection(pipeline, since)
    with connect(source) as reader:
        files = ArtifactFiles(digests=digests, versions=versions_in(registry))
        found = import_store(reader, Lineage(registry), selection, files=files, dry_run=dry_run, progress=progress)
        return MlmdImport(reader.shown, selection.is_all, found)
