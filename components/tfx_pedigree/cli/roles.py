"""`roles`: who may do what, on one model or on all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.role import Role

if TYPE_CHECKING:
    from tfx_pedigree.registry import Grant, RoleChange

ROLES = [str(role) for role in Role]
_MODEL = click.option("--model", shell_complete=model_names, help="Only on this model, not on the whole registry.")


@click.group(cls=PedigreeGroup)
def roles() -> None:
    """Say who may do what.

    \b
      viewer       reads
      contributor  registers versions, sets tags, attaches evidence
      reviewer     promotes to staging, sets aliases, archives and restores
      releaser     promotes to production, rolls back, archives the champion
      admin        grants roles, deletes garbage, imports models

    Each may do what those above it may. NAME is an actor; '*' means everybody.
    """


_GRANTS: Columns[Grant] = Columns(
    {
        "who": Column(lambda grant: "everybody" if grant.binding.principal == "*" else grant.binding.principal),
        "role": Column(lambda grant: grant.binding.role),
        "where": Column(lambda grant: "everywhere" if grant.binding.scope == "*" else grant.binding.scope),
        "granted": Column(lambda grant: output.when(grant.granted_at), "granted (UTC)"),
        "by": Column(lambda grant: grant.granted_by, "by…"),
    }
)


@roles.command("list")
@_GRANTS.option
@pass_app
def list_(app: App, columns: list[str] | None) -> None:
    """List who has which role where."""
    with app.open().registry as registry:
        grants = registry.grants()
    output.answer({"items": grants, "next": None}, lambda _: output.show(_GRANTS.table(grants, columns)))


@roles.command("grant")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@_MODEL
@pass_app
def grant(app: App, name: str, role: str, model: str | None) -> None:
    """Give NAME a role; it takes the place of the one that NAME has there.

    The model need not exist yet: a contributor on a model to come can register its first version.
    """
    from tfx_pedigree.service.granting import grant_role

    with app.open().registry as registry:
        granted = grant_role(registry, name, Role.parse(role), model)
    _answer(granted.change, f"{name} is {role} {_where(granted.change.scope)}")
    if granted.warning:
        output.note(granted.warning)


@roles.command("revoke")
@click.argument("name")
@_MODEL
@pass_app
def revoke(app: App, name: str, model: str | None) -> None:
    """Take NAME's role away."""
    scope = model or "*"
    with app.open().registry as registry:
        change = registry.revoke(name, scope)
    _answer(change, f"{name} has no role {_where(scope)}")


def _answer(change: RoleChange, state: str) -> None:
    text = f"{state} now." if change.changed else f"{state} already; nothing changed."
    output.answer({"changed": change.changed, **change.to_json()}, lambda _: output.done(text))


def _where(scope: str) -> str:
    return "on the whole registry" if scope == "*" else f"on {scope}"
