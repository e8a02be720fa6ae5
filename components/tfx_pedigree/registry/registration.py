"""How a version comes to be: a number is reserved for some bytes, then the version is registered with what is known.

Both steps are idempotent by content. Repeating one gives back the version that is there; a cached or repeated run
changes nothing.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Question, Row, Statement, schema
from tfx_pedigree.digest import canonical_json, check_digest, digest_of, parse_json, plain_json
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import Measured
from tfx_pedigree.registry import reading, stored
from tfx_pedigree.registry.evidence import DECIDED, Evidence
from tfx_pedigree.registry.model_rows import seal
from tfx_pedigree.registry.records import Version
from tfx_pedigree.registry.stored import MODEL, StoredModel, StoredVersion
from tfx_pedigree.registry.write import Write, refuse_zero
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict
from tfx_pedigree.versioning import Bump, ModelDescription, Request, decide, higher, timestamp_tag


@dataclass(frozen=True)
class Candidate:
    """The bytes of a trained model, by digest, and what they say of themselves."""

    digest: str
    description: ModelDescription = field(default_factory=lambda: ModelDescription(kind="opaque"))
    size: int | None = None
    files: int | None = None

    def __post_init__(self) -> None:
        check_digest(self.digest)
        parameters = clean_values(self.description.parameters)
        if parameters != self.description.parameters:
            object.__setattr__(self, "description", replace(self.description, parameters=parameters))


@dataclass(frozen=True)
class Facts:
    """What a registration adds to the bytes, without its secrets. Empty means: nothing new."""

    metrics: Mapping[str, Measured] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, number in self.metrics.items():
            if not name or isinstance(number, bool) or not isinstance(number, int | float):
                raise InvalidInputError(f"The metric {name!r} has the value {number!r}; metrics are numbers by name.")
        for key, text in self.tags.items():
            if not key or not isinstance(text, str):
                raise InvalidInputError(f"The tag {key!r} has the value {text!r}; tags are texts by name.")
        object.__setattr__(self, "tags", clean_values(self.tags))

    def plain_metrics(self) -> dict[str, Any]:
        return {name: plain_json(float(number)) for name, number in self.metrics.items()}


# Statements. What a transaction makes is named by its model and its sequence: it has no other key before it is written.

_MODELS, _VERSIONS = schema.models, schema.model_versions
_M, _V, _E = schema.models.c, schema.model_versions.c, schema.evidence.c
_OF_MODEL = sa.bindparam("of_model", type_=_V.model_id.type)
_OF_SEQUENCE = sa.bindparam("of_sequence", type_=_V.sequence.type)
_VERSION_ID = sa.select(_V.id).where(_V.model_id == _OF_MODEL, _V.sequence == _OF_SEQUENCE).scalar_subquery()
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
_digest = sa.bindparam("digest", type_=sa.Text)
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
    .join(_MODELS, _V.model_id == _M.id)
    .where(_M.name == MODEL)
    .order_by(_V.sequence.desc())
    .limit(sa.literal_column("8"))
)
_SOME = [sa.bindparam(f"number_{at}", type_=sa.Text) for at in range(32)]
_TAKEN = Statement(sa.select(_V.version).where(_V.model_id == _OF_MODEL, _V.version.in_(_SOME)))
_DESCRIBE = Statement(
    sa.text("INSERT INTO descriptions (digest, content) VALUES (:digest, :content) ON CONFLICT DO NOTHING")
)
_NEW_VERSION = Statement(_VERSIONS.insert().inline(), [column.name for column in _V if column.name != "id"])
_COUNT = Statement(
    _MODELS.update()
    .where(_M.id == _OF_MODEL)
    .values(
        last_sequence=sa.bindparam("new_sequence", type_=_M.last_sequence.type),
        highest_version=sa.bindparam("new_version", type_=_M.highest_version.type),
    )
)
_EVIDENCE_KNOWN = Statement(
    sa.select(_E.id).where(_E.version_id == sa.bindparam("id", type_=_E.version_id.type), _E.digest == _digest)
)
_NEW_EVIDENCE = Statement(
    schema.evidence.insert().inline().values(version_id=_VERSION_ID),
    ["model_id", "digest", "content", "created_at", "created_by"],
)


@functools.cache
def _updating(columns: tuple[str, ...]) -> Statement:
    new = {name: sa.bindparam(f"new_{name}", type_=_V[name].type) for name in columns}
    return Statement(_VERSIONS.update().where(_V.model_id == _OF_MODEL, _V.sequence == _OF_SEQUENCE).values(new))


def update(write: Write, found: StoredVersion, **values: Any) -> StoredVersion:
    """Writes some fields of a version; gives the version as it is then."""
    new = {f"new_{name}": value for name, value in values.items()}
    write.later(_updating(tuple(values)), of_model=found.model_id, of_sequence=found.version.sequence, **new)
    return found.now(**values)


# Operations


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


def reserve(write: Write, known: Known, candidate: Candidate, request: Request) -> StoredVersion:
    """The version that these bytes have; a new one if they have none."""
    existing, model = known.existing, known.model
    if existing is not None:
        number = existing.version.version
        if request.version not in (None, number):
            raise ConflictError(
                f"These bytes are {model.name} {number} already and cannot become {request.version}: "
                "a version is never renumbered. Leave the version out to use the existing one."
            )
        return existing
    new = _new_version(write, known, candidate, request)
    _log_reserved(write, new.made.version)
    _write_new(write, new, new.made)
    return new.made


def add(write: Write, known: Known, candidate: Candidate, request: Request, facts: Facts) -> StoredVersion:
    """Reserves and registers at once: what is new is written as it stands in the end."""
    if known.existing is not None:
        return register(write, reserve(write, known, candidate, request), facts)
    new = _new_version(write, known, candidate, request)
    _log_reserved(write, new.made.version)
    after = new.made.now(**_registered(write, facts))
    _write_new(write, new, after)
    _log_registered(write, after, facts)
    return after


@dataclass(frozen=True)
class _New:
    """A version that is to be written, with the text of its description and the highest number of its model then."""

    made: StoredVersion
    description: str
    highest: str


def _new_version(write: Write, known: Known, candidate: Candidate, request: Request) -> _New:
    model, description = known.model, candidate.description
    described = description.to_json()
    content = canonical_json(described).decode()
    refuse_zero(content, described, f"The description of {model.name}'s new version")
    predecessor = description if content == known.description else _described(known.description)
    taken, reached = functools.partial(_taken, write.connection, known), functools.partial(_reached, known)
    decision = decide(known.base, predecessor, description, request, taken, reached=reached)
    made = StoredVersion(
        None,
        model.id,
        Version(
            model=model.name,
            version=decision.version,
            sequence=model.last_sequence + 1,
            digest=candidate.digest,
            timestamp_tag=timestamp_tag(write.now, candidate.digest),
            state=State.RESERVED,
            withdrawn=False,
            bump=decision.bump.value if decision.bump else None,
            reasons=decision.reasons,
            predecessor=known.base,
            description_digest=digest_of(content.encode()),
            metrics={},
            parameters=dict(description.parameters),
            tags={},
            aliases=(),
            size=candidate.size,
            files=candidate.files,
            refusal=None,
            created_at=write.now,
            created_by=write.actor,
            registered_at=None,
        ),
    )
    return _New(made, content, higher(model.highest_version, decision.version))


def _taken(connection: Connection, known: Known, numbers: Sequence[str]) -> Collection[str]:
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


def _reached(known: Known, base: str, bump: Bump) -> str | None:
    """Of the newest versions the last release that was numbered in the same way."""
    same = (number for number, follows, by in known.newest if (follows, by) == (base, bump.value))
    return next((number for number in same if "-" not in number), None)


def _write_new(write: Write, new: _New, after: StoredVersion) -> None:
    """The row as it is `after` all that this transaction does to it at once."""
    version = after.version
    write.later(_DESCRIBE, digest=version.description_digest, content=new.description)
    write.later(_COUNT, of_model=after.model_id, new_sequence=version.sequence, new_version=new.highest)
    fields = {name: value for name, value in vars(version).items() if name not in ("model", "aliases")}
    plain = {"state": version.state.value, "reasons": list(version.reasons), "metrics": plain_json(version.metrics)}
    write.later(_NEW_VERSION, model_id=after.model_id, **{**fields, **plain})


def _log_reserved(write: Write, version: Version) -> None:
    write.log(
        "reserve",
        version.version,
        after=version.state,
        details={
            "sequence": version.sequence,
            "digest": version.digest,
            "description": version.description_digest,
            "timestamp_tag": version.timestamp_tag,
            "bump": version.bump,
            "predecessor": version.predecessor,
            "facts": seal(version.reasons, version.size, version.files),
        },
    )


def register(write: Write, found: StoredVersion, facts: Facts) -> StoredVersion:
    """Makes a reserved version a registered one. On a registered one it only adds what is new."""
    version = found.version
    if version.state is not State.RESERVED:
        return annotate(write, found, facts)
    if version.withdrawn:
        raise ConflictError(f"{version.name} was archived before it was registered. Restore it first.")
    after = update(write, found, **_registered(write, facts))
    _log_registered(write, after, facts)
    return after


def _registered(write: Write, facts: Facts) -> dict[str, Any]:
    """What a registration changes of a version."""
    metrics, tags = facts.plain_metrics(), dict(facts.tags)
    return {"state": State.DEVELOPMENT, "metrics": metrics, "tags": tags, "registered_at": write.now}


def _log_registered(write: Write, after: StoredVersion, facts: Facts) -> None:
    metrics, tags, version = facts.plain_metrics(), dict(facts.tags), after.version
    index_for_search(write.later, after.model_id, version.sequence, metrics, tags)
    details = {"metrics": metrics, "tags": tags}
    write.log("register", version.version, before=State.RESERVED, after=State.DEVELOPMENT, details=details)


def annotate(write: Write, found: StoredVersion, facts: Facts) -> StoredVersion:
    """Adds or changes metrics and tags; an empty tag takes the tag away. No change writes no event."""
    version = found.version
    held = plain_json(version.metrics)
    metrics = {k: v for k, v in facts.plain_metrics().items() if held.get(k) != v}
    tags = {k: v for k, v in facts.tags.items() if version.tags.get(k, "") != v}
    if not metrics and not tags:
        return found
    all_tags = {k: v for k, v in {**version.tags, **tags}.items() if v}
    after = update(write, found, metrics={**held, **metrics}, tags=all_tags)
    forget_for_search(write.later, found.model_id, version.sequence, metrics, tags)
    index_for_search(write.later, found.model_id, version.sequence, metrics, tags)
    write.log("annotate", version.version, details={"metrics": metrics, "tags": tags})
    return after


def attach_evidence(write: Write, found: StoredVersion, evidence: Evidence) -> StoredVersion:
    """Keeps the evidence with the version; the newest one decides. The same evidence twice is one."""
    version = found.version
    if evidence.challenger != version.digest:
        raise InvalidInputError(
            f"The evidence is about {evidence.challenger[:19]}…, not about {version.name} "
            f"({version.digest[:19]}…). Attach it to the version that it judges."
        )
    evidence = evidence.without_secrets()
    content = evidence.content()
    refuse_zero(content, evidence.to_json(), f"The evidence of {version.name}")
    digest = digest_of(content.encode())
    if found.id is not None and write.ask((_EVIDENCE_KNOWN, {"id": found.id, "digest": digest}))[0]:
        return found
    write.later(
        _NEW_EVIDENCE,
        model_id=found.model_id,
        of_model=found.model_id,
        of_sequence=version.sequence,
        digest=digest,
        content=content,
        created_at=write.now,
        created_by=write.actor,
    )
    refusal = None if evidence.verdict is Verdict.PASS else f"{evidence.verdict.value}: {evidence.reason}"
    after = update(write, found, refusal=refusal)
    write.log(
        "attach-evidence",
        version.version,
        reason=evidence.reason,
        details={
            "evidence": digest,
            "verdict": evidence.verdict.value,
            "champion": evidence.champion,
            **({DECIDED: evidence.decided} if evidence.decided is not None else {}),
        },
    )
    return after


def description(connection: Connection, version: Version) -> ModelDescription:
    content = reading.DESCRIPTION.rows(connection, digest=version.description_digest)[0][0]
    return ModelDescription.from_json(parse_json(content))


@functools.lru_cache(4)  # of many registrations in a row, each is compared with the one before
def _described(content: str | None) -> ModelDescription | None:
    return None if content is None else ModelDescription.from_json(parse_json(content))


# What searching walks

Run = Callable[..., None]


def _of_search(table: sa.Table, name: str) -> tuple[Statement, Statement]:
    """One entry in, one entry out."""
    given = [sa.bindparam(column, type_=table.c[column].type) for column in (name, "value")]
    entry = sa.select(_V.id, _V.model_id, _V.sequence, *given).where(
        _V.model_id == _OF_MODEL, _V.sequence == _OF_SEQUENCE
    )
    put = table.insert().inline().from_select(["version_id", "model_id", "sequence", name, "value"], entry)
    return Statement(put), Statement(table.delete().where(table.c.version_id == _VERSION_ID, table.c[name] == given[0]))


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
