"""What the page's script draws, as plain JSON: nodes, edges, boxes, and the columns in which they stand. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.picture.folding import fold
from tfx_pedigree.lineage.exports.picture.layers import columns
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.text import listed

# From here on a picture opens with its makings folded.
OPEN_UNTIL = 60
_LONGEST = 6000
_RANK = {kind: rank for rank, kind in enumerate(EdgeKind)}


def scene(graph: Subgraph) -> dict[str, Any]:
    """Nodes are named by their number, boxes by theirs: `g3`. Columns lead from earlier to later."""
    keys = list(graph.nodes)
    number = {key: index for index, key in enumerate(keys)}
    known = (edge for edge in graph.edges if edge.source in number and edge.target in number)
    edges = sorted(known, key=lambda edge: (_RANK[edge.kind], wording.order(graph.nodes[edge.target]), edge.source))
    homes = fold(graph)
    boxes = list(dict.fromkeys(homes[key] for key in keys if key in homes))
    box = {run: f"g{index}" for index, run in enumerate(boxes)}
    outer = [box[homes[key]] if key in homes else number[key] for key in keys]
    links = [(number[edge.source], number[edge.target]) for edge in edges]
    outside = [(outer[late], outer[early]) for late, early in links]
    inside: list[list[int]] = [[] for _ in boxes]
    for key, run in homes.items():
        inside[int(box[run][1:])].append(number[key])
    return {
        "nodes": [_node(graph.nodes[key], homes.get(key), box, key in graph.start) for key in keys],
        "edges": [[number[edge.source], edge.kind.value, number[edge.target]] for edge in edges],
        "boxes": [_box(graph, run, inside[index], keys, links) for index, run in enumerate(boxes)],
        "columns": columns(list(dict.fromkeys(outer)), outside),
        "verbs": {kind.value: wording.VERBS[kind] for kind in EdgeKind},
        "folded": len(keys) > OPEN_UNTIL,
        "complete": graph.complete,
    }


def _node(node: Node, home: str | None, box: Mapping[str, str], start: bool) -> dict[str, Any]:
    return {
        "key": node.key,
        "kind": node.kind.value,
        "label": wording.label(node),
        "box": box[home] if home is not None else None,
        "start": start,
        "content": [[_text(str(name)), _text(value)] for name, value in sorted(node.content.items())],
        "facts": [
            [_text(name), _text(", ".join(values))]
            for name, values in sorted(node.facts.items())
            # Much of the content is a fact as well, to be searched for.
            if values != (node.content.get(name),)
        ],
    }


def _box(
    graph: Subgraph, run: str, members: list[int], keys: list[str], links: list[tuple[int, int]]
) -> dict[str, Any]:
    known = set(members)
    made = [graph.nodes[keys[one]] for one in members]
    versions = [wording.label(node) for node in made if node.kind is NodeKind.VERSION]
    by = graph.nodes.get(run)
    said = wording.label(by) if by is not None else "one run"
    return {
        "label": listed(versions, 3) if versions else said,
        "run": said,
        "members": members,
        "columns": columns(members, [link for link in links if known.issuperset(link)]),
    }


def _text(value: Any) -> str:
    """Letters that turn text around or hide it are shown as what they are."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"
