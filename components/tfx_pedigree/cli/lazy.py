"""A group of commands that imports a command only when it is run, so that `pedigree --help` answers at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from tfx_pedigree.cli.app import common_options
from tfx_pedigree.text import did_you_mean, is_unicode

_EPILOG = "Also takes --registry, --store, --actor, --config and --quiet: see `pedigree --help`."
_REF = "REF is MODEL@VERSION, where VERSION is a number, champion, latest, an alias or a digest."
_NEWEST = "MODEL alone means its newest version."
# Where an empty command line shows the help, the exit code is that of `--help`, with every release of Click.
_NO_HELP_ERROR = {"no_args_is_help": False}


@dataclass(frozen=True)
class Lazy:
    """Where a command is, and the line that the list of commands shows: a test holds it to the command's own."""

    path: str
    summary: str


class PedigreeCommand(click.Command):
    """A command that also takes the common options, so that they may stand before it or after it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"epilog": _EPILOG, **kwargs})
        named = {param.human_readable_name for param in self.params if isinstance(param, click.Argument)}
        if any("REF" in name for name in named):
            rest = [] if any("MODEL|" in name for name in named) else [_NEWEST]
            self.epilog = "\n\n".join([" ".join([_REF, *rest]), self.epilog or ""])
        self.params += common_options(hidden=True)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for param in self.params:
            given = ctx.params.get(param.name or "")
            texts = given if isinstance(given, tuple) else (given,)
            # The bytes of a path may be no text; everything else is to be stored, or compared with what is stored.
            if any(isinstance(text, str) and not is_unicode(text) for text in texts):
                raise click.BadParameter("it is not UTF-8 text.", ctx=ctx, param=param)
        return rest


class PedigreeGroup(click.Group):
    command_class = PedigreeCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, **_NO_HELP_ERROR})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            hint = did_you_mean(name, self.list_commands(ctx), f"`{ctx.command_path} --help` lists all.")
            ctx.fail(f"There is no command {name!r}. {hint}")
        return super().resolve_command(ctx, args)


PedigreeGroup.group_class = PedigreeGroup


class AnsweringGroup(PedigreeGroup):
    """A group that does something by itself as well, so it takes what commands take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options(hidden=True)


class LazyGroup(PedigreeGroup):
    """`sections` are the headings of the help, each with its commands."""

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, Lazy]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.lazy = {name: lazy for commands in sections.values() for name, lazy in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = self.lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.path.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.lazy))
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(_rows(commands.items(), width))


def _rows(commands: Iterable[tuple[str, Lazy]], width: int) -> list[tuple[str, str]]:
    return [(name.ljust(width), lazy.summary) for name, lazy in commands]
