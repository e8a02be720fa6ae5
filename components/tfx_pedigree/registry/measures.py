"""The registry as numbers for monitoring: what stands in its tables now, and what its log adds up to.

Counts come from the log itself, so that restarts change nothing and several processes agree. After the first time only
what is new in the log is read.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Database, schema
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.states import State

_M, _V, _R = schema.models.c, schema.model_versions.c, schema.reigns.c
_C, _E, _O = schema.chains.c, schema.events.c, schema.observations.c
# A transaction that began earlier may end later: by far no transaction takes so long.
_OVERLAP = timedelta(minutes=10)
# Each metric of each champion is a series of whoever scrapes: a contributor must not make as many as he likes.
MOST_OBSERVED = 2000
MOST_OBSERVED_OF_MODEL = 20


@dataclass(frozen=True)
class ChampionGauge:
    model: str
    version: str
    digest: str
    since: datetime
    created_at: datetime


@dataclass(frozen=True)
class ObservedGauge:
    """The newest value of one series of a champion."""

    model: str
    version: str
    metric: str
    value: float
    ended_at: datetime


@dataclass(frozen=True)
class Gauges:
    """What is so now. `versions` counts by model and state."""

    champions: tuple[ChampionGauge, ...]
    versions: tuple[tuple[str, str, int], ...]
    observed: tuple[ObservedGauge, ...] = ()


@dataclass(frozen=True)
class Told:
    """What one or more events of a chain tell: `outcome` says more where the action alone does not."""

    model: str
    action: str
    outcome: str


def read_gauges(database: Database) -> Gauges:
    champion = _V.state == State.PRODUCTION.value
    champions = (
        sa.select(_M.name, _V.version, _V.digest, _R.began_at, _V.created_at)
        .join_from(schema.model_versions, schema.models, _V.model_id == _M.id)
        .join(schema.reigns, sa.and_(_R.version_id == _V.id, _R.ended_at.is_(None)))
        .where(champion)
        .order_by(_M.name)
    )
    counts = (
        sa.select(_M.name, _V.state, sa.func.count())
        .join_from(schema.model_versions, schema.models, _V.model_id == _M.id)
        .group_by(_M.name, _V.state)
        .order_by(_M.name, _V.state)
    )
    with database.reading() as connection:
        return Gauges(
            tuple(ChampionGauge(*row) for row in connection.execute(champions)),
            tuple((row[0], row[1], row[2]) for row in connection.execute(counts)),
            tuple(_observed(connection)),
        )


@functools.cache
def _newest_observations() -> sa.Select[tuple[str, str, str, float, datetime]]:
    """One step along the index for each series of each champion, however long they are."""
    mine = sa.select(sa.func.min(_O.metric)).where(_O.version_id == _V.id).scalar_subquery()
    series = sa.select(_V.id.label("version_id"), mine.label("metric")).where(_V.state == State.PRODUCTION.value)
    names = series.cte("series", recursive=True)
    after = sa.select(sa.func.min(_O.metric)).where(_O.version_id == names.c.version_id, _O.metric > names.c.metric)
    following = sa.select(names.c.version_id, after.scalar_subquery()).where(names.c.metric.is_not(None))
    names = names.union_all(following)
    o = schema.observations.alias().c
    newest = sa.select(o.id).where(o.version_id == names.c.version_id, o.metric == names.c.metric)
    newest = newest.order_by(o.ended_at.desc(), o.began_at.desc(), o.source.desc()).limit(1)
    return (
        sa.select(_M.name, _V.version, _O.metric, _O.value, _O.ended_at)
        .select_from(names)
        .join(schema.observations, _O.id == newest.scalar_subquery())
        .join(schema.model_versions, _V.id == names.c.version_id)
        .join(schema.models, _M.id == _V.model_id)
        .where(names.c.metric.is_not(None))
        .order_by(_M.name, _O.metric)
        .limit(MOST_OBSERVED)
    )


def _observed(connection: Connection) -> Iterator[ObservedGauge]:
    """Not more of a model than somebody looks at."""
    shown: Counter[str] = Counter()
    for row in connection.execute(_newest_observations()):
        shown[row[0]] += 1
        if shown[row[0]] <= MOST_OBSERVED_OF_MODEL:
            yield ObservedGauge(*row)


class LogCounts:
    """Counts of what the log tells, kept up to date by reading what was added. Safe in several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._until: datetime | None = None
        self._counts: Counter[Told] = Counter()

    def up_to_date(self) -> dict[Told, int]:
        with self._lock:
            with self._database.reading() as connection:
                self._read(connection)
            return dict(self._counts)

    def _read(self, connection: Connection) -> None:
        """In one moment of the database: what is counted and up to where are of one piece."""
        ends = sa.select(_C.name, _C.length, _C.last_at)
        if self._until is not None:
            ends = ends.where(_C.last_at >= self._until - _OVERLAP)
        rows = connection.execute(ends).all()
        if not self._seen:
            self._count(connection, _told_by(sa.true()))
        else:
            for row in rows:
                if row.length > (seen := self._seen.get(row.name, 0)):
                    self._count(connection, _told_by(sa.and_(_E.chain == row.name, _E.position > seen)))
        for row in rows:
            self._seen[row.name] = row.length
            if row.last_at is not None:
                self._until = row.last_at if self._until is None else max(self._until, row.last_at)

    def _count(self, connection: Connection, query: sa.Select[tuple[str, str, str, int]]) -> None:
        for chain, action, outcome, count in connection.execute(query):
            self._counts[Told("" if chain == REGISTRY_CHAIN else chain, action, outcome)] += count


def _told_by(which: sa.ColumnElement[bool]) -> sa.Select[tuple[str, str, str, int]]:
    """Details are canonical JSON: a name and its value stand there in one way only."""
    outcome = sa.case(
        (sa.and_(_E.action == "promote", _E.to_state != State.PRODUCTION.value), "staging"),
        (sa.and_(_E.action == "promote", _E.details.contains('"override":true', autoescape=True)), "override"),
        (sa.and_(_E.action == "promote", _E.details.contains('"evidence":null', autoescape=True)), "unjudged"),
        (_E.action == "promote", "pass"),
        *(
            (sa.and_(_E.action == "attach-evidence", _E.details.contains(f'"verdict":"{verdict}"')), verdict)
            for verdict in ("PASS", "FAIL", "INSUFFICIENT")
        ),
        else_="",
    ).label("outcome")
    columns = (_E.chain, _E.action, outcome)
    return sa.select(*columns, sa.func.count()).where(which).group_by(*columns)
