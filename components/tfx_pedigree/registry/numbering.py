"""What is there when a candidate comes, and which numbers are given: asked before a version gets its number."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Question, Row, Statement, schema
from tfx_pedigree.registry import stored
from tfx_pedigree.registry.stored import MODEL, OF_MODEL, StoredModel, StoredVersion
from tfx_pedigree.versioning import Bump, higher

_MODELS, _VERSIONS = schema.models, schema.model_versions
_M, _V = schema.models.c, schema.model_versions.c
_digest = sa.bindparam("digest", type_=sa.Text)
_base = _VERSIONS.alias("base").c
_candidates = _VERSIONS.alias("of_model").c
_of_this_model = _candidates.model_id == _M.id
# What the next number follows: the champion, else the newest registered version, else the newest one.
_BASE_ID = sa.func.coalesce(
    sa.select(_candidates.id).where(_of_this_model, _candidates.state == stored.PRODUCTION).scalar_subquery(),
    sa.select(_candidates.id)
    .where(_of_this_model, _candidates.registered_at.is_not(None))
    .order_by(_candidates.sequence.desc())
    .limit(sa.literal_column("1"))
    .scalar_subquery(),
    sa.select(_candidates.id).where(_of_this_model, _candidates.sequence == _M.last_sequence).scalar_subquery(),
)
_KNOWN = Statement(
    sa.select(
        *stored.VERSION_COLUMNS,
        _M.id,
        _M.name,
        _M.last_sequence,
        _M.highest_version,
        _base.version,
        schema.descriptions.c.content,
    )
    .select_from(_MODELS)
    .outerjoin(_VERSIONS, sa.and_(_V.model_id == _M.id, _V.digest == _digest))
    .outerjoin(_base.version.table, _base.id == _BASE_ID)
    .outerjoin(schema.descriptions, schema.descriptions.c.digest == _base.description_digest)
    .where(_M.name == MODEL)
)
# Mostly the numbers that a new one could meet are among these, and nobody has to be asked again.
_NEWEST = Statement(
    sa.select(_V.version, _V.predecessor, _V.bump)
    # No join: PostgreSQL would sort all versions that the model has.
    .where(_V.model_id == stored.MODEL_ID)
    .order_by(_V.sequence.desc())
    .limit(sa.literal_column("8"))
)
_SOME = [sa.bindparam(f"number_{at}", type_=sa.Text) for at in range(32)]
_TAKEN = Statement(sa.select(_V.version).where(_V.model_id == OF_MODEL, _V.version.in_(_SOME)))


@dataclass(frozen=True)
class Known:
    """What is there when a candidate comes: its model, the number and the description of the version that it follows,
    the newest versions (number, what it followed, bump), and the candidate itself if it was reserved before."""

    model: StoredModel
    base: str | None
    description: str | None
    newest: tuple[Row, ...]
    existing: StoredVersion | None


def knowing(model: str, digest: str) -> tuple[Question, Question]:
    return (_KNOWN, {"names": stored.NOBODY, "model": model, "digest": digest}), (_NEWEST, {"model": model})


def known(rows: list[Row], newest: list[Row]) -> Known:
    """Of the rows that `knowing` finds."""
    (row,) = rows
    *_, model_id, name, last_sequence, highest, base, description = row
    existing = stored.read_version(name, row) if row[1] is not None else None
    return Known(
        StoredModel(model_id, name, last_sequence, highest),
        base,
        description,
        tuple(newest),
        existing,
    )


def taken(connection: Connection, known: Known, numbers: Sequence[str]) -> Collection[str]:
    """Which of these numbers, in ascending order, are given. None above the highest ever given is; the newest are known
    already."""
    newest = {number for number, *_ in known.newest}
    highest = known.model.highest_version
    doubtful = list(itertools.takewhile(lambda one: highest is not None and higher(highest, one) == highest, numbers))
    unknown = [one for one in doubtful if one not in newest]
    if not unknown or known.model.last_sequence <= len(newest):
        return newest.intersection(doubtful)
    asked = {bind.key: one for bind, one in zip(_SOME, itertools.chain(unknown, itertools.repeat("")), strict=False)}
    rows = _TAKEN.rows(connection, of_model=known.model.id, **asked)
    return newest.intersection(doubtful) | {number for (number,) in rows}


def reached(known: Known, base: str, bump: Bump) -> str | None:
    """Of the newest versions the last release that was numbered in the same way."""
    same = (number for number, follows, by in known.newest if (follows, by) == (base, bump.value))
    return next((number for number in same if "-" not in number), None)
