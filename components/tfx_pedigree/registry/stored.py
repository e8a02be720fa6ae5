"""Models and versions as their rows hold them: the value that people get, with the key by which other rows name it.

Each kind of row has one text of columns and one function that reads it; nothing else knows the order of columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db import Row, Statement, one_of, schema
from tfx_pedigree.json_form import MEASURED_WORDS
from tfx_pedigree.registry.decisions import Champion
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.names import CHAMPION
from tfx_pedigree.registry.records import Model, Version
from tfx_pedigree.registry.roles import EVERYWHERE
from tfx_pedigree.states import State

# All names under which a grant counts for who asks, as a JSON list (see `Identity.names`).
NAMES = sa.bindparam("names", type_=sa.Text)
# Where roles do not matter any more.
NOBODY = "[]"
MODEL = sa.bindparam("model", type_=sa.Text)
LIMIT = sa.bindparam("limit", type_=sa.Integer)
_M, _V, _A, _R = schema.models.c, schema.model_versions.c, schema.aliases.c, schema.reigns.c
_B = schema.role_bindings.c
# As SQL: of a text SQLAlchemy 2.1 makes a value that is filled in only when it executes, and these are prepared once.
_SPACE: Any = sa.literal_column("' '")
# And SQLite plans a statement anew at each call in which a parameter is compared with the column of a partial index.
PRODUCTION: Any = sa.literal_column(f"'{State.PRODUCTION.value}'")
RESERVED: Any = sa.literal_column(f"'{State.RESERVED.value}'")
_WORDS: dict[Any, Any] = MEASURED_WORDS

# What a transaction makes is named by its model and its sequence: it has no other key before it is written.
OF_MODEL = sa.bindparam("of_model", type_=_V.model_id.type)
OF_SEQUENCE = sa.bindparam("of_sequence", type_=_V.sequence.type)
VERSION_ID = sa.select(_V.id).where(_V.model_id == OF_MODEL, _V.sequence == OF_SEQUENCE).scalar_subquery()

# By its name, looked up once: the walk along an index of its versions stays a walk.
MODEL_ID = sa.select(_M.id).where(_M.name == MODEL).scalar_subquery()
# What whoever asks may do on the model, or everywhere: the first column of every question.
ROLES = (
    sa.select(sa.func.aggregate_strings(_B.role, _SPACE))
    .where(one_of(_B.principal, NAMES), sa.or_(_B.scope == MODEL, _B.scope == EVERYWHERE))
    .scalar_subquery()
)


@dataclass(frozen=True)
class StoredModel:
    id: int
    name: str
    last_sequence: int
    highest_version: str | None


@dataclass(frozen=True)
class StoredVersion:
    """`id` is None for a version that this transaction makes: its sequence within its model is a key as well."""

    id: int | None
    model_id: int
    version: Version

    def now(self, **values: Any) -> StoredVersion:
        """The same after a change."""
        version = self.version
        if "metrics" in values:
            values["metrics"] = as_numbers(values["metrics"])
        values["aliases"] = aliases(values.get("state", version.state), values.get("aliases", version.aliases))
        return StoredVersion(self.id, self.model_id, replace(version, **values))


@dataclass(frozen=True)
class Period:
    """A time in production, with its version."""

    id: int
    version_id: int
    began_at: datetime
    ended_at: datetime | None
    back_to: int | None
    version: str
    digest: str

    @property
    def champion(self) -> Champion | None:
        return Champion(self.version, self.digest, self.began_at) if self.ended_at is None else None


def aliases(state: State, own: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Of a version: `champion` first where it is that, then those that people gave."""
    names = sorted(name for name in own if name != CHAMPION)
    return (CHAMPION, *names) if state is State.PRODUCTION else tuple(names)


def as_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as rows and events keep them: JSON has words for the numbers that are none."""
    return {name: _WORDS.get(one, one) if isinstance(one, str) else one for name, one in metrics.items()}


VERSION_COLUMNS: tuple[Any, ...] = (
    ROLES,
    _V.id,
    _V.model_id,
    _V.version,
    _V.sequence,
    _V.digest,
    _V.timestamp_tag,
    _V.state,
    _V.withdrawn,
    _V.bump,
    _V.reasons,
    _V.predecessor,
    _V.description_digest,
    _V.metrics,
    _V.parameters,
    _V.tags,
    sa.select(sa.func.aggregate_strings(_A.name, _SPACE)).where(_A.version_id == _V.id).scalar_subquery(),
    _V.size,
    _V.files,
    _V.refusal,
    _V.created_at,
    _V.created_by,
    _V.registered_at,
)


def read_version(model: str, row: Row) -> StoredVersion:
    """Of a row that begins with `VERSION_COLUMNS`."""
    state = State(row[7])
    held = aliases(state, row[16].split()) if row[16] else aliases(state, ())
    fields = (
        model,
        *row[3:7],
        state,
        *row[8:10],
        tuple(row[10]),
        *row[11:13],
        as_numbers(row[13]),
        *row[14:16],
        held,
        *row[17:23],
    )
    return StoredVersion(row[1], row[2], Version(*fields))


MODEL_COLUMNS: tuple[Any, ...] = (
    ROLES,
    _M.name,
    _M.description,
    _M.created_at,
    _M.created_by,
    _M.last_sequence,
    sa.select(_V.version).where(_V.model_id == _M.id, _V.state == PRODUCTION).scalar_subquery(),
)


def read_model(row: Row) -> Model:
    return Model(*row[1:7])


PERIOD_COLUMNS: tuple[Any, ...] = (_R.id, _R.version_id, _R.began_at, _R.ended_at, _R.back_to, _V.version, _V.digest)


def read_period(row: Row) -> Period:
    return Period(*row)


EVENT_COLUMNS: tuple[Any, ...] = (ROLES, *schema.events.c)


def read_event(row: Row) -> Event:
    return Event.from_row(dict(zip(schema.events.c.keys(), row[1:], strict=True)))


STORED_MODEL = Statement(sa.select(_M.id, _M.name, _M.last_sequence, _M.highest_version).where(_M.name == MODEL))
