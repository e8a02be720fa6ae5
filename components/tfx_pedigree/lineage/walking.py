"""Walking the graph: what a node came from, what came of it, and the shortest way between two.

Without a limit one recursive query finds the nodes; with one, a query a level does, so that each node is met at its
smallest depth. Both end on cycles. Whatever is fetched, is fetched by index and belongs to the answer or lies one step
beside it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.cycles import find_cycles
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, Subgraph

# What came of a node can be without end, what it came from cannot: a step down counts as many steps up.
_DOWN_COSTS = 8
_E = schema.lineage_edges.c
# Source, kind and target of an edge, by id.
Step = tuple[int, EdgeKind, int]


class Way(Enum):
    UP = "up"
    DOWN = "down"
    BOTH = "both"


def walk(connection: Connection, start: Node, depth: int | None, way: Way) -> Subgraph:
    """The start is part of the answer, and all of it where it was never recorded."""
    if depth is not None and depth < 0:
        raise InvalidInputError(f"A depth of {depth} reaches nothing. Give 0 or more, or none for all there is.")
    found = storage.ids_of(connection, [start.key]).get(start.key)
    if found is None:
        return Subgraph((start.key,), {start.key: start}, (), {start.key: 0})
    ways = (Way.UP, Way.DOWN) if way is Way.BOTH else (way,)
    ids: set[int] = set()
    levels: dict[Way, list[set[int]]] = {}
    for each in ways:
        if depth is None:
            ids.update(connection.execute(sa.select(_closure(connection, [found], each).c.id)).scalars())
        else:
            levels[each] = _levels(connection, found, each, depth)
            ids.update(*levels[each])
    nodes = storage.load(connection, sorted(ids))
    keys = {node_id: node.key for node_id, node in nodes.items()}
    edges = tuple(sorted(storage.edges_among(connection, keys), key=lambda e: (e.source, e.kind.value, e.target)))
    depths = _depths(start.key, edges, ways)
    ordered = sorted(nodes.values(), key=lambda node: (depths[node.key], node.key))
    return Subgraph(
        start=(start.key,),
        nodes={node.key: node for node in ordered},
        edges=edges,
        depth={node.key: depths[node.key] for node in ordered},
        complete=not any(_leads_further(connection, levels[each], each, keys, edges) for each in levels),
        cycles=tuple(find_cycles(keys.values(), edges)),
    )


def steps(
    connection: Connection, ids: Iterable[int], way: Way, kinds: Collection[EdgeKind] | None = None
) -> Iterator[Step]:
    """All edges that lead up from these nodes, or down to them; of these kinds, if any are given."""
    here, _ = _columns(way)
    edges = storage.rows_at(connection, here).c
    query = sa.select(edges.source_id, edges.kind, edges.target_id).where(_of_kinds(edges.kind, kinds))
    for batch in storage.batches(sorted(ids)):
        for source, kind, target in connection.execute(query, storage.these(connection, batch)):
            yield source, storage.EDGE_KINDS[kind], target


def downstream_steps(connection: Connection, starts: Iterable[int], kinds: Collection[EdgeKind]) -> Iterator[Step]:
    """All edges of these kinds that lead, one after the other, to any of the starts, however far.

    The nodes first and their edges then: asked for both at once, some releases of SQLite read every edge there is.
    """
    reached = connection.execute(sa.select(_closure(connection, starts, Way.DOWN, kinds).c.id)).scalars().all()
    return steps(connection, reached, Way.DOWN, kinds)


def upstream_of(connection: Connection, starts: Iterable[int]) -> set[int]:
    """The starts and all that they came from."""
    return set(connection.execute(sa.select(_closure(connection, starts, Way.UP).c.id)).scalars())


def shortest_path(connection: Connection, a: str, b: str) -> tuple[Edge, ...] | None:
    """Between the nodes with these keys: from whichever came later to the other one."""
    if a == b:
        return ()
    ids = storage.ids_of(connection, [a, b])
    if len(ids) < 2:
        return None
    ways = (_way(connection, ids[a], ids[b]), _way(connection, ids[b], ids[a]))
    found = min((way for way in ways if way), key=len, default=None)
    return _edges_along(connection, found) if found else None


def _columns(way: Way) -> tuple[sa.Column[int], sa.Column[int]]:
    """Where a step begins and where it ends."""
    return (_E.source_id, _E.target_id) if way is Way.UP else (_E.target_id, _E.source_id)


def _closure(
    connection: Connection, starts: Iterable[int], way: Way, kinds: Collection[EdgeKind] | None = None
) -> sa.CTE:
    """The ids of all nodes that are reached, the starts among them. The union ends on cycles."""
    here, there = _columns(way)
    node = schema.lineage_nodes.c.id
    first = sa.select(node).where(storage.among(connection, node, sorted(starts)))
    reached = first.cte("reached", recursive=True)
    joined, edges = storage.following(connection, reached, here)
    step = sa.select(edges.c[there.name]).select_from(joined).where(_of_kinds(edges.c.kind, kinds))
    return reached.union(step)


def _of_kinds(column: sa.ColumnElement[str], kinds: Collection[EdgeKind] | None) -> sa.ColumnElement[bool]:
    return sa.true() if kinds is None else column.in_(sorted(kind.value for kind in kinds))


def _levels(connection: Connection, start: int, way: Way, depth: int) -> list[set[int]]:
    """The nodes that are 0, 1, 2 … steps away, up to `depth` or to the end."""
    levels, seen = [{start}], {start}
    here, there = _columns(way)
    query = sa.select(storage.rows_at(connection, here).c[there.name]).distinct()
    while levels[-1] and len(levels) <= depth:
        found: set[int] = set()
        for batch in storage.batches(sorted(levels[-1])):
            found.update(connection.execute(query, storage.these(connection, batch)).scalars())
        levels.append(found - seen)
        seen |= found
    return levels


def _leads_further(
    connection: Connection, levels: list[set[int]], way: Way, keys: Mapping[int, str], edges: Iterable[Edge]
) -> bool:
    """Whether anything lies beyond the last level that the answer does not hold. As many steps as stay inside it are
    counted beforehand: one more is enough to know, and no hub is fetched whole."""
    ids = {key: node_id for node_id, key in keys.items()}
    inside: dict[int, list[int]] = {}
    for edge in edges:
        here, there = (edge.source, edge.target) if way is Way.UP else (edge.target, edge.source)
        inside.setdefault(ids[here], []).append(ids[there])
    column, other = _columns(way)
    walked = set().union(*levels[:-1])
    last = levels[-1]
    while last:
        for batch in storage.batches(sorted(last)):
            stay = sum(len(inside.get(node_id, ())) for node_id in batch)
            query = sa.select(storage.rows_at(connection, column).c[other.name]).limit(stay + 1)
            if len(connection.execute(query, storage.these(connection, batch)).all()) > stay:
                return True
        walked |= last
        # Nodes of the answer that only the other way led to: on a cycle, more may lie behind them.
        last = {there for node_id in last for there in inside.get(node_id, ())} - walked
    return False


def _depths(start: str, edges: Iterable[Edge], ways: Iterable[Way]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for way in ways:
        nexts: dict[str, list[str]] = {}
        for edge in edges:
            here, there = (edge.source, edge.target) if way is Way.UP else (edge.target, edge.source)
            nexts.setdefault(here, []).append(there)
        steps_to, queue = {start: 0}, deque([start])
        while queue:
            key = queue.popleft()
            for each in nexts.get(key, ()):
                if each not in steps_to:
                    steps_to[each] = steps_to[key] + 1
                    queue.append(each)
        for key, number in steps_to.items():
            depths[key] = min(number, depths.get(key, number))
    return depths


def _way(connection: Connection, later: int, earlier: int) -> list[int] | None:
    """The nodes of a shortest way up, both ends included: sought from both ends at once, level by level."""
    came: dict[Way, dict[int, int | None]] = {Way.UP: {later: None}, Way.DOWN: {earlier: None}}
    front: dict[Way, set[int]] = {Way.UP: {later}, Way.DOWN: {earlier}}
    while front[Way.UP] and front[Way.DOWN]:
        way = Way.UP if len(front[Way.UP]) <= _DOWN_COSTS * len(front[Way.DOWN]) else Way.DOWN
        found: dict[int, int] = {}
        for source, _, target in steps(connection, front[way], way):
            whence, whither = (source, target) if way is Way.UP else (target, source)
            if whither not in came[way]:
                found[whither] = min(whence, found.get(whither, whence))
        came[way].update(found)
        front[way] = set(found)
        meeting = found.keys() & came[Way.DOWN if way is Way.UP else Way.UP].keys()
        if meeting:
            middle = min(meeting)
            return [*reversed(_back(came[Way.UP], middle)), *_back(came[Way.DOWN], middle)[1:]]
    return None


def _back(came: Mapping[int, int | None], node: int) -> list[int]:
    way, at = [node], came[node]
    while at is not None:
        way.append(at)
        at = came[at]
    return way


def _edges_along(connection: Connection, ids: list[int]) -> tuple[Edge, ...]:
    """Of several edges between the same two nodes, the first that carries."""
    keys = storage.keys_of(connection, ids)
    between: dict[tuple[str, str], Edge] = {}
    found = storage.edges_among(connection, keys)
    for edge in sorted(found, key=lambda e: (not e.kind.carries, e.kind.value)):
        between.setdefault((edge.source, edge.target), edge)
    return tuple(between[keys[source], keys[target]] for source, target in itertools.pairwise(ids))
