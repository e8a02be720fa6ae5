"""Signatures of versions, and the keys that a model trusts

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Id, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signatures",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_signatures_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_signatures_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signatures")),
        sa.UniqueConstraint("version_id", "digest", name=op.f("uq_signatures_version_id_digest")),
    )
    op.create_index("ix_signatures_version", "signatures", ["version_id", "id"])
    op.create_table(
        "trusted_keys",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_trusted_keys_model_id")),
        sa.PrimaryKeyConstraint("model_id", "key", name=op.f("pk_trusted_keys")),
    )
