"""JSON: one object for a whole answer, or one a line for an answer of any size. docs/lineage.md has the fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tfx_pedigree.json_form import to_json
from tfx_pedigree.lineage.graph import Edge, Node
from tfx_pedigree.lineage.subgraph import EdgeForm, NodeForm, Subgraph

LINES_FORMAT = "pedigree.lineage-lines/1"


def render(graph: Subgraph) -> str:
    return json.dumps(graph.to_json(), indent=2, ensure_ascii=False) + "\n"


def lines(start: Node, parts: Iterable[Node | Edge]) -> Iterator[str]:
    """A line that says what follows, and one for each node and edge."""
    yield _line({"format": LINES_FORMAT, "start": [start.key]})
    for part in parts:
        yield _line(to_json(NodeForm.of(part) if isinstance(part, Node) else EdgeForm.of(part)))


def _line(record: object) -> str:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
