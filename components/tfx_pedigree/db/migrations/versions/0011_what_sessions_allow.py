"""What sessions allow, and sign-ins that were used

Revision: 0011
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Json, UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A session that was opened with a JWT forgot how far that reaches. Whoever has one signs in again.
    op.execute(sa.text("DELETE FROM sessions WHERE token_id IS NULL"))
    op.add_column("sessions", sa.Column("role", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("models", Json, nullable=True))
    op.create_table(
        "used_sign_ins",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_sign_ins")),
    )
    op.create_index("ix_used_sign_ins_expires_at", "used_sign_ins", ["expires_at"])
