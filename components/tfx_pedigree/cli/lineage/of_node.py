"""`lineage NODE`: what a node came from and what came of it, as a tree or in a form for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.inputs import STANDARD
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.exports import FORMATS, LINES
from tfx_pedigree.lineage.graph import Way
from tfx_pedigree.text import plural, visible

if TYPE_CHECKING:
    from tfx_pedigree.lineage.graph import Node
    from tfx_pedigree.lineage.subgraph import Subgraph

_TEXT = "text"
UP, DOWN, BOTH = "up", "down", "both"


class _AsItsGroup(click.Context):
    """In messages it is called as people called it: `pedigree lineage`."""

    @property
    def command_path(self) -> str:
        return self.parent.command_path if self.parent else super().command_path


class _OfNode(PedigreeCommand):
    context_class = _AsItsGroup


@click.command("of", cls=_OfNode)
@click.argument("node", shell_complete=references)
@click.option("--up", "way", flag_value=UP, help="Only what it came from.")
@click.option("--down", "way", flag_value=DOWN, help="Only what came of it.")
@click.option("--both", "way", flag_value=BOTH, default=True, help="Both (the default).")
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="At most N steps away; left out, all the way.")
@click.option(
    "--format", "form", type=click.Choice([_TEXT, *FORMATS, LINES]), help="The form of the answer; text is a tree."
)
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to a file; - is standard output.",
)
@pass_app
def of_node(app: App, *, node: str, way: str, depth: int | None, form: str | None, file: Path | None) -> None:
    """Show where something came from and what came of it."""
    from tfx_pedigree.lineage.exports import render
    from tfx_pedigree.lineage.exports.json_text import lines

    if app.json and form not in (None, "json"):
        raise InvalidInputError(f"--json and --format {form} exclude each other. Give one of them.")
    form = form or ("json" if app.json else _TEXT)
    if form == _TEXT and file is not None:
        raise InvalidInputError(f"--output needs a form: --format {' or '.join(FORMATS)}.")
    with app.open() as workspace:
        lineage = workspace.lineage
        found = lineage.find(node)
        if form == LINES:
            _write_lines(lines(found, lineage.stream(found, Way(way), depth)), file)
            return
        ask = {UP: lineage.get_upstream, DOWN: lineage.get_downstream, BOTH: lineage.get_lineage}[way]
        graph = ask(found, depth)
    if form == _TEXT:
        _show(graph, found, way, depth, node)
    elif file in (None, STANDARD):
        click.echo(render(graph, form), nl=False)
    elif file is not None:
        file.write_text(render(graph, form), encoding="utf-8")
        many = f"{plural(len(graph.nodes), 'node')} and {plural(len(graph.edges), 'edge')}"
        output.say(f"Wrote {many} to {file}.")


def _write_lines(written: Iterator[str], file: Path | None) -> None:
    if file in (None, STANDARD):
        for line in written:
            click.echo(line, nl=False)
    elif file is not None:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(written)
        output.say(f"Wrote {file}.")


def _show(graph: Subgraph, node: Node, way: str, depth: int | None, asked: str) -> None:
    from rich.text import Text

    from tfx_pedigree.cli.lineage.tree import Tree
    from tfx_pedigree.lineage import wording

    tree = Tree(graph)
    output.show(Text(visible(wording.label(node)), style="bold"), Text(node.key, style="dim"))
    if way in (UP, BOTH):
        output.show("", *tree.up(node.key))
    if way in (DOWN, BOTH):
        output.show("", *tree.down(node.key))
    for cycle in graph.cycles:
        names = " ← ".join(wording.label(graph.nodes[key]) for key in cycle if key in graph.nodes)
        output.note(f"This leads in a circle, which only data from elsewhere can do: {names}")
    if tree.left_out:
        output.note(f"{plural(tree.left_out, 'more line')}. Give --depth, or a form: --format html --output FILE")
    if not graph.complete and depth is not None:
        output.note(f"There is more: {output.command('lineage', asked, '--depth', str(depth + 2))}")
