"""The rows of one model, and of the registry, in the form in which `fold` tells what they should be."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.digest import digest_of
from tfx_pedigree.registry.replay import ModelFacts, PeriodFacts, RegistryFacts, VersionFacts
from tfx_pedigree.registry.states import State

_V = schema.model_versions.c
_R = schema.reigns.c


def model_facts(connection: Connection, name: str) -> ModelFacts:
    m = schema.models.c
    model_id = connection.execute(sa.select(m.id).where(m.name == name)).scalar_one_or_none()
    facts = ModelFacts()
    if model_id is None:
        return facts
    query = sa.select(schema.model_versions).where(_V.model_id == model_id).order_by(_V.sequence)
    numbers: dict[int, str] = {}
    for row in connection.execute(query).mappings():
        numbers[row["id"]] = row["version"]
        facts.versions[row["version"]] = VersionFacts(
            sequence=row["sequence"],
            digest=row["digest"],
            description=row["description_digest"],
            timestamp_tag=row["timestamp_tag"],
            bump=row["bump"],
            predecessor=row["predecessor"],
            state=State(row["state"]),
            withdrawn=bool(row["withdrawn"]),
            metrics=dict(row["metrics"]),
            tags=dict(row["tags"]),
            refusal=row["refusal"],
        )
    e, a = schema.evidence.c, schema.aliases.c
    for version_id, digest in connection.execute(sa.select(e.version_id, e.digest).where(e.model_id == model_id)):
        facts.versions[numbers[version_id]].evidence.add(digest)
    for alias, version_id in connection.execute(sa.select(a.name, a.version_id).where(a.model_id == model_id)):
        facts.aliases[alias] = numbers[version_id]
    reigns = sa.select(_R.version_id, _R.began_at, _R.ended_at).where(_R.model_id == model_id).order_by(_R.began_at)
    facts.reigns = [
        PeriodFacts(numbers[row.version_id], row.began_at, row.ended_at) for row in connection.execute(reigns)
    ]
    return facts


def registry_facts(connection: Connection) -> RegistryFacts:
    b = schema.role_bindings.c
    rows = connection.execute(sa.select(b.principal, b.scope, b.role))
    names = connection.execute(sa.select(schema.models.c.name)).scalars()
    return RegistryFacts(set(names), {(row.principal, row.scope): row.role for row in rows})


def damaged_rows(connection: Connection, name: str) -> list[str]:
    """What events do not hold but name by digest, and what searching walks: is it what it should be?"""
    m = schema.models.c
    model = connection.execute(sa.select(m.id).where(m.name == name)).scalar_one_or_none()
    return [
        *_wrong_digests(connection, name, model),
        *_wrong_counters(connection, name, model),
        *_wrong_index(connection, name, model),
    ]


def _wrong_digests(connection: Connection, name: str, model_id: int | None) -> list[str]:
    e, d = schema.evidence.c, schema.descriptions.c
    evidence = sa.select(e.digest, e.content).where(e.model_id == model_id)
    used = sa.select(_V.description_digest).where(_V.model_id == model_id)
    descriptions = sa.select(d.digest, d.content).where(d.digest.in_(used))
    return [
        f"{name}: the {what} {digest[:19]}… was altered: its content has another digest."
        for what, query in (("evidence", evidence), ("description", descriptions))
        for digest, content in connection.execute(query)
        if digest_of(content.encode()) != digest
    ]


def _wrong_counters(connection: Connection, name: str, model_id: int | None) -> list[str]:
    m = schema.models.c
    counted = connection.execute(sa.select(m.last_sequence, m.highest_version).where(m.id == model_id)).one_or_none()
    query = sa.select(_V.sequence, _V.version).where(_V.model_id == model_id).order_by(_V.sequence.desc()).limit(1)
    newest = connection.execute(query).one_or_none()
    expected = tuple(newest) if newest else (0, None)
    if counted is None or tuple(counted) == expected:
        return []
    return [f"{name}: the counters stand at {tuple(counted)}, but the newest version is {expected}."]


def _wrong_index(connection: Connection, name: str, model_id: int | None) -> list[str]:
    found = []
    for table, column, kind in (
        (schema.version_metrics, "name", "metrics"),
        (schema.version_tags, "key", "tags"),
    ):
        rows = sa.select(table.c.version_id, table.c[column], table.c.value).where(table.c.model_id == model_id)
        indexed = {(row[0], row[1]): row[2] for row in connection.execute(rows)}
        versions = sa.select(_V.id, _V[kind]).where(_V.model_id == model_id)
        expected: dict[tuple[int, str], Any] = {
            (version_id, key): value
            for version_id, values in connection.execute(versions)
            for key, value in values.items()
            if kind == "tags" or not isinstance(value, str)
        }
        if indexed != expected:
            found.append(f"{name}: the search index over {kind} does not agree with the versions.")
    return found
