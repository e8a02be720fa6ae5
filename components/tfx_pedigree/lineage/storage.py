"""Rows of the graph: adding them, and fetching them in batches by id. What rows mean is not known here.

Rows are added in the order of their keys, and in the same order of tables, by everybody: two who add the same rows at
once wait for each other at most once and in one direction, so that neither fails.

What a question reads in great number is read by statements that are written out once for each database, and comes as
the driver gives it: to put a statement together and to wrap its rows took longer than to execute it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import parse_json
from tfx_pedigree.errors import DamagedError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind

BATCH = 2000
# Looked up rather than made: a large answer has a million of each.
EDGE_KINDS = {kind.value: kind for kind in EdgeKind}
_KINDS = {kind.value: kind for kind in NodeKind}
T = TypeVar("T")

_N = schema.lineage_nodes.c


_OFF = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit")


@contextlib.contextmanager
def by_index(connection: Connection) -> Iterator[None]:
    """For questions about the graph, PostgreSQL goes by index whatever it believes of the tables' sizes, and sorts
    nothing that an index has in order. Its statistics are missing or old just after an import, and then it would read
    all of a graph to answer about ten nodes."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(sa.select(*(sa.func.set_config(name, "off", True) for name in _OFF)))
    yield
    connection.execute(sa.select(*(sa.func.set_config(name, None, True) for name in _OFF)))


@contextlib.contextmanager
def as_usual(connection: Connection) -> Iterator[None]:
    """For questions about other tables, within such a transaction: PostgreSQL may sort their few rows. Else it would
    walk all of a history that an index has in order."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(sa.select(sa.func.set_config("enable_sort", "on", True)))
    yield
    connection.execute(sa.select(sa.func.set_config("enable_sort", "off", True)))


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


# Reading


class StoredNode(NamedTuple):
    """A node as it is kept. `facts` are pairs of name and value as JSON, `edges` what leads from the node: kind, id of
    the target and key of the run, as JSON; both may be None where there are none."""

    id: int
    key: str
    kind: str
    content: str
    facts: str | None
    edges: str | None


# Source, kind and target of an edge, by id.
Step = tuple[int, EdgeKind, int]


def among(
    connection: Connection, column: sa.Column[Any], values: Collection[int] | Collection[str]
) -> sa.ColumnElement[bool]:
    """`column IN (…)` with all the values in one parameter: thousands of parameters take longer than the rows."""
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.func.any(sa.bindparam(None, list(values), type_=sa.ARRAY(column.type)))


def fetch(connection: Connection, statement: str, ids: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that takes ids, as the driver gives them."""
    return list(itertools.chain.from_iterable(fetch_parts(connection, statement, ids)))


def fetch_parts(connection: Connection, statement: str, ids: Iterable[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """The same, so many rows at a time."""
    parameter = json.dumps(list(ids)) if connection.dialect.name == "sqlite" else list(ids)
    with connection.exec_driver_sql(statement, (parameter,)) as result:
        cursor = cast("Any", result).cursor
        while rows := cursor.fetchmany(BATCH):
            yield rows


@functools.cache
def given(dialect: str) -> str:
    """The ids that a statement is executed with, as a table to select from, in their order."""
    if dialect == "sqlite":
        return "(SELECT value AS id FROM json_each(?)) AS given"
    return "unnest(CAST(%s AS bigint[])) AS given(id)"


def joined(dialect: str, table: str, column: str, alias: str, to: str = "given") -> str:
    """Each row of `to` beside the rows of a table whose `column` is its `id`.

    PostgreSQL may look into any index that holds the column, also into all of one that begins with another, and with
    statistics from the middle of an import it does. Looked up by range, one id after the other and in the column's
    order, only the index that begins with it will do.
    """
    if dialect == "sqlite":
        return f"CROSS JOIN {table} AS {alias} ON {alias}.{column} = {to}.id"
    return f"CROSS JOIN LATERAL {_rows(dialect, table, column, f'{to}.id')} AS {alias}"


def _rows(dialect: str, table: str, column: str, wanted: str) -> str:
    if dialect == "sqlite":
        return f"(SELECT * FROM {table} WHERE {column} = {wanted})"  # noqa: S608  names of our own, as below
    return f"(SELECT * FROM {table} WHERE {column} BETWEEN {wanted} AND {wanted} ORDER BY {column} OFFSET 0)"  # noqa: S608


@functools.cache
def _nodes_by_id(dialect: str) -> str:
    """One row a node, its facts and edges in it: a database makes a text of them sooner than a row of each."""
    every, pair, text = (
        ("json_group_array", "json_array", "") if dialect == "sqlite" else ("json_agg", "json_build_array", "::text")
    )
    facts = _rows(dialect, "lineage_facts", "node_id", "n.id")
    edges = _rows(dialect, "lineage_edges", "source_id", "n.id")
    run = "(SELECT r.key FROM lineage_nodes AS r WHERE r.id = e.run_id)"
    return (
        f"SELECT n.id, n.key, n.kind, n.content,"  # noqa: S608
        f" (SELECT {every}({pair}(f.name, f.value)){text} FROM {facts} AS f),"
        f" (SELECT {every}({pair}(e.kind, e.target_id, {run})){text} FROM {edges} AS e)"
        f" FROM {given(dialect)} {joined(dialect, 'lineage_nodes', 'id', 'n')}"
    )


@functools.cache
def _values_by_id(dialect: str, table: str, column: str, values: str) -> str:
    return f"SELECT {values} FROM {given(dialect)} {joined(dialect, table, column, 'x')}"  # noqa: S608


def ids_of(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Ids by key of those that are there."""
    found: dict[str, int] = {}
    for batch in batches(keys):
        query = sa.select(_N.key, _N.id).where(among(connection, _N.key, batch))
        found.update((key, node_id) for key, node_id in connection.execute(query))
    return found


def keys_of(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    statement = _values_by_id(connection.dialect.name, "lineage_nodes", "id", "x.id, x.key")
    return {node_id: key for batch in batches(ids) for node_id, key in fetch(connection, statement, batch)}


def of_kinds(connection: Connection, ids: Iterable[int], kinds: Collection[NodeKind]) -> dict[int, NodeKind]:
    """Those of the nodes that are of these kinds."""
    statement = _values_by_id(connection.dialect.name, "lineage_nodes", "id", "x.id, x.kind")
    rows = (row for batch in batches(ids) for row in fetch(connection, statement, batch))
    return {node_id: _KINDS[kind] for node_id, kind in rows if kind in kinds}


def stored(connection: Connection, ids: Iterable[int]) -> Iterator[StoredNode]:
    """Nodes as they are kept, in the order of the ids. DamagedError where a row is not what its key says."""
    statement = _nodes_by_id(connection.dialect.name)
    for batch in batches(ids):
        for row in fetch(connection, statement, batch):
            if key_of(row[2], row[3]) != row[1]:
                raise DamagedError(
                    f"The lineage node {row[1][:20]}… was altered: its content has another digest. "
                    "Restore the registry's database from a backup."
                )
            yield StoredNode._make(row)


def load(connection: Connection, ids: Iterable[int]) -> dict[int, Node]:
    """Whole nodes by id."""
    return {row.id: node_of(row) for row in stored(connection, ids)}


def node_of(row: StoredNode) -> Node:
    facts: dict[str, tuple[str, ...]] = {}
    for name, value in sorted(json.loads(row.facts) if row.facts else ()):
        facts[name] = (*facts[name], value) if name in facts else (value,)
    node = Node(_KINDS[row.kind], parse_json(row.content), facts)
    node.__dict__["key"] = row.key  # just computed; the node itself would parse and sort everything again
    return node


def links(row: StoredNode) -> list[tuple[str, int, str | None]]:
    """Kind, target's id and run's key of the edges that lead from a node."""
    return json.loads(row.edges) if row.edges else []


def edges_of(rows: Iterable[StoredNode], keys: Mapping[int, str]) -> Iterator[Edge]:
    """The edges that begin at these nodes and end at any that `keys` has, by id.

    They are looked for where they begin: what a node came from was settled when it was made, while what comes of it,
    of a champion or a commit, grows for ever.
    """
    for row in rows:
        for kind, target, run in links(row):
            if target in keys:
                yield Edge(row.key, EDGE_KINDS[kind], keys[target], run)


def key_of(kind: str, content: str) -> str:
    """`Node.key`, from the content as canonical JSON."""
    hashed = f'{{"content":{content},"kind":"{kind}"}}'
    return f"{kind}:{hashlib.sha256(hashed.encode()).hexdigest()}"


# Adding


@dataclass(frozen=True)
class NodeRow:
    """A node ready to be written: its key computed, its content canonical."""

    key: str
    kind: str
    content: str
    facts: Mapping[str, tuple[str, ...]]


def add_nodes(
    connection: Connection, rows: Sequence[NodeRow], known: Mapping[str, int], now: datetime, actor: str
) -> tuple[dict[str, int], list[str]]:
    """The ids of all of them, and the keys of those that were not there before. `known` are ids that need no looking
    up."""
    keys = {row.key for row in rows}
    ids = {key: known[key] for key in keys & known.keys()}
    ids |= ids_of(connection, sorted(keys - ids.keys()))
    missing = {row.key: row for row in rows if row.key not in ids}
    values = [(key, row.kind, row.content, now, actor) for key, row in sorted(missing.items())]
    added = _insert(connection, schema.lineage_nodes, 1, values)
    ids |= ids_of(connection, sorted(missing))
    return ids, [row[0] for row in added]


def add_facts(connection: Connection, rows: Iterable[NodeRow], ids: Mapping[str, int]) -> list[tuple[int, str, str]]:
    """Those that were not there before: node's id, name and value."""
    facts = {(ids[row.key], name, value) for row in rows for name, values in row.facts.items() for value in values}
    return _insert(connection, schema.lineage_facts, 3, sorted(facts))


def add_edges(
    connection: Connection, edges: Iterable[Edge], ids: Mapping[str, int]
) -> list[tuple[int, int, str, int | None]]:
    """Those that were not there before: source, target, kind and run. The run of an edge that is there already stays as
    it was."""
    runs = {(ids[e.source], ids[e.target], e.kind.value): ids[e.run] if e.run else None for e in edges}
    return _insert(connection, schema.lineage_edges, 3, [(*edge, runs[edge]) for edge in sorted(runs)])


def _insert(connection: Connection, table: sa.Table, keys: int, rows: list[Any]) -> list[Any]:
    """Inserts what is not there and says what that was. The first `keys` values of a row are its identity."""
    if not rows:
        return []
    columns = [column for column in table.c if column.name != "id"]
    names = [column.name for column in columns]
    if connection.dialect.name == "sqlite":
        # Nobody else writes now, so that what is missing stays missing until it is inserted.
        there = _there(connection, table, columns[:keys], rows)
        missing = [row for row in rows if tuple(row[:keys]) not in there]
        if missing:
            connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in missing])
        return missing
    # Columns as arrays: one statement that tells what it added, and takes a third of the time of many.
    arrays = ", ".join(f"CAST(:{c.name} AS {c.type.compile(connection.dialect)}[])" for c in columns)
    insert = (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
        f"ON CONFLICT DO NOTHING RETURNING {', '.join(names[:keys])}"
    )
    values = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    added = {tuple(row) for row in connection.execute(sa.text(insert), values)}
    return [row for row in rows if tuple(row[:keys]) in added]


def _there(connection: Connection, table: sa.Table, columns: Sequence[sa.Column[Any]], rows: list[Any]) -> set[Any]:
    same = " AND ".join(f"t.{c.name} = json_extract(g.value, '$[{n}]')" for n, c in enumerate(columns))
    names = ", ".join(f"t.{c.name}" for c in columns)
    statement = f"SELECT {names} FROM json_each(?) AS g CROSS JOIN {table.name} AS t ON {same}"  # noqa: S608
    return {row for batch in batches(rows) for row in fetch(connection, statement, [r[: len(columns)] for r in batch])}
