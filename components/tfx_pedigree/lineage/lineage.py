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
    verifying,
    version_context,
    version_status,
    walking,
)
from tfx_pedigree.lineage.differences import LineageDiff, difference
from tfx_pedigree.lineage.explain import Explanation, explanation
from tfx_pedigree.lineage.graph import Edge, Fragment, Node, Subgraph
from tfx_pedigree.lineage.impact import Impact
from tfx_pedigree.lineage.recording import Importer, Recorded
from tfx_pedigree.lineage.verifying import GraphReport
from tfx_pedigree.lineage.version_status import VersionStatus
from tfx_pedigree.lineage.walking import Way
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Reference, Registry, Version


class Lineage:
    """Whoever may read the whole registry may ask; recording needs a contributor's role on the model.

    A node is named by itself, or by a text that `find` understands.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    # Recording

    def record(self, fragment: Fragment, *, model: str | None = None) -> Recorded:
        """Adds what is new of the fragment, whole or not at all; recording it again adds nothing.

        An edge that leads to a node which is neither in the fragment nor in the graph is refused, as is one that leads
        from a node to itself. With a model, the event stands in its log and a contributor there may record; edges
        that lead from another model's versions, and facts about them, need that role there as well.
        """
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
        """The one node that a text means: `flight-delay@1.2.0`, a key or its beginning, `span:3`, `code:1a2b3c4`.

        Raises NotFoundError with near matches, or InvalidInputError with the candidates where several fit.
        """
        with self._reading() as connection:
            return finding.find_one(connection, text)

    def find_all(self, text: str) -> tuple[Node, ...]:
        """Every node that a text means, at least one: `span:3` may be a training and an evaluation split."""
        with self._reading() as connection:
            return finding.find_all(connection, text)

    # Walking

    def get_upstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What the node came from, as far as `depth` steps; all of it where no depth is given."""
        return self._walk(node, depth, Way.UP)

    def get_downstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What came of the node, the promotions of its versions among it."""
        return self._walk(node, depth, Way.DOWN)

    def get_lineage(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What the node came from and what came of it, as one graph; `.to_networkx()` gives it as networkx has them."""
        return self._walk(node, depth, Way.BOTH)

    def path(self, a: Node | str, b: Node | str) -> tuple[Edge, ...] | None:
        """The shortest way from the later to the earlier one, whichever of the two that is; None if there is none.

        From a node to itself it is the empty way.
        """
        with self._reading() as connection:
            first, second = finding.resolve(connection, a), finding.resolve(connection, b)
            return walking.shortest_path(connection, first.key, second.key)

    # Questions

    def impact(self, node: Node | str | Sequence[Node]) -> Impact:
        """Which versions have something of the node in them or were evaluated on it, which of them are or were in
        production, and when. A text that several nodes fit means all of them."""
        with self._reading() as connection:
            return impact.of(connection, finding.resolve_all(connection, node))

    def standing(self, node: Node | str) -> VersionStatus | None:
        """Where a version stands in the registry, with the times of its reigns; None if no registered version is it."""
        with self._reading() as connection:
            found = finding.resolve(connection, node)
            return version_status.of_versions(connection, [found]).get(found.key)

    def explain(self, version: Node | str) -> Explanation:
        """How a version was made, as a page of plain sentences."""
        found = self._registered(version)
        with self._reading() as connection:
            side = version_context.side_of(connection, found)
        return explanation(version_context.explanation_input(self.registry, found, side))

    def diff(self, old: Node | str, new: Node | str) -> LineageDiff:
        """What changed between two versions in data, code, parameters, environment and interface."""
        before, after = self._registered(old), self._registered(new)
        exact = (Reference(version.model, version.version) for version in (before, after))
        with self._reading() as connection:
            sides = [version_context.side_of(connection, version) for version in (before, after)]
        return difference(self.registry.compare(*exact), *sides)

    # Checking

    def verify(self, progress: Progress = silent) -> GraphReport:
        """Whether the graph is what was recorded: every node has its digest, edges and facts hang on nodes that are
        there, and the rows are those that the audit log tells of."""
        with self.registry.transactions.reading(None) as connection:
            return verifying.verify(connection, progress)

    def _registered(self, named: Node | str) -> Version:
        if isinstance(named, str) and ":" not in named.partition("@")[0]:
            return self.registry.get(named)
        return version_context.registered(self.registry, self.find(named) if isinstance(named, str) else named)

    def _walk(self, node: Node | str, depth: int | None, way: Way) -> Subgraph:
        with self._reading() as connection:
            found = finding.resolve(connection, node)
            return version_status.with_promotions(connection, walking.walk(connection, found, depth, way), depth, way)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self.registry.transactions.reading(None) as connection:
            storage.prepare_reading(connection)
            yield connection
