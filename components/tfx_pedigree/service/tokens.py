"""Tokens, made where they are used: only the secret's digest goes to the registry, which may be elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfx_pedigree.errors import ForbiddenError, NotFoundError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import NewToken, RegistryApi, RolesCap, Token, TokenText


@dataclass(frozen=True)
class MadeToken(JsonForm):
    """`text` is all of it, which nobody can be shown again. `warnings` say what would make it useless."""

    token: Token
    text: str = field(repr=False)
    warnings: tuple[str, ...] = ()


def make_token(
    registry: RegistryApi,
    name: str,
    *,
    principal: str | None = None,
    scope: RolesCap | None = None,
    days: int | None = 90,
) -> MadeToken:
    """For whoever asks, or for `principal`. Without `days` it never expires."""
    made = TokenText.new()
    change = registry.create_token(NewToken(made.id, made.digest, name, principal, scope, days))
    return MadeToken(change.token, made.text, tuple(_warnings(registry, change.token)))


def _warnings(registry: RegistryApi, token: Token) -> list[str]:
    """A model that is not there may be one to come, or a typo. Who may not look is told nothing."""
    found = []
    for model in token.scope.models or ():
        try:
            registry.model(model)
        except NotFoundError as error:
            found.append(f"{error} The token reaches it as soon as there is one.")
        except ForbiddenError:
            break
    return found
