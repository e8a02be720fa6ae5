"""All that is on file of one version, from registry, lineage and store, for the documents that others ask for."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import NotFoundError, UnavailableError
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.neighbours import Neighbours
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import ChampionPeriod, Event, Evidence, Model, Reference, Signature, Version
from tfx_pedigree.service.versions.version_sheet import version_sheet
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import FileEntry
from tfx_pedigree.versioning import ModelDescription

MOST_EVENTS = 1000


@dataclass(frozen=True)
class Dossier:
    """`files` is None where the store was out of reach. Nodes are those next to the version in the graph, none where
    nothing was recorded. `events` are the version's own, oldest first."""

    model: Model
    version: Version
    description: ModelDescription
    evidence: Evidence | None
    baseline: str | None
    periods: tuple[ChampionPeriod, ...]
    events: tuple[Event, ...]
    signatures: tuple[Signature, ...]
    files: tuple[FileEntry, ...] | None
    data: tuple[Node, ...]
    evaluated_on: tuple[Node, ...]
    code: tuple[Node, ...]
    environments: tuple[Node, ...]
    parameters: tuple[Node, ...]
    runs: tuple[Node, ...]
    preparation: tuple[Node, ...]

    @property
    def recorded(self) -> bool:
        return bool(self.data or self.code or self.environments or self.runs)

    @property
    def packages(self) -> dict[str, str]:
        """Of all environments in which the version was made, by name."""
        found: dict[str, str] = {}
        for node in self.environments:
            packages = node.content.get("packages")
            if isinstance(packages, dict):
                found |= {str(name): str(version) for name, version in packages.items()}
        return dict(sorted(found.items()))


def gather(workspace: Workspace, reference: str | Reference) -> Dossier:
    registry = workspace.registry
    sheet = version_sheet(registry, reference)
    version = sheet.version
    exact = Reference(version.model, version.version)
    around = Neighbours.of(workspace.lineage.around(str(exact)), version_node(version.model, version.digest).key)
    code = around.targets(EdgeKind.BUILT_BY)
    preparation = (*around.targets(EdgeKind.CONFORMS_TO), *around.targets(EdgeKind.TRANSFORMED_BY))
    events = registry.history(version.model, version.version, limit=MOST_EVENTS).items
    return Dossier(
        registry.model(version.model),
        version,
        sheet.description,
        sheet.evidence,
        sheet.baseline,
        sheet.reigns,
        tuple(reversed(events)),
        registry.signatures(exact),
        _files(workspace, version),
        around.targets(EdgeKind.TRAINED_ON),
        around.evaluation_data,
        tuple(sorted(code, key=lambda node: node.kind is not NodeKind.CODE)),
        around.targets(EdgeKind.RAN_IN),
        around.targets(EdgeKind.CONFIGURED_BY),
        around.targets(EdgeKind.PRODUCED_BY),
        preparation,
    )


def _files(workspace: Workspace, version: Version) -> tuple[FileEntry, ...] | None:
    try:
        return workspace.store.manifest(version.digest).files
    except (NotFoundError, UnavailableError):
        return None
