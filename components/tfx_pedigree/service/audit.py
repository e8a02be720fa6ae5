"""Whether the registry and its lineage are what the log tells, and an anchor of the log kept where others own it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.verifying import GraphReport
from tfx_pedigree.progress import Progress
from tfx_pedigree.registry import Administration, Anchor, AuditReport, RegistryApi
from tfx_pedigree.service.judging.replaying import Replays, replay_all
from tfx_pedigree.text import plural
from tfx_pedigree.versioning.git_anchor import tag_anchor


@dataclass(frozen=True)
class AuditFindings:
    """Of the rows and events, of the lineage graph, and of the decisions on file."""

    log: AuditReport
    lineage: GraphReport
    replays: Replays

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.log.problems, *self.lineage.problems, *(str(one) for one in self.replays.others if one.wrong))

    @property
    def not_on_file(self) -> tuple[str, ...]:
        """Decisions that cannot be made again, though nothing is wrong: what they follow from is not on file."""
        return tuple(str(one) for one in self.replays.others if not one.wrong)

    def to_json(self) -> dict[str, Any]:
        told = {"ok": not self.problems, "problems": list(self.problems), "lineage": self.lineage.to_json()}
        return {**self.log.to_json(), **told, "replays": self.replays.to_json()}


@dataclass(frozen=True)
class AnchorTag:
    """`changed` is False where the same anchor was kept there before."""

    changed: bool
    tag: str
    digest: str
    logs: int

    def to_json(self) -> dict[str, Any]:
        return {"changed": self.changed, "tag": self.tag, "digest": self.digest}


def verify_audit(
    registry: RegistryApi,
    lineage: LineageApi,
    anchor: Anchor | None,
    watching: Callable[[str], AbstractContextManager[Progress]],
) -> AuditFindings:
    """`watching` gives the progress of each part, which counts "events", "nodes" and "decisions". Decisions are made
    again only where the rows can be believed."""
    with watching("events") as progress:
        log = registry.verify_audit(anchor, progress)
    with watching("nodes") as progress:
        graph = lineage.verify(progress)
    with watching("decisions") as progress:
        return AuditFindings(log, graph, replay_all(registry, progress=progress) if log.ok else Replays(0, ()))


def anchor_text(anchor: Anchor) -> str:
    """As it is kept, in a file or in git."""
    return json.dumps(anchor.to_json(), indent=2) + "\n"


def keep_in_git(registry: Administration, repository: Path) -> AnchorTag:
    anchor = registry.anchor()
    message = f"Anchor of {plural(len(anchor.heads), 'log')} of the registry {anchor.registry}"
    tag, new = tag_anchor(repository, anchor.digest, anchor_text(anchor), message)
    return AnchorTag(new, tag, anchor.digest, len(anchor.heads))
