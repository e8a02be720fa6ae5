"""`path`: how two things in the graph hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand

if TYPE_CHECKING:
    from tfx_pedigree.lineage.graph import Node
    from tfx_pedigree.lineage.subgraph import Subgraph


@click.command(cls=PedigreeCommand)
@click.argument("a", metavar="NODE", shell_complete=references)
@click.argument("b", metavar="NODE", shell_complete=references)
@pass_app
def path(app: App, a: str, b: str) -> None:
    """Show how one thing leads to another.

    The shortest way from the later of the two to the earlier one, whichever that is. A and B are written as in
    `pedigree lineage`.
    """
    from tfx_pedigree.lineage.subgraph import EdgeForm, NodeForm

    with app.open() as workspace:
        lineage = workspace.lineage
        first, second = lineage.find(a), lineage.find(b)
        way = lineage.path(first, second)
    nodes = {first.key: first, second.key: second, **(way.nodes if way else {})}
    edges = None if way is None else [EdgeForm.of(edge) for edge in way.edges]
    told = {"from": first.key, "to": second.key, "edges": edges, "nodes": [NodeForm.of(one) for one in nodes.values()]}
    output.answer(told, lambda _: _print((first, second), way))


def _print(ends: tuple[Node, Node], way: Subgraph | None) -> None:
    from tfx_pedigree.lineage import wording

    first, second = map(wording.label, ends)
    if way is None:
        output.say(f"No way leads from {first} to {second}: neither came of the other.")
        output.next_step("lineage", wording.handle(ends[0]))
    elif not way.edges:
        output.say(f"{first} and {second} are the same node.")
    else:
        for edge in way.edges:
            output.say(wording.sentence(way.nodes[edge.source], edge.kind, way.nodes[edge.target]))
