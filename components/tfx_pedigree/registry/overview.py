"""Statements for those who look at many models or versions at once: each page is one statement, whatever it shows."""

from __future__ import annotations

import re
from collections.abc import Callable

import sqlalchemy as sa

from tfx_pedigree.db import Row, Statement, one_of, schema
from tfx_pedigree.kept import Kept
from tfx_pedigree.registry import stored
from tfx_pedigree.registry.evidence import LARGEST_KEPT, Evidence, stored_evidence
from tfx_pedigree.registry.records import ModelOverview, Serving
from tfx_pedigree.registry.stored import LIMIT, MODEL_ID
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict

_M, _V = schema.models.c, schema.model_versions.c
_E, _R, _EV = schema.evidence.c, schema.reigns.c, schema.events.c
# Evidence is kept as canonical JSON, whose fields stand in the order of their names: the verdict is its end.
_TAIL = 40
_VERDICT = re.compile(r'"verdict":"([A-Z]+)"\}\Z')


def _of_champion(column: sa.ColumnElement[object]) -> sa.ScalarSelect[object]:
    query = sa.select(column).where(_V.model_id == _M.id, _V.state == State.PRODUCTION.value)
    return query.correlate(schema.models).scalar_subquery()


def _newest(column: sa.ColumnElement[object], state: State | None) -> sa.ScalarSelect[object]:
    """Of one state, or of all that are registered."""
    which = _V.state == state.value if state else _V.state != State.RESERVED.value
    query = sa.select(column).where(_V.model_id == _M.id, which)
    return query.order_by(_V.sequence.desc()).limit(1).scalar_subquery()


_SINCE = sa.select(_R.began_at).where(_R.model_id == _M.id, _R.ended_at.is_(None)).scalar_subquery()
_BY = (
    sa.select(_EV.actor)
    .where(_EV.chain == _M.name, _EV.subject == _of_champion(_V.version), _EV.to_state == State.PRODUCTION.value)
    .order_by(_EV.position.desc())
    .limit(1)
    .scalar_subquery()
)
_JUDGED = (
    sa.select(sa.func.substr(_E.content, sa.func.length(_E.content) - _TAIL + 1))
    .where(_E.version_id == _of_champion(_V.id))
    .order_by(_E.id.desc())
    .limit(1)
    .scalar_subquery()
)
_ROLLING = (
    sa.select(_V.version)
    .join_from(schema.rollouts, schema.model_versions, _V.id == schema.rollouts.c.version_id)
    .where(schema.rollouts.c.model_id == _M.id, schema.rollouts.c.closed_at.is_(None))
    .correlate(schema.models)
    .scalar_subquery()
)
OVERVIEW = Statement(
    sa.select(
        *stored.MODEL_COLUMNS,
        _SINCE,
        _BY,
        _JUDGED,
        _of_champion(_V.tags),
        _of_champion(_V.created_at),
        _newest(_V.version, State.STAGING),
        _newest(_V.version, None),
        _newest(_V.created_at, None),
        _ROLLING,
    )
    .where(_M.name > sa.bindparam("after", type_=sa.Text), _M.name.like(sa.bindparam("pattern", type_=sa.Text)))
    .order_by(_M.name)
    .limit(LIMIT)
)


def read_overview(row: Row) -> ModelOverview:
    model = stored.read_model(row)
    since, by, tail, tags, made, waiting, newest, newest_at, rolling = row[7:16]
    serving = None
    if model.champion is not None and since is not None:
        serving = Serving(model.champion, since, by, _verdict(tail), tags or {}, made)
    return ModelOverview(model, serving, waiting, rolling, newest, newest_at)


def _verdict(tail: str | None) -> Verdict | None:
    found = _VERDICT.search(tail or "")
    return Verdict(found[1]) if found and found[1] in Verdict.__members__ else None


_newer = schema.evidence.alias("newer").c
_LAST = sa.select(sa.func.max(_newer.id)).where(_newer.version_id == _V.id).scalar_subquery()
EVIDENCE_OF = Statement(
    sa.select(stored.ROLES, _V.version, _E.digest)
    .join_from(schema.model_versions, schema.evidence, sa.and_(_E.version_id == _V.id, _E.id == _LAST))
    .where(_V.model_id == MODEL_ID, one_of(_V.version, sa.bindparam("versions", type_=sa.Text)))
)


CONTENTS = Statement(
    sa.select(stored.ROLES, _E.digest, _E.content).where(
        _E.model_id == MODEL_ID,
        one_of(_E.digest, sa.bindparam("digests", type_=sa.Text)),
        _E.version_id.in_(
            sa.select(_V.id).where(_V.model_id == MODEL_ID, one_of(_V.version, sa.bindparam("versions", type_=sa.Text)))
        ),
    )
)
_PARSED: Kept[Evidence] = Kept(256)


def read_evidence(rows: list[Row], contents: Callable[[list[str]], list[Row]]) -> dict[str, Evidence]:
    """`contents` gives the digests' texts: only what was not read lately is read again."""
    known = {row[2]: kept for row in rows if (kept := _PARSED.get(row[2])) is not None}
    missing = list(dict.fromkeys(row[2] for row in rows if row[2] not in known))
    for _, digest, text in contents(missing) if missing else ():
        known[digest] = stored_evidence(text)
        if len(text) <= LARGEST_KEPT:
            _PARSED.keep(digest, known[digest])
    return {row[1]: known[row[2]] for row in rows}


def pattern(part: str) -> str:
    """For names that hold this part, which may be empty. A name has no sign that LIKE would take for another, but `_`,
    which then stands for any sign; so a part with one may find a name too many and never one too few."""
    return "%" + "".join(letter for letter in part.lower() if letter.isalnum() or letter in "._-") + "%"
