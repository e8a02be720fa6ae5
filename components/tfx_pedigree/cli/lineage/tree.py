"""A lineage as an indented tree.

What several things share is unfolded once, where it is reached in the fewest steps; elsewhere its name says where.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfx_pedigree.cli import output
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Edge
from tfx_pedigree.lineage.neighbours import Adjacency
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

# A tree of more lines is read by nobody: whoever wants all of it asks for another form.
MOST_LINES = 300
_NARROWEST = 24


@dataclass(frozen=True)
class _Way:
    """Which edges are followed, to which of their ends, and how one is said."""

    heading: str
    nothing: str
    follow: Callable[[str], list[Edge]]
    end: Callable[[Edge], str]
    said: Callable[[Edge], tuple[str, str, str]]


class Tree:
    """`left_out` counts the lines that did not fit."""

    def __init__(self, graph: Subgraph) -> None:
        self._around = Adjacency(graph)
        self.left_out = 0

    def up(self, key: str) -> list[RenderableType]:
        def said(edge: Edge) -> tuple[str, str, str]:
            return f"{wording.VERBS[edge.kind]} ", wording.label(self._around.nodes[edge.target]), ""

        nothing = "Nothing was recorded that it came from."
        return self._lines(key, _Way("Came from", nothing, self._around.up, lambda edge: edge.target, said))

    def down(self, key: str) -> list[RenderableType]:
        def said(edge: Edge) -> tuple[str, str, str]:
            return "", wording.label(self._around.nodes[edge.source]), f" {wording.VERBS[edge.kind]} it"

        nothing = "Nothing came of it so far."
        return self._lines(key, _Way("What came of it", nothing, self._around.down, lambda edge: edge.source, said))

    def _lines(self, start: str, way: _Way) -> list[RenderableType]:
        from rich.text import Text

        shown = list(_walk(start, way))
        self.left_out += max(0, len(shown) - MOST_LINES)
        lines = [line for step in shown[:MOST_LINES] for line in _wrapped(step, way)]
        return [Text(way.heading, style="bold"), *(lines or [Text(f"  {way.nothing}")])]


@dataclass(frozen=True)
class _Step:
    """`rails` stand before the line, `further` before what is broken off it; `place` says where a node is unfolded."""

    rails: str
    further: str
    edge: Edge
    place: str


def _walk(start: str, way: _Way) -> Iterator[_Step]:
    """Without recursion: histories are long."""
    homes, seen, unfolded = _homes(start, way), {start}, {start}
    levels = [("", deque(way.follow(start)))]
    while levels:
        rails, edges = levels[-1]
        if not edges:
            levels.pop()
            continue
        edge = edges.popleft()
        key, further = way.end(edge), f"{rails}{'│  ' if edges else '   '}"
        below = way.follow(key)
        unfold = homes.get(key) is edge
        if below:
            place = "" if unfold else (" (see above)" if key in unfolded else " (see below)")
        else:
            place = " (see above)" if key in seen else ""
        seen.add(key)
        yield _Step(f"{rails}{'├─ ' if edges else '└─ '}", further, edge, place)
        if unfold:
            unfolded.add(key)
            levels.append((further, deque(below)))


def _homes(start: str, way: _Way) -> dict[str, Edge]:
    """The edge under which a node is unfolded: the first of those that reach it in the fewest steps."""
    homes: dict[str, Edge] = {}
    waiting = deque([start])
    while waiting:
        for edge in way.follow(waiting.popleft()):
            key = way.end(edge)
            if key != start and key not in homes:
                homes[key] = edge
                waiting.append(key)
    return homes


def _wrapped(step: _Step, way: _Way) -> list[Text]:
    from rich.text import Text

    before, name, after = way.said(step.edge)
    line = Text.assemble((before, "dim"), visible(name), (f"{after}{step.place}", "dim"))
    console = output.console()
    parts = line.wrap(console, max(_NARROWEST, console.width - len(step.rails)))
    return [
        Text.assemble((step.further if row else step.rails, "dim"), part, no_wrap=True)
        for row, part in enumerate(parts)
    ]
