"""What was measured of a version while it served: numbers over a time, one series for each version and metric.

Nothing is ever changed: of one source, a metric has one value for one time. Repeating it is nothing new, another value
for it is refused. The event holds all of it, and the rows are what the audit compares with the events.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Row, Statement, schema
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import LARGEST_INTEGER, Bounds, JsonForm, Layout
from tfx_pedigree.registry.stored import LIMIT, MODEL_ID, StoredVersion
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.states import State
from tfx_pedigree.text import format_timestamp, plain, plural

# The most metrics in one observation, and the most names for one version: each name is a series in the charts.
MOST_METRICS = 64
LONGEST_NAME = 120
LONGEST_TIME = timedelta(days=366)
# An observation may end this far in the future: clocks differ.
AHEAD = timedelta(minutes=5)
_TIMES = {"began_at": "from", "ended_at": "to"}
# Before and after all that can be observed.
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = datetime(9999, 1, 1, tzinfo=timezone.utc)
_NEWEST = 2**62

Name = Annotated[str, Bounds(longest=LONGEST_NAME)]
Count = Annotated[int, Bounds(0, LARGEST_INTEGER)]


@dataclass(frozen=True)
class NewObservation(JsonForm):
    """Metrics that were measured from `began_at` to `ended_at` (the same moment twice: at that moment) on so many
    examples, None where nobody counted them. `source` says who measured: a job, a query, an evaluation."""

    JSON: ClassVar[Layout] = Layout(names=_TIMES)

    metrics: Mapping[str, float]
    began_at: datetime
    ended_at: datetime
    examples: Count | None = None
    source: Name = "pushed"

    def __post_init__(self) -> None:
        if not 1 <= len(self.metrics) <= MOST_METRICS:
            raise InvalidInputError(
                f"An observation holds 1 to {MOST_METRICS} metrics, and this one holds {len(self.metrics)}."
            )
        for name, value in self.metrics.items():
            check_name(name, "metric")
            if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
                raise InvalidInputError(f"The metric {name!r} has the value {value!r}; what is observed is a number.")
        check_name(self.source, "source")
        _check_count(self.examples)
        _check_time(self.began_at, self.ended_at)
        object.__setattr__(self, "metrics", {name: float(self.metrics[name]) for name in sorted(self.metrics)})
        object.__setattr__(self, "source", clean_text(self.source))

    def check_against(self, made_at: datetime, now: datetime) -> None:
        """Refuses what was seen of a version before it was there, or will be."""
        if self.began_at < made_at:
            raise InvalidInputError(
                f"The version was made at {format_timestamp(made_at)}, so it cannot have been observed from "
                f"{format_timestamp(self.began_at)} on. Name the version that served then."
            )
        if self.ended_at > now + AHEAD:
            raise InvalidInputError(
                f"The observation ends at {format_timestamp(self.ended_at)}, and now it is {format_timestamp(now)}. "
                "Observe what has been; if the time is right, set the clocks."
            )


@dataclass(frozen=True)
class Observation(JsonForm):
    """One value of one version's series."""

    JSON: ClassVar[Layout] = Layout(names=_TIMES)
    TABLE: ClassVar[tuple[str, ...]] = ("ended_at", "version", "metric", "value", "examples", "source")

    version: str
    metric: str
    value: float
    examples: int | None
    began_at: datetime
    ended_at: datetime
    source: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class ObservationChange(JsonForm):
    """What `observe` added: the metrics of which this is new. Where `changed` is False all of it was there already."""

    model: str
    version: str
    added: tuple[str, ...]
    changed: bool


def check_name(name: str, what: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInputError(
            f"{plain(name, 60)!r} cannot name a {what}: use 1 to {LONGEST_NAME} printable characters, such as auc."
        )
    return name


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all fractions
        return False


def _check_count(examples: int | None) -> None:
    if examples is None:
        return
    if isinstance(examples, bool) or not isinstance(examples, int) or not 0 <= examples <= LARGEST_INTEGER:
        raise InvalidInputError(f"{examples!r} is not a number of examples. Give a whole number, or leave it out.")


def _check_time(began_at: datetime, ended_at: datetime) -> None:
    if began_at.tzinfo is None or ended_at.tzinfo is None:
        raise InvalidInputError("The times of an observation need a zone. Give them in UTC.")
    if not _EARLIEST <= began_at <= ended_at < _LATEST or ended_at - began_at > LONGEST_TIME:
        raise InvalidInputError(
            f"An observation cannot be from {format_timestamp(began_at)} to {format_timestamp(ended_at)}: it ends when "
            f"it began or later, and lasts no more than {LONGEST_TIME.days} days."
        )


# Statements

_O, _V = schema.observations.c, schema.model_versions.c
_VERSION = sa.bindparam("id", type_=_O.version_id.type)
_METRIC = sa.bindparam("metric", type_=sa.Text)
_COLUMNS = (
    _V.version,
    _O.metric,
    _O.value,
    _O.examples,
    _O.began_at,
    _O.ended_at,
    _O.source,
    _O.created_at,
    _O.created_by,
)
_NEW = Statement(schema.observations.insert().inline(), [column.name for column in _O if column.name != "id"])
_HELD = Statement(
    sa.select(_O.metric, _O.value, _O.examples).where(
        _O.version_id == _VERSION,
        _O.ended_at == sa.bindparam("ended", type_=_O.ended_at.type),
        _O.began_at == sa.bindparam("began", type_=_O.began_at.type),
        _O.source == sa.bindparam("source", type_=sa.Text),
    )
)


def _names() -> sa.Select[tuple[str]]:
    """The names of a version's series, each found by one step along the index and not by a walk through all rows."""
    first = sa.select(sa.func.min(_O.metric).label("name")).where(_O.version_id == _VERSION)
    names = first.cte("names", recursive=True)
    following = sa.select(sa.func.min(_O.metric)).where(_O.version_id == _VERSION, _O.metric > names.c.name)
    names = names.union_all(sa.select(following.scalar_subquery()).where(names.c.name.is_not(None)))
    return sa.select(names.c.name).where(names.c.name.is_not(None))


NAMES = Statement(_names())


@functools.cache
def _series(*, version: bool, metric: bool) -> Statement:
    """Newest first, by the time at which they ended."""
    ended = sa.bindparam("ended", type_=_O.ended_at.type)
    query = (
        sa.select(_O.id, *_COLUMNS)
        .join_from(schema.observations, schema.model_versions, _V.id == _O.version_id)
        .where(
            _O.version_id == _VERSION if version else _O.model_id == MODEL_ID,
            _O.ended_at >= sa.bindparam("since", type_=_O.ended_at.type),
            _O.ended_at <= ended,
            sa.or_(_O.ended_at < ended, _O.id < sa.bindparam("before", type_=_O.id.type)),
        )
    )
    if metric:
        query = query.where(_O.metric == _METRIC)
    # As a sum, so that SQLite takes the index of the series and not the one of the whole version, which has this order.
    key = _O.id + 0 if version and metric else _O.id
    return Statement(query.order_by(_O.ended_at.desc(), key.desc()).limit(LIMIT))


@dataclass(frozen=True)
class Cursor:
    """Where a page ended. Several rows may have ended at the same moment."""

    ended_at: datetime = _LATEST
    before: int = _NEWEST

    @classmethod
    def parse(cls, text: str) -> Cursor:
        micro, dot, number = text.partition(".")
        if not (dot and micro.isdecimal() and number.isdecimal() and len(micro) <= 18 and len(number) <= 18):
            raise InvalidInputError(f"{plain(text, 60)!r} is not the `next` of a page. Pass it on as it was given.")
        try:
            return cls(_EARLIEST + timedelta(microseconds=int(micro)), int(number))
        except OverflowError:
            return cls()

    def __str__(self) -> str:
        return f"{(self.ended_at - _EARLIEST) // timedelta(microseconds=1)}.{self.before}"


def read_series(
    connection: Connection,
    model: str,
    version_id: int | None,
    metric: str | None,
    *,
    since: datetime | None,
    until: datetime | None,
    cursor: Cursor,
    limit: int,
) -> list[tuple[int, Observation]]:
    """Each with the key of its row."""
    before = cursor.before
    ended = cursor.ended_at
    if until is not None and until < ended:
        ended, before = until, _NEWEST
    values = {"since": since or _EARLIEST, "ended": ended, "before": before, "limit": limit}
    values |= {"model": model} if version_id is None else {"id": version_id}
    values |= {} if metric is None else {"metric": metric}
    statement = _series(version=version_id is not None, metric=metric is not None)
    return [(key, Observation(*rest)) for key, *rest in statement.rows(connection, **values)]


# Writing


def record(write: Write, found: StoredVersion, new: NewObservation) -> tuple[str, ...]:
    """The names of what was new."""
    version = found.version
    if version.state is State.RESERVED:
        raise ConflictError(
            f"{version.name} is only reserved: nobody can have served it. Register it first: "
            f"`pedigree register {version.model} FOLDER`."
        )
    new.check_against(version.created_at, write.now)
    held, names = write.ask(
        (_HELD, {"id": found.id, "ended": new.ended_at, "began": new.began_at, "source": new.source}),
        (NAMES, {"id": found.id}),
    )
    added = _unheld(version.name, new, held)
    _check_names(version.name, {row[0] for row in names} | set(added))
    if not added:
        return ()
    told = {"began_at": new.began_at, "ended_at": new.ended_at, "source": new.source}
    made = {"model_id": found.model_id, "version_id": found.id, "created_at": write.now, "created_by": write.actor}
    for name, value in added.items():
        write.later(_NEW, metric=name, value=value, examples=new.examples, **told, **made)
    write.log("observe", version.version, details={**new.to_json(), "metrics": added})
    return tuple(added)


def _unheld(name: str, new: NewObservation, held: Sequence[Row]) -> dict[str, float]:
    known = {metric: (value, examples) for metric, value, examples in held}
    for metric, value in new.metrics.items():
        if metric in known and known[metric] != (value, new.examples):
            held, examples = known[metric]
            counted = "" if examples is None else f" on {plural(examples, 'example')}"
            raise ConflictError(
                f"{name} has {metric} = {held:g}{counted} from {new.source!r} for this time already, and what was "
                "observed never changes. Name another source for what was measured again."
            )
    return {metric: value for metric, value in new.metrics.items() if metric not in known}


def _check_names(name: str, metrics: set[str]) -> None:
    if len(metrics) > MOST_METRICS:
        raise ConflictError(
            f"{name} would have {len(metrics)} observed metrics, and {MOST_METRICS} are the most. Nothing was written."
        )
