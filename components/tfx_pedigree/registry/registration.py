"""How a version comes to be: a number is reserved for some bytes, then the version is registered with what is known.

Both steps are idempotent by content. Repeating one gives back the version that is there; a cached or repeated run
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json, check_digest, parse_json, plain_json
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.registry import reading
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.model_rows import seal
from tfx_pedigree.registry.states import State
from tfx_pedigree.registry.write import Write, insert_if_absent
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.verdict import Verdict
from tfx_pedigree.versioning import ModelDescription, Request, decide, timestamp_tag

_V = schema.model_versions.c


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

    metrics: Mapping[str, float] = field(default_factory=dict)
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


def reserve(write: Write, model: RowMapping, candidate: Candidate, request: Request) -> RowMapping:
    """The row of the version that these bytes have; a new one if they have none."""
    existing = by_digest(write.connection, model, candidate.digest)
    if existing is not None:
        if request.version not in (None, existing["version"]):
            raise ConflictError(
                f"These bytes are {model['name']} {existing['version']} already and cannot become {request.version}: "
                "a version is never renumbered. Leave the version out to use the existing one."
            )
        return existing
    # Read again under the lock: the counters may have moved since the model was looked up.
    model = reading.find_model(write.connection, model["name"])
    highest: str | None = model["highest_version"]
    predecessor = _description_of(write.connection, model, highest) if highest else None
    decision = decide(highest, predecessor, candidate.description, request)
    sequence = model["last_sequence"] + 1
    write.connection.execute(
        schema.models.update()
        .where(schema.models.c.id == model["id"])
        .values(last_sequence=sequence, highest_version=decision.version)
    )
    values = _new_row(write, model, candidate, sequence)
    values |= {
        "version": decision.version,
        "bump": decision.bump.value if decision.bump else None,
        "reasons": list(decision.reasons),
        "predecessor": highest,
    }
    write.connection.execute(schema.model_versions.insert().values(**values))
    write.log(
        "reserve",
        decision.version,
        after=State.RESERVED,
        details={
            "sequence": sequence,
            "digest": candidate.digest,
            "description": values["description_digest"],
            "timestamp_tag": values["timestamp_tag"],
            "bump": values["bump"],
            "predecessor": highest,
            "facts": seal(decision.reasons, candidate.size, candidate.files),
        },
    )
    row = by_digest(write.connection, model, candidate.digest)
    assert row is not None  # noqa: S101  inserted just above, in this transaction
    return row


def _new_row(write: Write, model: RowMapping, candidate: Candidate, sequence: int) -> dict[str, Any]:
    content = canonical_json(candidate.description.to_json()).decode()
    digest = candidate.description.digest
    insert_if_absent(write.connection, schema.descriptions, digest=digest, content=content)
    return {
        "model_id": model["id"],
        "sequence": sequence,
        "timestamp_tag": timestamp_tag(write.now, candidate.digest),
        "digest": candidate.digest,
        "state": State.RESERVED,
        "description_digest": digest,
        "metrics": {},
        "parameters": dict(candidate.description.parameters),
        "tags": {},
        "size": candidate.size,
        "files": candidate.files,
        "created_at": write.now,
        "created_by": write.actor,
    }


def register(write: Write, model: RowMapping, row: RowMapping, facts: Facts) -> RowMapping:
    """Makes a reserved version a registered one. On a registered one it only adds what is new."""
    if row["state"] != State.RESERVED:
        return annotate(write, model, row, facts)
    if row["withdrawn"]:
        raise ConflictError(
            f"{model['name']} {row['version']} was archived before it was registered. Restore it first."
        )
    metrics, tags = facts.plain_metrics(), dict(facts.tags)
    _update(write, row, state=State.DEVELOPMENT, metrics=metrics, tags=tags, registered_at=write.now)
    index_for_search(write.connection, row, metrics, tags)
    write.log(
        "register",
        row["version"],
        before=State.RESERVED,
        after=State.DEVELOPMENT,
        details={"metrics": metrics, "tags": tags},
    )
    return reading.find_version(write.connection, model, row["digest"])


def annotate(write: Write, model: RowMapping, row: RowMapping, facts: Facts) -> RowMapping:
    """Adds or changes metrics and tags; an empty tag takes the tag away. No change writes no event."""
    metrics = {k: v for k, v in facts.plain_metrics().items() if row["metrics"].get(k) != v}
    tags = {k: v for k, v in facts.tags.items() if row["tags"].get(k, "") != v}
    if not metrics and not tags:
        return row
    all_tags = {k: v for k, v in {**row["tags"], **tags}.items() if v}
    _update(write, row, metrics={**row["metrics"], **metrics}, tags=all_tags)
    index_for_search(write.connection, row, metrics, tags)
    write.log("annotate", row["version"], details={"metrics": metrics, "tags": tags})
    return reading.find_version(write.connection, model, row["digest"])


def attach_evidence(write: Write, model: RowMapping, row: RowMapping, evidence: Evidence) -> RowMapping:
    """Keeps the evidence with the version; the newest one decides. The same evidence twice is one."""
    if evidence.challenger != row["digest"]:
        raise InvalidInputError(
            f"The evidence is about {evidence.challenger[:19]}…, not about {model['name']} {row['version']} "
            f"({row['digest'][:19]}…). Attach it to the version that it judges."
        )
    evidence = evidence.without_secrets()
    e = schema.evidence.c
    known = sa.select(e.id).where(e.version_id == row["id"], e.digest == evidence.digest)
    if write.connection.execute(known).first() is not None:
        return row
    write.connection.execute(
        schema.evidence.insert().values(
            model_id=model["id"],
            version_id=row["id"],
            digest=evidence.digest,
            content=evidence.content(),
            created_at=write.now,
            created_by=write.actor,
        )
    )
    refusal = None if evidence.verdict is Verdict.PASS else f"{evidence.verdict.value}: {evidence.reason}"
    _update(write, row, refusal=refusal)
    write.log(
        "attach-evidence",
        row["version"],
        reason=evidence.reason,
        details={
            "evidence": evidence.digest,
            "verdict": evidence.verdict.value,
            "champion": evidence.champion,
        },
    )
    return reading.find_version(write.connection, model, row["digest"])


def by_digest(connection: Connection, model: RowMapping, digest: str) -> RowMapping | None:
    query = sa.select(schema.model_versions).where(_V.model_id == model["id"], _V.digest == digest)
    return connection.execute(query).mappings().one_or_none()


def _description_of(connection: Connection, model: RowMapping, version: str) -> ModelDescription:
    return description(connection, reading.find_version(connection, model, version))


def description(connection: Connection, row: RowMapping) -> ModelDescription:
    d = schema.descriptions.c
    content = connection.execute(sa.select(d.content).where(d.digest == row["description_digest"])).scalar_one()
    return ModelDescription.from_json(parse_json(content))


def _update(write: Write, row: RowMapping, **values: Any) -> None:
    write.connection.execute(schema.model_versions.update().where(_V.id == row["id"]).values(**values))


def index_for_search(
    connection: Connection, row: Mapping[Any, Any], metrics: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """What `search` walks. Numbers that are none (NaN) are kept with the version but found by no comparison."""
    finite = {name: value for name, value in metrics.items() if _is_number(value)}
    _replace(
        connection, schema.version_metrics, row, metrics.keys(), [{"name": k, "value": v} for k, v in finite.items()]
    )
    _replace(connection, schema.version_tags, row, tags.keys(), [{"key": k, "value": v} for k, v in tags.items() if v])


def _replace(
    connection: Connection,
    table: sa.Table,
    row: Mapping[Any, Any],
    touched: Iterable[str],
    entries: list[dict[str, Any]],
) -> None:
    names = list(touched)
    column = table.c.name if "name" in table.c else table.c.key
    if names:
        connection.execute(table.delete().where(table.c.version_id == row["id"], column.in_(names)))
    common = {"version_id": row["id"], "model_id": row["model_id"], "sequence": row["sequence"]}
    if entries:
        connection.execute(table.insert(), [{**common, **entry} for entry in entries])


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and math.isfinite(value)
