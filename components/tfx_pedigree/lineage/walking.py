"""Walking the graph: what a node came from, what came of it, and the shortest way between two.

Without a limit one recursive query finds the nodes; with one, a query a level does, so that each node is met at its
smallest depth. Both end on cycles. Whatever is fetched, is fetched by index and belongs to the answer or lies one step
beside it.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy.engine import Connection

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.cycles import find_cycles
from tfx_pedigree.lineage.graph import IN_ORDER, Edge, EdgeKind, Node, Way
from tfx_pedigree.lineage.storage import Step, StoredNode
from tfx_pedigree.lineage.subgraph import Subgraph

# What came of a node can be without end, what it came from cannot: a step down counts as many steps up.
_DOWN_COSTS = 8


class StoredNodes(Mapping[str, Node]):
    """The nodes of an answer by key. They are kept as rows, which is as much as was read of them, until somebody
    looks."""

    def __init__(self, rows: Mapping[str, StoredNode]) -> None:
        self._rows = rows
        self._made: dict[str, Node] = {}

    def __getitem__(self, key: str) -> Node:
        node = self._made.get(key)
        if node is None:
            node = self._made[key] = storage.node_of(self._rows[key])
        return node

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def walk(connection: Connection, start: Node, depth: int | None, way: Way) -> Subgraph:
    """The start is part of the answer, and all of it where it was never recorded."""
    if depth is not None and depth < 0:
        raise InvalidInputError(f"A depth of {depth} reaches nothing. Give 0 or more, or none for all there is.")
    found = storage.ids_of(connection, [start.key]).get(start.key)
    if found is None:
        return Subgraph((start.key,), {start.key: start}, (), {start.key: 0})
    if depth is None:
        ids = itertools.chain.from_iterable(closure(connection, [found], each) for each in way.each)
        return answer(start.key, read_rows(connection, ids), way)
    reached = {each: levels(connection, found, each, depth) for each in way.each}
    rows = read_rows(connection, (node_id for each in reached.values() for level in each for node_id in level))
    further = any(_leads_further(connection, reached[each], each, rows.values()) for each in reached)
    return answer(start.key, rows, way, complete=not further)


def read_rows(connection: Connection, ids: Iterable[int]) -> dict[str, StoredNode]:
    """By key, each once, in the order of the ids."""
    return {row.key: row for row in storage.stored(connection, dict.fromkeys(ids))}


def answer(start: str, rows: Mapping[str, StoredNode], way: Way, *, complete: bool = True) -> Subgraph:
    """These nodes and the edges among them."""
    return Subgraph.lazy(
        (start,),
        StoredNodes(rows),
        complete,
        edges=lambda _: tuple(
            sorted(storage.edges_of(rows.values(), {row.id: row.key for row in rows.values()}), key=IN_ORDER)
        ),
        depth=lambda graph: _depths(start, graph.edges, way.each),
        cycles=lambda graph: tuple(find_cycles(graph.nodes, graph.edges)),
    )


def steps(
    connection: Connection, ids: Iterable[int], way: Way, kinds: Collection[EdgeKind] | None = None
) -> Iterator[Step]:
    """All edges that lead up from these nodes, or down to them; of these kinds, if any are given."""
    statement = _steps(connection.dialect.name, way, _names(kinds))
    for batch in storage.batches(sorted(ids)):
        for source, kind, target in storage.fetch(connection, statement, batch):
            yield source, storage.EDGE_KINDS[kind], target


def downstream_steps(connection: Connection, starts: Iterable[int], kinds: Collection[EdgeKind]) -> Iterator[Step]:
    """All edges of these kinds that lead, one after the other, to any of the starts, however far.

    The nodes first and their edges then: asked for both at once, some releases of SQLite read every edge there is.
    """
    return steps(connection, closure(connection, starts, Way.DOWN, kinds), Way.DOWN, kinds)


def closure(
    connection: Connection, starts: Iterable[int], way: Way, kinds: Collection[EdgeKind] | None = None
) -> Iterator[int]:
    """The ids of all nodes that are reached, the starts first and the nearest before the others."""
    statement = _closure(connection.dialect.name, way, _names(kinds))
    for rows in storage.fetch_parts(connection, statement, starts):
        yield from (row[0] for row in rows)


def levels(connection: Connection, start: int, way: Way, depth: int) -> list[set[int]]:
    """The nodes that are 0, 1, 2 … steps away, up to `depth` or to the end."""
    reached, seen = [{start}], {start}
    statement = _nexts(connection.dialect.name, way)
    while reached[-1] and len(reached) <= depth:
        found: set[int] = set()
        for batch in storage.batches(sorted(reached[-1])):
            found.update(row[0] for row in storage.fetch(connection, statement, batch))
        reached.append(found - seen)
        seen |= found
    return reached


def shortest_path(connection: Connection, a: Node, b: Node) -> Subgraph | None:
    """From whichever came later to the other one: nodes and edges in the order of the way."""
    if a.key == b.key:
        return Subgraph((a.key,), {a.key: a}, (), {a.key: 0})
    ids = storage.ids_of(connection, [a.key, b.key])
    if len(ids) < 2:
        return None
    found = _shortest(_Search(connection, ids[a.key], ids[b.key]), _Search(connection, ids[b.key], ids[a.key]))
    if found is None:
        return None
    rows = read_rows(connection, found)
    keys = list(rows)
    edges = _edges_along(rows, keys)
    return Subgraph((keys[0],), StoredNodes(rows), edges, {key: number for number, key in enumerate(keys)})


def _columns(way: Way) -> tuple[str, str]:
    """Where a step begins and where it ends."""
    return ("source_id", "target_id") if way is Way.UP else ("target_id", "source_id")


def _names(kinds: Collection[EdgeKind] | None) -> str:
    """As SQL: they are names of our own."""
    return ", ".join(f"'{kind.value}'" for kind in sorted(kinds or ()))


@functools.cache
def _closure(dialect: str, way: Way, kinds: str) -> str:
    """The union ends on cycles."""
    here, there = _columns(way)
    edges = storage.joined(dialect, "lineage_edges", here, "e", to="reached")
    return (
        f"WITH RECURSIVE reached(id) AS (SELECT given.id FROM {storage.given(dialect)}"  # noqa: S608
        f" UNION SELECT e.{there} FROM reached {edges}{f' WHERE e.kind IN ({kinds})' if kinds else ''})"
        " SELECT id FROM reached"
    )


@functools.cache
def _steps(dialect: str, way: Way, kinds: str) -> str:
    edges = storage.joined(dialect, "lineage_edges", _columns(way)[0], "e")
    return (
        f"SELECT e.source_id, e.kind, e.target_id FROM {storage.given(dialect)} {edges}"  # noqa: S608
        f"{f' WHERE e.kind IN ({kinds})' if kinds else ''}"
    )


@functools.cache
def _nexts(dialect: str, way: Way) -> str:
    here, there = _columns(way)
    return f"SELECT e.{there} FROM {storage.given(dialect)} {storage.joined(dialect, 'lineage_edges', here, 'e')}"  # noqa: S608


def _leads_further(connection: Connection, levels: list[set[int]], way: Way, rows: Collection[StoredNode]) -> bool:
    """Whether anything lies beyond the last level that the answer does not hold. What leads up from a node is known.
    Of what leads down to it as many steps as stay inside are counted beforehand: one more is enough to know, and no
    hub is fetched whole."""
    here = {row.id for row in rows}
    inside: dict[int, list[int]] = {}
    outside = set()
    for row in rows:
        for _, target, _ in storage.links(row):
            if target not in here:
                outside.add(row.id)
            elif way is Way.UP:
                inside.setdefault(row.id, []).append(target)
            else:
                inside.setdefault(target, []).append(row.id)
    statement = _nexts(connection.dialect.name, Way.DOWN)
    walked = set().union(*levels[:-1])
    last = levels[-1]
    while last:
        for batch in storage.batches(sorted(last)) if way is Way.DOWN else ():
            stay = sum(len(inside.get(node_id, ())) for node_id in batch)
            if len(storage.fetch(connection, f"{statement} LIMIT {stay + 1}", batch)) > stay:
                return True
        if way is Way.UP and not outside.isdisjoint(last):
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
            here, there = way.ends(edge)
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


def _shortest(*searches: _Search) -> list[int] | None:
    """Of the ways that they find. They take turns, the one that has met fewer nodes first: mostly there is a way in one
    direction only, and the other search would go through all that ever came before or after."""
    best: list[int] | None = None
    while True:
        going = [one for one in searches if one.goes_on and (best is None or one.steps + 2 < len(best))]
        if not going:
            return best
        found = min(going, key=lambda one: one.met).step()
        best = best if found is None or (best and len(best) <= len(found)) else found


class _Search:
    """For a shortest way up: from both ends at once, level by level."""

    def __init__(self, connection: Connection, later: int, earlier: int) -> None:
        self._connection = connection
        self._came: dict[Way, dict[int, int | None]] = {Way.UP: {later: None}, Way.DOWN: {earlier: None}}
        self._front: dict[Way, set[int]] = {Way.UP: {later}, Way.DOWN: {earlier}}
        self._found = False
        self.steps = 0

    @property
    def goes_on(self) -> bool:
        return bool(self._front[Way.UP] and self._front[Way.DOWN]) and not self._found

    @property
    def met(self) -> int:
        return len(self._came[Way.UP]) + len(self._came[Way.DOWN])

    def step(self) -> list[int] | None:
        """One level further at the end where fewer nodes were met; the way, both ends included, once they meet. An end
        that leads nowhere is soon known to, then, however far the other one leads."""
        came = self._came
        way = Way.UP if len(came[Way.UP]) <= _DOWN_COSTS * len(came[Way.DOWN]) else Way.DOWN
        found: dict[int, int] = {}
        for source, _, target in steps(self._connection, self._front[way], way):
            start, end = (source, target) if way is Way.UP else (target, source)
            if end not in came[way]:
                found[end] = min(start, found.get(end, start))
        came[way].update(found)
        self._front[way] = set(found)
        self.steps += 1
        meeting = found.keys() & came[Way.DOWN if way is Way.UP else Way.UP].keys()
        if not meeting:
            return None
        self._found, middle = True, min(meeting)
        return [*reversed(_back(came[Way.UP], middle)), *_back(came[Way.DOWN], middle)[1:]]


def _back(came: Mapping[int, int | None], node: int) -> list[int]:
    way, at = [node], came[node]
    while at is not None:
        way.append(at)
        at = came[at]
    return way


def _edges_along(rows: Mapping[str, StoredNode], keys: list[str]) -> tuple[Edge, ...]:
    """Of several edges between the same two nodes, the first that carries."""
    between: dict[tuple[str, str], Edge] = {}
    found = storage.edges_of(rows.values(), {row.id: row.key for row in rows.values()})
    for edge in sorted(found, key=lambda e: (not e.kind.carries, e.kind.value)):
        between.setdefault((edge.source, edge.target), edge)
    return tuple(between[ends] for ends in itertools.pairwise(keys))
