"""Rows of the graph: adding them, and fetching them in batches by id. What rows mean is not known here.

Rows are added in the order of their keys, and in the same order of tables, by everybody: two who add the same rows at
once wait for each other at most once and in one direction, so that neither fails.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import parse_json
from tfx_pedigree.errors import DamagedError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind

BATCH = 500
# Looked up rather than made: a large answer has a million of each.
EDGE_KINDS = {kind.value: kind for kind in EdgeKind}
_KINDS = {kind.value: kind for kind in NodeKind}
T = TypeVar("T")

_N = schema.lineage_nodes.c
_F = schema.lineage_facts.c
_E = schema.lineage_edges.c


def prepare_reading(connection: Connection) -> None:
    """Until the transaction ends, PostgreSQL goes by index whatever it believes of the tables' sizes, and sorts nothing
    that an index has in order. Its statistics are missing or old just after an import, and then it would read all of a
    graph to answer about ten nodes."""
    if connection.dialect.name == "postgresql":
        off = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit")
        connection.execute(sa.select(*(sa.func.set_config(name, "off", True) for name in off)))


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    found: list[T] = []
    for item in items:
        found.append(item)
        if len(found) == size:
            yield found
            found = []
    if found:
        yield found


# Reading


def among(
    connection: Connection, column: sa.Column[Any], values: Collection[int] | Collection[str]
) -> sa.ColumnElement[bool]:
    """`column IN (…)` with all the values in one parameter: thousands of parameters take longer than the rows."""
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.func.any(sa.bindparam(None, list(values), type_=sa.ARRAY(column.type)))


def following(
    connection: Connection, given: sa.FromClause, column: sa.Column[Any]
) -> tuple[sa.FromClause, sa.FromClause]:
    """To select from: each row of `given` beside the rows whose `column` is its `id`; and what has their columns.

    PostgreSQL may look into any index that holds the column, also into all of one that begins with another, and with
    statistics from the middle of an import it does. Looked up by range, one id after the other and in the column's
    order, only the index that begins with it will do.
    """
    return _following(connection.dialect.name, given, column)


def _following(dialect: str, given: sa.FromClause, column: sa.Column[Any]) -> tuple[sa.FromClause, sa.FromClause]:
    table = column.table
    if dialect == "sqlite":
        return given.join(table, column == given.c.id), table
    rows = sa.select(table).where(column.between(given.c.id, given.c.id)).order_by(column).offset(0).lateral()
    return given.join(rows, sa.true()), rows


def rows_at(connection: Connection, column: sa.Column[Any]) -> sa.FromClause:
    """The rows whose `column` is one of some ids, to select from; read by the index that begins with it. The statement
    is executed with `these(connection, ids)`."""
    return _rows_at(connection.dialect.name, column)


@functools.cache
def _rows_at(dialect: str, column: sa.Column[Any]) -> sa.FromClause:
    """Made once: to put it together takes longer than to execute it."""
    if dialect == "sqlite":
        each = sa.func.json_each(sa.bindparam("ids", type_=sa.Text)).table_valued("value")
        return sa.select(column.table).where(column.in_(sa.select(each.c.value))).subquery()
    ids = sa.func.unnest(sa.bindparam("ids", type_=sa.ARRAY(column.type))).table_valued("id").render_derived()
    joined, rows = _following(dialect, ids, column)
    return sa.select(rows).select_from(joined).subquery()


def these(connection: Connection, ids: Collection[int]) -> dict[str, Any]:
    return {"ids": json.dumps(list(ids)) if connection.dialect.name == "sqlite" else list(ids)}


def ids_of(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Ids by key of those that are there."""
    found: dict[str, int] = {}
    for batch in batches(keys):
        query = sa.select(_N.key, _N.id).where(among(connection, _N.key, batch))
        found.update((key, node_id) for key, node_id in connection.execute(query))
    return found


def keys_of(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for batch in batches(ids):
        query = sa.select(_N.id, _N.key).where(among(connection, _N.id, batch))
        found.update((node_id, key) for node_id, key in connection.execute(query))
    return found


def load(connection: Connection, ids: Iterable[int], kind: NodeKind | None = None) -> dict[int, Node]:
    """Whole nodes by id; of one kind, if it is given. DamagedError where a row is not what its key says."""
    found: dict[int, Node] = {}
    for batch in batches(ids):
        query = sa.select(_N.id, _N.key, _N.kind, _N.content).where(among(connection, _N.id, batch))
        rows = connection.execute(query if kind is None else query.where(_N.kind == kind.value)).all()
        facts = _facts(connection, [row[0] for row in rows])
        for node_id, key, kind_of, content in rows:
            found[node_id] = _node(key, kind_of, content, facts.get(node_id, {}))
    return found


def _facts(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, tuple[str, ...]]]:
    found: dict[int, dict[str, tuple[str, ...]]] = {}
    if ids:
        facts = rows_at(connection, _F.node_id).c
        columns = (facts.node_id, facts.name, facts.value)
        for node_id, name, value in connection.execute(sa.select(*columns).order_by(*columns), these(connection, ids)):
            of_node = found.setdefault(node_id, {})
            of_node[name] = (*of_node[name], value) if name in of_node else (value,)
    return found


def _node(key: str, kind: str, content: str, facts: Mapping[str, tuple[str, ...]]) -> Node:
    if key_of(kind, content) != key:
        raise DamagedError(
            f"The lineage node {key[:20]}… was altered: its content has another digest. "
            "Restore the registry's database from a backup."
        )
    node = Node(_KINDS[kind], parse_json(content), facts)
    node.__dict__["key"] = key  # just computed; the node itself would parse and sort everything again
    return node


def key_of(kind: str, content: str) -> str:
    """`Node.key`, from the content as canonical JSON."""
    hashed = f'{{"content":{content},"kind":"{kind}"}}'
    return f"{kind}:{hashlib.sha256(hashed.encode()).hexdigest()}"


def edges_among(connection: Connection, keys: Mapping[int, str]) -> Iterator[Edge]:
    """The edges that begin and end among these nodes (ids and their keys).

    They are looked for where they begin: what a node came from was settled when it was made, while what comes of it,
    of a champion or a commit, grows for ever.
    """
    runs = dict(keys)
    edges = rows_at(connection, _E.source_id).c
    query = sa.select(edges.source_id, edges.kind, edges.target_id, edges.run_id)
    for batch in batches(keys):
        rows = [row for row in connection.execute(query, these(connection, batch)) if row[2] in keys]
        runs.update(keys_of(connection, {row[3] for row in rows if row[3]} - runs.keys()))
        for source, kind, target, run in rows:
            yield Edge(keys[source], EDGE_KINDS[kind], keys[target], runs[run] if run else None)


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
) -> tuple[dict[str, int], int]:
    """The ids of all of them, and how many were not there before. `known` are ids that need no looking up."""
    keys = {row.key for row in rows}
    ids = {key: known[key] for key in keys & known.keys()}
    ids |= ids_of(connection, sorted(keys - ids.keys()))
    missing = {row.key: row for row in rows if row.key not in ids}
    added = _insert(
        connection,
        schema.lineage_nodes,
        [
            {"key": key, "kind": row.kind, "content": row.content, "recorded_at": now, "recorded_by": actor}
            for key, row in sorted(missing.items())
        ],
    )
    ids |= ids_of(connection, sorted(missing))
    return ids, added


def add_facts(connection: Connection, rows: Iterable[NodeRow], ids: Mapping[str, int]) -> int:
    facts = {(ids[row.key], name, value) for row in rows for name, values in row.facts.items() for value in values}
    columns = ("node_id", "name", "value")
    return _insert(connection, schema.lineage_facts, [dict(zip(columns, fact, strict=True)) for fact in sorted(facts)])


def add_edges(connection: Connection, edges: Iterable[Edge], ids: Mapping[str, int]) -> int:
    """The run of an edge that is there already stays as it was."""
    runs = {(ids[e.source], ids[e.target], e.kind.value): ids[e.run] if e.run else None for e in edges}
    columns = ("source_id", "target_id", "kind")
    rows = [{**dict(zip(columns, edge, strict=True)), "run_id": runs[edge]} for edge in sorted(runs)]
    return _insert(connection, schema.lineage_edges, rows)


def _insert(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Inserts what is not there and says how much that was; others may insert the same at the same time."""
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415  only for those who use it

        return connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows).rowcount
    # Columns as arrays: one statement that counts what it added, and takes a third of the time of many.
    columns = [table.c[name] for name in rows[0]]
    arrays = ", ".join(f"CAST(:{c.name} AS {c.type.compile(connection.dialect)}[])" for c in columns)
    names = ", ".join(c.name for c in columns)
    insert = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
    values = {c.name: [row[c.name] for row in rows] for c in columns}
    return connection.execute(sa.text(insert), values).rowcount
