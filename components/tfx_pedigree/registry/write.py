"""One writing transaction on one chain: the lock, the role, the events.

What an operation changes and the event that tells of it are committed together or not at all. The chain's row is the
lock: whoever holds it is alone with that model until the commit, on both databases.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry.events import BEGINNING, REGISTRY_CHAIN, Event, Head
from tfx_pedigree.registry.roles import (
    EVERYBODY,
    EVERYWHERE,
    LEAST_ROLE,
    Action,
    Binding,
    Role,
    allows,
    role_of,
)
from tfx_pedigree.secrets import clean_text


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
    """A writing transaction that holds the lock on `chain`. `now` never lies before the chain's last event."""

    def __init__(self, connection: Connection, actor: str, chain: str, clock_time: datetime) -> None:
        self.connection = connection
        self.actor = actor
        self.chain = chain
        row = self._lock()
        self._head = Head(row["length"], row["head"])
        self.written = 0  # events so far
        self.replaced: str | None = None  # the champion whose place was taken
        last: datetime | None = row["last_at"]
        self.now = clock_time if last is None else max(clock_time, last + timedelta(microseconds=1))

    def _lock(self) -> RowMapping:
        query = sa.select(schema.chains).where(schema.chains.c.name == self.chain).with_for_update()
        row = self.connection.execute(query).mappings().one_or_none()
        if row is None:
            insert_if_absent(self.connection, schema.chains, name=self.chain, length=0, head=BEGINNING)
            row = self.connection.execute(query).mappings().one()
        return row

    def require(self, action: Action) -> None:
        model = None if self.chain == REGISTRY_CHAIN else self.chain
        check_role(self.connection, self.actor, model, action)

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
        event = Event(
            chain=self.chain,
            position=self._head.length + 1,
            at=self.now,
            actor=self.actor,
            action=action,
            subject=subject,
            from_state=before,
            to_state=after,
            reason=reason and clean_text(reason),
            details=details or {},
            previous=self._head.hash,
        )
        event = replace(event, hash=event.computed_hash())
        append(self.connection, event)
        self._head = Head(event.position, event.hash)
        self.written += 1
        self.now += timedelta(microseconds=1)
        return event


def append(connection: Connection, event: Event) -> None:
    """Writes the event and moves its chain's end. The caller holds the chain's lock."""
    connection.execute(
        schema.events.insert().values(
            chain=event.chain,
            position=event.position,
            at=event.at,
            actor=event.actor,
            action=event.action,
            subject=event.subject,
            from_state=event.from_state,
            to_state=event.to_state,
            reason=event.reason,
            details=canonical_json(dict(event.details)).decode(),
            previous=event.previous,
            hash=event.hash,
        )
    )
    connection.execute(
        schema.chains.update()
        .where(schema.chains.c.name == event.chain)
        .values(length=event.position, head=event.hash, last_at=event.at)
    )


def check_role(connection: Connection, actor: str, model: str | None, action: Action) -> None:
    """Refuses what no binding of the actor allows. The only place where roles are enforced."""
    b = schema.role_bindings.c
    scopes = [EVERYWHERE] if model is None else [EVERYWHERE, model]
    rows = connection.execute(
        sa.select(b.principal, b.scope, b.role).where(b.principal.in_([actor, EVERYBODY]), b.scope.in_(scopes))
    )
    role = role_of(actor, model, [Binding(row.principal, row.scope, Role.parse(row.role)) for row in rows])
    if allows(role, action):
        return
    needed, where = LEAST_ROLE[action], f"on {model}" if model else "on the whole registry"
    has = f"has the role {role}" if role else "has no role"
    target = f" --model {model}" if model else ""
    raise ForbiddenError(
        f"{actor} may not {str(action).replace('-', ' ')} {where}: {actor} {has} there, and this needs {needed}. "
        f"An admin can grant it: `pedigree roles grant {shlex.quote(actor)} {needed}{target}`.",
        operation=str(action),
    )
