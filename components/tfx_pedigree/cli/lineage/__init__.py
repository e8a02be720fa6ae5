"""Questions to the lineage graph. `lineage` is a group and a command: what is no command of it is the node asked about.

Each command is a module beside this one, imported when it is run.
"""

from __future__ import annotations

import importlib

import click
from click.shell_completion import CompletionItem

from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import Lazy, LazyGroup

_HERE = "tfx_pedigree.cli.lineage"
_OF_NODE = "of"
_SECTIONS = {
    "Commands": {
        "import-mlmd": Lazy(f"{_HERE}.import_mlmd:import_mlmd", "Bring in what an ML Metadata store knows."),
    },
}


class _NodeOrCommand(LazyGroup):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.lazy and args[0] not in ctx.help_option_names:
            args = [_OF_NODE, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == _OF_NODE:
            command: click.Command = importlib.import_module(f"{_HERE}.of_node").of_node
            return command
        return super().get_command(ctx, cmd_name)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS] NODE | COMMAND …"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        command = self.get_command(ctx, _OF_NODE)
        assert command is not None  # noqa: S101  it is the one above
        command.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        nodes = [CompletionItem(text) for text in references(ctx, click.Argument(["node"]), incomplete)]
        return [*super().shell_complete(ctx, incomplete), *nodes]


@click.command(cls=_NodeOrCommand, sections=_SECTIONS)
def lineage() -> None:
    """Show where something came from and what came of it.

    NODE is MODEL@VERSION, or anything in the graph: span:3, commit:1a2b3c4, module:flight_model.py, run:ID, a digest,
    or a key (data:4f5e9a…). Without --depth the answer is complete, however far it leads.
    """
