"""Finding models and versions, each by an index: what is asked costs what is answered, however long the history."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import semver
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.registry.decisions import Champion, VersionSnapshot
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import CHAMPION, LATEST, Reference
from tfx_pedigree.registry.records import ChampionPeriod, Model, Page, Version
from tfx_pedigree.registry.states import State
from tfx_pedigree.text import plain

_V = schema.model_versions.c
# The fields of a Version that stand in its row as they are.
_SAME = frozenset(field.name for field in dataclasses.fields(Version)) - {"model", "state", "reasons", "aliases"}
_MOST_DIGITS = 15
_TIMESTAMP_TAG = re.compile(r"v\d{14}_[0-9a-f]{8}")
_SEQUENCE = re.compile(r"[0-9]{1,9}")
_DIGEST_PREFIX = re.compile(r"sha256:[0-9a-f]{6,64}")


def find_model(connection: Connection, name: str) -> RowMapping:
    row = connection.execute(sa.select(schema.models).where(schema.models.c.name == name)).mappings().one_or_none()
    if row is None:
        names = connection.execute(sa.select(schema.models.c.name).limit(1000)).scalars().all()
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "List the models with `pedigree models`."
        raise NotFoundError(f"There is no model {name!r} in this registry. {hint}")
    return row


def find_version(connection: Connection, model: RowMapping, selector: str) -> RowMapping:
    condition = _condition(model, selector)
    query = sa.select(schema.model_versions).where(_V.model_id == model["id"], condition)
    rows = connection.execute(query.order_by(_V.sequence.desc()).limit(1 if selector == LATEST else 2)).mappings().all()
    if len(rows) > 1:
        found = " and ".join(row["version"] for row in rows)
        raise InvalidInputError(f"{model['name']}@{selector} fits {found}. Write more of it, or the version's number.")
    if not rows:
        raise NotFoundError(_not_found(connection, model, selector))
    return rows[0]


def _condition(model: RowMapping, selector: str) -> sa.ColumnElement[bool]:
    number = selector.removeprefix("v")
    a = schema.aliases.c
    aliased = sa.select(a.version_id).where(a.model_id == model["id"], a.name == selector).scalar_subquery()
    kinds: tuple[tuple[bool, Callable[[], sa.ColumnElement[bool]]], ...] = (
        (selector == CHAMPION, lambda: _V.state == State.PRODUCTION),
        (selector == LATEST, lambda: _V.state != State.RESERVED),
        (bool(_DIGEST_PREFIX.fullmatch(selector)), lambda: sa.and_(_V.digest >= selector, _V.digest < selector + "g")),
        (bool(_SEQUENCE.fullmatch(selector)), lambda: _V.sequence == int(selector)),
        (bool(_TIMESTAMP_TAG.fullmatch(selector)), lambda: _V.timestamp_tag == selector),
        (semver.Version.is_valid(number), lambda: _V.version == number),
        (True, lambda: _V.id == aliased),
    )
    return next(condition() for fits, condition in kinds if fits)


def _not_found(connection: Connection, model: RowMapping, selector: str) -> str:
    name = model["name"]
    if selector == CHAMPION:
        return (
            f"{name} has no champion now. Promote a version with `pedigree promote {name}@VERSION`, "
            f"or look at `pedigree history {name}`."
        )
    if selector == LATEST:
        return f"{name} has no registered version yet. Register one with `pedigree register {name} FOLDER`."
    a = schema.aliases.c
    names = connection.execute(sa.select(a.name).where(a.model_id == model["id"]).limit(200)).scalars().all()
    near = difflib.get_close_matches(selector, [*names, CHAMPION, LATEST], n=2)
    newest = f"Its highest version is {model['highest_version']}; s" if model["highest_version"] else "S"
    hint = f" Did you mean {' or '.join(f'{name}@{n}' for n in near)}?" if near else ""
    return f"{name} has no version or alias {selector!r}.{hint} {newest}ee `pedigree versions {name}`."


def resolve(connection: Connection, reference: Reference) -> tuple[RowMapping, RowMapping]:
    """The model's and the version's row."""
    model = find_model(connection, reference.model)
    return model, find_version(connection, model, reference.selector)


def champion_of(connection: Connection, model_id: int) -> Champion | None:
    r = schema.reigns.c
    query = (
        sa.select(_V.version, _V.digest, r.began_at)
        .join(schema.reigns, sa.and_(r.version_id == _V.id, r.ended_at.is_(None)))
        .where(_V.model_id == model_id, _V.state == State.PRODUCTION)
    )
    row = connection.execute(query).one_or_none()
    return Champion(row.version, row.digest, row.began_at) if row else None


def standing(model: str, row: RowMapping) -> VersionSnapshot:
    return VersionSnapshot(model, row["version"], row["digest"], State(row["state"]), row["withdrawn"])


def newest_evidence(connection: Connection, version_id: int) -> Evidence | None:
    e = schema.evidence.c
    query = sa.select(e.content).where(e.version_id == version_id).order_by(e.id.desc()).limit(1)
    content = connection.execute(query).scalar_one_or_none()
    return Evidence.from_text(content) if content is not None else None


def to_versions(connection: Connection, model: str, rows: Sequence[RowMapping]) -> tuple[Version, ...]:
    """Whole records; the aliases of all of them are fetched in one query."""
    a = schema.aliases.c
    aliases: dict[int, list[str]] = {}
    if rows:
        query = sa.select(a.version_id, a.name).where(a.version_id.in_([row["id"] for row in rows])).order_by(a.name)
        for version_id, name in connection.execute(query):
            aliases.setdefault(version_id, []).append(name)
    return tuple(_to_version(model, row, aliases.get(row["id"], [])) for row in rows)


def to_version(connection: Connection, model: str, row: RowMapping) -> Version:
    return to_versions(connection, model, [row])[0]


def _to_version(model: str, row: RowMapping, aliases: list[str]) -> Version:
    held = [*([CHAMPION] if row["state"] == State.PRODUCTION else []), *aliases]
    fields: dict[str, Any] = {name: row[name] for name in _SAME}
    return Version(model=model, state=State(row["state"]), reasons=tuple(row["reasons"]), aliases=tuple(held), **fields)


def list_models(connection: Connection, limit: int, after: str | None) -> Page[Model]:
    m = schema.models
    query = (
        sa.select(m, _V.version.label("champion"))
        .outerjoin(schema.model_versions, sa.and_(_V.model_id == m.c.id, _V.state == State.PRODUCTION))
        .order_by(m.c.name)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(m.c.name > after)
    rows = connection.execute(query).mappings().all()
    items = tuple(_to_model(row) for row in rows[:limit])
    return Page(items, items[-1].name if len(rows) > limit else None)


def get_model(connection: Connection, name: str) -> Model:
    row = find_model(connection, name)
    champion = champion_of(connection, row["id"])
    return _to_model({**row, "champion": champion.version if champion else None})


def _to_model(row: RowMapping | dict[str, Any]) -> Model:
    names = ("name", "description", "created_at", "created_by", "champion")
    return Model(versions=row["last_sequence"], **{name: row[name] for name in names})


def aliases_of(connection: Connection, model_id: int) -> dict[str, str]:
    a = schema.aliases.c
    query = sa.select(a.name, _V.version).join(schema.model_versions, _V.id == a.version_id)
    rows = connection.execute(query.where(a.model_id == model_id).order_by(a.name))
    return {row.name: row.version for row in rows}


def champion_at(connection: Connection, model_id: int, when: datetime) -> RowMapping | None:
    r = schema.reigns.c
    newest = (
        sa.select(r.version_id, r.ended_at)
        .where(r.model_id == model_id, r.began_at <= when)
        .order_by(r.began_at.desc())
        .limit(1)
        .subquery()
    )
    query = (
        sa.select(schema.model_versions)
        .join(newest, newest.c.version_id == _V.id)
        .where(sa.or_(newest.c.ended_at.is_(None), newest.c.ended_at > when))
    )
    return connection.execute(query).mappings().one_or_none()


def reigns_of(
    connection: Connection, model: RowMapping, version_id: int | None, limit: int
) -> tuple[ChampionPeriod, ...]:
    """Newest first; of one version, or of all where none is given."""
    r = schema.reigns.c
    query = sa.select(r.began_at, r.ended_at, _V.version).join(schema.model_versions, _V.id == r.version_id)
    query = query.where(r.model_id == model["id"]).order_by(r.began_at.desc()).limit(limit)
    if version_id is not None:
        query = query.where(r.version_id == version_id)
    return tuple(
        ChampionPeriod(model["name"], row.version, row.began_at, row.ended_at) for row in connection.execute(query)
    )


def read_events(connection: Connection, chain: str, subject: str | None, limit: int, before: str | None) -> Page[Event]:
    """Newest first. `before` is the `next` of an earlier page."""
    e = schema.events
    query = sa.select(e).where(e.c.chain == chain).order_by(e.c.position.desc()).limit(limit + 1)
    if subject is not None:
        query = query.where(e.c.subject == subject)
    if before is not None:
        query = query.where(e.c.position < read_position(before))
    rows = connection.execute(query).mappings().all()
    items = tuple(Event.from_row(dict(row)) for row in rows[:limit])
    return Page(items, str(items[-1].position) if len(rows) > limit else None)


def read_position(cursor: str) -> int:
    """Of the `next` of a page: nothing is counted with more digits."""
    if not cursor.isdecimal() or len(cursor) > _MOST_DIGITS:
        raise InvalidInputError(f"{plain(cursor, 60)!r} is not the `next` of a page. Pass it on as it was given.")
    return int(cursor)


def all_chains(connection: Connection) -> Iterable[RowMapping]:
    return connection.execute(sa.select(schema.chains).order_by(schema.chains.c.name)).mappings().all()
