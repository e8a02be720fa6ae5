"""Lineage: what did this come from, what came of it, and which versions does it concern?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.picture.page import linked_page
from tfx_pedigree.lineage.graph import Node, Way
from tfx_pedigree.lineage.impact import Impact
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.server.pages import frame
from tfx_pedigree.server.pages.view import Asked, View
from tfx_pedigree.text import listed

_MOST_ROWS = 400
_DEEPEST = 10_000


@dataclass(frozen=True)
class LineagePage(JsonForm):
    """Without `of` nothing is asked about."""

    of: str | None
    graph: Subgraph | None


@dataclass(frozen=True)
class ImpactPage(JsonForm):
    of: str
    impact: Impact


def page(asked: Asked) -> View:
    of = asked.given("of")
    if of is None:
        return View("lineage.html", "Lineage", LineagePage(None, None), ("lineage", "--help"), section="lineage")
    node, graph = _ask(asked, of)
    query = asked.request.url.query
    depth = asked.query("depth")
    extra = {
        "label": wording.label(node),
        "picture": f"/lineage/picture?{query}",
        "rows": _rows(graph),
        "left_out": max(0, len(graph.edges) - _MOST_ROWS),
        "way": _way(asked).value,
        "depth": depth,
        "kinds": _kinds(graph),
    }
    command = ("lineage", of, *((f"--{_way(asked).value}",)), *(("--depth", depth) if depth else ()))
    title = f"Lineage of {wording.label(node)}"
    return View("lineage.html", title, LineagePage(of, graph), command, extra, section="lineage")


def picture(asked: Asked) -> str:
    _, graph = _ask(asked, asked.query("of"))
    return linked_page(graph, frame.static_address("picture.css"), frame.static_address("picture.js"))


def _ask(asked: Asked, of: str) -> tuple[Node, Subgraph]:
    lineage = asked.workspace.lineage
    way, depth = _way(asked), _depth(asked)
    node = lineage.find(of)
    ways = {Way.UP: lineage.get_upstream, Way.DOWN: lineage.get_downstream, Way.BOTH: lineage.get_lineage}
    return node, ways[way](node, depth)


def _way(asked: Asked) -> Way:
    text = asked.query("way") or Way.BOTH.value
    try:
        return Way(text)
    except ValueError:
        raise InvalidInputError(f"There is no way {text!r}. Ask for {', '.join(one.value for one in Way)}.") from None


def _depth(asked: Asked) -> int | None:
    text = asked.query("depth")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 5 or int(text) > _DEEPEST:
        raise InvalidInputError(f"{text[:20]!r} is no number of steps. Give 0 to {_DEEPEST}.")
    return int(text)


def _rows(graph: Subgraph) -> list[dict[str, Any]]:
    """Each edge as a sentence, for who reads instead of looking."""
    nodes = graph.nodes
    known = [edge for edge in graph.edges if edge.source in nodes and edge.target in nodes]
    return [
        {
            "source": wording.label(nodes[edge.source]),
            "source_key": nodes[edge.source].key,
            "verb": wording.VERBS[edge.kind],
            "target": wording.label(nodes[edge.target]),
            "target_key": nodes[edge.target].key,
        }
        for edge in known[:_MOST_ROWS]
    ]


def _kinds(graph: Subgraph) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for node in graph.nodes.values():
        counts[node.kind.value] = counts.get(node.kind.value, 0) + 1
    return sorted(counts.items(), key=lambda one: -one[1])


def _deployed(node: Node) -> str:
    return ": ".join(filter(None, (wording.label(node), listed(wording.served(node), 4))))


def impact(asked: Asked) -> View:
    of = asked.query("of")
    if not of:
        raise InvalidInputError("Say what is asked about, such as `?of=data:span=2` or `?of=commit:1a2b3c4`.")
    found = asked.workspace.lineage.impact(of)
    extra = {
        "starts": [wording.label(node) for node in found.start],
        "labels": {one.node.key: wording.label(one.node) for one in found.versions},
        "deployments": [_deployed(node) for node in found.deployments],
    }
    return View("impact.html", f"Impact of {of}", ImpactPage(of, found), ("impact", of), extra, section="lineage")
