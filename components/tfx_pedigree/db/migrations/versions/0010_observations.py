"""What was measured of versions while they served

Revision: 0010
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Id, UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observations",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("examples", sa.BigInteger(), nullable=True),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_observations_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_observations_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.UniqueConstraint(
            "version_id",
            "metric",
            "ended_at",
            "began_at",
            "source",
            name=op.f("uq_observations_version_id_metric_ended_at_began_at_source"),
        ),
    )
    op.create_index("ix_observations_version", "observations", ["version_id", "ended_at", "id"])
    op.create_index("ix_observations_model", "observations", ["model_id", "ended_at", "id"])
    op.create_index("ix_observations_metric", "observations", ["model_id", "metric", "ended_at", "id"])
