"""Whether the graph is what was recorded: nodes have their digests, nothing hangs on what is gone, and the rows are
those that the audit log tells of.

Rows are read in pages, so that the memory that this takes does not grow with the graph. The log tells how many rows
were added and what they add up to (`row_sum`). Recordings from before that sum was kept tell only how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.db.inspection import UNREADABLE, any_text
from tfx_pedigree.digest import parse_json
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.lineage import row_sum, storage
from tfx_pedigree.lineage.graph import EdgeKind, NodeKind
from tfx_pedigree.progress import Progress
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.reading import all_chains
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.text import plain

# A content may have a million characters, so pages are small.
_PAGE = 200
# So many problems of a sort are told one by one.
_TOLD = 100
_HINTS = 4

_N = schema.lineage_nodes.c
_F = schema.lineage_facts.c
_E = schema.lineage_edges.c
_EV = schema.events.c
_KINDS = frozenset(kind.value for kind in NodeKind if kind is not NodeKind.PROMOTION)
_EDGE_KINDS = tuple(kind.value for kind in EdgeKind)
_ROWS = {"nodes": schema.lineage_nodes, "facts": schema.lineage_facts, "edges": schema.lineage_edges}


@dataclass(frozen=True)
class GraphReport(JsonForm):
    """How many rows there are, and what is wrong with them, as sentences. Of `unsealed` recordings, which are those of
    older releases, the log tells how many rows they added and not which: while there are any, an exchange of one row
    for another is not seen."""

    nodes: int
    facts: int
    edges: int
    problems: tuple[str, ...]
    unsealed: int = 0

    JSON: ClassVar[Layout] = Layout(also=("ok",))

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class _Told:
    """What the events of the log add up to. `whole` is False where one of them does not say how much it was; `unsealed`
    are those that tell how many rows they added, but not which."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ROWS, 0))
    whole: bool = True
    sum: int = 0
    unsealed: int = 0

    def add(self, details: Mapping[str, Any]) -> None:
        sum_ = row_sum.from_text(details.get("rows"))
        self.sum += sum_ or 0
        self.unsealed += sum_ is None
        for name in _ROWS:
            many = details.get(name)
            if isinstance(many, int) and not isinstance(many, bool):
                self.rows[name] += many
            else:
                self.whole = False


def verify(connection: Connection, progress: Progress) -> GraphReport:
    """Reads every row once; the connection must see one moment throughout."""
    with any_text(connection):
        try:
            return _verify(connection, progress)
        except UNREADABLE as error:
            problem = f"The lineage graph, or what the log tells of it, cannot be read: {plain(str(error), 200)}."
            return GraphReport(0, 0, 0, (problem,))


def _verify(connection: Connection, progress: Progress) -> GraphReport:
    count = sa.func.count()
    there = {
        name: connection.execute(sa.select(count).select_from(table)).scalar_one() for name, table in _ROWS.items()
    }
    told, sums = _told(connection), _Sum()
    problems = [
        *_few(_altered(connection, there["nodes"], progress, sums)),
        *_few(_loose(connection)),
        *_few(_unknown_edges(connection)),
        *_miscounted(there, told),
    ]
    sums.add(row_sum.fact_line(*row) for row in _paged(connection, _facts()))
    sums.add(row_sum.edge_line(*row) for row in _paged(connection, _edges()))
    if not problems and told.whole and not told.unsealed and row_sum.to_text(sums.total) != row_sum.to_text(told.sum):
        problems.append(
            "The lineage graph holds as many rows as the log tells of, but not the same ones: a fact, an edge, or the "
            "time or author of a node was changed. Restore the registry's database from a backup."
        )
    return GraphReport(there["nodes"], there["facts"], there["edges"], tuple(problems), told.unsealed)


class _Sum:
    def __init__(self) -> None:
        self.total = 0

    def add(self, lines: Iterable[str]) -> None:
        self.total = row_sum.row_sum(lines, self.total)


def _facts() -> sa.Select[Any]:
    return sa.select(_N.key, _F.name, _F.value).join(schema.lineage_nodes, _N.id == _F.node_id)


def _edges() -> sa.Select[Any]:
    source, target, run = (schema.lineage_nodes.alias() for _ in range(3))
    return (
        sa.select(source.c.key, _E.kind, target.c.key, run.c.key)
        .select_from(schema.lineage_edges)
        .join(source, source.c.id == _E.source_id)
        .join(target, target.c.id == _E.target_id)
        .outerjoin(run, run.c.id == _E.run_id)
    )


def _paged(connection: Connection, query: sa.Select[Any]) -> Iterator[Any]:
    yield from connection.execute(query.execution_options(yield_per=_PAGE))


def _few(problems: Iterator[str]) -> Iterator[str]:
    """All are counted, and the first ones told: a graph that was rewritten has as many problems as rows."""
    more = 0
    for number, problem in enumerate(problems):
        if number < _TOLD:
            yield problem
        else:
            more += 1
    if more:
        yield f"… and {more:,} more of the same sort in the lineage graph."


def _altered(connection: Connection, total: int, progress: Progress, sums: _Sum) -> Iterator[str]:
    # As it is kept: in SQLite, a cell may hold anything.
    at = sa.type_coerce(_N.recorded_at, sa.Text) if connection.dialect.name == "sqlite" else _N.recorded_at
    query = sa.select(_N.id, _N.key, _N.kind, _N.content, at, _N.recorded_by).order_by(_N.id).limit(_PAGE)
    rows, done = connection.execute(query).all(), 0
    while rows:
        for _, key, kind, content, _, _ in rows:
            if problem := _wrong(key, kind, content):
                yield problem
        sums.add(row_sum.node_line(row[1], row[4], row[5]) for row in rows)
        done += len(rows)
        progress(min(done, total), total, "nodes")
        rows = connection.execute(query.where(_N.id > rows[-1][0])).all()


def _wrong(key: str, kind: str, content: str) -> str | None:
    if storage.key_of(kind, content) != key:
        return f"The lineage node {key} was altered: its content has another digest."
    if kind not in _KINDS:
        return f"The lineage node {key} is of the kind {kind!r}, which nobody records."
    try:
        parsed = parse_json(content)
    except (ValueError, RecursionError):
        parsed = None
    return None if isinstance(parsed, dict) else f"The lineage node {key} was not recorded: its content is no table."


def _loose(connection: Connection) -> Iterator[str]:
    """Nodes that edges and facts name and that are gone, with what is still known of them."""
    naming = sa.union_all(
        *(sa.select(column.label("id")) for column in (_E.source_id, _E.target_id, _F.node_id)),
        sa.select(_E.run_id.label("id")).where(_E.run_id.is_not(None)),
    ).subquery()
    there = sa.exists().where(_N.id == naming.c.id)
    query = sa.select(naming.c.id, sa.func.count()).where(~there).group_by(naming.c.id).order_by(naming.c.id)
    rows = connection.execute(query.execution_options(yield_per=_PAGE))
    for number, (node_id, times) in enumerate(rows):
        hints = _hints(connection, node_id) if number < _TOLD else ""
        yield f"A lineage node is gone (number {node_id}{hints}): edges and facts still name it, {times} in all."


def _hints(connection: Connection, node_id: int) -> str:
    facts = sa.select(_F.name, _F.value).where(_F.node_id == node_id).order_by(_F.name, _F.value).limit(_HINTS)
    known = [f"{name}={value}" for name, value in connection.execute(facts)]
    if known:
        return f"; its facts: {', '.join(known)}"
    near = sa.select(_N.key, _E.kind).join(schema.lineage_edges, _E.source_id == _N.id)
    edge = connection.execute(near.where(_E.target_id == node_id).order_by(_N.key, _E.kind).limit(1)).first()
    return f"; {edge.key} {edge.kind} it" if edge else ""


def _unknown_edges(connection: Connection) -> Iterator[str]:
    source, target = schema.lineage_nodes.alias(), schema.lineage_nodes.alias()
    query = (
        sa.select(source.c.key, _E.kind, target.c.key)
        .select_from(schema.lineage_edges)
        .join(source, source.c.id == _E.source_id)
        .join(target, target.c.id == _E.target_id)
        .where(_E.kind.not_in(_EDGE_KINDS))
        .order_by(source.c.key, _E.kind, target.c.key)
    )
    for before, kind, after in connection.execute(query.execution_options(yield_per=_PAGE)):
        yield f"An edge from the lineage node {before} to {after} is of the kind {kind!r}, which nobody records."


def _told(connection: Connection) -> _Told:
    """Of what was recorded in this registry: a model that was imported brought the events of another one along, and
    its lineage was counted anew when it came in."""
    told, foreign = _Told(), _Foreign()
    for _, details in _details(connection, REGISTRY_CHAIN, "import-model"):
        foreign.add(details)
    for chain in all_chains(connection):
        for position, details in _details(connection, chain["name"], Action.RECORD_LINEAGE.value):
            where = foreign.holds(chain["name"], position)
            if where is None:
                told.whole = False
            elif not where:
                told.add(details)
    return told


class _Foreign:
    """Which events were made in another registry: for each import of a model, those that it added."""

    def __init__(self) -> None:
        self._added: dict[str, list[range]] = {}
        self._untold: set[str] = set()

    def add(self, details: Mapping[str, Any]) -> None:
        model, last, added = str(details.get("model")), details.get("events"), details.get("added")
        if isinstance(last, int) and isinstance(added, int):
            self._added.setdefault(model, []).append(range(last - added + 1, last + 1))
        else:
            self._untold.add(model)

    def holds(self, chain: str, position: int) -> bool | None:
        """None where an import did not say which ones it brought."""
        if chain in self._untold:
            return None
        return any(position in added for added in self._added.get(chain, ()))


def _details(connection: Connection, chain: str, action: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Of the chain's events with this action: positions and details. What is no table tells nothing."""
    query = sa.select(_EV.position, _EV.details).where(_EV.chain == chain, _EV.action == action)
    query = query.order_by(_EV.position).limit(_PAGE)
    rows = connection.execute(query).all()
    while rows:
        for position, text in rows:
            try:
                details = parse_json(text)
            except ValueError:
                details = None
            yield position, details if isinstance(details, dict) else {}
        rows = connection.execute(query.where(_EV.position > rows[-1][0])).all()


def _miscounted(there: Mapping[str, int], told: _Told) -> Iterator[str]:
    for name, many in there.items():
        said = told.rows[name]
        compared = f"The lineage graph holds {name}: {many:,}; the log tells of {said:,}."
        if many < said:
            yield f"{compared} What is missing ({said - many:,}) was deleted."
        elif many > said and told.whole:
            yield f"{compared} What is too many ({many - said:,}) came in past the registry."
