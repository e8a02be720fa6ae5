"""`pedigree.lineage/1`: a subgraph as JSON, which docs/lineage.md describes. Law: `from_json(to_json(s)) == s`.

The law holds for what an edge does not compare as well: the run that linked it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind, Subgraph

if TYPE_CHECKING:
    from tfx_pedigree.lineage.impact import Affected, Impact

FORMAT = "pedigree.lineage/1"


def render(graph: Subgraph) -> str:
    return json.dumps(to_json(graph), indent=2, ensure_ascii=False) + "\n"


def to_json(graph: Subgraph) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "start": list(graph.start),
        "complete": graph.complete,
        "nodes": [{**node_json(node), "depth": graph.depth.get(key)} for key, node in graph.nodes.items()],
        "edges": [edge_json(edge) for edge in graph.edges],
        "cycles": [list(cycle) for cycle in graph.cycles],
    }


def node_json(node: Node) -> dict[str, Any]:
    return {
        "key": node.key,
        "kind": node.kind.value,
        "label": wording.label(node),
        "content": dict(node.content),
        "facts": {name: list(values) for name, values in node.facts.items()},
    }


def edge_json(edge: Edge) -> dict[str, Any]:
    return {"source": edge.source, "kind": edge.kind.value, "target": edge.target, "run": edge.run}


def impact_json(impact: Impact) -> dict[str, Any]:
    return {
        "start": [node_json(node) for node in impact.start],
        "versions": [_affected(one) for one in impact.versions],
        "deployments": [node_json(node) for node in impact.deployments],
    }


def _affected(one: Affected) -> dict[str, Any]:
    """`state` and `reigns` are null for a version that this registry does not know."""
    standing = one.standing
    return {
        "node": node_json(one.node),
        "model": one.node.content.get("model"),
        "version": standing.version if standing else one.node.fact("version"),
        "how": one.how,
        "path": [edge_json(edge) for edge in one.path],
        "state": standing.state.value if standing else None,
        "in_production": bool(standing and standing.in_production),
        "reigns": [reign.to_json() for reign in standing.reigns] if standing else None,
    }


def from_json(data: Any) -> Subgraph:
    """Refuses what is not whole, and a node whose key is not that of its content."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise InvalidInputError(f"This is no lineage that Pedigree wrote: its `format` must be {FORMAT!r}.")
    try:
        nodes = {item["key"]: _node(item) for item in data["nodes"]}
        return Subgraph(
            tuple(map(str, data["start"])),
            nodes,
            tuple(_edge(item, nodes) for item in data["edges"]),
            {item["key"]: int(item["depth"]) for item in data["nodes"] if item["depth"] is not None},
            bool(data["complete"]),
            tuple(tuple(map(str, cycle)) for cycle in data["cycles"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"The lineage cannot be read ({type(error).__name__}: {error}). docs/lineage.md describes the fields."
        ) from None


def _node(item: Mapping[str, Any]) -> Node:
    facts = {str(name): tuple(map(str, values)) for name, values in item["facts"].items()}
    node = Node(NodeKind(item["kind"]), dict(item["content"]), facts)
    if node.key != item["key"]:
        raise ValueError(f"the node {item['key']} holds another content than its key says")
    return node


def _edge(item: Mapping[str, Any], nodes: Mapping[str, Node]) -> Edge:
    edge = Edge(item["source"], EdgeKind(item["kind"]), item["target"], item["run"])
    if edge.source not in nodes or edge.target not in nodes:
        raise ValueError(f"an edge leads from {edge.source} to {edge.target}, of which one is no node here")
    return edge
