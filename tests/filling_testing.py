"""Registries of any size on PostgreSQL, filled by the database itself: rows as the registry would have written them.

A model has as many versions as the others, but the first one, `BIG`, has a tenth of all. Each version has metrics,
tags, evidence, three events and ten nodes of lineage, and follows the one before. Every digest and key is what its
content says; only the hashes of events are not chained, so `audit verify` has nothing to say here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.registry import Registry
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec

BIG, SMALL = "model-1", "model-7"
NODES = 10  # of each version
AT_ONCE = 50_000
TABLES = (
    *(schema.models, schema.model_versions, schema.version_metrics, schema.version_tags, schema.reigns),
    *(schema.evidence, schema.chains, schema.events),
    *(schema.lineage_nodes, schema.lineage_facts, schema.lineage_edges),
)
DESCRIPTION = ModelDescription(
    signatures={
        "serving_default": Signature(
            {f"feature_{n}": TensorSpec("float32", (None, 1)) for n in range(20)},
            {"score": TensorSpec("float32", (None, 1))},
        )
    }
)

# What follows from a version's number `i` among all: its model, its place there, and how many versions the model has.
_VERSIONS = """
SELECT i, m, s, l, 'model-' || m AS model, '1.0.' || (s - 1) AS version,
  'sha256:' || encode(sha256(convert_to('version ' || i, 'UTF8')), 'hex') AS digest,
  CASE WHEN s > 1 THEN 'sha256:' || encode(sha256(convert_to('version ' || before, 'UTF8')), 'hex') END AS older,
  before, timestamptz '2020-01-01 00:00Z' + s * interval '1 minute' + m * interval '1 microsecond' AS at
FROM (
  SELECT i, m, CASE WHEN m = 1 THEN i ELSE 1 + (i - :big - 1) / (:models - 1) END AS s,
    CASE WHEN m = 1 THEN i - 1 ELSE i - (:models - 1) END AS before,
    CASE WHEN m = 1 THEN :big ELSE 1 + (:versions - :big - (m - 1)) / (:models - 1) END AS l
  FROM (SELECT i, CASE WHEN i <= :big THEN 1 ELSE 2 + (i - :big - 1) % (:models - 1) END AS m
    FROM generate_series(CAST(:first AS bigint), :last) AS i) AS numbered
) AS placed
"""
_V = f"WITH v AS MATERIALIZED ({_VERSIONS})"
_CHAMPION = "greatest(l - 1, 1)"
_WHY = "the interface is the same: only the weights and the data behind them can differ"
_HASH = "'sha256:' || encode(sha256(convert_to(model || ' ' || {}, 'UTF8')), 'hex')"

_OF_VERSIONS = (
    f"""{_V} INSERT INTO model_versions (id, model_id, sequence, version, timestamp_tag, digest, state, withdrawn, bump,
      reasons, predecessor, description_digest, metrics, parameters, tags, size, files, created_at, created_by,
      registered_at)
    SELECT i, m, s, version, 'v' || to_char(at, 'YYYYMMDDHH24MISS') || '_' || substr(digest, 8, 8), digest,
      CASE WHEN s = {_CHAMPION} THEN 'production' WHEN s < l - 1 THEN 'archived' ELSE 'development' END, false,
      CASE WHEN s = 1 THEN NULL ELSE 'patch' END, jsonb_build_array('{_WHY}'),
      CASE WHEN s = 1 THEN NULL ELSE '1.0.' || (s - 2) END, :description,
      jsonb_build_object('auc', 0.5 + (i % 4999) / 10000.0, 'loss', 1.0 / i), jsonb_build_object('units', 32),
      jsonb_build_object('team', CASE WHEN i % 2 = 0 THEN 'ops' ELSE 'research' END, 'span', s::text),
      1048576, 5, at, 'ci', at FROM v""",
    f"""{_V} INSERT INTO version_metrics (version_id, name, model_id, sequence, value)
    SELECT i, name, m, s, CASE name WHEN 'auc' THEN 0.5 + (i % 4999) / 10000.0 ELSE 1.0 / i END
    FROM v, (VALUES ('auc'), ('loss')) AS metric (name)""",
    f"""{_V} INSERT INTO version_tags (version_id, key, model_id, sequence, value)
    SELECT i, key, m, s, CASE WHEN key = 'span' THEN s::text WHEN i % 2 = 0 THEN 'ops' ELSE 'research' END
    FROM v, (VALUES ('team'), ('span')) AS tag (key)""",
    f"""{_V} INSERT INTO reigns (id, model_id, version_id, began_at, ended_at, back_to)
    SELECT i, m, i, at, CASE WHEN s = {_CHAMPION} THEN NULL ELSE at + interval '1 minute' END,
      CASE WHEN s = 1 THEN NULL ELSE before END FROM v WHERE s <= {_CHAMPION}""",
    f"""{_V}, said AS (SELECT *, '{{"challenger":"' || digest || '","champion":"' || older
        || '","details":{{}},"evaluation_data":null,"format":"pedigree.evidence/1","metrics":{{}},"policy":null,'
        || '"reason":"auc is 2 % better","recommendation":null,"verdict":"PASS"}}' AS content FROM v WHERE s > 1)
    INSERT INTO evidence (id, model_id, version_id, digest, content, created_at, created_by)
    SELECT i, m, i, 'sha256:' || encode(sha256(convert_to(content, 'UTF8')), 'hex'), content, at, 'ci' FROM said""",
    f"""{_V} INSERT INTO events (chain, position, at, actor, action, subject, from_state, to_state, reason, details,
      previous, hash)
    SELECT model, 3 * s - 2 + k, at, 'ci', action, version, from_state, to_state, NULL, '{{}}',
      {_HASH.format("(3 * s - 3 + k)")}, {_HASH.format("(3 * s - 2 + k)")}
    FROM v, (VALUES (1, 'reserve', NULL, 'reserved'), (2, 'register', 'reserved', 'development'),
      (3, 'promote', 'development', 'production')) AS event (k, action, from_state, to_state)""",
)
# kind, and what identifies it as canonical JSON without its braces.
_GRAPH: tuple[tuple[str, str], ...] = (
    ("data", """'"fingerprint":"' || digest || '"'"""),
    ("code", """'"commit":"' || substr(digest, 8, 40) || '"'"""),
    ("environment", """'"packages_digest":"' || digest || '"'"""),
    ("parameters", """'"parameters":{"units":' || i || '},"training":{}'"""),
    ("run", """'"id":"' || i || '","pipeline":"' || model || '"'"""),
    ("version", """'"digest":"' || digest || '","model":"' || model || '"'"""),
    ("evaluation", """'"of":"' || digest || '"'"""),
    ("comparison", """'"digest":"' || digest || '"'"""),
    ("decision", """'"evidence":"' || digest || '","model":"' || model || '"'"""),
    ("deployment", """'"destination":"/serving","digest":"' || digest || '","model":"' || model || '"'"""),
)
_OF_GRAPH = (
    f"""{_V}, node AS (SELECT i, k, kind, at, '{{' || CASE k {
        " ".join(f"WHEN {k} THEN {content}" for k, (_, content) in enumerate(_GRAPH))
    } END || '}}' AS content FROM v, (VALUES {
        ", ".join(f"({k}, '{kind}')" for k, (kind, _) in enumerate(_GRAPH))
    }) AS part (k, kind))
    INSERT INTO lineage_nodes (id, key, kind, content, recorded_at, recorded_by)
    SELECT {NODES} * (i - 1) + k + 1,
      kind || ':' || encode(sha256(convert_to(
        '{{"content":' || content || ',"kind":"' || kind || '"}}', 'UTF8')), 'hex'),
      kind, content, at, 'ci' FROM node""",
    f"""{_V} INSERT INTO lineage_facts (node_id, name, value)
    SELECT {NODES} * (i - 1) + k + 1, name, CASE name WHEN 'digest' THEN digest WHEN 'fingerprint' THEN digest
      WHEN 'model' THEN model WHEN 'version' THEN version WHEN 'span' THEN model || '-' || s
      WHEN 'split' THEN 'train' WHEN 'id' THEN i::text WHEN 'pipeline' THEN model ELSE substr(digest, 8, 40) END
    FROM v, (VALUES (0, 'fingerprint'), (0, 'span'), (0, 'split'), (1, 'commit'), (4, 'id'), (4, 'pipeline'),
      (5, 'digest'), (5, 'model'), (5, 'version')) AS fact (k, name)""",
    f"""{_V} INSERT INTO lineage_edges (source_id, target_id, kind)
    SELECT {NODES} * (i - 1) + a + 1, {NODES} * (i - 1) + b + 1, kind
    FROM v, (VALUES (5, 0, 'trained_on'), (5, 4, 'produced_by'), (4, 0, 'used'), (4, 1, 'used'), (4, 2, 'used'),
      (4, 3, 'used'), (6, 5, 'evaluates'), (6, 0, 'evaluated_on'), (7, 6, 'rests_on'), (8, 7, 'rests_on'),
      (9, 5, 'deploys')) AS edge (a, b, kind)
    UNION ALL SELECT {NODES} * (i - 1) + 6, {NODES} * (before - 1) + 6, 'derived_from' FROM v WHERE s > 1""",
)


@dataclass(frozen=True)
class Size:
    models: int
    versions: int

    @property
    def nodes(self) -> int:
        return NODES * self.versions

    @property
    def big(self) -> int:
        return self.versions // 10


def fill(address: str, size: Size, tell: Callable[[str], None]) -> None:
    """Makes the registry, of which `ada` is the admin."""
    with Registry.create(address, actor="ada") as registry:
        registry.transactions.ensure_model("pattern")
    engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection, _unguarded(connection):
        described = {"digest": DESCRIPTION.digest, "content": canonical_json(DESCRIPTION.to_json()).decode()}
        connection.execute(schema.descriptions.insert().values(described))
        given = {"models": size.models, "versions": size.versions, "big": size.big, "description": described["digest"]}
        _models(connection, given)
        for first in range(1, size.versions + 1, AT_ONCE):
            some = {**given, "first": first, "last": min(first + AT_ONCE - 1, size.versions)}
            for statement in (*_OF_VERSIONS, *_OF_GRAPH):
                _carry_out(connection, statement, some)
            tell(f"{some['last']:,} of {size.versions:,} versions")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    engine.dispose()


def _models(connection: sa.Connection, given: dict[str, object]) -> None:
    many = """(SELECT m, 'model-' || m AS model,
      CASE WHEN m = 1 THEN :big ELSE 1 + (:versions - :big - (m - 1)) / (:models - 1) END AS l
      FROM generate_series(CAST(1 AS bigint), :models) AS m)"""
    at = "timestamptz '2020-01-01 00:00Z'"
    connection.execute(sa.text("DELETE FROM models"))
    for statement in (
        f"""INSERT INTO models (id, name, description, created_at, created_by, last_sequence, highest_version)
        SELECT m, model, '', {at}, 'ci', l, '1.0.' || (l - 1) FROM {many} AS m""",
        f"""INSERT INTO chains (name, length, head, last_at) SELECT model, 3 * l + 1, {_HASH.format("(3 * l + 1)")},
        {at} + l * interval '1 minute' FROM {many} AS m""",
        f"""INSERT INTO events (chain, position, at, actor, action, details, previous, hash)
        SELECT model, 1, {at}, 'ci', 'create-model', '{{}}',
        {_HASH.format("0")}, {_HASH.format("1")} FROM {many} AS m""",
    ):
        _carry_out(connection, statement, given)


def _carry_out(connection: sa.Connection, statement: str, values: dict[str, object]) -> None:
    """The statements are full of colons and percents that name no parameters, and all values are ours."""
    text = re.sub(r":(big|models|versions|first|last)\b", lambda found: str(values[found[1]]), statement)
    text = text.replace(":description", f"'{values['description']}'")
    with connection.connection.cursor() as cursor:
        cursor.execute(text)


@contextmanager
def _unguarded(connection: sa.Connection) -> Iterator[None]:
    """Indexes and keys are made once, when all rows are there; foreign keys are not looked up row by row."""
    connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
    names = [table.name for table in TABLES]
    keys = connection.execute(
        sa.text(
            """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE contype IN ('p', 'u', 'f') AND conrelid::regclass::text = ANY(:names)
            ORDER BY contype IN ('p', 'u'), conname"""
        ),
        {"names": names},
    ).all()
    for table, name, _ in keys:
        connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"))
    indexes = connection.execute(
        sa.text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(:names)"),
        {"names": names},
    ).all()
    for name, _ in indexes:
        connection.execute(sa.text(f"DROP INDEX {name}"))
    yield
    connection.execute(sa.text("SET LOCAL maintenance_work_mem = '512MB'"))
    for table, name, definition in keys:
        if not definition.startswith("FOREIGN"):
            connection.execute(sa.text(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))
    for _, definition in indexes:
        connection.execute(sa.text(definition))
    for table in ("models", "model_versions", "reigns", "evidence", "lineage_nodes"):
        connection.execute(
            sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        )
