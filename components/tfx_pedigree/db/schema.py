"""Every table of a registry, in one place. The migrations in `migrations/` lead a database here; a test compares them.

What is derived is marked so: `version_metrics` and `version_tags` exist to be searched by index, `reigns` to answer
"who served at that moment"; `audit verify` folds the events again and compares.
"""

from __future__ import annotations

from enum import Enum

import sqlalchemy as sa

from tfx_pedigree.db.types import Id, Json, UtcDateTime
from tfx_pedigree.role import Role
from tfx_pedigree.states import State

# For tables whose rows no event tells of: the audit does not look at them, and archives do not carry them.
NOT_HISTORY = {"history": False}

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, words: type[Enum]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


_CHAMPION = sa.text(f"state = {State.PRODUCTION.value!r}")

registry = sa.Table(
    "registry",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("registry_id", sa.String(36), nullable=False),
    sa.Column("store_url", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.CheckConstraint("id = 1", name="only_one"),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    # The counters from which numbers come: a number that was given is never given again.
    sa.Column("last_sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("highest_version", sa.Text),
)

# Interfaces, variables and parameters, by content: a model that is retrained every day describes itself once.
descriptions = sa.Table(
    "descriptions",
    metadata,
    sa.Column("digest", sa.String(71), primary_key=True),
    # Canonical JSON, as text: what was hashed is what is kept.
    sa.Column("content", sa.Text, nullable=False),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("timestamp_tag", sa.Text, nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
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
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("registered_at", UtcDateTime),
    sa.UniqueConstraint("model_id", "sequence"),
    sa.UniqueConstraint("model_id", "version"),
    sa.UniqueConstraint("model_id", "digest"),
    sa.CheckConstraint(_one_of("state", State), name="state"),
    sa.Index("ix_model_versions_state", "model_id", "state", "sequence"),
    sa.Index("ix_model_versions_created", "model_id", "created_at", "sequence"),
    sa.Index("ix_model_versions_timestamp_tag", "model_id", "timestamp_tag"),
    # Who asks for bytes names no model.
    sa.Index("ix_model_versions_digest", "digest"),
    # The database itself holds that a model has one champion at the most.
    sa.Index(
        "uq_model_versions_champion",
        "model_id",
        unique=True,
        sqlite_where=_CHAMPION,
        postgresql_where=_CHAMPION,
    ),
)

version_metrics = sa.Table(
    "version_metrics",
    metadata,
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Index("ix_version_metrics_value", "model_id", "name", "value", "sequence"),
)

version_tags = sa.Table(
    "version_tags",
    metadata,
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_version_tags_value", "model_id", "key", "value", "sequence"),
)

reigns = sa.Table(
    "reigns",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    # The reign to which a rollback from here returns: promotions push, rollbacks pop.
    sa.Column("back_to", Id, sa.ForeignKey("reigns.id")),
    sa.Index("ix_reigns_began", "model_id", "began_at"),
    sa.Index("ix_reigns_version", "version_id"),
    sa.Index(
        "uq_reigns_open",
        "model_id",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("set_at", UtcDateTime, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
    sa.Index("ix_aliases_version", "version_id"),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    # Canonical JSON, as text: what was hashed is what is kept.
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.UniqueConstraint("version_id", "digest"),
    sa.Index("ix_evidence_version", "version_id", "id"),
    sa.Index("ix_evidence_model", "model_id", "id"),
)

# What was ordered of the traffic, and where that stands. The events hold all of it: the audit compares.
rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    # The candidate, or the version that is deployed.
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    # Canonical JSON, as text.
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("closed_at", UtcDateTime),
    sa.UniqueConstraint("model_id", "number"),
    sa.Index("ix_rollouts_version", "version_id"),
    # One at a time for each model.
    sa.Index(
        "uq_rollouts_open",
        "model_id",
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    ),
)

# What the judge of a rollout has counted so far. No part of the history: decisions carry the numbers they rest on.
rollout_tallies = sa.Table(
    "rollout_tallies",
    metadata,
    sa.Column("rollout_id", Id, sa.ForeignKey("rollouts.id"), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("saved_at", UtcDateTime, nullable=False),
    info=NOT_HISTORY,
)

# Who alone may do something now. No part of the history. The epoch only grows: what carries an older one is late.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    info=NOT_HISTORY,
)

# Signatures of versions: what was signed is the version's digest, and the bundle is kept as it was written.
signatures = sa.Table(
    "signatures",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.UniqueConstraint("version_id", "digest"),
    sa.Index("ix_signatures_version", "version_id", "id"),
)

# What was measured of versions while they served: a row for each metric. The events hold all of it.
observations = sa.Table(
    "observations",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("examples", sa.BigInteger),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.UniqueConstraint("version_id", "metric", "ended_at", "began_at", "source"),
    sa.Index("ix_observations_version", "version_id", "ended_at", "id"),
    sa.Index("ix_observations_model", "model_id", "ended_at", "id"),
    sa.Index("ix_observations_metric", "model_id", "metric", "ended_at", "id"),
)

# Whose signatures count for a model. Where there is one key, no unsigned version becomes champion.
trusted_keys = sa.Table(
    "trusted_keys",
    metadata,
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), primary_key=True),
    sa.Column("key", sa.String(71), primary_key=True),
    sa.Column("pem", sa.Text, nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
)

role_bindings = sa.Table(
    "role_bindings",
    metadata,
    sa.Column("principal", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("granted_at", UtcDateTime, nullable=False),
    sa.Column("granted_by", sa.Text, nullable=False),
    sa.CheckConstraint(_one_of("role", Role), name="role"),
)

# Models that only approved versions may serve.
protections = sa.Table(
    "protections",
    metadata,
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), primary_key=True),
    sa.Column("approvals", sa.Integer, nullable=False),
    # The name of a role, or `group:NAME`.
    sa.Column("approvers", sa.Text, nullable=False),
    sa.Column("set_at", UtcDateTime, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
)

# What was asked for, and on which champion and evidence it rests; whether it still holds is computed.
promotion_requests = sa.Table(
    "promotion_requests",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("champion", sa.String(71)),
    sa.Column("period", UtcDateTime),
    sa.Column("evidence", sa.String(71)),
    sa.Column("comment", sa.Text),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("approvals", Json, nullable=False),
    # NULL until somebody closes it.
    sa.Column("outcome", sa.Text),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("closed_by", sa.Text),
    sa.UniqueConstraint("model_id", "number"),
    sa.Index("ix_promotion_requests_version", "version_id", "number"),
    sa.Index("ix_promotion_requests_open", "closed_at", "expires_at"),
)

# Of the secret only its SHA-256. What never changes of a row is sealed in the event that made it.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    # NULL: on whatever its owner has roles.
    sa.Column("models", Json),
    sa.Column("groups", Json, nullable=False),
    sa.Column("secret_digest", sa.String(71), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("revoked_by", sa.Text),
    # No part of the history: written now and then, so that unused tokens are seen.
    sa.Column("used_at", UtcDateTime),
    sa.CheckConstraint(_one_of("role", Role), name="role"),
    sa.Index("ix_tokens_principal", "principal", "created_at", "id"),
    sa.Index("ix_tokens_created", "created_at", "id"),
)

# Browsers that are signed in, by the SHA-256 of what their cookie holds. No part of the history: a row ends with its
# session.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String(71), primary_key=True),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("groups", Json, nullable=False),
    # The token with which somebody signed in: the session ends with it.
    sa.Column("token_id", sa.String(12), sa.ForeignKey("tokens.id")),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    # How far it reaches at the most; a role that is NULL takes nothing away, models that are NULL are all.
    sa.Column("role", sa.Text),
    sa.Column("models", Json),
    sa.Index("ix_sessions_expires_at", "expires_at"),
    info=NOT_HISTORY,
)

# What ended in a session cannot end in another one. No part of the history.
used_sign_ins = sa.Table(
    "used_sign_ins",
    metadata,
    sa.Column("digest", sa.String(71), primary_key=True),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Index("ix_used_sign_ins_expires_at", "expires_at"),
    info=NOT_HISTORY,
)

# The end of each chain, kept apart from the events: cutting off the newest lines is then seen as well.
chains = sa.Table(
    "chains",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("length", sa.Integer, nullable=False),
    sa.Column("head", sa.String(71), nullable=False),
    sa.Column("last_at", UtcDateTime),
    # Who reads on in the log asks which chains grew.
    sa.Index("ix_chains_last_at", "last_at"),
)

# Whom the registry tells what happened. No part of the history: who made which stands in events, without its secret.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_until", UtcDateTime),
    # Actions with a blank between them; none means all.
    sa.Column("events", sa.Text, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("private", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("collected_at", UtcDateTime, nullable=False),
    sa.Column("stopped", sa.Text),
    sa.Column("delivered", sa.Integer, nullable=False),
    info=NOT_HISTORY,
)

# How far each was told of each chain. A chain without a row was not looked at yet.
webhook_cursors = sa.Table(
    "webhook_cursors",
    metadata,
    sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id"), primary_key=True),
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    info=NOT_HISTORY,
)

# What was not taken yet. A row goes when the event was taken.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id"), primary_key=True),
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", UtcDateTime, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Index("ix_webhook_deliveries_next_at", "state", "next_at"),
    info=NOT_HISTORY,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("chain", sa.Text, sa.ForeignKey("chains.name"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text),
    sa.Column("reason", sa.Text),
    # Canonical JSON, as text, because it is hashed.
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.String(71), nullable=False),
    sa.Column("hash", sa.String(71), nullable=False),
    # The token with which it was done, by its id; NULL where there was none.
    sa.Column("token", sa.String(64)),
    sa.Index("ix_events_subject", "chain", "subject", "position"),
    sa.Index("ix_events_action", "chain", "action", "position"),
)

# The lineage graph: rows are only ever added. What a node is follows from its content; what was seen of it is facts.
lineage_nodes = sa.Table(
    "lineage_nodes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # The kind and the SHA-256 of kind and content: whoever records the same content meets in the same row.
    sa.Column("key", sa.String(90), nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),
    # Canonical JSON, as text: what was hashed is what is kept.
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
)

lineage_facts = sa.Table(
    "lineage_facts",
    metadata,
    sa.Column("node_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    # Short enough for an index; what is longer is content.
    sa.Column("value", sa.String(512), primary_key=True),
    sa.Index("ix_lineage_facts_value", "name", "value", "node_id"),
)

# From what came later to what it came from, as a sentence: version trained_on data.
lineage_edges = sa.Table(
    "lineage_edges",
    metadata,
    sa.Column("source_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("target_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("run_id", Id, sa.ForeignKey("lineage_nodes.id")),
    sa.Index("ix_lineage_edges_target", "target_id", "source_id", "kind"),
)

# So that a request that is sent twice is carried out once. No part of the history.
request_keys = sa.Table(
    "request_keys",
    metadata,
    sa.Column("principal", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("request", sa.String(71), nullable=False),
    # JSON; empty only while the transaction runs that writes it.
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_request_keys_at", "at"),
    info=NOT_HISTORY,
)
