"""The lineage graph

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Id, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineage_nodes",
        sa.Column("id", Id, nullable=False),
        sa.Column("key", sa.String(length=90), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime, nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_nodes")),
        sa.UniqueConstraint("key", name=op.f("uq_lineage_nodes_key")),
    )
    op.create_table(
        "lineage_facts",
        sa.Column("node_id", Id, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["lineage_nodes.id"], name=op.f("fk_lineage_facts_node_id")),
        sa.PrimaryKeyConstraint("node_id", "name", "value", name=op.f("pk_lineage_facts")),
    )
    op.create_index("ix_lineage_facts_value", "lineage_facts", ["name", "value", "node_id"])
    op.create_table(
        "lineage_edges",
        sa.Column("source_id", Id, nullable=False),
        sa.Column("target_id", Id, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("run_id", Id, nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["lineage_nodes.id"], name=op.f("fk_lineage_edges_source_id")),
        sa.ForeignKeyConstraint(["target_id"], ["lineage_nodes.id"], name=op.f("fk_lineage_edges_target_id")),
        sa.ForeignKeyConstraint(["run_id"], ["lineage_nodes.id"], name=op.f("fk_lineage_edges_run_id")),
        sa.PrimaryKeyConstraint("source_id", "target_id", "kind", name=op.f("pk_lineage_edges")),
    )
    op.create_index("ix_lineage_edges_target", "lineage_edges", ["target_id", "source_id", "kind"])
