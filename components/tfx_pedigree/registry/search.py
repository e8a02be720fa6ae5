"""Search: filters as people write them, turned into walks along one index.

Several terms must all hold. The order follows the first metric comparison, the furthest from its bound first, because
that is the order of an index: a page then costs what a page holds. Without a metric the newest come first, along the
index of the first tag or of the state. Terms that do not lead are checked on the way: the rarer what they ask for, the
longer the way.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db import Question, Row, Statement, schema
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import read
from tfx_pedigree.registry import reading, stored
from tfx_pedigree.registry.names import check_text
from tfx_pedigree.registry.records import Page, Version
from tfx_pedigree.registry.stored import LIMIT, MODEL_ID
from tfx_pedigree.states import State
from tfx_pedigree.text import plain

_V = schema.model_versions.c
_M = schema.version_metrics.c
_T = schema.version_tags.c
# `metric.auc@class_id=3` is a name with a sign of its own.
_METRIC = r"metric\.[^\s<>=!@]+(?:@(?:class_id|k|top_k)=\d+|@\w+)*"
_TERM = re.compile(rf"\s*(?P<field>{_METRIC}|[A-Za-z][^\s<>=!]*)\s*(?P<op><=|>=|!=|=|<|>)\s*(?P<value>.*?)\s*")
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
        return cls._checked(match["field"], match["op"], match["value"], text)

    @classmethod
    def from_json(cls, data: object) -> Term:
        """Held to the same as a term that somebody writes."""
        form = read(_TermForm, data, "the search term")
        return cls._checked(form.field, form.op, str(form.value), f"{form.field}{form.op}{form.value}")

    @classmethod
    def _checked(cls, field: str, op: str, value: str, text: str) -> Term:
        kind, _, name = field.partition(".")
        if kind == "state" and not name:
            return cls(field, _only(text, op, "=", "!="), _state(value).value)
        if kind == "created" and not name:
            return cls(field, _only(text, op, "<", "<=", ">", ">="), parse_time(value))
        if kind == "metric" and name:
            return cls(field, _only(text, op, "<", "<=", ">", ">=", "="), _number(text, value))
        if kind == "tag" and name:
            return cls(field, _only(text, op, "="), value)
        raise InvalidInputError(f"{field!r} cannot be searched for. {_HELP}")

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.field}{self.op}{self.value.isoformat() if isinstance(self.value, datetime) else self.value}"

    @property
    def kind(self) -> str:
        return self.field.partition(".")[0]

    @property
    def name(self) -> str:
        return self.field.partition(".")[2]

    @property
    def is_metric(self) -> bool:
        return self.kind == "metric"

    @property
    def is_tag(self) -> bool:
        return self.kind == "tag"


@dataclass(frozen=True)
class _TermForm:
    field: str
    op: str
    value: str | float


def parse_time(text: str) -> datetime:
    """ISO 8601; without a zone it is UTC, without a time midnight."""
    try:
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        raise InvalidInputError(f"{text!r} is not a time. Write 2026-11-20 or 2026-11-20T14:30:00 (UTC).") from None


@dataclass(frozen=True)
class Search:
    """One page of a search, as one statement: prepared once for each form, whatever the names and values in it."""

    model: str
    terms: tuple[Term, ...]
    limit: int
    after: str | None

    def question(self, actor: str = "") -> Question:
        values: dict[str, Any] = {"model": self.model, "actor": actor, "limit": self.limit + 1}
        for number, term in enumerate(self.terms):
            values[f"name{number}"], values[f"value{number}"] = term.name, term.value
        if self.after is not None:
            values |= _cursor(self.after, by_metric=self._by_metric)
        form = tuple((term.kind, term.op) for term in self.terms)
        statement, taken = _prepared(form, self._leading, self.after is not None)
        return statement, {name: value for name, value in values.items() if name in taken}

    @property
    def _leading(self) -> int | None:
        """The term whose index is walked: the first metric, else the first tag."""
        numbers = sorted(range(len(self.terms)), key=lambda number: not self.terms[number].is_metric)
        return next((n for n in numbers if self.terms[n].is_metric or self.terms[n].is_tag), None)

    @property
    def _by_metric(self) -> bool:
        return self._leading is not None and self.terms[self._leading].is_metric

    def page(self, rows: Sequence[Row]) -> Page[Version]:
        items = tuple(stored.read_version(self.model, row).version for row in rows[: self.limit])
        if len(rows) <= self.limit or not items:
            return Page(items, None)
        last = items[-1].sequence
        return Page(items, f"{rows[self.limit - 1][-1]!r}:{last}" if self._by_metric else str(last))


@functools.lru_cache(512)
def _prepared(form: tuple[tuple[str, str], ...], leading: int | None, paged: bool) -> tuple[Statement, frozenset[str]]:
    if leading is None:
        query = _newest_first(paged)
    elif form[leading][0] == "metric":
        query = _by_metric(leading, form[leading][1], paged)
    else:
        query = _by_tag(leading, paged)
    for number, (kind, op) in enumerate(form):
        if number != leading:
            query = query.where(_condition(number, kind, op))
    query = query.limit(LIMIT)
    return Statement(query), frozenset(query.compile().params)


_BEFORE = sa.bindparam("before", type_=sa.BigInteger)


def _named(number: int) -> sa.BindParameter[str]:
    return sa.bindparam(f"name{number}", type_=sa.Text)


def _value(number: int, column: sa.ColumnElement[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"value{number}", type_=column.type)


def _newest_first(paged: bool) -> sa.Select[Any]:
    query = sa.select(*stored.VERSION_COLUMNS).where(_V.model_id == MODEL_ID).order_by(_V.sequence.desc())
    return query.where(_V.sequence < _BEFORE) if paged else query


def _by_tag(number: int, paged: bool) -> sa.Select[Any]:
    """Walks (model, key, value, sequence) from its end: newest first."""
    query = (
        sa.select(*stored.VERSION_COLUMNS)
        .join_from(schema.model_versions, schema.version_tags, _T.version_id == _V.id)
        .where(_T.model_id == MODEL_ID, _T.key == _named(number), _T.value == _value(number, _T.value))
        .order_by(_T.sequence.desc())
    )
    return query.where(_T.sequence < _BEFORE) if paged else query


def _by_metric(number: int, op: str, paged: bool) -> sa.Select[Any]:
    """Walks (model, name, value, sequence) from the far end; both order columns run the same way, as the index does."""
    rising = op in ("<", "<=")
    order = [_M.value.asc(), _M.sequence.asc()] if rising else [_M.value.desc(), _M.sequence.desc()]
    query = (
        sa.select(*stored.VERSION_COLUMNS, _M.value)
        .join_from(schema.model_versions, schema.version_metrics, _M.version_id == _V.id)
        .where(_M.model_id == MODEL_ID, _M.name == _named(number), _compare(_M.value, op, _value(number, _M.value)))
        .order_by(*order)
    )
    if not paged:
        return query
    here = sa.tuple_(_M.value, _M.sequence)
    there = sa.tuple_(sa.bindparam("beyond", type_=sa.Double), _BEFORE)
    return query.where(here > there if rising else here < there)


def _condition(number: int, kind: str, op: str) -> sa.ColumnElement[bool]:
    # Aliases, because the leading term may walk the same table. Scalar subqueries, because a database may turn EXISTS
    # into a join over all that carry the tag, and a page would cost what the history holds.
    if kind == "metric":
        metric = schema.version_metrics.alias(f"metric{number}").c
        held = sa.select(metric.value).where(metric.version_id == _V.id, metric.name == _named(number))
        return _compare(held.scalar_subquery(), op, _value(number, metric.value))
    if kind == "tag":
        tag = schema.version_tags.alias(f"tag{number}").c
        held = sa.select(tag.value).where(tag.version_id == _V.id, tag.key == _named(number))
        return _compare(held.scalar_subquery(), "=", _value(number, tag.value))
    if kind == "state":
        return _compare(_V.state, op, _value(number, _V.state))
    return _created(number, op)


def _created(number: int, op: str) -> sa.ColumnElement[bool]:
    """Sequences and times rise together, so a bound in time is looked up once as a bound in sequence: a walk from the
    newest then begins in the right place instead of passing all that is too new."""
    other = schema.model_versions.alias(f"other{number}").c
    last = op in ("<", "<=")
    order = other.created_at.desc() if last else other.created_at.asc()
    within = sa.and_(other.model_id == MODEL_ID, _compare(other.created_at, op, _value(number, other.created_at)))
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


_KEY = sa.bindparam("key", type_=sa.Text)
_OF_KEY = sa.and_(_T.model_id == MODEL_ID, _T.key == _KEY)
# From the greatest value to the next one below it, and so on: to group all that carry the tag would read them all.
_VALUES = sa.select(sa.func.max(_T.value).label("value")).where(_OF_KEY).cte("values", recursive=True)
_BELOW = sa.select(sa.func.max(_T.value)).where(_OF_KEY, _T.value < _VALUES.c.value).scalar_subquery()
_VALUES = _VALUES.union_all(sa.select(_BELOW).where(_VALUES.c.value.is_not(None)))
_LAST = (
    sa.select(_T.version_id)
    .where(_OF_KEY, _T.value == _VALUES.c.value)
    .order_by(_T.sequence.desc())
    .limit(sa.literal_column("1"))
    .scalar_subquery()
)
NEWEST_BY_TAG = Statement(sa.select(*stored.VERSION_COLUMNS).join_from(_VALUES, schema.model_versions, _V.id == _LAST))


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


def _cursor(after: str, by_metric: bool) -> dict[str, Any]:
    if not by_metric:
        return {"before": reading.read_position(after)}
    value, _, sequence = after.partition(":")
    try:
        return {"beyond": float(value), "before": reading.read_position(sequence)}
    except ValueError:
        raise InvalidInputError(
            f"{plain(after, 60)!r} is not the `next` of a page of this search. Pass it on as it was given."
        ) from None
