"""From what the artifacts of a run say to the registry's graph. A run that is repeated adds only what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison import Comparison, Data
from tfx_pedigree.errors import NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.graph import Fragment, Node, NodeKind
from tfx_pedigree.lineage.node_factory import decision_node, version_node
from tfx_pedigree.lineage.recording import Recorded
from tfx_pedigree.lineage.run_graph import (
    Deployment,
    Judged,
    PipelineRun,
    Seen,
    fragment_of,
    merged,
    without_secrets,
)
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Evidence, Reference, VersionQuestions
from tfx_pedigree.service.runs.judgement import is_made_of
from tfx_pedigree.service.runs.mlmd_lookup import ArtifactPlace, look_up
from tfx_pedigree.service.runs.push import reserved_version
from tfx_pedigree.service.workspace import Workspace


@dataclass(frozen=True)
class ObservedRun:
    """What the artifacts of a run say. `record` is version.json; `evidence` is the comparison's, of which only the
    registry knows what became of it."""

    record: Mapping[str, Any]
    seen: Seen = field(default_factory=Seen)
    seen_evaluated: Seen = field(default_factory=Seen)
    run: PipelineRun = field(default_factory=PipelineRun)
    modules: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    comparison: Comparison | None = None
    evidence: Evidence | None = None
    evaluated_on: tuple[Data, ...] = ()
    deployment: Deployment | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    diff: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> Reference:
        return Reference(self.record["model"], self.record["digest"])

    @property
    def version_key(self) -> str:
        return version_node(self.record["model"], self.record["digest"]).key

    @property
    def run_node(self) -> Node:
        return next(node for node in self.fragment(None).nodes if node.kind is NodeKind.RUN)

    def fragment(self, judged: Judged | None, predecessor: str | None = None) -> Fragment:
        return fragment_of(
            self.record,
            predecessor=predecessor,
            comparison=self.comparison,
            evaluated_on=self.evaluated_on,
            judged=judged,
            deployment=self.deployment,
            modules=self.modules,
            image=self.image,
            seen=self.seen,
            seen_evaluated=self.seen_evaluated,
            run=self.run,
            recipe=self.recipe,
            diff=self.diff,
        )

    def without_registry(self, elsewhere: Fragment) -> Fragment:
        """As far as the artifacts themselves know it, joined with what was seen elsewhere."""
        own = self.fragment(Judged(self.evidence) if self.evidence else None)
        return without_secrets(merged([own, elsewhere]))


@dataclass(frozen=True)
class RunLineage:
    """`recorded` is None where the registry did not take it; `fragment` is then as far as the artifacts know it.
    `problem` says why something is missing."""

    run: ObservedRun
    fragment: Fragment
    recorded: Recorded | None
    problem: PedigreeError | None = None

    def document(self) -> dict[str, Any]:
        """lineage.json."""
        nodes = {node.key: node for node in self.fragment.nodes}
        complete = self.run.run.incomplete is None
        return Subgraph((self.run.version_key,), nodes, self.fragment.edges, complete=complete).to_json()


def record_run(
    open_workspace: Callable[[], AbstractContextManager[Workspace]],
    observed: ObservedRun,
    mlmd: str = "",
    artifacts: Iterable[ArtifactPlace] = (),
) -> RunLineage:
    """What the artifacts say, joined with what ML Metadata knows of them, if it is asked. Raises nothing that is due
    to a service: what could not be read or recorded is the outcome's problem."""
    known = look_up(mlmd, artifacts, observed.run_node)
    observed = replace(observed, run=known.marked(observed.run))
    try:
        with open_workspace() as workspace:
            fragment, recorded = _record(workspace, observed, known.fragment)
    except PedigreeError as error:
        return RunLineage(observed, observed.without_registry(known.fragment), None, _explained(error, observed))
    return RunLineage(observed, fragment, recorded, known.problem)


def _record(workspace: Workspace, observed: ObservedRun, elsewhere: Fragment) -> tuple[Fragment, Recorded]:
    """Joined with what was seen `elsewhere`, and what of both was new."""
    registry, lineage = workspace.registry, workspace.lineage
    version = reserved_version(registry, observed.reference)
    observed = replace(observed, run=_first_told(lineage, observed))
    own = observed.fragment(_judged(workspace, observed), _predecessor(registry, observed))
    fragment = without_secrets(merged([own, elsewhere]))
    return fragment, lineage.record(fragment, model=version.model)


def _explained(error: PedigreeError, observed: ObservedRun) -> PedigreeError:
    """What a rerun does, for who finds this at the end of a failed run."""
    if not isinstance(error, UnavailableError):
        return error
    name = f"{observed.record['model']} {observed.record['version']}"
    return UnavailableError(
        f"The lineage of {name} was not recorded: {error} Run the pipeline again: the version keeps its number, "
        "nothing is promoted twice, and the lineage is recorded then."
    )


def _first_told(lineage: LineageApi, observed: ObservedRun) -> PipelineRun:
    """The runner's name for the run that made the version. One that only repeats it made nothing."""
    before = _recorded_before(lineage, observed.run_node)
    return replace(observed.run, id=None) if before is not None and before.fact("id") else observed.run


def _judged(workspace: Workspace, observed: ObservedRun) -> Judged | None:
    """What the registry keeps is what decided: with a blessing that was withheld, or from an earlier run. That one was
    told of by its own recorder, unless it died."""
    kept, own = workspace.registry.evidence(observed.reference), observed.evidence
    if kept is None:
        return Judged(own) if own else None
    if own is None or is_made_of(kept, own):
        return Judged(kept)
    told = _recorded_before(workspace.lineage, decision_node(observed.record["model"], kept.digest))
    return None if told else Judged(kept, here=False)


def _recorded_before(lineage: LineageApi, node: Node) -> Node | None:
    try:
        return lineage.find(node.key)
    except NotFoundError:
        return None


def _predecessor(registry: VersionQuestions, observed: ObservedRun) -> str | None:
    number = observed.record.get("predecessor")
    if not number:
        return None
    try:
        return registry.get(Reference(observed.record["model"], number)).digest
    except NotFoundError:
        return None
