"""The neighbours of a node within an answer, by the kind of the edge, in both directions. Pure."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.lineage.wording import order

_NOTHING = Subgraph((), {}, ())


class Adjacency:
    """Neighbours in a stable order: by kind, then as people count."""

    def __init__(self, graph: Subgraph) -> None:
        self.nodes = graph.nodes
        self._out: dict[str, list[Edge]] = defaultdict(list)
        self._in: dict[str, list[Edge]] = defaultdict(list)
        for edge in graph.edges:
            # An edge whose other end a limit left out says nothing that could be shown.
            if edge.source in self.nodes and edge.target in self.nodes:
                self._out[edge.source].append(edge)
                self._in[edge.target].append(edge)

    def up(self, key: str) -> list[Edge]:
        """Edges to what the node came from."""
        return sorted(self._out.get(key, ()), key=lambda edge: (_RANK[edge.kind], order(self.nodes[edge.target])))

    def down(self, key: str) -> list[Edge]:
        """Edges from what came of the node."""
        return sorted(self._in.get(key, ()), key=lambda edge: (_RANK[edge.kind], order(self.nodes[edge.source])))

    def targets(self, key: str, kind: EdgeKind) -> tuple[Node, ...]:
        return tuple(self.nodes[edge.target] for edge in self.up(key) if edge.kind is kind)

    def sources(self, key: str, kind: EdgeKind) -> tuple[Node, ...]:
        return tuple(self.nodes[edge.source] for edge in self.down(key) if edge.kind is kind)


class Neighbours:
    """The neighbours of one node."""

    def __init__(self, graph: Adjacency, key: str) -> None:
        self.graph = graph
        self.key = key

    @classmethod
    def of(cls, graph: Subgraph | None, key: str) -> Neighbours:
        return cls(Adjacency(graph or _NOTHING), key)

    def targets(self, kind: EdgeKind) -> tuple[Node, ...]:
        return self.graph.targets(self.key, kind)

    def sources(self, kind: EdgeKind) -> tuple[Node, ...]:
        return self.graph.sources(self.key, kind)

    @cached_property
    def evaluation_data(self) -> tuple[Node, ...]:
        """What the version was measured on, each once."""
        found = {
            node.key: node
            for evaluation in self.sources(EdgeKind.EVALUATES)
            for node in self.graph.targets(evaluation.key, EdgeKind.EVALUATED_ON)
        }
        return tuple(sorted(found.values(), key=order))

    @property
    def judging(self) -> tuple[str, ...]:
        judges = (*self.sources(EdgeKind.EVALUATES), *self.sources(EdgeKind.DECIDES_ON))
        return tuple(node.key for node in (*judges, *self.evaluation_data))

    @property
    def using(self) -> tuple[str, ...]:
        return tuple(
            node.key
            for kind in (EdgeKind.PROMOTES, EdgeKind.DEPLOYS, EdgeKind.SUPERSEDES)
            for node in self.sources(kind)
        )


_RANK = {kind: rank for rank, kind in enumerate(EdgeKind)}
