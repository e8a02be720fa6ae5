"""`init`, `config`, `completion`: before the first model and before the first command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import ConflictError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tfx_pedigree.registry import Registry


@click.command(cls=PedigreeCommand)
@pass_app
def init(app: App) -> None:
    """Create a registry and its store.

    Who creates it becomes its admin; everybody may read it. On a registry of an older release this brings its
    database up to date. On one that is there already it changes nothing.
    """
    registry, created = _opened_or_created(app)
    with registry:
        place = {"registry": registry.url, "store": registry.store.url, "actor": app.settings.actor}
    if app.json:
        output.emit({"changed": created, **place})
        return
    if not created:
        output.say(f"The registry {place['registry']} is there and up to date; nothing changed.")
        return
    output.say(f"The registry {place['registry']} is ready; its store is {place['store']}.")
    output.next_step("register", "MODEL", "FOLDER")


def _opened_or_created(app: App) -> tuple[Registry, bool]:
    from tfx_pedigree.registry import Registry

    address = app.settings.registry
    try:
        return Registry.open(address, **app.opening), False
    except (NotFoundError, ConflictError):  # an older schema is led to ours; with a newer one `create` refuses as well
        return _created(app, address), True


def _created(app: App, address: str) -> Registry:
    from tfx_pedigree.registry import Registry

    try:
        return Registry.create(address, **app.opening)
    except OSError as error:
        raise UnavailableError(
            f"The registry {app.settings.shown('registry')} cannot be created: {error.strerror}. "
            "Nothing was changed. Choose another place with --registry, or correct its permissions."
        ) from error


@click.command(cls=PedigreeCommand)
@pass_app
def config(app: App) -> None:
    """Show the settings and where they come from.

    An option outranks the environment, that a configuration file, that the default. Passwords are not shown.
    """
    settings = app.settings
    if app.json:
        output.emit({"settings": settings.to_json(), "file": str(settings.file) if settings.file else None})
        return
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
