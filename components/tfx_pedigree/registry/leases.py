"""Leases: who alone may do something for a time, such as drive the traffic of a model.

A lease that was not renewed in time may be taken by anybody, with a higher epoch. What is done under a lease carries
its epoch, so that whoever was replaced without noticing is refused where it matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Database, schema
from tfx_pedigree.registry.write import insert_if_absent

_L = schema.leases.c
_LONG_AGO = datetime.fromisoformat("1970-01-02T00:00:00+00:00")


@dataclass(frozen=True)
class Lease:
    name: str
    holder: str
    epoch: int
    expires_at: datetime


def hold(database: Database, name: str, holder: str, *, seconds: float, now: datetime, above: int = 0) -> Lease | None:
    """Takes or renews it; None where somebody else has it. The epoch stays as it is while the holder renews in time
    and it is above `above`."""
    with database.writing() as connection:
        insert_if_absent(connection, schema.leases, name=name, holder="", epoch=0, expires_at=_LONG_AGO)
        query = sa.select(schema.leases).where(_L.name == name).with_for_update()
        row = connection.execute(query).one()
        mine = row.holder == holder and row.expires_at > now
        if not mine and row.holder and row.expires_at > now:
            return None
        epoch = row.epoch if mine and row.epoch > above else max(row.epoch, above) + 1
        lease = Lease(name, holder, epoch, now + timedelta(seconds=seconds))
        change = schema.leases.update().where(_L.name == name)
        connection.execute(change.values(holder=holder, epoch=epoch, expires_at=lease.expires_at))
        return lease


def release(database: Database, lease: Lease) -> None:
    """Others need not wait for its end. Without effect where it was lost meanwhile."""
    with database.writing() as connection:
        mine = sa.and_(_L.name == lease.name, _L.holder == lease.holder, _L.epoch == lease.epoch)
        connection.execute(schema.leases.update().where(mine).values(holder="", expires_at=_LONG_AGO))


def is_held(connection: Connection, lease: Lease, now: datetime) -> bool:
    """Inside the transaction of what is done under it."""
    row = connection.execute(sa.select(schema.leases).where(_L.name == lease.name)).one_or_none()
    return row is not None and (row.holder, row.epoch) == (lease.holder, lease.epoch) and row.expires_at > now


def holder_of(connection: Connection, name: str, now: datetime) -> str | None:
    row = connection.execute(sa.select(schema.leases).where(_L.name == name)).one_or_none()
    return row.holder if row is not None and row.holder and row.expires_at > now else None
