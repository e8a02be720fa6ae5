"""A large answer piece by piece: nodes and edges as they are read, and in memory no more of them than a batch.

Of all nodes of the answer only the numbers are held, to know which edges stay inside: eight bytes each, and 40 more
while they are sorted.
"""

from __future__ import annotations

import bisect
import itertools
from array import array
from collections.abc import Iterator, Mapping

from sqlalchemy.engine import Connection

from tfx_pedigree.lineage import storage, version_status, walking
from tfx_pedigree.lineage.graph import Edge, Node, NodeKind, Way


def stream(connection: Connection, start: Node, depth: int | None, way: Way) -> Iterator[Node | Edge]:
    """Each node once, followed by the edges that lead from it; in no particular order. The same nodes and edges as
    `walking.walk` finds, with the promotions."""
    found = storage.ids_of(connection, [start.key]).get(start.key)
    ids, inner = _ids(connection, found, depth, way)
    if found is None:
        graph = version_status.with_promotions(connection, walking.walk(connection, start, depth, way), depth, way)
        yield from graph.nodes.values()
        yield from graph.edges
        return
    for batch in storage.batches(ids):
        rows = list(storage.stored(connection, batch))
        inside = {target for row in rows for _, target, _ in storage.links(row) if _holds(ids, target)}
        keys = storage.keys_of(connection, sorted(inside))
        versions: dict[str, Node] = {}
        for row in rows:
            node = storage.node_of(row)
            yield node
            yield from storage.edges_of([row], keys)
            if node.kind is NodeKind.VERSION:
                versions[node.key] = node
        if way is not Way.UP:
            yield from _promotions(connection, versions, ids, inner)


def _promotions(
    connection: Connection, versions: Mapping[str, Node], ids: array[int], inner: array[int]
) -> Iterator[Node | Edge]:
    for batch in storage.batches(version_status.promotions(connection, versions.values())):
        ends = {end for one in batch for end in (one.version, one.decision) if end}
        numbers = {key: found for key, found in storage.ids_of(connection, sorted(ends)).items() if _holds(ids, found)}
        for one in batch:
            edges = one.edges(numbers)
            if any(_holds(inner, numbers[edge.target]) for edge in edges):
                yield one.node
                yield from edges


def _ids(connection: Connection, start: int | None, depth: int | None, way: Way) -> tuple[array[int], array[int]]:
    """Of all nodes, and of those that are less than `depth` steps away."""
    if start is None:
        return array("q"), array("q")
    if depth is None:
        every = array("q")
        for each in way.each:
            every.extend(walking.closure(connection, [start], each))
        every = array("q", (node_id for node_id, _ in itertools.groupby(sorted(every))))
        return every, every
    reached = [walking.levels(connection, start, each, depth) for each in way.each]
    all_ids = {node_id for levels in reached for level in levels for node_id in level}
    near = {node_id for levels in reached for level in levels[:depth] for node_id in level}
    return array("q", sorted(all_ids)), array("q", sorted(near))


def _holds(ids: array[int], node_id: int) -> bool:
    place = bisect.bisect_left(ids, node_id)
    return place < len(ids) and ids[place] == node_id
