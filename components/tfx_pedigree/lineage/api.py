"""What the lineage graph can be asked and told, wherever it is: all arguments and all results have a JSON form.

`Lineage` is the local implementation. What only the local one can do (an import in batches, `Lineage.importing`) is not
among it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tfx_pedigree.lineage.differences import LineageDiff
from tfx_pedigree.lineage.explain import Explanation
from tfx_pedigree.lineage.graph import Edge, Fragment, Node, Way
from tfx_pedigree.lineage.impact import Impact
from tfx_pedigree.lineage.recording import Recorded
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.lineage.verifying import GraphReport
from tfx_pedigree.lineage.version_status import VersionStatus
from tfx_pedigree.progress import Progress, silent


class LineageApi(Protocol):
    """Whoever may read the whole registry may ask, and of a version (`around`, `explain`, `diff`) whoever may read its
    model; recording needs a contributor's role on the model.

    A node is named by itself, or by a text that `find` understands. Every question reads one moment, and costs in
    proportion to its answer, not to the graph.
    """

    def record(self, fragment: Fragment, *, model: str | None = None) -> Recorded:
        """Adds what is new of the fragment, whole or not at all; recording it again adds nothing.

        An edge that leads to a node which is neither in the fragment nor in the graph is refused, as is one that leads
        from a node to itself. With a model, the event stands in its log and a contributor there may record; edges
        that lead from another model's versions, and facts about them, need that role there as well.
        """
        ...

    def find(self, text: str) -> Node:
        """The one node that a text means: `flight-delay@1.2.0`, a key or its beginning, `span:3`, `code:1a2b3c4`.

        Raises NotFoundError with near matches, or InvalidInputError with the candidates where several fit.
        """
        ...

    def find_all(self, text: str) -> tuple[Node, ...]:
        """Every node that a text means, at least one: `span:3` may be a training and an evaluation split."""
        ...

    def get_upstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What the node came from, as far as `depth` steps; all of it where no depth is given."""
        ...

    def get_downstream(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What came of the node, the promotions of its versions among it."""
        ...

    def get_lineage(self, node: Node | str, depth: int | None = None) -> Subgraph:
        """What the node came from and what came of it, as one graph; `.to_networkx()` gives it as networkx has them."""
        ...

    def stream(self, node: Node | str, way: Way = Way.BOTH, depth: int | None = None) -> Iterator[Node | Edge]:
        """The same as the three methods above, piece by piece, for answers that would fill the memory: each node is
        followed by the edges that lead from it, and the order means nothing else. The answer is that of one moment."""
        ...

    def path(self, a: Node | str, b: Node | str) -> Subgraph | None:
        """The shortest way from the later to the earlier one, whichever of the two that is, with its nodes and edges in
        their order; None if there is none. From a node to itself there is nothing but the node."""
        ...

    def impact(self, node: Node | str | Sequence[Node]) -> Impact:
        """Which versions have something of the node in them or were evaluated on it, which of them are or were in
        production, and when. A text that several nodes fit means all of them."""
        ...

    def standing(self, node: Node | str) -> VersionStatus | None:
        """Where a version stands in the registry, with the times of its reigns; None if no registered version is it."""
        ...

    def around(self, version: Node | str) -> Subgraph:
        """What a version was made of, two steps far; what came of it, one step; and what its judges looked at. Where
        nothing was recorded, the version alone."""
        ...

    def explain(self, version: Node | str) -> Explanation:
        """How a version was made, as a page of plain sentences."""
        ...

    def diff(self, old: Node | str, new: Node | str) -> LineageDiff:
        """What changed between two versions in data, code, parameters, environment and interface."""
        ...

    def verify(self, progress: Progress = silent) -> GraphReport:
        """Whether the graph is what was recorded: every node has its digest, edges and facts hang on nodes that are
        there, and the rows are those that the audit log tells of."""
        ...
