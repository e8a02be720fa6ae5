"""The tables that searching walks: what of a version is written there, and whether all of it is there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Statement, schema
from tfx_pedigree.registry.model_rows import VersionRow
from tfx_pedigree.registry.stored import OF_MODEL, OF_SEQUENCE, VERSION_ID

_V = schema.model_versions.c
_AT_ONCE = 500
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


class IndexCheck:
    """Fed with a model's versions in their order, says which of the tables do not hold what they must. Versions are
    compared some at a time, so a model with many of them takes no more memory."""

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._model = sa.select(schema.models.c.id).where(schema.models.c.name == model).scalar_subquery()
        self._versions: list[VersionRow] = []
        self._wrong = set[str]()
        self._told = Counter[str]()

    def feed(self, version: VersionRow) -> None:
        self._versions.append(version)
        if len(self._versions) == _AT_ONCE:
            self._compare()

    def wrong(self) -> list[str]:
        self._compare()
        for kind, (table, _) in SEARCHED.items():
            query = sa.select(sa.func.count()).select_from(table).where(table.c.model_id == self._model)
            if self._connection.execute(query).scalar() != self._told[kind]:
                self._wrong.add(kind)
        return sorted(self._wrong)

    def _compare(self) -> None:
        if not self._versions:
            return
        expected: dict[str, dict[tuple[str, str], tuple[int, Any]]] = {kind: {} for kind in SEARCHED}
        for version in self._versions:
            for kind, key, value in index_entries(version):
                expected[kind][key] = value
        for kind, (table, column) in SEARCHED.items():
            query = sa.select(_V.version, table.c[column], table.c.sequence, table.c.value).where(
                _V.model_id == self._model,
                _V.sequence.between(self._versions[0].sequence, self._versions[-1].sequence),
                table.c.version_id == _V.id,
                table.c.model_id == self._model,
            )
            if {(row[0], row[1]): (row[2], row[3]) for row in self._connection.execute(query)} != expected[kind]:
                self._wrong.add(kind)
            self._told[kind] += len(expected[kind])
        self._versions.clear()


Run = Callable[..., None]


def _of_search(table: sa.Table, name: str) -> tuple[Statement, Statement]:
    """One entry in, one entry out."""
    given = [sa.bindparam(column, type_=table.c[column].type) for column in (name, "value")]
    entry = sa.select(_V.id, _V.model_id, _V.sequence, *given).where(
        _V.model_id == OF_MODEL, _V.sequence == OF_SEQUENCE
    )
    put = table.insert().inline().from_select(["version_id", "model_id", "sequence", name, "value"], entry)
    return Statement(put), Statement(table.delete().where(table.c.version_id == VERSION_ID, table.c[name] == given[0]))


_PUT_METRIC, _DROP_METRIC = _of_search(schema.version_metrics, "name")
_PUT_TAG, _DROP_TAG = _of_search(schema.version_tags, "key")


def index_for_search(
    run: Run, model_id: int, sequence: int, metrics: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Numbers that are none (NaN) are kept with the version but found by no comparison."""
    of = {"of_model": model_id, "of_sequence": sequence}
    for name, number in metrics.items():
        if not isinstance(number, str) and math.isfinite(number):
            run(_PUT_METRIC, name=name, value=float(number), **of)
    for key, text in tags.items():
        if text:
            run(_PUT_TAG, key=key, value=text, **of)


def forget_for_search(
    run: Run, model_id: int, sequence: int, metrics: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Takes the entries of these names away, to make room for new ones."""
    of = {"of_model": model_id, "of_sequence": sequence}
    for name in metrics:
        run(_DROP_METRIC, name=name, **of)
    for key in tags:
        run(_DROP_TAG, key=key, **of)
