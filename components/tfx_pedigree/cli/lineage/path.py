"""`path`: how two things in the graph hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand

if TYPE_CHECKING:
    from tfx_pedigree.lineage.graph import Edge, Node
    from tfx_pedigree.lineage.lineage import Lineage


@click.command(cls=PedigreeCommand)
@click.argument("a", shell_complete=references)
@click.argument("b", shell_complete=references)
@pass_app
def path(app: App, a: str, b: str) -> None:
    """Show how one thing leads to another.

    The shortest way from the later of the two to the earlier one, whichever that is. A and B are written as in
    `pedigree lineage`.
    """
    from tfx_pedigree.lineage.exports.json_form import edge_json, node_json
    from tfx_pedigree.lineage.lineage import Lineage

    with app.open().registry as registry:
        lineage = Lineage(registry)
        ends = lineage.find(a), lineage.find(b)
        way = lineage.path(*ends)
        nodes = _nodes(lineage, ends, way)
    if app.json:
        edges = None if way is None else [edge_json(edge) for edge in way]
        shown = [node_json(node) for node in nodes.values()]
        output.emit({"from": ends[0].key, "to": ends[1].key, "edges": edges, "nodes": shown})
    else:
        _print(ends, way, nodes)


def _nodes(lineage: Lineage, ends: tuple[Node, Node], way: tuple[Edge, ...] | None) -> dict[str, Node]:
    nodes = {node.key: node for node in ends}
    for edge in way or ():
        for key in (edge.source, edge.target):
            nodes.setdefault(key, lineage.find(key))
    return nodes


def _print(ends: tuple[Node, Node], way: tuple[Edge, ...] | None, nodes: dict[str, Node]) -> None:
    from tfx_pedigree.lineage import wording

    first, second = map(wording.label, ends)
    if way is None:
        output.say(f"No way leads from {first} to {second}: neither came of the other.")
        output.next_step("lineage", wording.handle(ends[0]))
    elif not way:
        output.say(f"{first} and {second} are the same node.")
    for edge in way or ():
        output.say(wording.sentence(nodes[edge.source], edge.kind, nodes[edge.target]))
