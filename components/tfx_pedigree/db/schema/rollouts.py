"""What was ordered of the traffic, what was counted meanwhile, and who alone may do something now."""

from __future__ import annotations

import sqlalchemy as sa

from tfx_pedigree.db.schema.columns import (
    NOT_HISTORY,
    at_and_by,
    metadata,
    number,
    of_model,
    of_version,
    one_for_each_model,
    row_id,
    text,
    time,
)
from tfx_pedigree.db.types import Id, UtcDateTime

# What was ordered of the traffic, and where that stands. The events hold all of it: the audit compares.
rollouts = sa.Table(
    "rollouts",
    metadata,
    row_id(),
    of_model(),
    # The candidate, or the version that is deployed.
    of_version(),
    number("number"),
    # Canonical JSON, as text.
    text("content"),
    text("state"),
    *at_and_by("created"),
    sa.Column("closed_at", UtcDateTime),
    sa.UniqueConstraint("model_id", "number"),
    sa.Index("ix_rollouts_version", "version_id"),
    one_for_each_model("uq_rollouts_open", "closed_at IS NULL"),
)

# What the judge of a rollout has counted so far. No part of the history: decisions carry the numbers they rest on.
rollout_tallies = sa.Table(
    "rollout_tallies",
    metadata,
    sa.Column("rollout_id", Id, sa.ForeignKey("rollouts.id"), primary_key=True),
    text("content"),
    time("saved_at"),
    info=NOT_HISTORY,
)

# Who alone may do something now. No part of the history. The epoch only grows: what carries an older one is late.
leases = sa.Table(
    "leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    number("epoch"),
    time("expires_at"),
    info=NOT_HISTORY,
)
