"""What explanations and differences are made from: a version, its part of the graph, and its own history.

In a registry's and a graph's own words, so that who compares or explains knows no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage import storage, version_status, walking, wording
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind, Way
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import ChampionPeriod, Event, Evidence, Reference, Version, VersionQuestions
from tfx_pedigree.registry.records import LARGEST_PAGE, every

_PAGE = 200
# A version, what went into it, and what went into that.
_DEPTH = 2
_JUDGES = (EdgeKind.EVALUATES, EdgeKind.DECIDES_ON)


@dataclass(frozen=True)
class Side:
    """A version, its node's key, and the part of the graph next to it."""

    key: str
    around: Subgraph


@dataclass(frozen=True)
class ExplanationInput:
    """All that an explanation is made from. `around` is the part of the graph next to the version's node `key`; None
    where nothing was recorded. `baseline` is the version that the evidence compares with, `baseline_evidence` that
    version's own. `causes` are the events that ended a reign, by the position of the event that tells of the end.
    Events are the version's own, oldest first.
    """

    version: Version
    key: str = ""
    around: Subgraph | None = None
    evidence: Evidence | None = None
    baseline: Version | None = None
    baseline_evidence: Evidence | None = None
    reigns: Sequence[ChampionPeriod] = ()
    events: Sequence[Event] = ()
    causes: Mapping[int, Event] = field(default_factory=dict)


def reference_of(node: Node) -> Reference:
    """The registry's version that a node stands for. What else is in the graph is no version, and is refused."""
    if node.kind is not NodeKind.VERSION:
        raise InvalidInputError(
            f"{wording.label(node)} is no version of a model. See which versions have to do with it with "
            f"`pedigree impact {wording.handle(node)}`."
        )
    return Reference(str(node.content["model"]), str(node.content["digest"]))


def explanation_input(registry: VersionQuestions, version: Version, side: Side) -> ExplanationInput:
    exact = Reference(version.model, version.version)
    evidence = registry.evidence(exact)
    events = _events(registry, version)
    baseline = _by_digest(registry, version.model, evidence.champion) if evidence and evidence.champion else None
    return ExplanationInput(
        version,
        side.key,
        side.around,
        evidence,
        baseline=baseline,
        baseline_evidence=registry.evidence(Reference(baseline.model, baseline.version)) if baseline else None,
        reigns=registry.reigns(version.model, version.version, limit=_PAGE),
        events=events,
        causes=_causes(registry, events),
    )


def side_of(connection: Connection, version: Version, *, promotions: bool = False) -> Side:
    """What the version came from, two steps far; what came of it, one step far, with its promotions if they are wanted;
    and what its judges looked at."""
    node = version_node(version.model, version.digest, version=version.version)
    start = storage.ids_of(connection, [node.key]).get(node.key)
    if start is None:
        around = Subgraph((node.key,), {node.key: node}, (), {node.key: 0}, complete=False)
    else:
        ids = set().union(*walking.levels(connection, start, Way.UP, _DEPTH))
        below = list(walking.steps(connection, [start], Way.DOWN))
        judges = {source for source, kind, _ in below if kind in _JUDGES}
        ids.update(source for source, _, _ in below)
        ids.update(target for _, _, target in walking.steps(connection, judges, Way.UP))
        around = walking.answer(node.key, walking.read_rows(connection, sorted(ids)), Way.BOTH, complete=False)
    if promotions:
        made = list(version_status.promotions(connection, [node]))
        edges = [edge for one in made for edge in one.edges(around.nodes)]
        around = around.extended({one.node.key: one.node for one in made}, edges, complete=False)
    return Side(node.key, around)


def _events(registry: VersionQuestions, version: Version) -> tuple[Event, ...]:
    asked = every(lambda after: registry.history(version.model, version.version, limit=LARGEST_PAGE, after=after))
    return tuple(asked)[::-1]


def _causes(registry: VersionQuestions, events: tuple[Event, ...]) -> dict[int, Event]:
    """Who takes a champion's place is told by the event right after the one that tells of its end."""
    found: dict[int, Event] = {}
    for event in events:
        if event.action == "replace":
            page = registry.history(event.chain, limit=1, after=str(event.position + 2))
            found.update((event.position, one) for one in page.items if one.position == event.position + 1)
    return found


def _by_digest(registry: VersionQuestions, model: str, digest: str) -> Version | None:
    try:
        return registry.get(Reference(model, digest))
    except NotFoundError:
        return None
