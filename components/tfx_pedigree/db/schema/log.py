"""The audit log, and who is told of it."""

from __future__ import annotations

import sqlalchemy as sa

from tfx_pedigree.db.schema.columns import NOT_HISTORY, at_and_by, digest, metadata, number, row_id, text, time
from tfx_pedigree.db.types import Id, UtcDateTime

# The end of each chain, kept apart from the events: cutting off the newest lines is then seen as well.
chains = sa.Table(
    "chains",
    metadata,
    text("name", primary_key=True),
    number("length"),
    digest("head"),
    sa.Column("last_at", UtcDateTime),
    # Who reads on in the log asks which chains grew.
    sa.Index("ix_chains_last_at", "last_at"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("chain", sa.Text, sa.ForeignKey("chains.name"), primary_key=True),
    number("position", primary_key=True),
    time("at"),
    text("actor"),
    text("action"),
    sa.Column("subject", sa.Text),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text),
    sa.Column("reason", sa.Text),
    # Canonical JSON, as text, because it is hashed.
    text("details"),
    digest("previous"),
    digest("hash"),
    # The token with which it was done, by its id; NULL where there was none.
    sa.Column("token", sa.String(64)),
    sa.Index("ix_events_subject", "chain", "subject", "position"),
    sa.Index("ix_events_action", "chain", "action", "position"),
)

# Whom the registry tells what happened. No part of the history: who made which stands in events, without its secret.
webhooks = sa.Table(
    "webhooks",
    metadata,
    row_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    text("url"),
    text("secret"),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_until", UtcDateTime),
    # Actions with a blank between them; none means all.
    text("events"),
    sa.Column("model", sa.Text),
    sa.Column("private", sa.Boolean, nullable=False),
    *at_and_by("created"),
    time("collected_at"),
    sa.Column("stopped", sa.Text),
    number("delivered"),
    info=NOT_HISTORY,
)

# How far each was told of each chain. A chain without a row was not looked at yet.
webhook_cursors = sa.Table(
    "webhook_cursors",
    metadata,
    sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id"), primary_key=True),
    text("chain", primary_key=True),
    number("position"),
    info=NOT_HISTORY,
)

# What was not taken yet. A row goes when the event was taken.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id"), primary_key=True),
    text("chain", primary_key=True),
    number("position", primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
    number("attempts"),
    time("next_at"),
    sa.Column("last_error", sa.Text),
    sa.Index("ix_webhook_deliveries_next_at", "state", "next_at"),
    info=NOT_HISTORY,
)

# So that a request that is sent twice is carried out once. No part of the history.
request_keys = sa.Table(
    "request_keys",
    metadata,
    sa.Column("principal", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    digest("request"),
    # JSON; empty only while the transaction runs that writes it.
    text("answer"),
    time("at"),
    sa.Index("ix_request_keys_at", "at"),
    info=NOT_HISTORY,
)
