"""Which nodes belong to one making: a run, what it made, and what nobody but it used. Pure.

What several makings share (a month of data, a commit) belongs to none and stays outside their boxes, because it is what
connects them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tfx_pedigree.lineage.graph import Edge, EdgeKind, NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph

# What came of a making later, and is told of it: judgements, promotions and deployments go where their version is.
_ABOUT = (
    EdgeKind.EVALUATES,
    EdgeKind.DECIDES_ON,
    EdgeKind.PROMOTES,
    EdgeKind.DEPLOYS,
)
_MADE_ONCE = frozenset(
    {
        NodeKind.VERSION,
        NodeKind.TRANSFORM,
        NodeKind.EVALUATION,
        NodeKind.COMPARISON,
        NodeKind.DECISION,
        NodeKind.DEPLOYMENT,
        NodeKind.PROMOTION,
    }
)
_SMALLEST = 2


def fold(graph: Subgraph) -> dict[str, str]:
    """The run's key for each node that belongs to one. Makings of a single node are left as they are."""
    homes = _made(graph)
    for edge in graph.edges:
        if edge.kind in _ABOUT and edge.target in homes and edge.source not in homes:
            homes[edge.source] = homes[edge.target]
    homes |= _used_by_one(graph, homes)
    members: dict[str, int] = defaultdict(int)
    for run in homes.values():
        members[run] += 1
    return {key: run for key, run in homes.items() if members[run] >= _SMALLEST and key in graph.nodes}


def _made(graph: Subgraph) -> dict[str, str]:
    """A run itself, and what only it linked to what it came from."""
    linking: dict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        run = edge.target if edge.kind is EdgeKind.PRODUCED_BY else edge.run
        if run is not None:
            linking[edge.source].add(run)
    homes = {key: key for key, node in graph.nodes.items() if node.kind in (NodeKind.RUN, NodeKind.EXECUTION)}
    for key, runs in linking.items():
        node = graph.nodes.get(key)
        if len(runs) == 1 and node is not None and node.kind in (*_MADE_ONCE, NodeKind.ARTIFACT):
            homes.setdefault(key, next(iter(runs)))
    return homes


def _used_by_one(graph: Subgraph, homes: Mapping[str, str]) -> dict[str, str]:
    """Inputs that lead into one making only; who is asked about is never hidden in another's box."""
    users: dict[str, set[str | None]] = defaultdict(set)
    for edge in _towards(graph.edges, homes):
        users[edge.target].add(homes.get(edge.source))
    return {
        key: run
        for key, runs in users.items()
        if len(runs) == 1 and key not in graph.start and (run := next(iter(runs))) is not None
    }


def _towards(edges: Iterable[Edge], homes: Mapping[str, str]) -> Iterable[Edge]:
    return (edge for edge in edges if edge.target not in homes)
