"""The lineage of one model as a table of its archive: one JSON object a line, the nodes before the edges.

    {"kind": "data", "content": {…}, "facts": {"span": ["3"]}}
    {"source": "version:…", "edge": "trained_on", "target": "data:…", "run": "run:…"}

With the model go all that its versions came from, and what judged or deployed them. Keys are not believed: an edge
whose ends are not the keys of the nodes, computed again, is a sign of an altered archive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import parse_json
from tfx_pedigree.errors import DamagedError
from tfx_pedigree.lineage import storage, walking
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import Registry

_JUDGING = (EdgeKind.EVALUATES, EdgeKind.RESTS_ON, EdgeKind.DECIDES_ON, EdgeKind.DEPLOYS)


class LineageOfModel:
    """What `registry.transfer` sends along with a model."""

    name = "lineage"

    def read(self, registry: Registry, model: str) -> bytes:
        with registry.reading(None) as connection:
            storage.prepare_reading(connection)
            nodes = storage.load(connection, sorted(_belonging(connection, model)))
            keys = {node_id: node.key for node_id, node in nodes.items()}
            edges = sorted(storage.edges_among(connection, keys))
            # A run that linked two nodes need not be upstream of either.
            runs = storage.ids_of(connection, sorted({e.run for e in edges if e.run} - set(keys.values())))
            nodes |= storage.load(connection, sorted(runs.values()))
        rows = [_node_json(node) for node in sorted(nodes.values(), key=lambda node: node.key)]
        return b"".join(_line(row) for row in (*rows, *(_edge_json(edge) for edge in edges)))

    def check(self, content: bytes) -> None:
        _fragment(content)

    def write(self, registry: Registry, content: bytes, source: str) -> None:
        with Lineage(registry).importing(source) as importer:
            importer.add(_fragment(content))


def _belonging(connection: Connection, model: str) -> set[int]:
    m, v = schema.models.c, schema.model_versions.c
    query = sa.select(v.digest).join(schema.models, m.id == v.model_id).where(m.name == model)
    keys = [version_node(model, digest).key for digest in connection.execute(query).scalars()]
    versions = storage.ids_of(connection, sorted(keys)).values()
    judged = set(versions)
    for batch in storage.batches(sorted(versions)):
        judged.update(source for source, _, _ in walking.downstream_steps(connection, batch, _JUDGING))
    found: set[int] = set()
    for batch in storage.batches(sorted(judged)):
        found |= walking.upstream_of(connection, batch)
    return found


def _node_json(node: Node) -> dict[str, Any]:
    facts = {name: list(values) for name, values in node.facts.items()}
    return {"kind": node.kind.value, "content": dict(node.content), "facts": facts}


def _edge_json(edge: Edge) -> dict[str, Any]:
    return {"source": edge.source, "edge": edge.kind.value, "target": edge.target, "run": edge.run}


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _fragment(content: bytes) -> Fragment:
    try:
        rows = [parse_json(line) for line in content.splitlines()]
        nodes = tuple(_nodes(rows))
        edges = tuple(Edge(r["source"], EdgeKind(r["edge"]), r["target"], r["run"]) for r in rows if "edge" in r)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"The archive's lineage cannot be read: {error!r}. Nothing was imported.") from error
    keys = {node.key for node in nodes}
    for edge in edges:
        if not {edge.source, edge.target, edge.run or edge.source} <= keys:
            raise DamagedError(
                f"The archive's lineage was altered: an edge ({edge.kind}) leads to a node that is not in it. "
                "Nothing was imported; export it again."
            )
    return Fragment(nodes, edges)


def _nodes(rows: Iterable[Mapping[str, Any]]) -> Iterator[Node]:
    for row in rows:
        if "edge" not in row:
            facts = {str(name): tuple(map(str, values)) for name, values in row["facts"].items()}
            yield Node(NodeKind(row["kind"]), dict(row["content"]), facts)
