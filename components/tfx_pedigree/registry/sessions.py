"""Browsers that are signed in: rows that end with their session, and no part of the history.

A row is found by the SHA-256 of what the cookie holds. Whoever signed in with a token is asked for that token each
time, so that the session ends where the token does.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Statement, schema
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import tokens
from tfx_pedigree.registry.identity import Identity, RolesCap
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.role import Role

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
# How true `seen_at` is: more would be a write with every page.
_SEEN_EVERY = timedelta(minutes=5)
_S = schema.sessions.c
_SESSION = Statement(
    sa.select(_S.principal, _S.groups, _S.token_id, _S.seen_at, _S.expires_at, _S.role, _S.models).where(
        _S.digest == sa.bindparam("digest", type_=sa.Text)
    )
)
_U = schema.used_sign_ins.c


@dataclass(frozen=True)
class UsedSignIn:
    """An attempt to sign in, by what only its browser knows. Until it `ends`, it is remembered that it was used."""

    secret: str
    ends: datetime


class LocalSessions:
    transactions: Transactions

    def open_session(self, identity: Identity, *, instead_of: str | None = None, used: UsedSignIn | None = None) -> str:
        """What the browser is to keep. Nobody can be told it again.

        The session that it had ends. UnauthenticatedError where the sign-in was used before, by whomever.
        """
        secret, now = secrets.token_urlsafe(32), self.transactions.clock()
        ends = min(now + LONGEST, identity.expires_at or now + LONGEST)
        who = {"principal": identity.principal, "groups": list(identity.groups), "token_id": identity.token_id}
        cap = identity.roles_cap if identity.token_id is None else None
        reach = {"role": str(cap.role), "models": None if cap.models is None else list(cap.models)} if cap else {}
        values = {"digest": _digest(secret), "created_at": now, "seen_at": now, "expires_at": ends}
        with self.transactions.database.writing() as connection:
            if used is not None:
                _use(connection, used)
            if instead_of is not None:
                connection.execute(schema.sessions.delete().where(_S.digest == _digest(instead_of)))
            connection.execute(schema.sessions.insert().values(**who, **values, **reach))
        return secret

    def session_presented(self, secret: str) -> Identity:
        """Who signed in. UnauthenticatedError where nobody did, or where it was too long ago."""
        rows = self.transactions.database.ask(_SESSION, digest=_digest(secret))
        now = self.transactions.clock()
        if not rows or rows[0][4] <= now or rows[0][3] + IDLE <= now:
            raise UnauthenticatedError("You are not signed in any more. Sign in again at /sign-in.")
        principal, groups, token_id, seen_at, expires_at, role, models = rows[0]
        if token_id is None:
            cap = RolesCap(Role.parse(role), None if models is None else tuple(models)) if role is not None else None
            identity = Identity(principal, None, cap, tuple(groups), expires_at)
        else:
            found = self.transactions.database.ask(tokens.TOKEN, id=token_id)
            token = tokens.read_token(found[0])
            if (problem := token.problem(now)) is not None:
                raise UnauthenticatedError(f"The token {token.id} with which you signed in {problem}. Use another one.")
            identity = token.identity
        if seen_at + _SEEN_EVERY <= now:
            mine = schema.sessions.update().where(_S.digest == _digest(secret))
            with self.transactions.database.writing() as connection:
                connection.execute(mine.values(seen_at=now))
        return identity

    def close_session(self, secret: str) -> None:
        """From now on what the browser holds is worth nothing."""
        with self.transactions.database.writing() as connection:
            connection.execute(schema.sessions.delete().where(_S.digest == _digest(secret)))

    def forget_sessions(self) -> None:
        """Drops the rows of sessions and sign-ins that are over."""
        now = self.transactions.clock()
        over = sa.or_(_S.expires_at <= now, _S.seen_at <= now - IDLE)
        with self.transactions.database.writing() as connection:
            connection.execute(schema.sessions.delete().where(over))
            connection.execute(schema.used_sign_ins.delete().where(_U.expires_at <= now))


def _use(connection: Connection, used: UsedSignIn) -> None:
    try:
        connection.execute(schema.used_sign_ins.insert().values(digest=_digest(used.secret), expires_at=used.ends))
    except sa.exc.IntegrityError:
        raise UnauthenticatedError("This sign-in was used already. Begin again at /sign-in.") from None


def _digest(secret: str) -> str:
    return digest_of(secret.encode(errors="replace"))
