"""Who may do what, what needs an approval or a signature, and how people and programs are known."""

from __future__ import annotations

import sqlalchemy as sa

from tfx_pedigree.db.schema.columns import (
    NOT_HISTORY,
    at_and_by,
    digest,
    metadata,
    number,
    of_model,
    of_version,
    one_of,
    row_id,
    text,
    time,
)
from tfx_pedigree.db.types import Json, UtcDateTime
from tfx_pedigree.role import Role

role_bindings = sa.Table(
    "role_bindings",
    metadata,
    text("principal", primary_key=True),
    text("scope", primary_key=True),
    text("role"),
    *at_and_by("granted"),
    sa.CheckConstraint(one_of("role", Role), name="role"),
)

# Models that only approved versions may serve.
protections = sa.Table(
    "protections",
    metadata,
    of_model(primary_key=True),
    number("approvals"),
    # The name of a role, or `group:NAME`.
    text("approvers"),
    *at_and_by("set"),
)

# What was asked for, and on which champion and evidence it rests; whether it still holds is computed.
promotion_requests = sa.Table(
    "promotion_requests",
    metadata,
    row_id(),
    of_model(),
    of_version(),
    number("number"),
    sa.Column("champion", sa.String(71)),
    sa.Column("period", UtcDateTime),
    sa.Column("evidence", sa.String(71)),
    sa.Column("comment", sa.Text),
    *at_and_by("requested"),
    time("expires_at"),
    sa.Column("approvals", Json, nullable=False),
    # NULL until somebody closes it.
    sa.Column("outcome", sa.Text),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("closed_by", sa.Text),
    sa.UniqueConstraint("model_id", "number"),
    sa.Index("ix_promotion_requests_version", "version_id", "number"),
    sa.Index("ix_promotion_requests_open", "closed_at", "expires_at"),
)

# Whose signatures count for a model. Where there is one key, no unsigned version becomes champion.
trusted_keys = sa.Table(
    "trusted_keys",
    metadata,
    of_model(primary_key=True),
    digest("key", primary_key=True),
    text("pem"),
    *at_and_by("added"),
)

# Of the secret only its SHA-256. What never changes of a row is sealed in the event that made it.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(12), primary_key=True),
    text("name"),
    text("principal"),
    text("role"),
    # NULL: on whatever its owner has roles.
    sa.Column("models", Json),
    sa.Column("groups", Json, nullable=False),
    digest("secret_digest"),
    *at_and_by("created"),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("revoked_by", sa.Text),
    # No part of the history: written now and then, so that unused tokens are seen.
    sa.Column("used_at", UtcDateTime),
    sa.CheckConstraint(one_of("role", Role), name="role"),
    sa.Index("ix_tokens_principal", "principal", "created_at", "id"),
    sa.Index("ix_tokens_created", "created_at", "id"),
)

# Browsers that are signed in, by the SHA-256 of what their cookie holds. No part of the history: a row ends with its
# session.
sessions = sa.Table(
    "sessions",
    metadata,
    digest(primary_key=True),
    text("principal"),
    sa.Column("groups", Json, nullable=False),
    # The token with which somebody signed in: the session ends with it.
    sa.Column("token_id", sa.String(12), sa.ForeignKey("tokens.id")),
    time("created_at"),
    time("seen_at"),
    time("expires_at"),
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
    digest(primary_key=True),
    time("expires_at"),
    sa.Index("ix_used_sign_ins_expires_at", "expires_at"),
    info=NOT_HISTORY,
)
