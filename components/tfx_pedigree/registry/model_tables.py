"""The rows of one model in the database: read one by one, taken away, written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.model_rows import (
    AliasRow,
    DescriptionRow,
    EvidenceRow,
    ModelRow,
    PeriodRow,
    Row,
    VersionRow,
)
from tfx_pedigree.registry.registration import index_for_search
from tfx_pedigree.registry.write import append, insert_if_absent

_HELD_BY_MODEL = (schema.reigns, schema.aliases, schema.evidence, schema.version_metrics, schema.version_tags)
_PAGE = 500
# What stands in a column that points at a row that is gone.
_NOWHERE = -1


def read(connection: Connection, model: str) -> Iterator[dict[str, Any]]:
    """In the order of an archive: the model, descriptions, versions, and what hangs on them. What stands in the cells
    is not checked: `model_rows.read_row` does that."""
    m, v = schema.models, schema.model_versions
    row = connection.execute(sa.select(m).where(m.c.name == model)).mappings().one_or_none()
    if row is None:
        return
    yield _plain("models", row)
    used = sa.select(v.c.description_digest).where(v.c.model_id == row["id"])
    d = schema.descriptions
    for description in _in_pages(connection, sa.select(d).where(d.c.digest.in_(used)).order_by(d.c.digest)):
        yield _plain("descriptions", description)
    numbers: dict[int, str] = {}
    for version in _in_pages(connection, sa.select(v).where(v.c.model_id == row["id"]).order_by(v.c.sequence)):
        numbers[version["id"]] = version["version"]
        yield _plain("model_versions", version)
    places: dict[int, int] = {}
    orders = {schema.reigns: "began_at", schema.aliases: "name", schema.evidence: "id"}
    for table, order in orders.items():
        query = sa.select(table).where(table.c.model_id == row["id"]).order_by(table.c[order])
        for item in _in_pages(connection, query):
            plain = {**_plain(table.name, item), "version": numbers.get(item["version_id"], "(gone)")}
            if table is schema.reigns:
                places[item["id"]] = len(places)
                back_to = item["back_to"]
                plain["back_to"] = None if back_to is None else places.get(back_to, _NOWHERE)
            yield plain


def _in_pages(connection: Connection, query: sa.Select[Any]) -> Iterator[RowMapping]:
    yield from connection.execute(query.execution_options(yield_per=_PAGE)).mappings()


def _plain(table: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    values = {key: value for key, value in row.items() if key not in ("id", "model_id", "version_id")}
    return {"table": table} | {k: to_json(v) if isinstance(v, datetime) else v for k, v in values.items()}


def hashes(connection: Connection, model: str) -> list[str]:
    e = schema.events.c
    return list(connection.execute(sa.select(e.hash).where(e.chain == model).order_by(e.position)).scalars())


def count_events(connection: Connection, model: str) -> int:
    query = sa.select(sa.func.count()).select_from(schema.events).where(schema.events.c.chain == model)
    return connection.execute(query).scalar_one()


def remove(connection: Connection, model: str) -> None:
    """Takes all rows of the model away, to make room for the same history made longer. The caller inserts at once."""
    model_id = connection.execute(sa.select(schema.models.c.id).where(schema.models.c.name == model)).scalar()
    if model_id is not None:
        connection.execute(schema.reigns.update().where(schema.reigns.c.model_id == model_id).values(back_to=None))
        for table in (*_HELD_BY_MODEL, schema.model_versions):
            connection.execute(table.delete().where(table.c.model_id == model_id))
        connection.execute(schema.models.delete().where(schema.models.c.id == model_id))
    connection.execute(schema.events.delete().where(schema.events.c.chain == model))


def insert(connection: Connection, rows: Iterable[Row], events: Iterable[Event]) -> None:
    """Writes what `read` gave and `row_check` found right, in that order."""
    inserter = _Inserter(connection)
    for row in rows:
        inserter.insert(row)
    for event in events:
        append(connection, event)


class _Inserter:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._model_id = 0
        self._versions: dict[str, int] = {}
        self._periods: list[int] = []

    def insert(self, row: Row) -> None:
        values = dict(vars(row))
        if isinstance(row, ModelRow):
            self._model_id = self._new(schema.models, values)
        elif isinstance(row, DescriptionRow):
            insert_if_absent(self._connection, schema.descriptions, digest=row.digest, content=str(row.content))
        elif isinstance(row, VersionRow):
            self._version(row, values)
        else:
            self._hanging(row, values)

    def _version(self, row: VersionRow, values: dict[str, Any]) -> None:
        values |= {"model_id": self._model_id, "state": row.state.value, "reasons": list(row.reasons)}
        self._versions[row.version] = version_id = self._new(schema.model_versions, values)
        key = {"id": version_id, "model_id": self._model_id, "sequence": row.sequence}
        index_for_search(self._connection, key, row.metrics, row.tags)

    def _hanging(self, row: PeriodRow | AliasRow | EvidenceRow, values: dict[str, Any]) -> None:
        values |= {"model_id": self._model_id, "version_id": self._versions[values.pop("version")]}
        if isinstance(row, PeriodRow):
            values["back_to"] = None if row.back_to is None else self._periods[row.back_to]
            self._periods.append(self._new(schema.reigns, values))
            return
        if isinstance(row, EvidenceRow):
            values["content"] = str(row.content)
        self._connection.execute(schema.metadata.tables[row.table].insert().values(**values))

    def _new(self, table: sa.Table, values: dict[str, Any]) -> int:
        key = self._connection.execute(table.insert().values(**values)).inserted_primary_key
        assert key is not None  # noqa: S101  every table inserted here has a generated key
        return int(key[0])
