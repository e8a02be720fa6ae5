"""From what people write to nodes: each form of a name is looked up by an index, however large the graph.

flight-delay@1.2.0      a version, by anything the registry understands after the @
data:4f5e9a…            the key of a node, or its beginning
data:span=3             nodes of a kind by a fact; span:3 is the same of any kind
module:flight_model.py  nodes of a kind by what such nodes are called
code:1a2b3c4            a commit or any digest may be cut off after four digits
sha256:4f5e9a…          whatever has this digest, or one that begins so
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import reading
from tfx_pedigree.registry.names import Reference

_N = schema.lineage_nodes.c
_F = schema.lineage_facts.c
_V = schema.model_versions.c
# What people call a node of a kind by, without naming the fact.
_CALLED = {
    NodeKind.DATA: ("span", "part", "name", "fingerprint", "input_fingerprint", "uri"),
    NodeKind.CODE: ("commit", "branch", "remote", "diff_digest"),
    NodeKind.MODULE: ("name", "digest"),
    NodeKind.RUN: ("id", "pipeline"),
    NodeKind.VERSION: ("version", "digest", "model"),
    NodeKind.ENVIRONMENT: ("packages_digest", "image", "python"),
    NodeKind.PARAMETERS: ("seed",),
    NodeKind.DECISION: ("evidence", "model", "verdict"),
    NodeKind.DEPLOYMENT: ("destination", "model", "digest"),
    NodeKind.ARTIFACT: ("name", "uri", "id", "type", "digest"),
    NodeKind.EXECUTION: ("name", "id", "type", "pipeline"),
}
_FACTS = {name for names in _CALLED.values() for name in names}
_OTHERWISE = ("digest", "name", "uri", "id")
_KINDS = {kind.value: kind for kind in NodeKind}
_CUT_OFF = re.compile(r"(sha256:)?[0-9a-f]{4,64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{4,64}")
_FACT = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
# So many candidates are listed, and so many values looked at for near ones.
_LISTED, _NEAR = 8, 50
MOST = 10_000


def resolve(connection: Connection, node: Node | str) -> Node:
    """The node as it stands in the graph, with all that was seen of it."""
    return find_one(connection, node) if isinstance(node, str) else _as_recorded(connection, node)


def resolve_all(connection: Connection, node: Node | str | Sequence[Node]) -> tuple[Node, ...]:
    if isinstance(node, str):
        return find_all(connection, node)
    nodes = [node] if isinstance(node, Node) else node
    return tuple({found.key: found for found in (_as_recorded(connection, each) for each in nodes)}.values())


def find_one(connection: Connection, text: str) -> Node:
    found = find_all(connection, text)
    if len(found) > 1:
        listed = "\n".join(f"  {describe(node)}" for node in found[:_LISTED])
        more = f"\n  … and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise InvalidInputError(
            f"{text!r} fits {len(found)} nodes. Write more of it, or one of these keys:\n{listed}{more}"
        )
    return found[0]


def find_all(connection: Connection, text: str) -> tuple[Node, ...]:
    """In the order of their keys; ten thousand at the most are looked at."""
    text = text.strip()
    head, colon, rest = text.partition(":")
    if "@" in head or not colon:
        return (_version(connection, text),)
    if not rest:
        raise InvalidInputError(f"{text!r} names nothing after the colon. {_FORMS}")
    if head == "sha256":
        ids = _by_digest(connection, text)
    elif head == NodeKind.PROMOTION:
        raise InvalidInputError(
            "A promotion is no node to begin from: it is read from the registry's log. Ask about its version, "
            "for example MODEL@champion, or see `pedigree history MODEL`."
        )
    elif head in _KINDS:
        ids = _by_kind(connection, _KINDS[head], rest)
    elif _FACT.fullmatch(head):
        ids = _by_fact(connection, (head,), rest, None)
    else:
        raise InvalidInputError(f"{text!r} names no node. {_FORMS}")
    nodes = storage.load(connection, sorted(ids))
    found = {node.key: node for node in nodes.values()}
    if head == "sha256":
        found = _themselves({**_registered(connection, text), **found}, text)
    if not found:
        raise NotFoundError(_not_found(connection, text, head, rest))
    return tuple(found[key] for key in sorted(found))


_FORMS = (
    "Write MODEL@VERSION, a key such as data:4f5e9a (or its beginning), span:3, commit:1a2b3c4, "
    "module:NAME, run:ID or sha256:DIGEST."
)


def describe(node: Node) -> str:
    """A line for a list of candidates: a key that is long enough to be taken for the whole, and what is known."""
    kind, _, digest = node.key.partition(":")
    names = (*_CALLED.get(node.kind, ()), *_OTHERWISE, "split")
    facts = [f"{name}={value}" for name in dict.fromkeys(names) if (value := node.fact(name))]
    return f"{kind}:{digest[:12]}  {' '.join(facts[:4])}".rstrip()


# Versions


def _version(connection: Connection, text: str) -> Node:
    with storage.as_usual(connection):
        found = reading.resolve(connection, Reference.parse(text)).version
    return _as_recorded(connection, version_node(found.model, found.digest, version=found.version))


def _registered(connection: Connection, prefix: str) -> dict[str, Node]:
    """Versions that have this digest and are perhaps in no lineage yet."""
    m = schema.models.c
    query = sa.select(m.name, _V.digest, _V.version).join(schema.model_versions, _V.model_id == m.id)
    rows = connection.execute(query.where(_V.digest >= prefix, _V.digest < prefix + "g").limit(_LISTED)).all()
    nodes = [_as_recorded(connection, version_node(row.name, row.digest, version=row.version)) for row in rows]
    return {node.key: node for node in nodes}


def _as_recorded(connection: Connection, node: Node) -> Node:
    """A version stands for itself, with or without a lineage; any other node must have been recorded."""
    ids = storage.ids_of(connection, [node.key])
    recorded = next(iter(storage.load(connection, ids.values()).values()), None)
    if recorded is None and node.kind is not NodeKind.VERSION:
        raise NotFoundError(
            f"The node {node.key[:24]}… was never recorded in this registry. Record it first, or look for another one."
        )
    if recorded is None or node.kind is not NodeKind.VERSION:
        return recorded or node
    names = recorded.facts.keys() | node.facts.keys()
    facts = {n: tuple(sorted({*recorded.facts.get(n, ()), *node.facts.get(n, ())})) for n in sorted(names)}
    return Node(recorded.kind, recorded.content, facts)


# Keys and facts


def _by_kind(connection: Connection, kind: NodeKind, rest: str) -> set[int]:
    name, equals, value = rest.partition("=")
    if equals and _FACT.fullmatch(name) and (having := _by_fact(connection, (name,), value, kind)):
        return having
    found: set[int] = set()
    if re.fullmatch(r"[0-9a-f]{4,64}", rest):
        key = f"{kind.value}:{rest}"
        query = sa.select(_N.id).where(_N.key >= key, _N.key < key + "g").order_by(_N.key).limit(MOST)
        found = set(connection.execute(query).scalars())
        if len(rest) == 64 and found:
            return found
    return found | _by_fact(connection, _CALLED.get(kind, _OTHERWISE), rest, kind)


def _by_fact(connection: Connection, names: Iterable[str], value: str, kind: NodeKind | None) -> set[int]:
    """By the whole value; a commit or digest that nothing has may also be the beginning of one."""
    names = tuple(names)
    found = _having(connection, _is(value), names, kind)
    if not found and _CUT_OFF.fullmatch(value):
        hexadecimal = value.removeprefix("sha256:")
        starts = (hexadecimal, f"sha256:{hexadecimal}")
        found = {each for start in starts for each in _having(connection, _begins(start), names, kind)}
    return found


def _is(value: str) -> sa.ColumnElement[bool]:
    """As a range, so that the order by value below is not taken for settled."""
    return _F.value.between(value, value)


def _begins(digits: str) -> sa.ColumnElement[bool]:
    """With these hexadecimal digits, which no digit follows that comes after an f."""
    return sa.and_(_F.value >= digits, _F.value < digits + "g")


def _having(
    connection: Connection, condition: sa.ColumnElement[bool], names: Sequence[str], kind: NodeKind | None
) -> set[int]:
    """The kind is looked at afterwards: a database that may join would now and then read all nodes of that kind. In the
    order of the values, which leaves one index to read."""
    found: set[int] = set()
    for name in names:
        query = sa.select(_F.node_id).where(_F.name == name, condition).order_by(_F.value)
        found.update(connection.execute(query.limit(MOST)).scalars())
    return found if kind is None else set(storage.of_kinds(connection, found, [kind]))


def _by_digest(connection: Connection, text: str) -> set[int]:
    if not _DIGEST.fullmatch(text):
        raise InvalidInputError(f"{text!r} is no digest: after 'sha256:' come 4 to 64 hexadecimal digits.")
    return _having(connection, _begins(text), _fact_names(connection), None)


def _themselves(nodes: Mapping[str, Node], prefix: str) -> dict[str, Node]:
    """Of all that speaks of a digest, what it is the digest of; what only refers to it, where that is not here."""
    whole = {
        k: n for k, n in nodes.items() if n.kind is NodeKind.VERSION and str(n.content["digest"]).startswith(prefix)
    }
    whole |= {k: n for k, n in nodes.items() if [str(v)[: len(prefix)] for v in n.content.values()] == [prefix]}
    return whole or dict(nodes)


def _fact_names(connection: Connection) -> list[str]:
    return list(_distinct(connection, _F.name, sa.true()))


def _distinct(
    connection: Connection, column: sa.Column[str], condition: sa.ColumnElement[bool], most: int | None = None
) -> Iterator[str]:
    """The different values of a column in their order, each found by one look into the index, however often it is
    there."""
    query = sa.select(column).where(condition).order_by(column).limit(1)
    found = connection.execute(query).scalar()
    while found is not None:
        yield found
        if most is not None and (most := most - 1) <= 0:
            return
        found = connection.execute(query.where(column > found)).scalar()


# What to say where nothing was found


def _not_found(connection: Connection, text: str, head: str, rest: str) -> str:
    near = [*_near_keys(connection, head, rest), *_near_facts(connection, head, rest)]
    if near:
        return f"There is no node {text!r}. Did you mean {' or '.join(dict.fromkeys(near))}?"
    if head in _FACTS and head not in _fact_names(connection):
        return (
            f"There is no node {text!r}: no lineage in this registry names a {head} yet. A pipeline with "
            "LineageRecorder records it, and `pedigree lineage import-mlmd SOURCE` brings in older runs."
        )
    if head not in _KINDS and head != "sha256" and head not in _fact_names(connection):
        close = difflib.get_close_matches(head, [*_KINDS, *_fact_names(connection)], n=2)
        hint = f" Did you mean {' or '.join(f'{name}:{rest}' for name in close)}?" if close else f" {_FORMS}"
        return f"There is no kind of node and no fact called {head!r}.{hint}"
    return f"There is no node {text!r} in this registry, and nothing near it. {_FORMS}"


def _near_keys(connection: Connection, head: str, rest: str) -> list[str]:
    """Keys of the same kind that begin alike: somebody mistyped a digit towards the end."""
    if head not in _KINDS or not re.fullmatch(r"[0-9a-f]{6,64}", rest):
        return []
    start = f"{head}:{rest[:4]}"
    query = sa.select(_N.key).where(_N.key >= start, _N.key < start + "g").order_by(_N.key).limit(4 * _NEAR)
    keys = [key[: len(head) + 1 + max(12, len(rest))] for key in connection.execute(query).scalars()]
    return difflib.get_close_matches(f"{head}:{rest}", keys, n=2)


def _near_facts(connection: Connection, head: str, rest: str) -> list[str]:
    """Values of the same facts that begin alike, or else the first ones there are; as many as are soon looked at."""
    kind = _KINDS.get(head)
    name, equals, value = rest.partition("=")
    if kind is None:
        names: Sequence[str] = (head,)
        value = rest
    elif equals:
        names = (name,)
    else:
        names, value = _CALLED.get(kind, _OTHERWISE), rest
    found: dict[str, str] = {}
    for each in names:
        alike = sa.and_(_F.name == each, _F.value >= value[:2], _F.value < value[:2] + "\U0010ffff")
        values = list(_distinct(connection, _F.value, alike, _NEAR))
        values = values or list(_distinct(connection, _F.value, _F.name == each, _NEAR))
        for close in difflib.get_close_matches(value, values, n=3):
            if kind is None or _having(connection, _is(close), (each,), kind):
                found[close] = f"{head}:{each}={close}" if kind and equals else f"{head}:{close}"
    return [found[v] for v in difflib.get_close_matches(value, list(found), n=3)]
