"""Whether somebody may do something: the only place where roles are asked for.

The roles are those of the principal, of its groups and of everybody, on the model and everywhere; a token's scope takes
away from them. What a role allows is decided in `roles`; who has which is written by `grants`.
"""

from __future__ import annotations

import shlex

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Statement, one_of, schema
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import stored
from tfx_pedigree.registry.identity import Identity
from tfx_pedigree.registry.roles import EVERYWHERE, LEAST_ROLE, Action, allows, highest
from tfx_pedigree.role import Role

_ROLES = Statement(sa.select(stored.ROLES))
_ANY_ROLE = Statement(
    sa.select(sa.literal_column("1"))
    .select_from(schema.role_bindings)
    .where(one_of(schema.role_bindings.c.principal, stored.NAMES))
    .limit(1)
)


def role_of(identity: Identity, held: str | None, model: str | None) -> Role | None:
    """`held` are the roles as `stored.ROLES` strings them together; no model means the whole registry."""
    role, cap = highest(held), identity.roles_cap
    return role if cap is None else cap.of(role, None if model == EVERYWHERE else model)


def require(identity: Identity, held: str | None, model: str | None, action: Action) -> None:
    if not allows(role_of(identity, held, model), action):
        raise refusal(identity, held, model, action)


def role_in(connection: Connection, identity: Identity, model: str | None) -> Role | None:
    scope = EVERYWHERE if model is None else model
    return role_of(identity, _ROLES.rows(connection, names=identity.names, model=scope)[0][0], model)


def check_role(connection: Connection, identity: Identity, model: str | None, action: Action) -> None:
    """Refuses what no binding of the identity allows."""
    scope = EVERYWHERE if model is None else model
    require(identity, _ROLES.rows(connection, names=identity.names, model=scope)[0][0], model, action)


def is_allowed(connection: Connection, identity: Identity, model: str | None, action: Action) -> bool:
    try:
        check_role(connection, identity, model, action)
    except ForbiddenError:
        return False
    return True


def check_any_role(connection: Connection, identity: Identity, action: Action) -> None:
    """Refuses whoever has no role at all, on no model."""
    if not _ANY_ROLE.rows(connection, names=identity.names):
        raise refusal(identity, None, None, action)


# Scopes in which the identity has a role of its own; and of those that its token names.
_SCOPES = Statement(
    sa.select(schema.role_bindings.c.scope).where(one_of(schema.role_bindings.c.principal, stored.NAMES)).distinct()
)
_V = schema.model_versions.c
_HAS_BYTES = Statement(
    sa.select(sa.literal_column("1")).where(
        _V.model_id == stored.MODEL_ID, _V.digest == sa.bindparam("digest", type_=sa.Text)
    )
)
_KNOWN_BYTES = Statement(
    sa.select(sa.literal_column("1")).where(_V.digest == sa.bindparam("digest", type_=sa.Text)).limit(1)
)


def check_reading_bytes(connection: Connection, identity: Identity, digest: str) -> None:
    """Whoever may read a version may read its bytes. Those that belong to no version yet may be read by whoever may
    make one: a model is described from what was stored of it."""
    if is_allowed(connection, identity, None, Action.READ):
        return
    for model in _models_of(connection, identity):
        here = _HAS_BYTES.rows(connection, model=model, digest=digest)
        if here and is_allowed(connection, identity, model, Action.READ):
            return
    if _KNOWN_BYTES.rows(connection, digest=digest):
        check_role(connection, identity, None, Action.READ)
    check_adding_bytes(connection, identity)


def check_adding_bytes(connection: Connection, identity: Identity) -> None:
    """Whoever may make versions of some model may store bytes for them."""
    if not any(is_allowed(connection, identity, model, Action.RESERVE) for model in _models_of(connection, identity)):
        check_role(connection, identity, None, Action.RESERVE)


def _models_of(connection: Connection, identity: Identity) -> set[str]:
    cap = identity.roles_cap
    scopes = {row[0] for row in _SCOPES.rows(connection, names=identity.names)} - {EVERYWHERE}
    return scopes | set((cap and cap.models) or ())


def refusal(identity: Identity, held: str | None, model: str | None, action: Action) -> ForbiddenError:
    actor, role, needed = identity.principal, highest(held), LEAST_ROLE[action]
    where = f"on {model}" if model else "on the whole registry"
    doing = str(action).replace("-", " ").replace("rollback", "roll back")
    may_not = f"{actor} may not {doing} {where}"
    if allows(role, action) and identity.roles_cap is not None:
        return ForbiddenError(
            f"{may_not} with the token {identity.token_id}: it reaches no further than {identity.roles_cap}, and this "
            f"needs {needed}. Use another token, or make one with `pedigree tokens create NAME`.",
            operation=str(action),
        )
    has = f"has the role {role}" if role else "has no role"
    of_model = f" --model {model}" if model else ""
    return ForbiddenError(
        f"{may_not}: {actor} {has} there, and this needs {needed}. "
        f"An admin can grant it: `pedigree roles grant {shlex.quote(actor)} {needed}{of_model}`.",
        operation=str(action),
    )
