"""What has something of a node in it: the versions to look at when some data or code turns out to be bad."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind, Way
from tfx_pedigree.lineage.storage import Step
from tfx_pedigree.lineage.subgraph import EdgeForm, NodeForm
from tfx_pedigree.lineage.version_status import VersionStatus, of_versions
from tfx_pedigree.lineage.walking import downstream_steps, steps
from tfx_pedigree.registry import ChampionPeriod, State

LONGEST_PATH = 20
_CARRIES = frozenset(kind for kind in EdgeKind if kind.carries)
# So many edges of a way are told to people.
_TOLD = 3


@dataclass(frozen=True)
class Affected:
    """A version, and how the node came into it.

    `how` is for people ("trained on", "evaluated on", "transformed by, derived from", "itself"); `path` holds the edges
    of that way from the version on, twenty at the most, and `steps` says how long all of it is. `standing` is None for
    a version that this registry does not know.
    """

    node: Node
    how: str
    path: tuple[Edge, ...]
    steps: int
    standing: VersionStatus | None

    def to_json(self) -> dict[str, Any]:
        """`state` and `reigns` are null for a version that this registry does not know."""
        found: dict[str, Any] = to_json(_AffectedForm.of(self))
        return found

    @classmethod
    def from_json(cls, data: object) -> Affected:
        return read(_AffectedForm, data, "the impact").affected


@dataclass(frozen=True)
class _AffectedForm:
    node: NodeForm
    model: str | None
    version: str | None
    sequence: int | None
    how: str
    path: tuple[EdgeForm, ...]
    steps: int
    state: State | None
    in_production: bool
    reigns: tuple[ChampionPeriod, ...] | None

    @staticmethod
    def of(one: Affected) -> _AffectedForm:
        there = one.standing
        return _AffectedForm(
            NodeForm.of(one.node),
            one.node.content.get("model"),
            there.version if there else one.node.fact("version"),
            there.sequence if there else None,
            one.how,
            tuple(EdgeForm.of(edge) for edge in one.path),
            one.steps,
            there.state if there else None,
            bool(there and there.in_production),
            there.reigns if there else None,
        )

    @property
    def affected(self) -> Affected:
        there = None
        if self.state is not None:
            model, digest = str(self.model), str(self.node.content.get("digest"))
            there = VersionStatus(model, str(self.version), self.sequence or 0, digest, self.state, self.reigns or ())
        return Affected(self.node.node, self.how, tuple(edge.edge for edge in self.path), self.steps, there)


@dataclass(frozen=True)
class Impact:
    """`versions` are sorted: in production now, then those that ever were, then the rest, each newest first.
    `deployments` are nodes: what was deployed of the versions."""

    start: tuple[Node, ...]
    versions: tuple[Affected, ...]
    deployments: tuple[Node, ...]

    def to_json(self) -> dict[str, Any]:
        start, deployments = (tuple(map(NodeForm.of, nodes)) for nodes in (self.start, self.deployments))
        found: dict[str, Any] = to_json(_ImpactForm(start, self.versions, deployments))
        return found

    @classmethod
    def from_json(cls, data: object) -> Impact:
        form = read(_ImpactForm, data, "the impact")
        start, deployments = (tuple(one.node for one in nodes) for nodes in (form.start, form.deployments))
        return cls(start, form.versions, deployments)

    @property
    def in_production(self) -> tuple[Affected, ...]:
        return tuple(each for each in self.versions if each.standing and each.standing.in_production)

    @property
    def ever_in_production(self) -> tuple[Affected, ...]:
        return tuple(each for each in self.versions if each.standing and each.standing.reigns)


@dataclass(frozen=True)
class _ImpactForm:
    start: tuple[NodeForm, ...]
    versions: tuple[Affected, ...]
    deployments: tuple[NodeForm, ...]


def of(connection: Connection, nodes: Sequence[Node]) -> Impact:
    """That a run used a node is the weakest word about it: where another way leads from a version to the node, or an
    evaluation says that it was only evaluated on it, that holds."""
    starts = set(storage.ids_of(connection, [node.key for node in nodes]).values())
    carrying = sorted(downstream_steps(connection, starts, _CARRIES))
    used = _Ways(starts, carrying)
    told = _Ways(starts, [step for step in carrying if step[1] is not EdgeKind.USED])
    evaluated = _evaluated(connection, used)
    kinds = storage.of_kinds(connection, {*used.steps, *evaluated}, (NodeKind.VERSION, NodeKind.DEPLOYMENT))
    loaded = storage.load(connection, sorted(kinds))
    versions = {node_id: node for node_id, node in loaded.items() if node.kind is NodeKind.VERSION}
    deployments = [loaded[node_id] for node_id in used.steps if kinds.get(node_id) is NodeKind.DEPLOYMENT]
    found = {
        node_id: (told.way(node_id) if node_id in told.steps else evaluated.get(node_id) or used.way(node_id))
        for node_id in versions
    }
    keys = storage.keys_of(connection, sorted({i for way, _ in found.values() for s, _, t in way for i in (s, t)}))
    standings = of_versions(connection, [*versions.values(), *nodes])
    affected = [
        Affected(node, _words(way, length), _edges(way, keys), length, standings.get(node.key))
        for node, (way, length) in ((versions[node_id], found[node_id]) for node_id in versions)
    ]
    recorded = {node.key for node in versions.values()}
    affected += [
        Affected(node, _words((), 0), (), 0, standings.get(node.key))
        for node in nodes
        if node.kind is NodeKind.VERSION and node.key not in recorded
    ]
    by_key = sorted(deployments, key=lambda node: node.key)
    return Impact(tuple(nodes), tuple(sorted(affected, key=_order)), tuple(by_key))


class _Ways:
    """A shortest way to one of the starts from every node from which these edges lead there."""

    def __init__(self, starts: Iterable[int], edges: Iterable[Step]) -> None:
        incoming: dict[int, list[Step]] = {}
        for step in edges:
            incoming.setdefault(step[2], []).append(step)
        self._next: dict[int, Step] = {}
        self.steps = dict.fromkeys(starts, 0)
        queue = deque(sorted(self.steps))
        while queue:
            node = queue.popleft()
            for step in incoming.get(node, ()):
                if step[0] not in self.steps:
                    self.steps[step[0]] = self.steps[node] + 1
                    self._next[step[0]] = step
                    queue.append(step[0])

    def way(self, node: int) -> tuple[tuple[Step, ...], int]:
        """The beginning of the way, and the length of all of it."""
        found: list[Step] = []
        length = self.steps[node]
        while node in self._next and len(found) < LONGEST_PATH:
            found.append(self._next[node])
            node = found[-1][2]
        return tuple(found), length


def _evaluated(connection: Connection, ways: _Ways) -> dict[int, tuple[tuple[Step, ...], int]]:
    """The versions whose evaluations rest on any of these nodes, with the way through the evaluation."""
    evaluations: dict[int, Step] = {}
    for step in sorted(steps(connection, ways.steps, Way.DOWN, [EdgeKind.EVALUATED_ON])):
        evaluations.setdefault(step[0], step)
    found: dict[int, tuple[tuple[Step, ...], int]] = {}
    for evaluation, kind, version in sorted(steps(connection, evaluations, Way.UP, [EdgeKind.EVALUATES])):
        on = evaluations[evaluation]
        way, length = ways.way(on[2])
        found.setdefault(version, (((evaluation, kind, version), on, *way[: LONGEST_PATH - 2]), length + 2))
    return found


def _words(way: Sequence[Step], length: int) -> str:
    kinds = [kind.value.replace("_", " ") for _, kind, _ in way if kind is not EdgeKind.EVALUATES]
    if len(kinds) <= _TOLD:
        return ", ".join(kinds) or "itself"
    return f"{', '.join(kinds[:_TOLD])}, … ({length} steps)"


def _edges(way: Iterable[Step], keys: Mapping[int, str]) -> tuple[Edge, ...]:
    return tuple(Edge(keys[source], kind, keys[target]) for source, kind, target in way)


def _order(each: Affected) -> tuple[int, int, str]:
    standing = each.standing
    if standing is None:
        return (3, 0, each.node.key)
    rank = 0 if standing.in_production else 1 if standing.reigns else 2
    return (rank, -standing.sequence, each.node.key)
