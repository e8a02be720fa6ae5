"""All rows of one model as plain JSON, without the numbers by which this database happens to join them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import check_digest, digest_of, parse_json
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.records import format_timestamp
from tfx_pedigree.registry.registration import index_for_search
from tfx_pedigree.registry.transaction import append, insert_if_absent

_HELD_BY_MODEL = (schema.reigns, schema.aliases, schema.evidence, schema.version_metrics, schema.version_tags)
_TIMES = ("created_at", "registered_at", "began_at", "ended_at", "set_at")


def read(connection: Connection, model: str) -> Iterator[dict[str, Any]]:
    """The model first, then its versions with their descriptions, then what hangs on them."""
    m = schema.models
    row = connection.execute(sa.select(m).where(m.c.name == model)).mappings().one()
    yield _plain("models", row, drop=("id",))
    numbers: dict[int, str] = {}
    v = schema.model_versions
    versions = connection.execute(sa.select(v).where(v.c.model_id == row["id"]).order_by(v.c.sequence)).mappings().all()
    for digest, content in connection.execute(_descriptions(row["id"])):
        yield {"table": "descriptions", "digest": digest, "content": content}
    for version in versions:
        numbers[version["id"]] = version["version"]
        yield _plain("model_versions", version, drop=("id", "model_id"))
    reign_numbers: dict[int, int] = {}
    for table in (schema.reigns, schema.aliases, schema.evidence):
        order = table.c.name if table is schema.aliases else table.c.id
        for item in connection.execute(
            sa.select(table).where(table.c.model_id == row["id"]).order_by(order)
        ).mappings():
            plain = _plain(table.name, item, drop=("id", "model_id", "version_id"))
            plain["version"] = numbers[item["version_id"]]
            if table is schema.reigns:
                reign_numbers[item["id"]] = len(reign_numbers)
                plain["back_to"] = reign_numbers.get(item["back_to"])
            yield plain


def _descriptions(model_id: int) -> sa.Select[Any]:
    d, v = schema.descriptions.c, schema.model_versions.c
    used = sa.select(v.description_digest).where(v.model_id == model_id)
    return sa.select(d.digest, d.content).where(d.digest.in_(used)).order_by(d.digest)


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


def insert(connection: Connection, model: str, rows: Iterable[Mapping[str, Any]], events: Iterable[Event]) -> None:
    """Writes what `read` gave. Whether the rows agree with the events is for the audit to say."""
    inserter = _Inserter(connection)
    for row in rows:
        inserter.insert(dict(row))
    for event in events:
        append(connection, event)


class _Inserter:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._model_id = 0
        self._versions: dict[str, int] = {}
        self._reigns: list[int] = []

    def insert(self, row: dict[str, Any]) -> None:
        kind = row.pop("table")
        values = {key: _time(value) if key in _TIMES else value for key, value in row.items()}
        if kind == "models":
            self._model_id = self._new(schema.models, values)
        elif kind == "descriptions":
            self._description(values)
        elif kind == "model_versions":
            self._version(values)
        elif kind in ("reigns", "aliases", "evidence"):
            self._attachment(kind, values)
        else:
            raise ValueError(f"there is no table {kind!r}")

    def _description(self, values: dict[str, Any]) -> None:
        parse_json(values["content"])
        if digest_of(values["content"].encode()) != check_digest(values["digest"]):
            raise ValueError("a description was altered")
        insert_if_absent(self._connection, schema.descriptions, **values)

    def _version(self, values: dict[str, Any]) -> None:
        version_id = self._new(schema.model_versions, {**values, "model_id": self._model_id})
        self._versions[values["version"]] = version_id
        index_for_search(
            self._connection,
            {"id": version_id, "model_id": self._model_id, "sequence": values["sequence"]},
            values["metrics"],
            values["tags"],
        )

    def _attachment(self, kind: str, values: dict[str, Any]) -> None:
        values |= {"model_id": self._model_id, "version_id": self._versions[values.pop("version")]}
        if kind != "reigns":
            self._connection.execute(schema.metadata.tables[kind].insert().values(**values))
            return
        back_to = values["back_to"]
        values["back_to"] = None if back_to is None else self._reigns[back_to]
        self._reigns.append(self._new(schema.reigns, values))

    def _new(self, table: sa.Table, values: dict[str, Any]) -> int:
        key = self._connection.execute(table.insert().values(**values)).inserted_primary_key
        assert key is not None  # noqa: S101  every table inserted here has a generated key
        return int(key[0])


def _plain(table: str, row: Mapping[Any, Any], drop: tuple[str, ...]) -> dict[str, Any]:
    values = {key: value for key, value in row.items() if key not in drop}
    return {"table": table, **{k: format_timestamp(v) if isinstance(v, datetime) else v for k, v in values.items()}}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
