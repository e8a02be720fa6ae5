"""Where versions stand in the registry, and their promotions as nodes: never stored, always what the registry says now.

A promotion is an event of the registry's log that made a version champion, by promoting it or by a rollback.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import parse_json
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind, Way
from tfx_pedigree.lineage.node_factory import decision_node
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import ChampionPeriod, State
from tfx_pedigree.text import format_timestamp

_V = schema.model_versions.c
_M = schema.models.c
_R = schema.reigns.c
_EV = schema.events.c
_VERSION = f"{NodeKind.VERSION.value}:"


@dataclass(frozen=True)
class VersionStatus(JsonForm):
    """A version of the registry, as far as lineage asks; `reigns` newest first, all of them."""

    model: str
    version: str
    sequence: int
    digest: str
    state: State
    reigns: tuple[ChampionPeriod, ...]

    @property
    def in_production(self) -> bool:
        return self.state is State.PRODUCTION


@dataclass(frozen=True)
class Promotion:
    """As a node, with the keys of the version and of the decision behind it."""

    node: Node
    version: str
    decision: str | None

    def edges(self, inside: Container[str | None]) -> list[Edge]:
        """To those of its ends that are in the answer."""
        ends = ((EdgeKind.PROMOTES, self.version), (EdgeKind.DECIDED_BY, self.decision))
        return [Edge(self.node.key, kind, key) for kind, key in ends if key is not None and key in inside]


def of_versions(connection: Connection, nodes: Iterable[Node]) -> dict[str, VersionStatus]:
    """By the nodes' keys; what is no version, or none of this registry, is left out. A query for hundreds, not for
    each."""
    wanted: dict[str, dict[str, str]] = {}
    for node in nodes:
        if node.kind is NodeKind.VERSION:
            wanted.setdefault(str(node.content.get("model")), {})[str(node.content.get("digest"))] = node.key
    found: dict[str, VersionStatus] = {}
    for model, keys in wanted.items():
        for batch in storage.batches(sorted(keys)):
            query = sa.select(_V.id, _V.version, _V.sequence, _V.digest, _V.state)
            # The sum is nothing that an index has: PostgreSQL takes each model for a small one, and would read all of
            # its versions where it may.
            own = sa.select(_M.id).where(_M.name == model).scalar_subquery()
            query = query.where(_V.digest.in_(batch), _V.model_id + 0 == own)
            rows = connection.execute(query).all()
            reigns = _reigns(connection, model, {row.id: row.version for row in rows})
            for row in rows:
                state, times = State(row.state), tuple(reigns.get(row.id, ()))
                found[keys[row.digest]] = VersionStatus(model, row.version, row.sequence, row.digest, state, times)
    return found


def _reigns(connection: Connection, model: str, versions: Mapping[int, str]) -> dict[int, list[ChampionPeriod]]:
    found: dict[int, list[ChampionPeriod]] = {}
    if versions:
        query = sa.select(_R.version_id, _R.began_at, _R.ended_at).where(_R.version_id.in_(versions))
        for row in connection.execute(query.order_by(_R.began_at.desc())):
            reign = ChampionPeriod(model, versions[row.version_id], row.began_at, row.ended_at)
            found.setdefault(row.version_id, []).append(reign)
    return found


def with_promotions(connection: Connection, graph: Subgraph, depth: int | None, way: Way) -> Subgraph:
    """The answer with the promotions of its versions, which are downstream of them and of the decisions behind them."""
    if way is Way.UP:
        return graph
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    complete = graph.complete
    for promotion in promotions(connection, [graph.nodes[key] for key in graph.nodes if key.startswith(_VERSION)]):
        linked = promotion.edges(graph.nodes)
        if depth is not None and min(graph.depth[edge.target] for edge in linked) >= depth:
            complete = False
            continue
        nodes[promotion.node.key] = promotion.node
        edges += linked
    return graph.extended(nodes, edges, complete=complete)


def promotions(connection: Connection, versions: Iterable[Node]) -> Iterator[Promotion]:
    promoted = {key: standing for key, standing in of_versions(connection, versions).items() if standing.reigns}
    models: dict[str, dict[str, str]] = {}
    for key, standing in promoted.items():
        models.setdefault(standing.model, {})[standing.version] = key
    for model, keys in models.items():
        for batch in storage.batches(sorted(keys)):
            query = sa.select(schema.events).where(
                _EV.chain == model,
                _EV.subject.in_(batch),
                _EV.action.in_(["promote", "rollback"]),
                _EV.to_state == State.PRODUCTION.value,
            )
            with storage.as_usual(connection):
                rows = connection.execute(query.order_by(_EV.position)).all()
            for row in rows:
                yield _promotion(row, promoted[keys[row.subject]], keys[row.subject])


def _promotion(row: sa.Row[Any], standing: VersionStatus, version: str) -> Promotion:
    ended = next((reign.ended_at for reign in standing.reigns if reign.began_at == row.at), None)
    evidence = parse_json(row.details).get("evidence")
    facts: dict[str, str | None] = {
        "action": row.action,
        "at": format_timestamp(row.at),
        "until": format_timestamp(ended) if ended else None,
        "by": row.actor,
        "reason": row.reason,
    }
    node = Node(
        NodeKind.PROMOTION,
        {"model": standing.model, "event": row.position},
        {name: (value,) for name, value in facts.items() if value},
    )
    decision = decision_node(standing.model, evidence).key if evidence else None
    return Promotion(node, version, decision)
