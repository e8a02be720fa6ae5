"""What webhooks are still to be told, as whoever sends it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Database, schema
from tfx_pedigree.registry.events import Event

_W, _D, _K = schema.webhooks.c, schema.webhook_deliveries.c, schema.webhook_cursors.c
_C, _E = schema.chains.c, schema.events.c
# A transaction that began earlier may end later: by far no transaction takes so long.
OVERLAP = timedelta(minutes=10)
_PAGE = 200


@dataclass(frozen=True)
class Due:
    """One event for one webhook, and with what it is signed."""

    webhook_id: int
    name: str
    url: str
    private: bool
    secrets: tuple[str, ...]
    attempts: int
    event: Event

    @property
    def id(self) -> str:
        """The same each time that it is sent: by it a receiver knows what it has already."""
        return f"{self.event.chain}/{self.event.position}"


@dataclass(frozen=True)
class Outcome:
    """What came of a try: taken, to be tried at `next_at`, or never again. `stopped` says why nothing more is sent."""

    taken: bool
    error: str | None = None
    next_at: datetime | None = None
    stopped: str | None = None


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    def has_work(self, now: datetime) -> bool:
        """Whether something happened that was not noted, or is due. Only reads, so that nobody waits for it."""
        due = sa.select(sa.literal(1)).where(_D.state == "pending", _D.next_at <= now).limit(1)
        with self._database.reading() as connection:
            found = connection.execute(sa.select(schema.webhooks).where(_W.stopped.is_(None))).all()
            if not found:
                return False
            return connection.execute(due).first() is not None or any(_behind(connection, row) for row in found)

    def collect(self, now: datetime) -> int:
        """Notes what happened since the last time for every webhook that waits for it. How many events those are."""
        with self._database.writing() as connection:
            found = connection.execute(sa.select(schema.webhooks).where(_W.stopped.is_(None))).all()
            return sum(_collect(connection, row, now) for row in found)

    def due(self, now: datetime, limit: int = 50) -> list[Due]:
        query = (
            sa.select(
                schema.webhooks, _D.attempts, *(column.label(f"event_{column.name}") for column in schema.events.c)
            )
            .join_from(schema.webhook_deliveries, schema.webhooks, _D.webhook_id == _W.id)
            .join(schema.events, sa.and_(_E.chain == _D.chain, _E.position == _D.position))
            .where(_D.state == "pending", _D.next_at <= now, _W.stopped.is_(None))
            .order_by(_D.next_at, _D.chain, _D.position)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_due(row, now) for row in connection.execute(query).mappings()]

    def settle(self, due: Due, outcome: Outcome) -> None:
        which = sa.and_(_D.webhook_id == due.webhook_id, _D.chain == due.event.chain, _D.position == due.event.position)
        with self._database.writing() as connection:
            if outcome.taken:
                gone = connection.execute(schema.webhook_deliveries.delete().where(which)).rowcount
                more = schema.webhooks.update().where(_W.id == due.webhook_id)
                connection.execute(more.values(delivered=_W.delivered + gone))
                return
            values: dict[str, Any] = {"attempts": due.attempts + 1, "last_error": outcome.error}
            values |= {"state": "dead"} if outcome.next_at is None else {"next_at": outcome.next_at}
            connection.execute(schema.webhook_deliveries.update().where(which).values(**values))
            if outcome.stopped is not None:
                stop = schema.webhooks.update().where(_W.id == due.webhook_id)
                connection.execute(stop.values(stopped=outcome.stopped))


def _collect(connection: Connection, webhook: Any, now: datetime) -> int:
    wanted = set(webhook.events.split()) if webhook.events else None
    count = 0
    for chain, after in _behind(connection, webhook):
        start = _start(connection, chain, webhook.created_at) if after is None else after
        end = start
        for row in _events_after(connection, chain, start):
            end = row.position
            if wanted is None or row.action in wanted:
                values = {"webhook_id": webhook.id, "chain": chain, "position": row.position, "next_at": now}
                connection.execute(schema.webhook_deliveries.insert().values(state="pending", attempts=0, **values))
                count += 1
        _move_cursor(connection, webhook.id, chain, end, new=after is None)
    mine = schema.webhooks.update().where(_W.id == webhook.id)
    connection.execute(mine.values(collected_at=now))
    return count


def _behind(connection: Connection, webhook: Any) -> Sequence[tuple[str, int | None]]:
    """Chains that grew of late, with how far the webhook was told of them."""
    told = sa.and_(_K.chain == _C.name, _K.webhook_id == webhook.id)
    query = (
        sa.select(_C.name, _K.position)
        .select_from(schema.chains)
        .outerjoin(schema.webhook_cursors, told)
        .where(_C.last_at >= webhook.collected_at - OVERLAP, _C.length > sa.func.coalesce(_K.position, 0))
        .order_by(_C.name)
    )
    if webhook.model is not None:
        query = query.where(_C.name == webhook.model)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _start(connection: Connection, chain: str, since: datetime) -> int:
    """What happened before there was the webhook is not told."""
    query = sa.select(sa.func.max(_E.position)).where(_E.chain == chain, _E.at < since)
    return connection.execute(query).scalar() or 0


def _events_after(connection: Connection, chain: str, position: int) -> list[Any]:
    found: list[Any] = []
    while True:
        query = sa.select(_E.position, _E.action).where(_E.chain == chain, _E.position > position)
        page = connection.execute(query.order_by(_E.position).limit(_PAGE)).all()
        found += page
        if len(page) < _PAGE:
            return found
        position = page[-1].position


def _move_cursor(connection: Connection, webhook_id: int, chain: str, position: int, *, new: bool) -> None:
    if new:
        values = {"webhook_id": webhook_id, "chain": chain, "position": position}
        connection.execute(schema.webhook_cursors.insert().values(**values))
        return
    which = sa.and_(_K.webhook_id == webhook_id, _K.chain == chain)
    connection.execute(schema.webhook_cursors.update().where(which).values(position=position))


def _due(row: Any, now: datetime) -> Due:
    secrets = [row["secret"]]
    if row["old_secret"] and row["old_until"] > now:
        secrets.append(row["old_secret"])
    event = Event.from_row({column: row[f"event_{column}"] for column in schema.events.c.keys()})  # noqa: SIM118
    return Due(row["id"], row["name"], row["url"], row["private"], tuple(secrets), row["attempts"], event)
