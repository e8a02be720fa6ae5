"""From what was gathered to the registry's graph. A run that is repeated adds only what is new. Free of TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison import Comparison, Data
from tfx_pedigree.errors import NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.lineage.exports.json_form import to_json
from tfx_pedigree.lineage.graph import Fragment, Node, NodeKind, Subgraph
from tfx_pedigree.lineage.lineage import Lineage
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
from tfx_pedigree.registry import Evidence, Reference, Registry
from tfx_pedigree.tfx_components.registry_pusher.judgement import is_made_of
from tfx_pedigree.tfx_components.registry_pusher.outcome import known


@dataclass(frozen=True)
class Gathered:
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
        )

    def without_registry(self, elsewhere: Fragment) -> Fragment:
        """As far as the artifacts themselves know it, joined with what was seen elsewhere."""
        own = self.fragment(Judged(self.evidence) if self.evidence else None)
        return without_secrets(merged([own, elsewhere]))


def record(registry: Registry, gathered: Gathered, elsewhere: Fragment) -> tuple[Fragment, Recorded]:
    """Joined with what was seen `elsewhere`, and what of both was new."""
    version = known(registry, gathered.reference)
    lineage = Lineage(registry)
    gathered = replace(gathered, run=_first_told(lineage, gathered))
    own = gathered.fragment(_judged(lineage, gathered), _predecessor(registry, gathered))
    fragment = without_secrets(merged([own, elsewhere]))
    return fragment, lineage.record(fragment, model=version.model)


def written(gathered: Gathered, fragment: Fragment) -> dict[str, Any]:
    """lineage.json."""
    nodes = {node.key: node for node in fragment.nodes}
    complete = gathered.run.incomplete is None
    return to_json(Subgraph((gathered.version_key,), nodes, fragment.edges, complete=complete))


def explained(error: PedigreeError, gathered: Gathered) -> PedigreeError:
    """What a rerun does, for who finds this at the end of a failed run."""
    if not isinstance(error, UnavailableError):
        return error
    name = f"{gathered.record['model']} {gathered.record['version']}"
    return UnavailableError(
        f"The lineage of {name} was not recorded: {error} Run the pipeline again: the version keeps its number, "
        "nothing is promoted twice, and the lineage is recorded then."
    )


def _first_told(lineage: Lineage, gathered: Gathered) -> PipelineRun:
    """The runner's name for the run that made the version. One that only repeats it made nothing."""
    before = _recorded_before(lineage, gathered.run_node)
    return replace(gathered.run, id=None) if before is not None and before.fact("id") else gathered.run


def _judged(lineage: Lineage, gathered: Gathered) -> Judged | None:
    """What the registry keeps is what decided: with a blessing that was withheld, or from an earlier run. That one was
    told of by its own recorder, unless it died."""
    kept, own = lineage.registry.evidence(gathered.reference), gathered.evidence
    if kept is None:
        return Judged(own) if own else None
    if own is None or is_made_of(kept, own):
        return Judged(kept)
    told = _recorded_before(lineage, decision_node(gathered.record["model"], kept.digest))
    return None if told else Judged(kept, here=False)


def _recorded_before(lineage: Lineage, node: Node) -> Node | None:
    try:
        return lineage.find(node.key)
    except NotFoundError:
        return None


def _predecessor(registry: Registry, gathered: Gathered) -> str | None:
    number = gathered.record.get("predecessor")
    if not number:
        return None
    try:
        return registry.get(Reference(gathered.record["model"], number)).digest
    except NotFoundError:
        return None
