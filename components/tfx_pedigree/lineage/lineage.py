"""The lineage graph as its users see it: one object over an open registry, one method a question.

Roles, transactions and the audit log are the registry's. What is recorded passes the gate in `secrets`, whoever records
it. Every question reads one moment, and costs in proportion to its answer, not to the graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from sqlalchemy.engine import Connection

from tfx_pedigree.lineage import (
    finding,
    impact,
    recording,
    storage,
    streaming,
    verifying,
    version_context,
    version_status,
    walking,
)
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.differences import LineageDiff, difference
from tfx_pedigree.lineage.explain import Explanation, explanation
from tfx_pedigree.lineage.graph import Edge, Fragment, Node, Way
from tfx_pedigree.lineage.impact import Impact
from tfx_pedigree.lineage.recording import Importer, Recorded
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.lineage.verifying import GraphReport
from tfx_pedigree.lineage.version_context import Side
from tfx_pedigree.lineage.version_status import VersionStatus
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Reference, Registry, Version


class Lineage(LineageApi):
    """The graph in a registry's own database. `LineageApi` says what each method answers."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    # Recording

    def record(self, fragment: Fragment, *, model: str | None = None) -> Recorded:
        return recording.record(self.registry, fragment, model)

    @contextlib.contextmanager
    def importing(self, source: str) -> Iterator[Importer]:
        """For many fragments from another system, in any order, written in batches as they come in. Needs an admin.

        An edge may come before its nodes; one whose nodes never came is refused at the end. What stands in the graph
        when the block raises stays there, and importing the same again adds only the rest.
        """
        importer = Importer(self.registry, source)
        yield importer
        importer.finish()

    # Finding

    def find(self, text: str) -> Node:
        with self._reading() as connection:
            return finding.find_one(connection, text)

    def find_all(self, text: str) -> tuple[Node, ...]:
        with self._reading() as connection:
            return finding.find_all(connection, text)

    # Walking

    def get_upstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        return self._walk(node, depth, Way.UP)

    def get_downstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        return self._walk(node, depth, Way.DOWN)

    def get_lineage(self, node: Node | str, depth: int | None = None) -> Subgraph:
        return self._walk(node, depth, Way.BOTH)

    def stream(self, node: Node | str, way: Way = Way.BOTH, depth: int | None = None) -> Iterator[Node | Edge]:
        with self._reading() as connection:
            yield from streaming.stream(connection, finding.resolve(connection, node), depth, way)

    def path(self, a: Node | str, b: Node | str) -> Subgraph | None:
        with self._reading() as connection:
            first, second = finding.resolve(connection, a), finding.resolve(connection, b)
            return walking.shortest_path(connection, first, second)

    # Questions

    def impact(self, node: Node | str | Sequence[Node]) -> Impact:
        with self._reading() as connection:
            return impact.of(connection, finding.resolve_all(connection, node))

    def standing(self, node: Node | str) -> VersionStatus | None:
        with self._reading() as connection:
            found = finding.resolve(connection, node)
            return version_status.of_versions(connection, [found]).get(found.key)

    def around(self, version: Node | str) -> Subgraph:
        return self._side(self.registry.get(self._reference(version))).around

    def explain(self, version: Node | str) -> Explanation:
        found = self.registry.get(self._reference(version))
        return explanation(version_context.explanation_input(self.registry, found, self._side(found)))

    def diff(self, old: Node | str, new: Node | str) -> LineageDiff:
        compared = self.registry.compare(self._reference(old), self._reference(new))
        with self._reading(compared.new.model) as connection:
            sides = [version_context.side_of(connection, version) for version in (compared.old, compared.new)]
        return difference(compared, *sides)

    # Checking

    def verify(self, progress: Progress = silent) -> GraphReport:
        with self.registry.transactions.reading(None) as connection:
            return verifying.verify(connection, progress)

    def _reference(self, named: Node | str) -> str | Reference:
        if isinstance(named, str) and ":" not in named.partition("@")[0]:
            return named
        return version_context.reference_of(self.find(named) if isinstance(named, str) else named)

    def _side(self, version: Version) -> Side:
        with self._reading(version.model) as connection:
            return version_context.side_of(connection, version, promotions=True)

    def _walk(self, node: Node | str, depth: int | None, way: Way) -> Subgraph:
        with self._reading() as connection:
            found = finding.resolve(connection, node)
            return version_status.with_promotions(connection, walking.walk(connection, found, depth, way), depth, way)

    @contextlib.contextmanager
    def _reading(self, model: str | None = None) -> Iterator[Connection]:
        """The graph belongs to all models together. What is told of one version needs only a role on its model."""
        with self.registry.transactions.reading(model) as connection, storage.by_index(connection):
            yield connection
