"""Observations of a local registry (see `api.Observations`)."""

from __future__ import annotations

from datetime import datetime

from tfx_pedigree.registry import observations, reading
from tfx_pedigree.registry.api import PAGE, Observations
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.observations import Cursor, NewObservation, Observation, ObservationChange
from tfx_pedigree.registry.records import Page
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.transactions import Transactions


class LocalObservations(Observations):
    transactions: Transactions

    def observe(self, reference: str | Reference, observation: NewObservation) -> ObservationChange:
        reference = Reference.of(reference)
        with self.transactions.changing(reference.model, Action.OBSERVE, reading.selecting(reference)) as write:
            found = reading.resolve(write.connection, reference, write.rows[0])
            added = observations.record(write, found, observation)
            return ObservationChange(reference.model, found.version.version, added, changed=bool(added))

    def observations(
        self,
        model: str,
        version: str | None = None,
        *,
        metric: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = PAGE,
        after: str | None = None,
    ) -> Page[Observation]:
        cursor = Cursor() if after is None else Cursor.parse(after)
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            of = reading.resolve(connection, Reference(model, version)).id if version else None
            rows = observations.read_series(
                connection, model, of, metric, since=since, until=until, cursor=cursor, limit=limit + 1
            )
        items = tuple(one for _, one in rows[:limit])
        return Page(items, str(Cursor(items[-1].ended_at, rows[limit - 1][0])) if len(rows) > limit else None)

    def observed_metrics(self, model: str, version: str) -> tuple[str, ...]:
        with self.transactions.reading(model) as connection:
            found = reading.resolve(connection, Reference(model, version))
            return tuple(sorted(row[0] for row in observations.NAMES.rows(connection, id=found.id)))
