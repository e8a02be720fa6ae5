"""Tokens: who may make one for whom, what it then allows, and its row. A token only ever narrows what its owner may.

Pure rules first, then rows. What is made or revoked is an event in the registry's own chain, which holds a digest of
the row and not the secret's: so the audit finds a token that somebody wrote into the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Row, Statement, schema
from tfx_pedigree.digest import canonical_json, check_digest, digest_of
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, UnauthenticatedError
from tfx_pedigree.json_form import Bounds, JsonForm
from tfx_pedigree.registry.identity import Identity, RolesCap
from tfx_pedigree.registry.names import check_text
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.token_text import TokenText, check_token_id
from tfx_pedigree.registry.write import Write
from tfx_pedigree.role import Role
from tfx_pedigree.text import format_minute, format_timestamp

# A token keeps the groups that its owner had when it was made. Membership may end, so such a token expires sooner.
GROUPS_LAST = timedelta(days=30)
MOST_TOKENS = 200
_LONGEST_NAME = 200
_T = schema.tokens.c


@dataclass(frozen=True)
class NewToken(JsonForm):
    """What is asked for: the id and the secret's digest are made where the token is kept, so that the secret crosses no
    wire. Without a scope it reaches as far as the credential with which it is made; without `days` it never expires."""

    id: str
    secret_digest: str
    name: str
    principal: str | None = None
    scope: RolesCap | None = None
    days: Annotated[int, Bounds(1, 3650)] | None = 90

    def __post_init__(self) -> None:
        check_token_id(self.id)
        check_digest(self.secret_digest)
        check_text(self.name)
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InvalidInputError(
                f"A token needs a name that says what it is for, with at most {_LONGEST_NAME} printable characters."
            )


@dataclass(frozen=True)
class Token(JsonForm):
    """`used_at` is exact to about an hour. With `groups`, roles that were granted to these groups count too."""

    id: str
    name: str
    principal: str
    scope: RolesCap
    groups: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    used_at: datetime | None

    def problem(self, now: datetime) -> str | None:
        """Why the token is not valid any more; None if it is valid."""
        if self.revoked_at is not None:
            return f"was revoked on {format_minute(self.revoked_at)} by {self.revoked_by}"
        if self.expires_at is not None and self.expires_at <= now:
            return f"expired on {format_minute(self.expires_at)}"
        return None

    @property
    def identity(self) -> Identity:
        # A scope of the highest role on all models limits nothing, so none is kept.
        cap = None if self.scope == RolesCap(Role.ADMIN) else self.scope
        return Identity(self.principal, self.id, cap, self.groups, self.expires_at)


@dataclass(frozen=True)
class TokenChange(JsonForm):
    token: Token
    changed: bool


# Rules


def decide_token(maker: Identity, asked: NewToken, *, admin: bool, now: datetime) -> Token:
    """The token that `maker` may make. An `admin` may make tokens for others, also ones that outlive the admin's own
    credential: an admin could grant the same roles to anybody."""
    principal = maker.principal if asked.principal is None else asked.principal
    own = principal == maker.principal
    groups = maker.groups if own else ()
    ends = [now + timedelta(days=asked.days)] if asked.days is not None else []
    if maker.expires_at is not None and not admin:
        ends.append(maker.expires_at)
    if groups:
        ends.append(now + GROUPS_LAST)
    scope = _within(maker, asked.scope)
    Identity(principal, asked.id, scope, groups)  # refuses what could not act
    return Token(
        asked.id, asked.name, principal, scope, groups, now, maker.principal, min(ends, default=None), None, None, None
    )


def _within(maker: Identity, scope: RolesCap | None) -> RolesCap:
    cap = maker.roles_cap
    if scope is None:
        return cap or RolesCap(Role.ADMIN)
    if cap is None or cap.covers(scope):
        return scope
    raise ForbiddenError(
        f"{maker.principal} may not create this token: it is asked for with {_reach(maker, cap)}, and a token made "
        "with it can reach no further either.",
        operation=str(Action.CREATE_TOKEN),
    )


def check_revoking(maker: Identity, token: Token) -> None:
    """Whoever finds a narrow token may end it, and with it no token that reaches further."""
    cap = maker.roles_cap
    if cap is not None and not cap.covers(token.scope):
        raise ForbiddenError(
            f"{maker.principal} may not revoke the token {token.id}, which reaches as far as {token.scope}: this is "
            f"asked for with {_reach(maker, cap)}.",
            operation=str(Action.REVOKE_TOKEN),
        )


def _reach(maker: Identity, cap: RolesCap) -> str:
    credential = f"the token {maker.token_id}" if maker.token_id else "a credential"
    return f"{credential}, which reaches no further than {cap}"


def seal(token: Token, secret_digest: str) -> str:
    """The digest of the row's fields that never change. The event that made the token records it."""
    values = {
        "id": token.id,
        "name": token.name,
        "principal": token.principal,
        "scope": token.scope.to_json(),
        "groups": list(token.groups),
        "expires": token.expires_at and format_timestamp(token.expires_at),
        "secret": secret_digest,
    }
    return digest_of(canonical_json(values))


# Rows

COLUMNS: tuple[Any, ...] = (
    _T.id,
    _T.name,
    _T.principal,
    _T.role,
    _T.models,
    _T.groups,
    _T.created_at,
    _T.created_by,
    _T.expires_at,
    _T.revoked_at,
    _T.revoked_by,
    _T.used_at,
)
_ID = sa.bindparam("id", type_=sa.Text)
_PRINCIPAL = sa.bindparam("principal", type_=sa.Text)
TOKEN = Statement(sa.select(*COLUMNS, _T.secret_digest).where(_T.id == _ID))
_HELD = Statement(
    sa.select(sa.func.count())
    .select_from(schema.tokens)
    .where(
        _T.principal == _PRINCIPAL,
        _T.revoked_at.is_(None),
        sa.or_(_T.expires_at.is_(None), _T.expires_at > sa.bindparam("now", type_=_T.expires_at.type)),
    )
)


def read_token(row: Row) -> Token:
    """Of a row that begins with `COLUMNS`."""
    token_id, name, principal, role, models, groups, *rest = row[: len(COLUMNS)]
    scope = RolesCap(Role.parse(role), None if models is None else tuple(models))
    return Token(token_id, name, principal, scope, tuple(groups), *rest)


def create(write: Write, token: Token, secret_digest: str) -> TokenChange:
    """The same id again is the same token: whoever asks twice has made one."""
    rows = TOKEN.rows(write.connection, id=token.id)
    if rows:
        found = read_token(rows[0])
        if rows[0][-1] == secret_digest and found.principal == token.principal:
            return TokenChange(found, changed=False)
        raise ConflictError(f"There is a token with the id {token.id} already. Run the command again for another id.")
    held = _HELD.rows(write.connection, principal=token.principal, now=write.now)[0][0]
    if held >= MOST_TOKENS:
        raise ConflictError(
            f"{token.principal} has {held} tokens that are neither revoked nor expired, and no more are made. Revoke "
            "those that nobody needs: `pedigree tokens list`, then `pedigree tokens revoke ID`."
        )
    values = {"role": str(token.scope.role), "models": token.scope.models, "groups": list(token.groups)}
    plain = {
        name: getattr(token, name) for name in ("id", "name", "principal", "created_at", "created_by", "expires_at")
    }
    write.connection.execute(schema.tokens.insert().values(**plain, **values, secret_digest=secret_digest))
    write.log(str(Action.CREATE_TOKEN), reason=token.name, details=_told(token, secret_digest))
    return TokenChange(token, changed=True)


def _told(token: Token, secret_digest: str) -> dict[str, Any]:
    scope = token.scope.to_json()
    expires = token.expires_at and format_timestamp(token.expires_at)
    told = {"token": token.id, "principal": token.principal, **scope, "groups": list(token.groups)}
    return {**told, "expires": expires, "seal": seal(token, secret_digest)}


def find(connection: Connection, token_id: str) -> Token:
    rows = TOKEN.rows(connection, id=check_token_id(token_id))
    if not rows:
        raise NotFoundError(f"There is no token {token_id}. See `pedigree tokens list`.")
    return read_token(rows[0])


def revoke(write: Write, token: Token) -> TokenChange:
    if token.revoked_at is not None:
        return TokenChange(token, changed=False)
    values = {"revoked_at": write.now, "revoked_by": write.actor}
    write.connection.execute(schema.tokens.update().where(_T.id == token.id).values(**values))
    write.log(str(Action.REVOKE_TOKEN), details={"token": token.id, "principal": token.principal})
    return TokenChange(Token(**{**vars(token), **values}), changed=True)


def page(connection: Connection, principal: str | None, limit: int, after: str | None) -> Sequence[Token]:
    """Newest first; of everybody where no principal is given."""
    query = sa.select(*COLUMNS).order_by(_T.created_at.desc(), _T.id.desc()).limit(limit)
    if principal is not None:
        query = query.where(_T.principal == principal)
    if after is not None:
        last = find(connection, after)
        query = query.where(sa.tuple_(_T.created_at, _T.id) < (last.created_at, last.id))
    return [read_token(tuple(row)) for row in connection.execute(query)]


def authenticated(row: Row | None, presented: TokenText, now: datetime) -> Token:
    """The token of a row of `TOKEN`, for a client that presents its whole secret. Only such a client is told that the
    token expired or was revoked."""
    digest = row[-1] if row is not None else digest_of(b"")
    if not presented.has(digest) or row is None:
        raise UnauthenticatedError(
            "This token is not known here. Check that it was copied whole, and that it was made for this server."
        )
    token = read_token(row)
    if (problem := token.problem(now)) is not None:
        raise UnauthenticatedError(
            f"The token {token.id} ({token.name}) of {token.principal} {problem}. Use another one; one is made with "
            "`pedigree tokens create NAME`."
        )
    return token
