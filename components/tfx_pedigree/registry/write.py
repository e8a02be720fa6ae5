"""One writing transaction on one chain: the lock, the role, the events.

What an operation changes and the event that tells of it are committed together or not at all. The chain's row is the
lock: whoever holds it is alone with that model until the commit, on both databases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Question, Row, Statement, schema, together
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import access, stored
from tfx_pedigree.registry.events import BEGINNING, REGISTRY_CHAIN, Event, Head
from tfx_pedigree.registry.identity import Identity
from tfx_pedigree.registry.roles import EVERYWHERE, Action
from tfx_pedigree.role import Role
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.text import holds_zero

_C = schema.chains.c
_CHAIN = sa.bindparam("chain", type_=sa.Text)
_LOCK = Statement(
    sa.select(stored.ROLES, _C.length, _C.head, _C.last_at).where(_C.name == _CHAIN).with_for_update(of=schema.chains)
)
_BEGIN = Statement(sa.text("INSERT INTO chains (name, length, head) VALUES (:chain, 0, :head) ON CONFLICT DO NOTHING"))
_EVENT = Statement(schema.events.insert().inline(), schema.events.c.keys())
_END = Statement(
    schema.chains.update()
    .where(_C.name == _CHAIN)
    .values(
        length=sa.bindparam("new_length", type_=_C.length.type),
        head=sa.bindparam("new_head", type_=_C.head.type),
        last_at=sa.bindparam("new_last_at", type_=_C.last_at.type),
    )
)


def insert_if_absent(connection: Connection, table: sa.Table, **values: Any) -> None:
    """Inserts a row unless one with its key is there; two processes at once are no error."""
    # Each dialect takes its time to import, so only the one in use is.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415

        connection.execute(sqlite.insert(table).values(**values).on_conflict_do_nothing())
        return
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    connection.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())


class Write:
    """A writing transaction that holds the lock on `chain`. `now` never lies before the chain's last event.

    What is written with `later` is written by `finish` at the latest: where the database is elsewhere, all of it goes
    there in one round trip.
    """

    def __init__(
        self,
        connection: Connection,
        identity: Identity,
        chain: str,
        clock_time: datetime,
        questions: Sequence[Question] = (),
    ) -> None:
        """`questions` are asked under the lock; `rows` has their answers."""
        self.connection = connection
        self.identity = identity
        self.chain = chain
        self.written = 0  # events so far
        self._pending: list[Question] = []
        self._at_once = connection.dialect.name == "sqlite"
        scope = EVERYWHERE if chain == REGISTRY_CHAIN else chain
        lock = (_LOCK, {"chain": chain, "names": identity.names, "model": scope})
        locked, *self.rows = together(connection, [lock, *questions])
        if not locked:
            _BEGIN.run(connection, chain=chain, head=BEGINNING)
            locked, *self.rows = together(connection, [lock, *questions])
        self._held, length, head, last = locked[0]
        self._head = Head(length, head)
        self.now = clock_time if last is None else max(clock_time, last + timedelta(microseconds=1))

    @property
    def actor(self) -> str:
        return self.identity.principal

    @property
    def role(self) -> Role | None:
        """What whoever acts has on the chain's model."""
        return access.role_of(self.identity, self._held, self.chain)

    def require(self, action: Action) -> None:
        access.require(self.identity, self._held, None if self.chain == REGISTRY_CHAIN else self.chain, action)

    def later(self, statement: Statement, **values: Any) -> None:
        """Runs the statement in its turn, before the transaction ends."""
        if self._at_once:
            statement.run(self.connection, **values)
        else:
            self._pending.append((statement, values))

    def ask(self, *questions: Question) -> list[list[Row]]:
        """Everything that was to be written before is written, and then asked."""
        answers = together(self.connection, [*self._pending, *questions])
        done, self._pending = len(self._pending), []
        return answers[done:]

    def finish(self) -> None:
        """Writes what is still to be written, and where the chain ends now. Whoever made this object calls it."""
        if self.written:
            end = self._head
            last = self.now - timedelta(microseconds=1)
            self.later(_END, chain=self.chain, new_length=end.length, new_head=end.hash, new_last_at=last)
        if self._pending:
            self.ask()

    def log(
        self,
        action: str,
        subject: str | None = None,
        *,
        before: str | None = None,
        after: str | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Event:
        told = f"What {self.actor} wants to write ({action})"
        kept = canonical_json(dict(details or {})).decode()
        refuse_zero(kept, details, told)
        if reason:
            refuse_zero(json.dumps(reason), reason, told)
        event = Event.sealed(
            chain=self.chain,
            position=self._head.length + 1,
            at=self.now,
            actor=self.actor,
            action=action,
            subject=subject,
            from_state=before and str(before),
            to_state=after and str(after),
            reason=reason and clean_text(reason),
            details=details or {},
            previous=self._head.hash,
            token=self.identity.token_id,
        )
        self.later(_EVENT, **{**vars(event), "details": kept})
        self._head = Head(event.position, event.hash)
        self.written += 1
        self.now += timedelta(microseconds=1)
        return event


def refuse_zero(content: str, value: object, what: str) -> None:
    """`content` is the value as JSON."""
    if "\\u0000" in content and holds_zero(value):
        raise InvalidInputError(
            f"{what} holds the character zero, which not every database can hold. Nothing was changed; leave it out."
        )
