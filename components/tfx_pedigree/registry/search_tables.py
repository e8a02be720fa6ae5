"""The tables that searching walks: what they must hold of each version, and whether they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.registry.model_rows import VersionRow

_V = schema.model_versions.c
# What of a version is searched by index: the table, and the column of its key.
SEARCHED = {"metrics": (schema.version_metrics, "name"), "tags": (schema.version_tags, "key")}


def index_entries(row: VersionRow) -> Iterator[tuple[str, tuple[str, str], tuple[int, Any]]]:
    """What the search tables must hold of a version: table, key, and what stands there."""
    for name, value in row.metrics.items():
        if not isinstance(value, str):
            yield "metrics", (row.version, name), (row.sequence, value)
    for key, text in row.tags.items():
        if text:
            yield "tags", (row.version, key), (row.sequence, text)


def wrong_indexes(
    connection: Connection, name: str, expected: Mapping[str, Mapping[tuple[str, str], tuple[int, Any]]]
) -> Iterator[str]:
    model = sa.select(schema.models.c.id).where(schema.models.c.name == name).scalar_subquery()
    for kind, (table, column) in SEARCHED.items():
        query = sa.select(_V.version, table.c[column], table.c.sequence, table.c.value).select_from(table)
        of_model = sa.and_(_V.id == table.c.version_id, _V.model_id == model)
        query = query.outerjoin(schema.model_versions, of_model).where(table.c.model_id == model)
        indexed = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}
        if indexed != expected[kind]:
            yield f"{name}: the search index over {kind} does not agree with the versions."
