"""Reads what an explanation and a difference are made from: a version, its part of the graph, and its own history.

In a registry's and a graph's own words, so that nothing here knows a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.differences import Side
from tfx_pedigree.lineage.explain import ExplanationInput
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind, Subgraph
from tfx_pedigree.registry import Event, Reference, Registry, Version

if TYPE_CHECKING:
    from tfx_pedigree.lineage.lineage import Lineage

_PAGE = 200
# A version, what went into it, and what went into that.
_DEPTH = 2
_JUDGES = (EdgeKind.EVALUATES, EdgeKind.DECIDES_ON)


def version_of(lineage: Lineage, named: Node | str) -> Version:
    """The registry's version that a text or a node means. What else is in the graph is no version, and is refused."""
    if isinstance(named, str) and ":" not in named.partition("@")[0]:
        return lineage.registry.get(named)
    node = lineage.find(named) if isinstance(named, str) else named
    if node.kind is not NodeKind.VERSION:
        raise InvalidInputError(
            f"{wording.label(node)} is no version of a model. See which versions have to do with it with "
            f"`pedigree impact {wording.handle(node)}`."
        )
    return lineage.registry.get(Reference(str(node.content["model"]), str(node.content["digest"])))


def known(lineage: Lineage, named: Node | str) -> ExplanationInput:
    version = version_of(lineage, named)
    registry, exact = lineage.registry, Reference(version.model, version.version)
    evidence = registry.evidence(exact)
    side = side_of(lineage, version)
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


def side_of(lineage: Lineage, version: Version) -> Side:
    """What the version came from, two steps far; what came of it, one step far; and what its judges looked at."""
    node = lineage.find(f"{version.model}@{version.digest}")
    below = lineage.get_downstream(node, 1)
    judges = [edge.source for edge in below.edges if edge.target == node.key and edge.kind in _JUDGES]
    parts = [
        lineage.get_upstream(node, _DEPTH),
        below,
        *(lineage.get_upstream(key, 1) for key in dict.fromkeys(judges)),
    ]
    return Side(node.key, _joined(node.key, parts))


def _joined(start: str, parts: list[Subgraph]) -> Subgraph:
    nodes = {key: node for part in parts for key, node in part.nodes.items()}
    edges = {edge: edge for part in parts for edge in part.edges}
    return Subgraph((start,), nodes, tuple(edges.values()), complete=False)


def _events(registry: Registry, version: Version) -> tuple[Event, ...]:
    found: list[Event] = []
    after = None
    while True:
        page = registry.history(version.model, version.version, limit=_PAGE, after=after)
        found += page.items
        if page.next is None:
            return tuple(reversed(found))
        after = page.next


def _causes(registry: Registry, events: tuple[Event, ...]) -> dict[int, Event]:
    """Who takes a champion's place is told by the event right after the one that tells of its end."""
    found: dict[int, Event] = {}
    for event in events:
        if event.action == "replace":
            page = registry.history(event.chain, limit=1, after=str(event.position + 2))
            found.update((event.position, one) for one in page.items if one.position == event.position + 1)
    return found


def _by_digest(registry: Registry, model: str, digest: str) -> Version | None:
    try:
        return registry.get(Reference(model, digest))
    except NotFoundError:
        return None
