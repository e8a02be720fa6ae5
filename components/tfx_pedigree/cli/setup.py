"""`init`, `config`, `completion`: before the first model and before the first command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand

if TYPE_CHECKING:
    from tfx_pedigree.service.initialise import Initialised
    from tfx_pedigree.settings import Settings


@click.command(cls=PedigreeCommand)
@pass_app
def init(app: App) -> None:
    """Create a registry and its store.

    Whoever creates it becomes its admin; everybody may read it. The database of an older release is brought up to
    date. A registry that exists already is not changed.
    """
    from tfx_pedigree.service.initialise import initialise

    output.answer(initialise(app.settings.registry, **app.opening), _tell)


def _tell(done: Initialised) -> None:
    if not done.changed:
        output.done(f"The registry {done.registry} is there and up to date; nothing changed.")
        return
    output.done(f"The registry {done.registry} is ready; its store is {done.store}.")
    output.next_step("register", "MODEL", "FOLDER")


@click.command(cls=PedigreeCommand)
@pass_app
def config(app: App) -> None:
    """Show the settings and where they come from.

    An option overrides the environment, which overrides a configuration file. Passwords are not shown.
    """
    settings = app.settings
    file = str(settings.file) if settings.file else None
    output.answer({"settings": settings.to_json(), "file": file}, lambda _: _show(settings))


def _show(settings: Settings) -> None:
    table = output.table("setting", "value…", "from…")
    for key, entry in settings.to_json().items():
        table.add_row(*output.cells((key, entry["value"], entry["source"])))
    output.show(table)
    if settings.file is None:
        output.note("No configuration file is in use: none is named, and there is no pedigree.toml here or above.")


@click.command(cls=PedigreeCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash   echo 'eval "$(pedigree completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(pedigree completion zsh)"' >> ~/.zshrc
      fish   pedigree completion fish > ~/.config/fish/completions/pedigree.fish
    """
    from click.shell_completion import get_completion_class

    from tfx_pedigree.cli.main import cli

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(cli, {}, "pedigree", "_PEDIGREE_COMPLETE").source())
