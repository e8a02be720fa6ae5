"""The lineage of one model as a table of its archive: one JSON object a line, the nodes before the edges.

    {"kind": "data", "content": {…}, "facts": {"span": ["3"]}}
    {"source": "version:…", "edge": "trained_on", "target": "data:…", "run": "run:…"}

With the model go all that its versions came from, and what judged or deployed them. Keys are not believed: an edge
whose ends are not the keys of the nodes, computed again, is a sign of an altered archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import read as read_form
from tfx_pedigree.json_form import to_json
from tfx_pedigree.lineage import storage, walking
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, Way
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.lineage.recording import Ready, prepare, write_ready
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_text

_JUDGING = (EdgeKind.EVALUATES, EdgeKind.RESTS_ON, EdgeKind.DECIDES_ON, EdgeKind.DEPLOYS)


def read(connection: Connection, model: str) -> Iterator[dict[str, Any]]:
    """The rows of a model's archive."""
    with storage.by_index(connection):
        stored = list(storage.stored(connection, sorted(_belonging(connection, model))))
        keys = {row.id: row.key for row in stored}
        edges = sorted(storage.edges_of(stored, keys))
        nodes = {row.id: storage.node_of(row) for row in stored}
        # A run that linked two nodes need not be upstream of either.
        runs = storage.ids_of(connection, sorted({e.run for e in edges if e.run} - set(keys.values())))
        nodes |= storage.load(connection, sorted(runs.values()))
    yield from (to_json(node) for node in sorted(nodes.values(), key=lambda node: node.key))
    yield from (to_json(edge) for edge in edges)


class Incoming:
    """An archive's rows on their way in. InvalidInputError, with the cause, for what `read` would not have written."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._edges: dict[Edge, None] = {}

    def add(self, row: object) -> None:
        if isinstance(row, Mapping) and "edge" in row:
            edge = read_form(Edge, row, "the edge")
            if not {edge.source, edge.target, edge.run or edge.source} <= self._nodes.keys():
                raise InvalidInputError(f"an edge ({edge.kind}) leads to a node that is not in it.")
            if edge in self._edges:
                raise InvalidInputError("the edge stands there twice.")
            self._edges[edge] = None
            return
        node = read_form(Node, row, "the node")
        if node.key in self._nodes:
            raise InvalidInputError("the node stands there twice.")
        self._nodes[node.key] = node

    def finish(self) -> Ready:
        return prepare(Fragment(tuple(self._nodes.values()), tuple(self._edges)), {})


def write(transaction: Write, ready: Ready, source: str) -> None:
    """Adds what is not here yet, in the transaction in which the model comes."""
    if ready.rows:
        write_ready(transaction, ready, {}, {"source": clean_text(source)})


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
        found.update(walking.closure(connection, batch, Way.UP))
    return found
