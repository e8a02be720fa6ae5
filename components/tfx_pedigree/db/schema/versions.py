"""Models, their versions, and what is on file of each.

`version_metrics` and `version_tags` are derived, to be searched by index; so are `reigns`, to answer who served at a
given moment. `audit verify` replays the events and compares.
"""

from __future__ import annotations

import sqlalchemy as sa

from tfx_pedigree.db.schema.columns import (
    at_and_by,
    digest,
    metadata,
    number,
    of_model,
    of_version,
    one_for_each_model,
    one_of,
    row_id,
    text,
    time,
)
from tfx_pedigree.db.types import Id, Json, UtcDateTime
from tfx_pedigree.states import State

registry = sa.Table(
    "registry",
    metadata,
    number("id", primary_key=True),
    sa.Column("registry_id", sa.String(36), nullable=False),
    sa.Column("store_url", sa.Text),
    *at_and_by("created"),
    sa.CheckConstraint("id = 1", name="only_one"),
)

models = sa.Table(
    "models",
    metadata,
    row_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    *at_and_by("created"),
    # The counters from which numbers come: a number that was given is never given again.
    sa.Column("last_sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("highest_version", sa.Text),
)

# Interfaces, variables and parameters, by content: a model that is retrained every day describes itself once.
descriptions = sa.Table(
    "descriptions",
    metadata,
    digest(primary_key=True),
    # Canonical JSON, as text: what was hashed is what is kept.
    text("content"),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    row_id(),
    of_model(),
    number("sequence"),
    text("version"),
    text("timestamp_tag"),
    digest(),
    text("state"),
    # Archived by a person, not just replaced: no rollback brings it back until it is restored.
    sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("bump", sa.Text),
    sa.Column("reasons", Json, nullable=False),
    sa.Column("predecessor", sa.Text),
    sa.Column("description_digest", sa.String(71), sa.ForeignKey("descriptions.digest"), nullable=False),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("tags", Json, nullable=False),
    sa.Column("size", sa.BigInteger),
    sa.Column("files", sa.Integer),
    # Why the gate kept it out of production, in its own words.
    sa.Column("refusal", sa.Text),
    *at_and_by("created"),
    sa.Column("registered_at", UtcDateTime),
    sa.UniqueConstraint("model_id", "sequence"),
    sa.UniqueConstraint("model_id", "version"),
    sa.UniqueConstraint("model_id", "digest"),
    sa.CheckConstraint(one_of("state", State), name="state"),
    sa.Index("ix_model_versions_state", "model_id", "state", "sequence"),
    sa.Index("ix_model_versions_created", "model_id", "created_at", "sequence"),
    sa.Index("ix_model_versions_timestamp_tag", "model_id", "timestamp_tag"),
    # Who asks for bytes names no model.
    sa.Index("ix_model_versions_digest", "digest"),
    one_for_each_model("uq_model_versions_champion", f"state = {State.PRODUCTION.value!r}"),
)

version_metrics = sa.Table(
    "version_metrics",
    metadata,
    of_version(primary_key=True),
    text("name", primary_key=True),
    of_model(),
    number("sequence"),
    sa.Column("value", sa.Double, nullable=False),
    sa.Index("ix_version_metrics_value", "model_id", "name", "value", "sequence"),
)

version_tags = sa.Table(
    "version_tags",
    metadata,
    of_version(primary_key=True),
    text("key", primary_key=True),
    of_model(),
    number("sequence"),
    text("value"),
    sa.Index("ix_version_tags_value", "model_id", "key", "value", "sequence"),
)

reigns = sa.Table(
    "reigns",
    metadata,
    row_id(),
    of_model(),
    of_version(),
    time("began_at"),
    sa.Column("ended_at", UtcDateTime),
    # The reign to which a rollback from here returns: promotions push, rollbacks pop.
    sa.Column("back_to", Id, sa.ForeignKey("reigns.id")),
    sa.Index("ix_reigns_began", "model_id", "began_at"),
    sa.Index("ix_reigns_version", "version_id"),
    one_for_each_model("uq_reigns_open", "ended_at IS NULL"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    of_model(primary_key=True),
    text("name", primary_key=True),
    of_version(),
    *at_and_by("set"),
    sa.Index("ix_aliases_version", "version_id"),
)

evidence = sa.Table(
    "evidence",
    metadata,
    row_id(),
    of_model(),
    of_version(),
    digest(),
    # Canonical JSON, as text: what was hashed is what is kept.
    text("content"),
    *at_and_by("created"),
    sa.UniqueConstraint("version_id", "digest"),
    sa.Index("ix_evidence_version", "version_id", "id"),
    sa.Index("ix_evidence_model", "model_id", "id"),
)

# Signatures of versions: what was signed is the version's digest, and the bundle is kept as it was written.
signatures = sa.Table(
    "signatures",
    metadata,
    row_id(),
    of_model(),
    of_version(),
    digest(),
    text("content"),
    *at_and_by("created"),
    sa.UniqueConstraint("version_id", "digest"),
    sa.Index("ix_signatures_version", "version_id", "id"),
)

# What was measured of versions while they served: a row for each metric. The events hold all of it.
observations = sa.Table(
    "observations",
    metadata,
    row_id(),
    of_model(),
    of_version(),
    text("metric"),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("examples", sa.BigInteger),
    time("began_at"),
    time("ended_at"),
    text("source"),
    *at_and_by("created"),
    sa.UniqueConstraint("version_id", "metric", "ended_at", "began_at", "source"),
    sa.Index("ix_observations_version", "version_id", "ended_at", "id"),
    sa.Index("ix_observations_model", "model_id", "ended_at", "id"),
    sa.Index("ix_observations_metric", "model_id", "metric", "ended_at", "id"),
)
