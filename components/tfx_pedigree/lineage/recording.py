"""Recording: what comes in is cleaned, checked, and written in one transaction with the event that tells of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json, digest_of, is_digest, parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import row_sum, storage, wording
from tfx_pedigree.lineage.clean_nodes import clean_node
from tfx_pedigree.lineage.graph import Edge, Fragment, Node, NodeKind
from tfx_pedigree.lineage.storage import NodeRow
from tfx_pedigree.registry import Action, Registry
from tfx_pedigree.registry.access import check_role
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.write import Write, refuse_zero
from tfx_pedigree.secrets import clean_text

FACT_LENGTH = 512
CONTENT_LENGTH = 1 << 20
IMPORT_BATCH = 5000
# Nodes whose content names the model that they belong to.
_OWNED = frozenset(kind.value for kind in (NodeKind.VERSION, NodeKind.RUN, NodeKind.DECISION, NodeKind.DEPLOYMENT))
_FACT_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
# What no database keeps, or no UTF-8 can say: halves of characters, and the character zero.
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Recorded(JsonForm):
    """How much was new. `hidden` counts the values that looked like secrets and were replaced."""

    nodes: int = 0
    edges: int = 0
    facts: int = 0
    hidden: int = 0

    @property
    def anything(self) -> bool:
        return bool(self.nodes or self.edges or self.facts)

    def __add__(self, other: Recorded) -> Recorded:
        return Recorded(
            self.nodes + other.nodes, self.edges + other.edges, self.facts + other.facts, self.hidden + other.hidden
        )


@dataclass(frozen=True)
class Ready:
    """A fragment that may be written: without secrets, its nodes as rows, its edges once each.

    `renamed` leads from the keys that nodes had with their secrets to those that they have without.
    """

    rows: tuple[NodeRow, ...]
    edges: tuple[Edge, ...]
    renamed: Mapping[str, str]
    hidden: int

    @property
    def digest(self) -> str:
        """Of one line for every node, fact and edge, in their order; no part of a line holds a line's end or a tab."""
        lines = [row.key for row in self.rows]
        for row in self.rows:
            facts = ((name, value) for name, values in row.facts.items() for value in values)
            lines += [f"{row.key}\t{name}\t{json.dumps(value)}" for name, value in facts]
        lines += [f"{e.source}\t{e.kind}\t{e.target}\t{e.run or ''}" for e in self.edges]
        return digest_of("\n".join(sorted(lines)).encode())


def record(registry: Registry, fragment: Fragment, model: str | None) -> Recorded:
    ready = prepare(fragment, {})
    with registry.transactions.recording(model) as write:
        _check_owners(write, ready)
        recorded, _ = write_ready(write, ready, {}, {})
    return recorded


class Importer:
    """Given by `Lineage.importing`. `add` as often as wanted, in any order; `recorded` is the sum of what was written.

    Each batch is one transaction with one event. A node's facts may come with any number of fragments.
    """

    def __init__(self, registry: Registry, source: str) -> None:
        self.recorded = Recorded()
        self._registry = registry
        self._source = clean_text(source)
        self._renamed: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        self._nodes: list[Node] = []
        self._edges: list[Edge] = []
        registry.require(Action.IMPORT)

    def add(self, fragment: Fragment) -> None:
        self._nodes += fragment.nodes
        self._edges += fragment.edges
        if len(self._nodes) >= IMPORT_BATCH or len(self._edges) >= 4 * IMPORT_BATCH:
            self._flush(last=False)

    def finish(self) -> None:
        self._flush(last=True)

    def _flush(self, *, last: bool) -> None:
        ready = prepare(Fragment(tuple(self._nodes), tuple(self._edges)), self._renamed)
        self._renamed = dict(ready.renamed)
        if not last:
            here = self._ids.keys() | {row.key for row in ready.rows}
            whole = tuple(edge for edge in ready.edges if all(key in here for key in _ends(edge)))
            self._edges = list(set(ready.edges) - set(whole))
            ready = replace(ready, edges=whole)
        if ready.rows or ready.edges:
            with self._registry.transactions.recording(None, Action.IMPORT) as write:
                recorded, ids = write_ready(write, ready, self._ids, {"source": self._source})
            self.recorded += recorded
            self._ids |= ids
        self._nodes = []


def prepare(fragment: Fragment, renamed: Mapping[str, str]) -> Ready:
    """`renamed` says what became of nodes in earlier fragments."""
    rows: dict[str, NodeRow] = {}
    names, hidden = dict(renamed), 0
    for node in fragment.nodes:
        row, found, before = _row(node)
        hidden += found
        known = rows.get(row.key)
        rows[row.key] = row if known is None else replace(row, facts=_merged(known.facts, row.facts))
        if before != row.key:
            names[before] = row.key
    edges: dict[Edge, None] = {}
    for edge in fragment.edges:
        ends = (names.get(edge.source, edge.source), edge.kind, names.get(edge.target, edge.target))
        edges.setdefault(Edge(*ends, names.get(edge.run, edge.run) if edge.run else None))
        if ends[0] == ends[2]:
            raise InvalidInputError(
                f"An edge leads from {_short(edge.source)} to itself ({edge.kind}). Nothing was recorded; leave it out."
            )
    return Ready(tuple(rows.values()), tuple(edges), names, hidden)


def without_secrets(fragment: Fragment) -> tuple[Fragment, int]:
    """The fragment as it would be written, for who sends it elsewhere; and how many values were hidden in it. What
    would be refused there is refused here."""
    ready = prepare(fragment, {})
    nodes = (Node(NodeKind(row.kind), parse_json(row.content), row.facts) for row in ready.rows)
    return Fragment(tuple(nodes), ready.edges), ready.hidden


def _row(node: Node) -> tuple[NodeRow, int, str]:
    """The node's row, how many secrets were taken out of it, and the key that it had with them."""
    if node.kind is NodeKind.PROMOTION:
        raise InvalidInputError(
            "A promotion is not recorded: the registry's own log tells of it, and answers take it from there. "
            "Leave it out of the fragment."
        )
    try:
        content = canonical_json(dict(node.content)).decode()
        clean, hidden = clean_node(node)
    except (RecursionError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"The content of a node ({node.kind}) cannot be written as JSON: {error}.") from error
    if len(content) > CONTENT_LENGTH:
        raise InvalidInputError(
            f"The content of a node ({node.kind}) has {len(content)} characters; {CONTENT_LENGTH} are the most. "
            "Record the digest of what is long, and keep the rest elsewhere."
        )
    refuse_zero(content, node.content, f"The content of {wording.label(node)} ({_short(node.key)})")
    before = storage.key_of(node.kind.value, content)
    if not hidden:
        return NodeRow(before, node.kind.value, content, _facts(node)), 0, before
    content = canonical_json(dict(clean.content)).decode()
    return NodeRow(storage.key_of(node.kind.value, content), node.kind.value, content, _facts(clean)), hidden, before


def _facts(node: Node) -> dict[str, tuple[str, ...]]:
    """Facts as they are kept: what is longer than 512 characters ends in "…" there, and whatever one searches by (every
    digest and commit of the content) is a fact too."""
    facts: dict[str, tuple[str, ...]] = {}
    for name, values in node.facts.items():
        if not _FACT_NAME.fullmatch(name):
            raise InvalidInputError(
                f"{name!r} cannot name a fact of a node ({node.kind}): use up to 64 lower-case letters, digits, "
                "'_', '.' and '-', beginning with a letter."
            )
        kept = {_fact(str(value)) for value in values} - {""}
        if kept:
            facts[name] = tuple(sorted(kept))
    searched = {
        name: (value,)
        for name, value in node.content.items()
        if isinstance(value, str) and (is_digest(value) or _COMMIT.fullmatch(value)) and _FACT_NAME.fullmatch(name)
    }
    return _merged(facts, searched)


def _fact(value: str) -> str:
    clean = _UNPRINTABLE.sub("\ufffd", value)
    return clean if len(clean) <= FACT_LENGTH else clean[: FACT_LENGTH - 1] + "…"


def _merged(some: Mapping[str, tuple[str, ...]], more: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(sorted({*some.get(name, ()), *more.get(name, ())})) for name in sorted(some.keys() | more.keys())
    }


def write_ready(
    write: Write, ready: Ready, known: Mapping[str, int], details: Mapping[str, Any]
) -> tuple[Recorded, dict[str, int]]:
    connection = write.connection
    ids, nodes = storage.add_nodes(connection, ready.rows, known, write.now, write.actor)
    elsewhere = {key for edge in ready.edges for key in _ends(edge)} - ids.keys()
    ends = {key: known[key] for key in elsewhere & known.keys()}
    ends |= storage.ids_of(connection, sorted(elsewhere - ends.keys()))
    _refuse_loose_ends(ready.edges, ids.keys() | ends.keys())
    every = {**ids, **ends}
    facts = storage.add_facts(connection, ready.rows, ids)
    edges = storage.add_edges(connection, ready.edges, every)
    keys = {node_id: key for key, node_id in every.items()}
    added = _Added(
        nodes,
        [(keys[node_id], name, value) for node_id, name, value in facts],
        [(keys[source], kind, keys[target], keys[run] if run else None) for source, target, kind, run in edges],
    )
    _check_facts(write, ready, added)
    recorded = Recorded(len(nodes), len(edges), len(facts), ready.hidden)
    if recorded.anything:
        counts = {"nodes": recorded.nodes, "edges": recorded.edges, "facts": recorded.facts}
        rows = row_sum.to_text(added.sum(write))
        write.log("record-lineage", details={**details, **counts, "fragment": ready.digest, "rows": rows})
    return recorded, ids


@dataclass(frozen=True)
class _Added:
    """The rows that were not there before, with keys in the place of ids."""

    nodes: list[str]
    facts: list[tuple[str, str, str]]
    edges: list[tuple[str, str, str, str | None]]

    def sum(self, write: Write) -> int:
        total = row_sum.row_sum(row_sum.node_line(key, write.now, write.actor) for key in self.nodes)
        total = row_sum.row_sum((row_sum.fact_line(*fact) for fact in self.facts), total)
        return row_sum.row_sum((row_sum.edge_line(*edge) for edge in self.edges), total)


def _check_facts(write: Write, ready: Ready, added: _Added) -> None:
    """What was seen of a model's versions, decisions and deployments is for those to say who may record for it. What
    follows from the content says nothing new, and a version's number is what the registry calls it."""
    if write.chain == REGISTRY_CHAIN:
        return
    contents = {row.key: parse_json(row.content) for row in ready.rows if row.kind in _OWNED}
    owners = set()
    for key, name, value in added.facts:
        content = contents.get(key, {})
        owner = content.get("model")
        if not isinstance(owner, str) or owner == write.chain or str(content.get(name)) == value:
            continue
        if name != "version" or not _is_number(write, owner, content.get("digest"), value):
            owners.add(owner)
    for owner in sorted(owners):
        check_role(write.connection, write.identity, owner, Action.RECORD_LINEAGE)


def _is_number(write: Write, model: str, digest: object, number: str) -> bool:
    m, v = schema.models.c, schema.model_versions.c
    query = sa.select(v.version).join(schema.models, m.id == v.model_id).where(m.name == model, v.digest == digest)
    return write.connection.execute(query).scalar() == number


def _ends(edge: Edge) -> tuple[str, ...]:
    return (edge.source, edge.target, edge.run) if edge.run else (edge.source, edge.target)


def _refuse_loose_ends(edges: Iterable[Edge], here: Iterable[str]) -> None:
    known = set(here)
    for edge in edges:
        for key in _ends(edge):
            if key not in known:
                raise InvalidInputError(
                    f"An edge ({_short(edge.source)} {edge.kind} {_short(edge.target)}) names the node {key}, which is "
                    "neither among the nodes given nor in the graph. Nothing of this was recorded; give the node along."
                )


def _check_owners(write: Write, ready: Ready) -> None:
    """What a version came from is for those to say who may record for its model."""
    contents = {row.key: row.content for row in ready.rows}
    sources = {edge.source for edge in ready.edges}
    n = schema.lineage_nodes.c
    for batch in storage.batches(sorted(sources - contents.keys())):
        rows = write.connection.execute(sa.select(n.key, n.content).where(n.key.in_(batch)))
        contents.update((row.key, row.content) for row in rows)
    owners = {parse_json(contents[key]).get("model") for key in sources & contents.keys()}
    for owner in sorted(owner for owner in owners if isinstance(owner, str) and owner != write.chain):
        check_role(write.connection, write.identity, owner, Action.RECORD_LINEAGE)


def _short(key: str) -> str:
    kind, _, digest = key.partition(":")
    return f"{kind}:{digest[:12]}"
