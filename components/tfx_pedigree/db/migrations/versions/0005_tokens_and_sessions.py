"""Tokens, and browsers that are signed in

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Json, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("models", Json, nullable=True),
        sa.Column("groups", Json, nullable=False),
        sa.Column("secret_digest", sa.String(length=71), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=True),
        sa.Column("revoked_at", UtcDateTime, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("used_at", UtcDateTime, nullable=True),
        sa.CheckConstraint(
            "role IN ('viewer', 'contributor', 'reviewer', 'releaser', 'admin')", name=op.f("ck_tokens_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index("ix_tokens_principal", "tokens", ["principal", "created_at", "id"])
    op.create_index("ix_tokens_created", "tokens", ["created_at", "id"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("groups", Json, nullable=False),
        sa.Column("token_id", sa.String(length=12), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name=op.f("fk_sessions_token_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
