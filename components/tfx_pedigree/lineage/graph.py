"""What the graph is made of: nodes known by their content, typed edges between them, and pieces of the graph.

An edge reads as a sentence, `version trained_on data`, and always leads from what came later to what it came from:
following edges leads upstream, against them downstream. docs/lineage.md describes every kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.json_form import Layout


class NodeKind(str, Enum):
    """The value is the first half of a node's key, and what people write before the colon."""

    DATA = "data"
    SCHEMA = "schema"
    TRANSFORM = "transform"
    CODE = "code"
    MODULE = "module"
    ENVIRONMENT = "environment"
    PARAMETERS = "parameters"
    RUN = "run"
    VERSION = "version"
    EVALUATION = "evaluation"
    COMPARISON = "comparison"
    DECISION = "decision"
    DEPLOYMENT = "deployment"
    # Never stored: the registry's own events tell of promotions, and answers take them from there.
    PROMOTION = "promotion"
    # What another system recorded and no kind above fits.
    ARTIFACT = "artifact"
    EXECUTION = "execution"

    def __str__(self) -> str:
        return self.value


class EdgeKind(str, Enum):
    TRAINED_ON = "trained_on"
    CONFORMS_TO = "conforms_to"
    TRANSFORMED_BY = "transformed_by"
    BUILT_BY = "built_by"
    RAN_IN = "ran_in"
    CONFIGURED_BY = "configured_by"
    PRODUCED_BY = "produced_by"
    DERIVED_FROM = "derived_from"
    DEPLOYS = "deploys"
    USED = "used"
    EVALUATES = "evaluates"
    EVALUATED_ON = "evaluated_on"
    COMPARED_WITH = "compared_with"
    RESTS_ON = "rests_on"
    DECIDES_ON = "decides_on"
    DECIDED_BY = "decided_by"
    PROMOTES = "promotes"
    SUPERSEDES = "supersedes"

    def __str__(self) -> str:
        return self.value

    @property
    def carries(self) -> bool:
        """True where what flows along the edge is in the result: whoever asks which versions saw some data follows
        these, and no others. A version that was only compared with another one has seen none of its data."""
        return self in _CARRYING


_CARRYING = frozenset(
    {
        EdgeKind.TRAINED_ON,
        EdgeKind.CONFORMS_TO,
        EdgeKind.TRANSFORMED_BY,
        EdgeKind.BUILT_BY,
        EdgeKind.RAN_IN,
        EdgeKind.CONFIGURED_BY,
        EdgeKind.PRODUCED_BY,
        EdgeKind.DERIVED_FROM,
        EdgeKind.DEPLOYS,
        EdgeKind.USED,
    }
)


@dataclass(frozen=True)
class Node:
    """`content` is what the node is, and all of its identity: equal contents are one node, whoever records them.

    `facts` are what else was seen of it (a span's number, where it lay, how many rows it has): short texts, any
    number for a name, only ever added to.
    """

    JSON: ClassVar[Layout] = Layout(whole=True)

    kind: NodeKind
    content: Mapping[str, Any]
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """`data:` and the 64 digits of the SHA-256 of kind and content."""
        digest = digest_of(canonical_json({"kind": self.kind.value, "content": dict(self.content)}))
        return f"{self.kind.value}:{digest.removeprefix('sha256:')}"

    def fact(self, name: str) -> str | None:
        """The one value that a fact has, or the first of several in their order."""
        values = self.facts.get(name) or ()
        return values[0] if values else None


@dataclass(frozen=True, order=True)
class Edge:
    """`source` and `target` are keys of nodes; the source came later. `run` is the key of the run that linked them."""

    JSON: ClassVar[Layout] = Layout(names={"kind": "edge"}, whole=True)

    source: str
    kind: EdgeKind
    target: str
    run: str | None = field(default=None, compare=False)


# What edges are sorted by: as they compare, in a third of the time.
IN_ORDER = attrgetter("source", "kind", "target")


@dataclass(frozen=True)
class Fragment:
    """Something to be recorded: every edge's nodes are among `nodes`, or in the graph already."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()


class Way(Enum):
    """Which way edges are followed: to what came before, to what came after, or both."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"

    @property
    def each(self) -> tuple[Way, ...]:
        return (Way.UP, Way.DOWN) if self is Way.BOTH else (self,)

    def ends(self, edge: Edge) -> tuple[str, str]:
        return (edge.source, edge.target) if self is Way.UP else (edge.target, edge.source)
