"""`tokens`: credentials with which people and jobs reach a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns, Shown
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.inputs import not_blank, paging
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.roles import ROLES

if TYPE_CHECKING:
    from tfx_pedigree.registry import Token
    from tfx_pedigree.service.tokens import MadeToken


@click.group(cls=PedigreeGroup)
def tokens() -> None:
    """Make, list and revoke tokens for a server.

    A token acts for its owner and only ever narrows what the owner may do. Everybody takes care of his own tokens, an
    admin of all. The first token for a server is made where the registry's database is reached.
    """


@tokens.command("create")
@click.argument("name", callback=not_blank)
@click.option("--for", "principal", metavar="NAME", help="Whom it acts for, if not for you; an admin may say so.")
@click.option("--role", type=click.Choice(ROLES), help="The most that it may do, whatever its owner may.")
@click.option("--model", "models", multiple=True, shell_complete=model_names, help="Only on this model; repeatable.")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="When it expires.")
@click.option("--never-expires", is_flag=True, help="It is good until it is revoked.")
@pass_app
def create(
    app: App,
    *,
    name: str,
    principal: str | None,
    role: str | None,
    models: tuple[str, ...],
    days: int,
    never_expires: bool,
) -> None:
    """Make a token. NAME says what it is for.

    The token is printed once, and kept nowhere: the registry has only its digest. It does not outlive the token with
    which you ask for it, unless you are an admin.

    \b
      pedigree tokens create laptop
      pedigree tokens create "nightly training" --for ci --role contributor --model flight-delay --days 30
    """
    from tfx_pedigree.registry import Role, RolesCap
    from tfx_pedigree.service.tokens import make_token

    scope = RolesCap(Role.parse(role or ROLES[-1]), models or None) if role or models else None
    with app.open().registry as registry:
        made = make_token(registry, name, principal=principal, scope=scope, days=None if never_expires else days)
    output.answer(made, _tell)
    for warning in made.warnings:
        output.note(warning)


def _reach(token: Token) -> str:
    if token.identity.roles_cap is None:
        return "all that its owner may do"
    return f"at most {token.scope}"


def _tell(made: MadeToken) -> None:
    token = made.token
    until = f"until {output.when(token.expires_at)} UTC" if token.expires_at else "until it is revoked"
    output.note(f"This token acts for {token.principal} ({_reach(token)}) {until}. It is shown only now:")
    output.say(made.text)


_COLUMNS: Columns[Token] = Columns(
    {
        "id": Column(lambda token: token.id),
        "name": Column(lambda token: token.name, "name…"),
        "for": Column(lambda token: token.principal),
        "reach": Column(_reach, "reach…"),
        "expires": Column(lambda token: output.when(token.expires_at), "expires (UTC)"),
        "used": Column(lambda token: output.when(token.used_at), "used (UTC)", Shown.FILLED),
        "revoked": Column(lambda token: output.when(token.revoked_at), "revoked (UTC)", Shown.FILLED),
        "created": Column(lambda token: output.when(token.created_at), "created (UTC)", shown=Shown.ASKED),
        "by": Column(lambda token: token.created_by, "by…", shown=Shown.ASKED),
    }
)


@tokens.command("list")
@click.option("--of", "principal", metavar="NAME", help="Those of somebody else; an admin may ask for them.")
@click.option("--all", "everybody", is_flag=True, help="Those of everybody.")
@_COLUMNS.option
@paging
@pass_app
def list_(
    app: App, *, principal: str | None, everybody: bool, columns: list[str] | None, limit: int, after: str | None
) -> None:
    """List your tokens, newest first. A secret is never shown again."""
    if principal and everybody:
        raise click.UsageError("--of and --all exclude each other.")
    with app.open().registry as registry:
        page = registry.tokens("*" if everybody else principal, limit=limit, after=after)
    chosen = ["--all"] if everybody else ["--of", principal] if principal else []
    nothing = "There is no token. Make one with `pedigree tokens create NAME`."
    _COLUMNS.answer(page, columns, words=("tokens", "list", *chosen, "--limit", str(limit)), nothing=nothing)


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
@pass_app
def revoke(app: App, token_id: str) -> None:
    """Make a token good for nothing, at once."""
    with app.open().registry as registry:
        change = registry.revoke_token(token_id)
    token = change.token
    now = "is revoked now" if change.changed else "is revoked already; nothing changed"
    output.answer(change, lambda _: output.done(f"The token {token.id} ({token.name}) of {token.principal} {now}."))
