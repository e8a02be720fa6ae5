"""Whether the graph is what was recorded: nodes have their digests, nothing hangs on what is gone, and there is as much
as the audit log tells of.

Rows are read in pages, so that the memory that this takes does not grow with the graph. What cannot be seen: as many
rows put in as were taken out, or a fact or an edge put in another's place. The log tells how much was added, not which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import parse_json
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import EdgeKind, NodeKind
from tfx_pedigree.progress import Progress
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.reading import all_chains
from tfx_pedigree.registry.roles import Action

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
class GraphReport:
    """How many rows there are, and what is wrong with them, as sentences."""

    nodes: int
    facts: int
    edges: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "nodes": self.nodes,
            "facts": self.facts,
            "edges": self.edges,
            "problems": list(self.problems),
        }


@dataclass
class _Told:
    """What the events of the log add up to. `whole` is False where one of them does not say how much it was."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ROWS, 0))
    whole: bool = True

    def add(self, details: Mapping[str, Any]) -> None:
        for name in _ROWS:
            many = details.get(name)
            if isinstance(many, int) and not isinstance(many, bool):
                self.rows[name] += many
            else:
                self.whole = False


def verify(connection: Connection, progress: Progress) -> GraphReport:
    """Reads every row once; the connection must see one moment throughout."""
    count = sa.func.count()
    there = {
        name: connection.execute(sa.select(count).select_from(table)).scalar_one() for name, table in _ROWS.items()
    }
    problems = [
        *_few(_altered(connection, there["nodes"], progress)),
        *_few(_loose(connection)),
        *_few(_unknown_edges(connection)),
        *_miscounted(there, _told(connection)),
    ]
    return GraphReport(there["nodes"], there["facts"], there["edges"], tuple(problems))


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


def _altered(connection: Connection, total: int, progress: Progress) -> Iterator[str]:
    query = sa.select(_N.id, _N.key, _N.kind, _N.content).order_by(_N.id).limit(_PAGE)
    rows, done = connection.execute(query).all(), 0
    while rows:
        for _, key, kind, content in rows:
            if problem := _wrong(key, kind, content):
                yield problem
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
