"""The tokens of a local registry (see `api.Tokens`), and who it is that presents one."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import access, tokens
from tfx_pedigree.registry.api import PAGE, Tokens
from tfx_pedigree.registry.identity import check_principal
from tfx_pedigree.registry.records import Page
from tfx_pedigree.registry.roles import EVERYBODY, Action
from tfx_pedigree.registry.token_text import TokenText
from tfx_pedigree.registry.tokens import NewToken, Token, TokenChange
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.registry.write import Write

# How true `used_at` is: more would be a write with every request.
USED_EVERY = timedelta(hours=1)


class LocalTokens(Tokens):
    transactions: Transactions

    def create_token(self, asked: NewToken) -> TokenChange:
        maker = self.transactions.identity
        owner = maker.principal if asked.principal is None else asked.principal

        def check(write: Write) -> None:
            self._check(write.connection, Action.CREATE_TOKEN, owner)

        with self.transactions.administering_for(check) as write:
            admin = access.is_allowed(write.connection, maker, None, Action.MANAGE_TOKENS)
            token = tokens.decide_token(maker, asked, admin=admin, now=write.now)
            return tokens.create(write, token, asked.secret_digest)

    def revoke_token(self, token_id: str) -> TokenChange:
        def check(write: Write) -> None:
            access.check_any_role(write.connection, write.identity, Action.REVOKE_TOKEN)
            token = tokens.find(write.connection, token_id)
            self._check(write.connection, Action.REVOKE_TOKEN, token.principal)
            tokens.check_revoking(write.identity, token)

        with self.transactions.administering_for(check) as write:
            return tokens.revoke(write, tokens.find(write.connection, token_id))

    def tokens(self, principal: str | None = None, *, limit: int = PAGE, after: str | None = None) -> Page[Token]:
        whose = self.transactions.identity.principal if principal is None else check_principal(principal)
        with self.transactions.reading_for(lambda c: self._check(c, Action.READ, whose)) as connection:
            found = tokens.page(connection, None if whose == EVERYBODY else whose, limit + 1, after)
        items = tuple(found[:limit])
        return Page(items, items[-1].id if len(found) > limit else None)

    def _check(self, connection: Connection, action: Action, principal: str) -> None:
        """Of his own tokens everybody takes care, of all others an admin."""
        identity = self.transactions.identity
        if principal == identity.principal:
            access.check_any_role(connection, identity, action)
        else:
            access.check_role(connection, identity, None, Action.MANAGE_TOKENS)

    def token_presented(self, text: str) -> Token:
        """The token, for whoever holds all of it. UnauthenticatedError where it is none, or none any more. Asks for no
        role: this is how a server learns who asks."""
        presented = TokenText.parse(text)
        if presented is None:
            raise UnauthenticatedError("This is not a token: one begins with `ped_`. Check that it was copied whole.")
        rows = self.transactions.database.ask(tokens.TOKEN, id=presented.id)
        return tokens.authenticated(rows[0] if rows else None, presented, self.transactions.clock())

    def note_use(self, token: Token) -> None:
        """Notes that a token is in use, unless that was noted lately."""
        now = self.transactions.clock()
        if token.used_at is not None and token.used_at > now - USED_EVERY:
            return
        t = schema.tokens.c
        lately = sa.and_(t.id == token.id, sa.or_(t.used_at.is_(None), t.used_at < now - USED_EVERY))
        with self.transactions.database.writing() as connection:
            connection.execute(schema.tokens.update().where(lately).values(used_at=now))
