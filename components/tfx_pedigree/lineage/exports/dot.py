"""DOT, for Graphviz: `pedigree lineage flight-delay@champion --format dot | dot -Tsvg`.

Edges lead as in the graph, from later to earlier, and `rankdir=RL` puts what is earlier on the left.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.palette import PAINT
from tfx_pedigree.lineage.graph import Node
from tfx_pedigree.lineage.subgraph import Subgraph


def render(graph: Subgraph) -> str:
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Subgraph) -> Iterator[str]:
    yield "digraph lineage {"
    yield "  rankdir=RL;"
    yield '  node [fontname="Helvetica", fontsize=11, style="filled,rounded", penwidth=1];'
    yield '  edge [fontname="Helvetica", fontsize=9, color="#566173", fontcolor="#566173"];'
    if not graph.complete:
        yield '  label="A limit on the depth left something out.";'
    for key, node in graph.nodes.items():
        yield f"  {quoted(key)} [{_attributes(node, bold=key in graph.start)}];"
    for edge in graph.edges:
        said = quoted(edge.kind.value.replace("_", " "))
        yield f"  {quoted(edge.source)} -> {quoted(edge.target)} [label={said}];"
    yield "}"


def _attributes(node: Node, *, bold: bool) -> str:
    paint = PAINT[node.kind]
    shape = f'shape={paint.shape}, style="filled"' if paint.shape != "box" else "shape=box"
    width = ", penwidth=3" if bold else ""
    return (
        f"label={quoted(wording.label(node))}, tooltip={quoted(node.key)}, {shape}, "
        f'color="{paint.ink}", fontcolor="{paint.ink}", fillcolor="{paint.ground}"{width}'
    )


def quoted(text: str) -> str:
    r"""A string of DOT. Graphviz would read `\N`, `\G` and the like in it as orders, and `&amp;` as an entity."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") + '"'
