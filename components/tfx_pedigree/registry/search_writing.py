"""What is searched of a version, written beside its row (see `search_tables`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db import Statement, schema
from tfx_pedigree.registry.stored import OF_MODEL, OF_SEQUENCE, VERSION_ID

_V = schema.model_versions.c
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
