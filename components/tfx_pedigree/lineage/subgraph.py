"""A piece of the graph as an answer: what was reached from where, and how far away it is.

Its JSON form is `pedigree.lineage/1`, which docs/lineage.md describes. Law: `from_json(to_json(s)) == s`. It holds for
what an edge does not compare as well: the run that linked it.
"""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Layout, read, to_json
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import IN_ORDER, Edge, EdgeKind, Node, NodeKind

if TYPE_CHECKING:
    import networkx

FORMAT = "pedigree.lineage/1"


@dataclass(frozen=True)
class NodeForm:
    """A node as answers show it: with its key, and with a label for people."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    key: str
    kind: NodeKind
    label: str
    content: Mapping[str, Any]
    facts: Mapping[str, tuple[str, ...]]

    @staticmethod
    def of(node: Node) -> NodeForm:
        return NodeForm(node.key, node.kind, wording.label(node), dict(node.content), node.facts)

    @property
    def node(self) -> Node:
        """Refused where its key is not that of its content."""
        found = Node(self.kind, self.content, self.facts)
        if found.key != self.key:
            raise InvalidInputError(f"The lineage cannot be read: {self.key} holds another content than its key says.")
        return found


@dataclass(frozen=True)
class _PlacedNode(NodeForm):
    depth: int | None


@dataclass(frozen=True)
class EdgeForm:
    """An edge as answers show it."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    source: str
    kind: EdgeKind
    target: str
    run: str | None

    @staticmethod
    def of(edge: Edge) -> EdgeForm:
        return EdgeForm(edge.source, edge.kind, edge.target, edge.run)

    @property
    def edge(self) -> Edge:
        return Edge(self.source, self.kind, self.target, self.run)


@dataclass(frozen=True)
class _Form:
    JSON: ClassVar[Layout] = Layout(format=FORMAT, whole=True)

    start: tuple[str, ...]
    complete: bool
    nodes: tuple[_PlacedNode, ...]
    edges: tuple[EdgeForm, ...]
    cycles: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Subgraph:
    """An answer. `depth` says how many steps a node is away from the start; `complete` is False where a limit on the
    depth left something out; `cycles` are ways that lead back to where they began, which only foreign data can have."""

    start: tuple[str, ...]
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    depth: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    cycles: tuple[tuple[str, ...], ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        placed = (_PlacedNode(**vars(NodeForm.of(node)), depth=self.depth.get(key)) for key, node in self.nodes.items())
        edges = tuple(EdgeForm.of(edge) for edge in self.edges)
        found: dict[str, Any] = to_json(_Form(self.start, self.complete, tuple(placed), edges, self.cycles))
        return found

    @classmethod
    def from_json(cls, data: object) -> Subgraph:
        """Refuses what is not whole, an edge that leads out of it, and a node whose key is not that of its content."""
        form = read(_Form, data, "the lineage")
        nodes = {one.key: one.node for one in form.nodes}
        for edge in form.edges:
            if not {edge.source, edge.target} <= nodes.keys():
                raise InvalidInputError(
                    f"The lineage cannot be read: an edge leads from {edge.source} to {edge.target}, "
                    "and one of them is no node here."
                )
        depth = {one.key: one.depth for one in form.nodes if one.depth is not None}
        return cls(form.start, nodes, tuple(one.edge for one in form.edges), depth, form.complete, form.cycles)

    @classmethod
    def lazy(
        cls, start: tuple[str, ...], nodes: Mapping[str, Node], complete: bool, **later: Callable[[Subgraph], Any]
    ) -> Subgraph:
        """With `edges`, `depth` and `cycles` as functions that are called when somebody looks: a large answer takes
        longer to be put into objects than to be read."""
        found = cls.__new__(cls)
        found.__dict__.update(start=start, nodes=nodes, complete=complete, _later=later)
        return found

    def extended(self, nodes: Mapping[str, Node], edges: Iterable[Edge], *, complete: bool) -> Subgraph:
        """With nodes that came of some of this, and the edges from them."""
        more = tuple(edges)

        def depth(_: Subgraph) -> dict[str, int]:
            near: dict[str, int] = {}
            for edge in more:
                near[edge.source] = min(near.get(edge.source, sys.maxsize), self.depth[edge.target] + 1)
            return {**self.depth, **near}

        return Subgraph.lazy(
            self.start,
            ChainMap(dict(nodes), cast("dict[str, Node]", self.nodes)),
            complete,
            edges=lambda _: tuple(sorted((*self.edges, *more), key=IN_ORDER)),
            depth=depth,
            cycles=lambda _: self.cycles,
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            later = self.__dict__.get("_later", {}).get(name)
            if later is None:
                raise AttributeError(name)
            value = self.__dict__[name] = later(self)
            return value

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Edges lead as in the graph itself, from later to earlier; `kind` and `facts` are attributes."""
        import networkx  # noqa: PLC0415  a quarter of a second, for those who want it

        graph = networkx.MultiDiGraph()
        for key, node in self.nodes.items():
            graph.add_node(key, kind=node.kind.value, content=dict(node.content), facts=dict(node.facts))
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, key=edge.kind.value, run=edge.run)
        return graph
