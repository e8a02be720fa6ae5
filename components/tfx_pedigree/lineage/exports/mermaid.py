"""A Mermaid flowchart, for Markdown that shows pictures. Edges lead from later to earlier; what is earlier is left."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.palette import PAINT
from tfx_pedigree.lineage.graph import NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph

# Brackets of Mermaid: what they draw is a rounded box, a cylinder, a stadium.
_ROUND, _CYLINDER, _STADIUM = ("(", ")"), ("[(", ")]"), ("([", "])")
_SHAPES = {NodeKind.DATA: _CYLINDER, NodeKind.VERSION: _STADIUM}
# All else in a label is written as a character reference: Mermaid reads quotes, brackets, HTML and Markdown in it.
_PLAIN = frozenset(" .,:-–…/=+@")


def render(graph: Subgraph) -> str:
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Subgraph) -> Iterator[str]:
    yield "flowchart RL"
    if not graph.complete:
        yield "  %% A limit on the depth left something out."
    names = {key: f"n{number}" for number, key in enumerate(graph.nodes, 1)}
    for key, node in graph.nodes.items():
        opening, closing = _SHAPES.get(node.kind, _ROUND)
        yield f'  {names[key]}{opening}"{escaped(wording.label(node))}"{closing}:::{node.kind.value}'
    for edge in graph.edges:
        if edge.source in names and edge.target in names:
            said = edge.kind.value.replace("_", " ")
            yield f'  {names[edge.source]} -->|"{said}"| {names[edge.target]}'
    for kind in sorted({node.kind for node in graph.nodes.values()}):
        paint = PAINT[kind]
        yield f"  classDef {kind.value} fill:{paint.ground},stroke:{paint.ink},color:{paint.ink}"
    for key in graph.start:
        if key in names:
            yield f"  style {names[key]} stroke-width:4px"


def escaped(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in _PLAIN else f"#{ord(letter)};" for letter in text)
