"""Who has which role: granting, revoking, listing. What a role allows is decided in `roles`, and asked in `access`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import ConflictError, NotFoundError
from tfx_pedigree.registry.identity import GROUP, check_principal
from tfx_pedigree.registry.names import check_model_name
from tfx_pedigree.registry.records import Grant, RoleChange
from tfx_pedigree.registry.roles import EVERYWHERE, Binding
from tfx_pedigree.registry.write import Write
from tfx_pedigree.role import Role

_B = schema.role_bindings.c


def bind(write: Write, principal: str, scope: str, role: Role) -> RoleChange:
    """One role per principal and scope: a new one takes the place of the old one."""
    held = _held(write.connection, principal, scope)
    change = RoleChange(principal, role, scope, held)
    if not change.changed:
        return change
    key = sa.and_(_B.principal == principal, _B.scope == scope)
    values = {"role": str(role), "granted_at": write.now, "granted_by": write.actor}
    if held is None:
        write.connection.execute(schema.role_bindings.insert().values(principal=principal, scope=scope, **values))
    else:
        write.connection.execute(schema.role_bindings.update().where(key).values(**values))
    write.log("grant", details={"principal": principal, "scope": scope, "role": str(role)})
    return change


def grant(write: Write, principal: str, role: Role, scope: str) -> RoleChange:
    _check_names(principal, scope)
    if role is not Role.ADMIN:
        _keep_an_admin(write.connection, principal, scope)
    return bind(write, principal, scope, role)


def revoke(write: Write, principal: str, scope: str) -> RoleChange:
    _check_names(principal, scope)
    held = _held(write.connection, principal, scope)
    if held is None:
        where = "the whole registry" if scope == EVERYWHERE else scope
        raise NotFoundError(f"{principal} has no role on {where}. See who has one with `pedigree roles list`.")
    _keep_an_admin(write.connection, principal, scope)
    key = sa.and_(_B.principal == principal, _B.scope == scope)
    write.connection.execute(schema.role_bindings.delete().where(key))
    write.log("revoke", details={"principal": principal, "scope": scope})
    return RoleChange(principal, None, scope, held)


def grants(connection: Connection) -> tuple[Grant, ...]:
    rows = connection.execute(sa.select(schema.role_bindings).order_by(_B.scope, _B.principal))
    return tuple(
        Grant(Binding(row.principal, row.scope, Role.parse(row.role)), row.granted_at, row.granted_by) for row in rows
    )


def _held(connection: Connection, principal: str, scope: str) -> Role | None:
    query = sa.select(_B.role).where(_B.principal == principal, _B.scope == scope)
    role = connection.execute(query).scalar_one_or_none()
    return Role.parse(role) if role else None


def _keep_an_admin(connection: Connection, principal: str, scope: str) -> None:
    """A registry without an admin could never be administered again. A group does not count: who is in it, and whether
    anybody is, only its issuer knows."""
    if scope != EVERYWHERE or _held(connection, principal, scope) is not Role.ADMIN:
        return
    others = sa.select(_B.principal).where(
        _B.role == str(Role.ADMIN),
        _B.scope == EVERYWHERE,
        _B.principal != principal,
        ~_B.principal.startswith(GROUP, autoescape=True),
    )
    if connection.execute(others.limit(1)).first() is None:
        raise ConflictError(
            f"{principal} is the only admin of this registry and stays so. "
            "Make somebody else admin first: `pedigree roles grant NAME admin`."
        )


def _check_names(principal: str, scope: str) -> None:
    check_principal(principal)
    if scope != EVERYWHERE:
        check_model_name(scope)
