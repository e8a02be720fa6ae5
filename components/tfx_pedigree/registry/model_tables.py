"""The rows of one model in the database: read one by one, taken away, written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.model_rows import (
    AliasRow,
    DescriptionRow,
    EvidenceRow,
    ModelRow,
    ObservationRow,
    PeriodRow,
    ProtectionRow,
    RequestRow,
    RolloutRow,
    Row,
    SignatureRow,
    TrustedKeyRow,
    VersionRow,
)
from tfx_pedigree.registry.search_tables import SEARCHED, index_entries
from tfx_pedigree.registry.write import insert_if_absent

_HELD_BY_MODEL = (
    schema.rollouts,
    schema.promotion_requests,
    schema.protections,
    schema.reigns,
    schema.aliases,
    schema.evidence,
    schema.signatures,
    schema.observations,
    schema.trusted_keys,
    schema.version_metrics,
    schema.version_tags,
)
# What hangs on a version.
_Hanging = PeriodRow | AliasRow | EvidenceRow | RolloutRow | SignatureRow | RequestRow | ObservationRow
_HANGING = get_args(_Hanging)
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
    orders = {
        schema.reigns: "began_at",
        schema.aliases: "name",
        schema.evidence: "id",
        schema.rollouts: "number",
        schema.signatures: "id",
        schema.promotion_requests: "number",
        schema.observations: "id",
    }
    for table, order in orders.items():
        query = sa.select(table).where(table.c.model_id == row["id"]).order_by(table.c[order])
        for item in _in_pages(connection, query):
            plain = {**_plain(table.name, item), "version": numbers.get(item["version_id"], "(gone)")}
            if table is schema.reigns:
                places[item["id"]] = len(places)
                back_to = item["back_to"]
                plain["back_to"] = None if back_to is None else places.get(back_to, _NOWHERE)
            yield plain
    t = schema.trusted_keys
    for key in _in_pages(connection, sa.select(t).where(t.c.model_id == row["id"]).order_by(t.c.added_at, t.c.key)):
        yield _plain(t.name, key)
    p = schema.protections
    for protection in _in_pages(connection, sa.select(p).where(p.c.model_id == row["id"])):
        yield _plain("protections", protection)


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
        t, mine = schema.rollout_tallies, sa.select(schema.rollouts.c.id).where(schema.rollouts.c.model_id == model_id)
        connection.execute(t.delete().where(t.c.rollout_id.in_(mine)))
        for table in (*_HELD_BY_MODEL, schema.model_versions):
            connection.execute(table.delete().where(table.c.model_id == model_id))
        connection.execute(schema.models.delete().where(schema.models.c.id == model_id))
    connection.execute(schema.events.delete().where(schema.events.c.chain == model))


def insert(connection: Connection, rows: Sequence[Row], events: Iterable[Event]) -> None:
    """Writes what `read` gave and `row_check` found right. The caller holds the lock of the model's chain."""
    model = next(row for row in rows if isinstance(row, ModelRow))
    connection.execute(schema.models.insert(), vars(model))
    model_id = connection.execute(sa.select(schema.models.c.id).where(schema.models.c.name == model.name)).scalar_one()
    for row in rows:
        if isinstance(row, DescriptionRow):
            insert_if_absent(connection, schema.descriptions, digest=row.digest, content=str(row.content))
    versions = [row for row in rows if isinstance(row, VersionRow)]
    numbers = _insert_versions(connection, model_id, versions)
    hanging = (row for row in rows if isinstance(row, _HANGING))
    for table, group in itertools.groupby(hanging, key=lambda row: row.table):
        values = (_hanging(row, model_id, numbers) for row in group)
        _insert_all(connection, schema.metadata.tables[table], values)
    keys = ({**vars(row), "model_id": model_id} for row in rows if isinstance(row, TrustedKeyRow))
    _insert_all(connection, schema.trusted_keys, keys)
    protections = (row for row in rows if isinstance(row, ProtectionRow))
    _insert_all(connection, schema.protections, ({**vars(row), "model_id": model_id} for row in protections))
    _point_back(connection, model_id, [row for row in rows if isinstance(row, PeriodRow)])
    _insert_events(connection, events)


def _insert_versions(connection: Connection, model_id: int, rows: Sequence[VersionRow]) -> dict[str, int]:
    """The rows' numbers here, by version."""
    v = schema.model_versions
    plain = ({"state": row.state.value, "reasons": list(row.reasons), "model_id": model_id} for row in rows)
    _insert_all(connection, v, ({**vars(row), **values} for row, values in zip(rows, plain, strict=True)))
    query = sa.select(v.c.version, v.c.id).where(v.c.model_id == model_id)
    numbers = {row.version: row.id for row in connection.execute(query)}
    for kind, (table, column) in SEARCHED.items():
        entries = (entry for row in rows for entry in index_entries(row) if entry[0] == kind)
        _insert_all(
            connection,
            table,
            (
                {"version_id": numbers[version], column: key, "model_id": model_id, "sequence": place, "value": value}
                for _, (version, key), (place, value) in entries
            ),
        )
    return numbers


def _hanging(row: _Hanging, model_id: int, numbers: Mapping[str, int]) -> dict[str, Any]:
    values = {**vars(row), "model_id": model_id, "version_id": numbers[row.version]}
    del values["version"]
    if isinstance(row, PeriodRow):
        del values["back_to"]
    if isinstance(row, EvidenceRow | RolloutRow | SignatureRow):
        values["content"] = str(row.content)
    if isinstance(row, RolloutRow):
        values["state"] = str(row.state)
    if isinstance(row, RequestRow):
        values["approvals"] = to_json(row.approvals)
    return values


def _point_back(connection: Connection, model_id: int, rows: Sequence[PeriodRow]) -> None:
    r = schema.reigns
    ids = connection.execute(sa.select(r.c.id).where(r.c.model_id == model_id).order_by(r.c.began_at)).scalars().all()
    pairs = [{"of": ids[i], "to": ids[row.back_to]} for i, row in enumerate(rows) if row.back_to is not None]
    if pairs:
        update = r.update().where(r.c.id == sa.bindparam("of")).values(back_to=sa.bindparam("to"))
        connection.execute(update, pairs)


def _insert_events(connection: Connection, events: Iterable[Event]) -> None:
    last: list[Event] = []

    def values() -> Iterator[dict[str, Any]]:
        for event in events:
            last[:] = [event]
            yield {**vars(event), "details": canonical_json(dict(event.details)).decode()}

    _insert_all(connection, schema.events, values())
    for event in last:
        end = {"length": event.position, "head": event.hash, "last_at": event.at}
        connection.execute(schema.chains.update().where(schema.chains.c.name == event.chain).values(**end))


def _insert_all(connection: Connection, table: sa.Table, values: Iterator[dict[str, Any]]) -> None:
    while page := list(itertools.islice(values, _PAGE)):
        connection.execute(table.insert(), page)
