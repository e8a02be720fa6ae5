"""Search: filters as people write them, turned into walks along one index.

Several terms must all hold. The order follows the first metric comparison, the furthest from its bound first, because
that is the order of an index: a page then costs what a page holds. Without a metric the newest come first, along the
index of the first tag or of the state. Terms that do not lead are checked on the way: the rarer what they ask for, the
longer the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import reading
from tfx_pedigree.registry.names import check_text
from tfx_pedigree.registry.records import Page, Version
from tfx_pedigree.registry.states import State
from tfx_pedigree.text import plain

_V = schema.model_versions.c
_M = schema.version_metrics.c
_T = schema.version_tags.c
_TERM = re.compile(r"\s*(?P<field>[A-Za-z][^\s<>=!]*)\s*(?P<op><=|>=|!=|=|<|>)\s*(?P<value>.*?)\s*")
_HELP = "Write terms such as metric.auc>=0.9, state=staging, tag.team=ops or created>2026-11-01."


@dataclass(frozen=True)
class Term:
    """`field` is state, created, metric.NAME or tag.NAME."""

    field: str
    op: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Term:
        match = _TERM.fullmatch(check_text(text))
        if match is None or not match["value"]:
            raise InvalidInputError(f"{text!r} is not a search term. {_HELP}")
        field, op, value = match["field"], match["op"], match["value"]
        kind, _, name = field.partition(".")
        if kind == "state" and not name:
            return cls(field, _only(text, op, "=", "!="), _state(value))
        if kind == "created" and not name:
            return cls(field, _only(text, op, "<", "<=", ">", ">="), parse_time(value))
        if kind == "metric" and name:
            return cls(field, _only(text, op, "<", "<=", ">", ">=", "="), _number(text, value))
        if kind == "tag" and name:
            return cls(field, _only(text, op, "="), value)
        raise InvalidInputError(f"{field!r} cannot be searched for. {_HELP}")

    @property
    def name(self) -> str:
        return self.field.partition(".")[2]

    @property
    def is_metric(self) -> bool:
        return self.field.startswith("metric.")

    @property
    def is_tag(self) -> bool:
        return self.field.startswith("tag.")


def parse_time(text: str) -> datetime:
    """ISO 8601; without a zone it is UTC, without a time midnight."""
    try:
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        raise InvalidInputError(f"{text!r} is not a time. Write 2026-11-20 or 2026-11-20T14:30:00 (UTC).") from None


def search(
    connection: Connection, model: RowMapping, terms: Sequence[Term], limit: int, after: str | None
) -> Page[Version]:
    leading = next((term for term in terms if term.is_metric), None) or next((t for t in terms if t.is_tag), None)
    if leading is None:
        query, read_cursor = _newest_first(model, after), _sequence_cursor
    elif leading.is_metric:
        query, read_cursor = _by_metric(model, leading, after), _metric_cursor
    else:
        query, read_cursor = _by_tag(model, leading, after), _sequence_cursor
    for term in terms:
        if term is not leading:
            query = query.where(_condition(model, term))
    rows = connection.execute(query.limit(limit + 1)).mappings().all()
    items = reading.to_versions(connection, model["name"], rows[:limit])
    return Page(items, read_cursor(rows[limit - 1]) if len(rows) > limit else None)


def newest_by_tag(connection: Connection, model: RowMapping, key: str) -> dict[str, Version]:
    """For each value of a tag the newest version that carries it."""
    newest = (
        sa.select(_T.value, sa.func.max(_T.sequence).label("sequence"))
        .where(_T.model_id == model["id"], _T.key == key)
        .group_by(_T.value)
        .subquery()
    )
    query = sa.select(schema.model_versions).join(newest, _V.sequence == newest.c.sequence)
    rows = connection.execute(query.where(_V.model_id == model["id"])).mappings().all()
    return {version.tags[key]: version for version in reading.to_versions(connection, model["name"], rows)}


def _newest_first(model: RowMapping, after: str | None) -> sa.Select[Any]:
    query = sa.select(schema.model_versions).where(_V.model_id == model["id"]).order_by(_V.sequence.desc())
    return query.where(_V.sequence < reading.read_position(after)) if after else query


def _by_tag(model: RowMapping, term: Term, after: str | None) -> sa.Select[Any]:
    """Walks (model, key, value, sequence) from its end: newest first."""
    query = (
        sa.select(schema.model_versions)
        .join(schema.version_tags, _T.version_id == _V.id)
        .where(_T.model_id == model["id"], _T.key == term.name, _T.value == term.value)
        .order_by(_T.sequence.desc())
    )
    return query.where(_T.sequence < reading.read_position(after)) if after else query


def _by_metric(model: RowMapping, term: Term, after: str | None) -> sa.Select[Any]:
    """Walks (model, name, value, sequence) from the far end; both order columns run the same way, as the index does."""
    rising = term.op in ("<", "<=")
    order = [_M.value.asc(), _M.sequence.asc()] if rising else [_M.value.desc(), _M.sequence.desc()]
    query = (
        sa.select(schema.model_versions, _M.value.label("metric_value"))
        .join(schema.version_metrics, _M.version_id == _V.id)
        .where(_M.model_id == model["id"], _M.name == term.name, _compare(_M.value, term.op, term.value))
        .order_by(*order)
    )
    if after is None:
        return query
    value, sequence = _read_metric(after)
    here, there = sa.tuple_(_M.value, _M.sequence), sa.tuple_(sa.literal(value), sa.literal(sequence))
    return query.where(here > there if rising else here < there)


def _condition(model: RowMapping, term: Term) -> sa.ColumnElement[bool]:
    # Aliases, because the leading term may walk the same table. Scalar subqueries, because a database may turn EXISTS
    # into a join over all that carry the tag, and a page would cost what the history holds.
    if term.is_metric:
        metric = schema.version_metrics.alias().c
        held = sa.select(metric.value).where(metric.version_id == _V.id, metric.name == term.name)
        return _compare(held.scalar_subquery(), term.op, term.value)
    if term.is_tag:
        tag = schema.version_tags.alias().c
        held = sa.select(tag.value).where(tag.version_id == _V.id, tag.key == term.name)
        return _compare(held.scalar_subquery(), "=", term.value)
    if term.field == "state":
        return _compare(_V.state, term.op, term.value)
    return _created(model, term)


def _created(model: RowMapping, term: Term) -> sa.ColumnElement[bool]:
    """Sequences and times rise together, so a bound in time is looked up once as a bound in sequence: a walk from the
    newest then begins in the right place instead of passing all that is too new."""
    other = schema.model_versions.alias("other").c
    last = term.op in ("<", "<=")
    order = other.created_at.desc() if last else other.created_at.asc()
    within = sa.and_(other.model_id == model["id"], _compare(other.created_at, term.op, term.value))
    bound = sa.select(other.sequence).where(within).order_by(order).limit(1).scalar_subquery()
    return _V.sequence <= bound if last else _V.sequence >= bound


def _compare(column: sa.ColumnElement[Any], op: str, value: Any) -> sa.ColumnElement[bool]:
    operations: dict[str, sa.ColumnElement[bool]] = {
        "=": column == value,
        "!=": column != value,
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }
    return operations[op]


def _only(text: str, op: str, *allowed: str) -> str:
    if op not in allowed:
        raise InvalidInputError(f"{text!r} cannot be searched for: this field takes {' '.join(allowed)}.")
    return op


def _state(value: str) -> State:
    try:
        return State(value)
    except ValueError:
        names = ", ".join(state.value for state in State)
        raise InvalidInputError(f"There is no state {value!r}. The states are {names}.") from None


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if math.isnan(number):
        raise InvalidInputError(f"{text!r} compares a metric with {value!r}, which is not a number. {_HELP}")
    return number


def _sequence_cursor(row: RowMapping) -> str:
    return str(row["sequence"])


def _metric_cursor(row: RowMapping) -> str:
    return f"{row['metric_value']!r}:{row['sequence']}"


def _read_metric(cursor: str) -> tuple[float, int]:
    value, _, sequence = cursor.partition(":")
    try:
        return float(value), reading.read_position(sequence)
    except ValueError:
        raise InvalidInputError(
            f"{plain(cursor, 60)!r} is not the `next` of a page of this search. Pass it on as it was given."
        ) from None
