"""`alias`: names that people give to versions, such as canary. They move; champion and latest are the registry's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import changes, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.text import short_digest

if TYPE_CHECKING:
    from tfx_pedigree.registry import Version


@click.group(cls=PedigreeGroup)
def alias() -> None:
    """Give versions names of your own."""


@alias.command("set")
@click.argument("name")
@click.argument("ref", shell_complete=references)
@pass_app
def set_(app: App, name: str, ref: str) -> None:
    """Let NAME mean this version from now on."""
    with app.open().registry as registry:
        change = registry.set_alias(name, ref)
    version = change.version
    changes.answer(
        change,
        done=f"{version.model}@{name} is {version.name} now.",
        already=f"{version.model}@{name} is {version.name} already",
    )


@alias.command("remove")
@click.argument("model", shell_complete=model_names)
@click.argument("name")
@pass_app
def remove(app: App, model: str, name: str) -> None:
    """Forget an alias; its version stays as it is."""
    with app.open().registry as registry:
        registry.remove_alias(model, name)
    done = f"{model} has no alias {name} any more."
    output.answer({"changed": True, "model": model, "alias": name}, lambda _: output.done(done))


_ALIASES: Columns[tuple[str, Version]] = Columns(
    {
        "alias": Column(lambda found: found[0]),
        "version": Column(lambda found: found[1].version),
        "state": Column(lambda found: found[1].state),
        "digest": Column(lambda found: short_digest(found[1].digest)),
    }
)


@alias.command("list")
@click.argument("model", shell_complete=model_names)
@_ALIASES.option
@pass_app
def list_(app: App, model: str, columns: list[str] | None) -> None:
    """List a model's aliases and the versions that they mean."""
    from tfx_pedigree.service.versions.looking_up import versions_by_alias

    with app.open().registry as registry:
        found = tuple(versions_by_alias(registry, model).items())
    items = [{"alias": name, "version": version.version} for name, version in found]
    output.answer({"items": items, "next": None}, lambda _: _tell(model, found, columns))


def _tell(model: str, found: Sequence[tuple[str, Version]], columns: list[str] | None) -> None:
    if found:
        output.show(_ALIASES.table(found, columns))
        return
    output.say(f"{model} has no alias.")
    output.next_step("alias", "set", "NAME", f"{model}@VERSION")
