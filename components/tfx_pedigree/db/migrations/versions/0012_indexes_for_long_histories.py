"""Indexes for what cost as much as a history is long: events of one kind, a model's evidence, versions by their digest

Revision: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_action", "events", ["chain", "action", "position"])
    op.create_index("ix_evidence_model", "evidence", ["model_id", "id"])
    op.create_index("ix_model_versions_digest", "model_versions", ["digest"])
