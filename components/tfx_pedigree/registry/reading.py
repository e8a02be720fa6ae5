"""Finding models and versions, each by an index: what is asked costs what is answered, however long the history."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import semver
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import Question, Row, Statement, schema
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.registry import stored
from tfx_pedigree.registry.evidence import Evidence, stored_evidence
from tfx_pedigree.registry.names import CHAMPION, LATEST, Reference
from tfx_pedigree.registry.records import ChampionPeriod
from tfx_pedigree.registry.stored import LIMIT, MODEL, MODEL_ID, Period, StoredModel, StoredVersion
from tfx_pedigree.text import plain

_V = schema.model_versions.c
_A = schema.aliases.c
_E = schema.evidence.c
_R = schema.reigns.c
_MOST_DIGITS = 15
_TIMESTAMP_TAG = re.compile(r"v\d{14}_[0-9a-f]{8}")
_SEQUENCE = re.compile(r"[0-9]{1,9}")
_DIGEST_PREFIX = re.compile(r"sha256:[0-9a-f]{6,64}")


def find_model(connection: Connection, name: str) -> StoredModel:
    rows = stored.STORED_MODEL.rows(connection, model=name)
    if not rows:
        if "@" in name:
            raise InvalidInputError(f"{name!r} names a version. Name only its model here: {name.partition('@')[0]}.")
        names = connection.execute(sa.select(schema.models.c.name).limit(1000)).scalars().all()
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "List the models with `pedigree models`."
        raise NotFoundError(f"There is no model {name!r} in this registry. {hint}")
    return StoredModel(*rows[0])


# Selecting a version


@dataclass(frozen=True)
class _Selecting:
    """`judged` has the version's newest evidence as one more column: what decides over its promotion comes with it."""

    plain: Statement
    judged: Statement


def _selecting(condition: Any, most: int = 2) -> _Selecting:
    evidence = sa.select(_E.content).where(_E.version_id == _V.id).order_by(_E.id.desc()).limit(1).scalar_subquery()
    queries = (sa.select(*stored.VERSION_COLUMNS), sa.select(*stored.VERSION_COLUMNS, evidence))
    condition = sa.and_(_V.model_id == MODEL_ID, condition)
    return _Selecting(*(Statement(one.where(condition).order_by(_V.sequence.desc()).limit(most)) for one in queries))


_SELECTOR = sa.bindparam("selector", type_=sa.Text)
_ALIASED = sa.select(_A.version_id).where(_A.model_id == MODEL_ID, _A.name == _SELECTOR).scalar_subquery()
_BY_CHAMPION = _selecting(_V.state == stored.PRODUCTION, most=1)
_BY_LATEST = _selecting(_V.state != stored.RESERVED, most=1)
_BY_DIGEST = _selecting(sa.and_(_V.digest >= _SELECTOR, _V.digest < sa.bindparam("end", type_=sa.Text)))
_BY_SEQUENCE = _selecting(_V.sequence == sa.bindparam("sequence", type_=sa.Integer), most=1)
_BY_TIMESTAMP = _selecting(_V.timestamp_tag == _SELECTOR)
_BY_NUMBER = _selecting(_V.version == _SELECTOR, most=1)
_BY_ALIAS = _selecting(_V.id == _ALIASED, most=1)
_BY_ID = _selecting(_V.id == sa.bindparam("id", type_=schema.model_versions.c.id.type), most=1)


def selecting(reference: Reference, *, judged: bool = False) -> Question:
    """The statement that finds the version; its rows begin with the roles of whoever asks, and end, where that is asked
    for, with the version's newest evidence."""
    statements, values = _selection(reference.selector)
    statement = statements.judged if judged else statements.plain
    return statement, {"model": reference.model, "names": stored.NOBODY, **values}


@functools.lru_cache(4096)
def _selection(selector: str) -> tuple[_Selecting, dict[str, Any]]:
    number = selector.removeprefix("v")
    kinds: tuple[tuple[bool, _Selecting, Callable[[], dict[str, Any]]], ...] = (
        (selector == CHAMPION, _BY_CHAMPION, dict),
        (selector == LATEST, _BY_LATEST, dict),
        (bool(_DIGEST_PREFIX.fullmatch(selector)), _BY_DIGEST, lambda: {"selector": selector, "end": selector + "g"}),
        (bool(_SEQUENCE.fullmatch(selector)), _BY_SEQUENCE, lambda: {"sequence": int(selector)}),
        (bool(_TIMESTAMP_TAG.fullmatch(selector)), _BY_TIMESTAMP, lambda: {"selector": selector}),
        (semver.Version.is_valid(number), _BY_NUMBER, lambda: {"selector": number}),
        (True, _BY_ALIAS, lambda: {"selector": selector}),
    )
    return next((statement, values()) for fits, statement, values in kinds if fits)


def resolve(connection: Connection, reference: Reference, rows: list[Row] | None = None) -> StoredVersion:
    """The version that a reference means, or why it means none. `rows` are those of `selecting`, if they are known."""
    if rows is None:
        statement, values = selecting(reference)
        rows = statement.rows(connection, **values)
    if not rows:
        raise NotFoundError(_not_found(connection, find_model(connection, reference.model), reference.selector))
    found = [stored.read_version(reference.model, row) for row in rows]
    if len(found) > 1:
        fits = " and ".join(one.version.version for one in found)
        raise InvalidInputError(f"{reference} fits {fits}. Write more of it, or the version's number.")
    return found[0]


def version_of(connection: Connection, model: str, version_id: int) -> StoredVersion:
    """The version with this key; it is there."""
    return stored.read_version(model, _BY_ID.plain.rows(connection, model=model, names=stored.NOBODY, id=version_id)[0])


def _not_found(connection: Connection, model: StoredModel, selector: str) -> str:
    name = model.name
    if selector == CHAMPION:
        return (
            f"{name} has no champion now. Promote a version with `pedigree promote {name}@VERSION`, "
            f"or look at `pedigree history {name}`."
        )
    if selector == LATEST:
        return f"{name} has no registered version yet. Register one with `pedigree register {name} FOLDER`."
    names = connection.execute(sa.select(_A.name).where(_A.model_id == model.id).limit(200)).scalars().all()
    near = difflib.get_close_matches(selector, [*names, CHAMPION, LATEST], n=2)
    newest = f"Its highest version is {model.highest_version}; s" if model.highest_version else "S"
    hint = f" Did you mean {' or '.join(f'{name}@{n}' for n in near)}?" if near else ""
    return f"{name} has no version or alias {selector!r}.{hint} {newest}ee `pedigree versions {name}`."


# Times in production

_PERIODS = sa.select(*stored.PERIOD_COLUMNS).join_from(schema.reigns, schema.model_versions, _V.id == _R.version_id)
_WHEN = sa.bindparam("when", type_=_R.began_at.type)
NEWEST_PERIOD = Statement(_PERIODS.where(_R.model_id == MODEL_ID).order_by(_R.began_at.desc()).limit(1))
PERIOD_AT = Statement(
    _PERIODS.where(_R.model_id == MODEL_ID, _R.began_at <= _WHEN).order_by(_R.began_at.desc()).limit(1)
)
NEWEST_PERIOD_OF = Statement(
    _PERIODS.where(_R.version_id == sa.bindparam("id", type_=_R.version_id.type)).order_by(_R.began_at.desc()).limit(1)
)
PERIOD = Statement(_PERIODS.where(_R.id == sa.bindparam("id", type_=_R.id.type)))
_ALL_PERIODS = Statement(_PERIODS.where(_R.model_id == MODEL_ID).order_by(_R.began_at.desc()).limit(LIMIT))
_ALL_PERIODS_OF = Statement(
    _PERIODS.where(_R.version_id == sa.bindparam("id", type_=_R.version_id.type))
    .order_by(_R.began_at.desc())
    .limit(LIMIT)
)


def one_period(rows: list[Row]) -> Period | None:
    return stored.read_period(rows[0]) if rows else None


def champion_at(connection: Connection, model: str, when: datetime) -> StoredVersion | None:
    period = one_period(PERIOD_AT.rows(connection, model=model, when=when))
    if period is None or (period.ended_at is not None and period.ended_at <= when):
        return None
    return version_of(connection, model, period.version_id)


def reigns_of(connection: Connection, model: str, version_id: int | None, limit: int) -> tuple[ChampionPeriod, ...]:
    """Newest first; of one version, or of all where none is given."""
    if version_id is None:
        rows = _ALL_PERIODS.rows(connection, model=model, limit=limit)
    else:
        rows = _ALL_PERIODS_OF.rows(connection, id=version_id, limit=limit)
    periods = [stored.read_period(row) for row in rows]
    return tuple(ChampionPeriod(model, one.version, one.began_at, one.ended_at) for one in periods)


# What hangs on a version

NEWEST_EVIDENCE = Statement(
    sa.select(_E.content)
    .where(_E.version_id == sa.bindparam("id", type_=_E.version_id.type))
    .order_by(_E.id.desc())
    .limit(1)
)
_ONE_MODEL = sa.bindparam("id", type_=_E.model_id.type)
JUDGEMENTS = Statement(
    sa.select(_E.id, _V.version, _E.digest, _E.content, _E.created_at, _E.created_by)
    .join_from(schema.evidence, schema.model_versions, _V.id == _E.version_id)
    # A range, though it holds one model: by equality, PostgreSQL would go through the evidence of all models.
    .where(_E.model_id.between(_ONE_MODEL, _ONE_MODEL), _E.id < sa.bindparam("before", type_=_E.id.type))
    .order_by(_E.model_id.desc(), _E.id.desc())
    .limit(LIMIT)
)
DESCRIPTION = Statement(
    sa.select(schema.descriptions.c.content).where(
        schema.descriptions.c.digest == sa.bindparam("digest", type_=sa.Text)
    )
)
ALIASES = Statement(
    sa.select(_A.name, _V.version)
    .join_from(schema.aliases, schema.model_versions, _V.id == _A.version_id)
    .where(_A.model_id == MODEL_ID)
    .order_by(_A.name)
)


def evidence_in(rows: list[Row]) -> Evidence | None:
    """Of the last column of the rows, where there is any."""
    return stored_evidence(rows[0][-1]) if rows and rows[0][-1] is not None else None


# Models and events

MODEL_BY_NAME = Statement(sa.select(*stored.MODEL_COLUMNS).where(schema.models.c.name == MODEL))
_C = schema.chains.c
REVISION = Statement(sa.select(stored.ROLES, _C.head).where(_C.name == MODEL))
MODELS = Statement(
    sa.select(*stored.MODEL_COLUMNS)
    .where(schema.models.c.name > sa.bindparam("after", type_=sa.Text))
    .order_by(schema.models.c.name)
    .limit(LIMIT)
)
_EVENTS = schema.events.c


@functools.cache
def events(*, subject: bool = False, action: bool = False, paged: bool = False) -> Statement:
    """Newest first: of a chain, and where asked for only of a version, of one action, or before a position."""
    query = sa.select(*stored.EVENT_COLUMNS).where(_EVENTS.chain == sa.bindparam("chain", type_=sa.Text))
    if subject:
        query = query.where(_EVENTS.subject == sa.bindparam("subject", type_=sa.Text))
    if action:
        query = query.where(_EVENTS.action == sa.bindparam("action", type_=sa.Text))
    if paged:
        query = query.where(_EVENTS.position < sa.bindparam("before", type_=sa.BigInteger))
    return Statement(query.order_by(_EVENTS.position.desc()).limit(LIMIT))


def read_position(cursor: str) -> int:
    """Of the `next` of a page: nothing is counted with more digits."""
    if not cursor.isdecimal() or len(cursor) > _MOST_DIGITS:
        raise InvalidInputError(f"{plain(cursor, 60)!r} is not the `next` of a page. Pass it on as it was given.")
    return int(cursor)


def all_chains(connection: Connection) -> Iterable[RowMapping]:
    return connection.execute(sa.select(schema.chains).order_by(schema.chains.c.name)).mappings().all()
