"""How a version comes to be: a number is reserved for some bytes, then the version is registered with what is known.

Both steps are idempotent by content. Repeating one gives back the version that is there; a cached or repeated run
changes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db import Row, Statement, schema
from tfx_pedigree.digest import canonical_json, check_digest, digest_of, parse_json, plain_json
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import Measured
from tfx_pedigree.registry import numbering
from tfx_pedigree.registry.evidence import DECIDED, Evidence
from tfx_pedigree.registry.model_rows import seal
from tfx_pedigree.registry.records import Version
from tfx_pedigree.registry.search_tables import forget_for_search, index_for_search
from tfx_pedigree.registry.stored import OF_MODEL, OF_SEQUENCE, VERSION_ID, StoredVersion
from tfx_pedigree.registry.write import Write, refuse_zero
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict
from tfx_pedigree.versioning import ModelDescription, Request, decide, higher, timestamp_tag


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


# Statements

_MODELS, _VERSIONS = schema.models, schema.model_versions
_M, _V, _E = schema.models.c, schema.model_versions.c, schema.evidence.c
_digest = sa.bindparam("digest", type_=sa.Text)
_DESCRIBE = Statement(
    sa.text("INSERT INTO descriptions (digest, content) VALUES (:digest, :content) ON CONFLICT DO NOTHING")
)
_NEW_VERSION = Statement(_VERSIONS.insert().inline(), [column.name for column in _V if column.name != "id"])
_COUNT = Statement(
    _MODELS.update()
    .where(_M.id == OF_MODEL)
    .values(
        last_sequence=sa.bindparam("new_sequence", type_=_M.last_sequence.type),
        highest_version=sa.bindparam("new_version", type_=_M.highest_version.type),
    )
)
_EVIDENCE_KNOWN = Statement(
    sa.select(_E.id).where(_E.version_id == sa.bindparam("id", type_=_E.version_id.type), _E.digest == _digest)
)
_NEW_EVIDENCE = Statement(
    schema.evidence.insert().inline().values(version_id=VERSION_ID),
    ["model_id", "digest", "content", "created_at", "created_by"],
)


@functools.cache
def _updating(columns: tuple[str, ...]) -> Statement:
    new = {name: sa.bindparam(f"new_{name}", type_=_V[name].type) for name in columns}
    return Statement(_VERSIONS.update().where(_V.model_id == OF_MODEL, _V.sequence == OF_SEQUENCE).values(new))


def update(write: Write, found: StoredVersion, **values: Any) -> StoredVersion:
    """Writes some fields of a version; gives the version as it is then."""
    new = {f"new_{name}": value for name, value in values.items()}
    write.later(_updating(tuple(values)), of_model=found.model_id, of_sequence=found.version.sequence, **new)
    return found.now(**values)


# Operations


def reserve(write: Write, known: numbering.Known, candidate: Candidate, request: Request) -> StoredVersion:
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


def add(write: Write, known: numbering.Known, candidate: Candidate, request: Request, facts: Facts) -> StoredVersion:
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


def _new_version(write: Write, known: numbering.Known, candidate: Candidate, request: Request) -> _New:
    model, description = known.model, candidate.description
    described = description.to_json()
    content = canonical_json(described).decode()
    refuse_zero(content, described, f"The description of {model.name}'s new version")
    predecessor = description if content == known.description else _described(known.description)
    taken, reached = (
        functools.partial(numbering.taken, write.connection, known),
        functools.partial(numbering.reached, known),
    )
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


def description_in(rows: list[Row]) -> ModelDescription:
    return ModelDescription.from_json(parse_json(rows[0][0]))


@functools.lru_cache(4)  # of many registrations in a row, each is compared with the one before
def _described(content: str | None) -> ModelDescription | None:
    return None if content is None else ModelDescription.from_json(parse_json(content))
