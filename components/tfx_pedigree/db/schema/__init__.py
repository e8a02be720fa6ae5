"""Every table of a registry. The migrations in `migrations/` lead a database here; a test compares them.

Tables of which no event tells are marked `NOT_HISTORY`: archives do not carry them, and the audit does not
look at them.
"""

from __future__ import annotations

from tfx_pedigree.db.schema.columns import NOT_HISTORY, metadata
from tfx_pedigree.db.schema.lineage import lineage_edges, lineage_facts, lineage_nodes
from tfx_pedigree.db.schema.log import chains, events, request_keys, webhook_cursors, webhook_deliveries, webhooks
from tfx_pedigree.db.schema.people import (
    promotion_requests,
    protections,
    role_bindings,
    sessions,
    tokens,
    trusted_keys,
    used_sign_ins,
)
from tfx_pedigree.db.schema.rollouts import leases, rollout_tallies, rollouts
from tfx_pedigree.db.schema.versions import (
    aliases,
    descriptions,
    evidence,
    model_versions,
    models,
    observations,
    registry,
    reigns,
    signatures,
    version_metrics,
    version_tags,
)

__all__ = [
    "NOT_HISTORY",
    "aliases",
    "chains",
    "descriptions",
    "events",
    "evidence",
    "leases",
    "lineage_edges",
    "lineage_facts",
    "lineage_nodes",
    "metadata",
    "model_versions",
    "models",
    "observations",
    "promotion_requests",
    "protections",
    "registry",
    "reigns",
    "request_keys",
    "role_bindings",
    "rollout_tallies",
    "rollouts",
    "sessions",
    "signatures",
    "tokens",
    "trusted_keys",
    "used_sign_ins",
    "version_metrics",
    "version_tags",
    "webhook_cursors",
    "webhook_deliveries",
    "webhooks",
]
