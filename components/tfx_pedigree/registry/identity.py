"""Who acts: a principal, the groups it is in, and how far the credential that it used reaches.

Whoever opens a database names himself. A server learns all of this from a credential, never from a parameter.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry.names import check_actor, check_model_name
from tfx_pedigree.registry.roles import EVERYBODY
from tfx_pedigree.role import Role

# A grant to this principal counts for everybody who is in the group.
GROUP = "group:"
MOST_GROUPS = 200


@dataclass(frozen=True)
class RolesCap(JsonForm):
    """The most that a credential allows: this role, and where `models` is given, only on these models and nothing on
    the registry as a whole. It takes away from the principal's roles and never adds to them."""

    role: Role
    models: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for model in self.models or ():
            check_model_name(model)

    def of(self, role: Role | None, model: str | None) -> Role | None:
        """What is left of a role on a model, or on the whole registry where none is named."""
        if role is None or (self.models is not None and model not in self.models):
            return None
        return min(role, self.role)

    def covers(self, other: RolesCap) -> bool:
        """Whether the other reaches no further."""
        models = self.models is None or (other.models is not None and set(other.models) <= set(self.models))
        return models and other.role <= self.role

    def __str__(self) -> str:
        return str(self.role) if self.models is None else f"{self.role} on {', '.join(self.models) or 'no model'}"


@dataclass(frozen=True)
class Identity:
    """`token_id` stands in the events of what is done with the token. `groups` are names without `group:`. When the
    credential `expires_at`, so does what was made with it."""

    principal: str
    token_id: str | None = None
    roles_cap: RolesCap | None = None
    groups: tuple[str, ...] = ()
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        check_actor(self.principal)
        if self.principal.startswith(GROUP) or self.principal == EVERYBODY:
            raise InvalidInputError(f"{self.principal!r} names several people, so nobody can act as it.")
        if len(self.groups) > MOST_GROUPS:
            raise InvalidInputError(
                f"{self.principal} is in {len(self.groups)} groups; the registry takes {MOST_GROUPS}. "
                "Let the issuer send only those that have roles here."
            )
        for group in self.groups:
            check_group(group)

    @functools.cached_property
    def names(self) -> str:
        """All names under which a grant counts for this identity, as a JSON list."""
        return json.dumps([EVERYBODY, self.principal, *(f"{GROUP}{group}" for group in self.groups)])


def check_group(name: str) -> str:
    """A group's name without `group:`."""
    if not name or name != name.strip() or len(name) > 200 or not name.isprintable():
        raise InvalidInputError(f"{name!r} cannot name a group. Give a printable name of at most 200 characters.")
    return name


def check_principal(name: str) -> str:
    """Who can have a role: somebody, everybody (`*`), or the members of a group (`group:NAME`)."""
    if name.startswith(GROUP):
        check_group(name.removeprefix(GROUP))
        return name
    return name if name == EVERYBODY else check_actor(name)
