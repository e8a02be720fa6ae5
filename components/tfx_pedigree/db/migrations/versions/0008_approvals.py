"""Protected models, and requests to promote there

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Id, Json, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "protections",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("approvers", sa.Text(), nullable=False),
        sa.Column("set_at", UtcDateTime, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_protections_model_id")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_protections")),
    )
    op.create_table(
        "promotion_requests",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("champion", sa.String(length=71), nullable=True),
        sa.Column("period", UtcDateTime, nullable=True),
        sa.Column("evidence", sa.String(length=71), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("requested_at", UtcDateTime, nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("approvals", Json, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("closed_at", UtcDateTime, nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_promotion_requests_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_promotion_requests_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion_requests")),
        sa.UniqueConstraint("model_id", "number", name=op.f("uq_promotion_requests_model_id_number")),
    )
    op.create_index("ix_promotion_requests_version", "promotion_requests", ["version_id", "number"])
    op.create_index("ix_promotion_requests_open", "promotion_requests", ["closed_at", "expires_at"])
