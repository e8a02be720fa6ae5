"""The lineage graph: rows are only ever added."""

from __future__ import annotations

import sqlalchemy as sa

from tfx_pedigree.db.schema.columns import at_and_by, metadata, row_id, text
from tfx_pedigree.db.types import Id

# The lineage graph: rows are only ever added. What a node is follows from its content; what was seen of it is facts.
lineage_nodes = sa.Table(
    "lineage_nodes",
    metadata,
    row_id(),
    # The kind and the SHA-256 of kind and content: whoever records the same content meets in the same row.
    sa.Column("key", sa.String(90), nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),
    # Canonical JSON, as text: what was hashed is what is kept.
    text("content"),
    *at_and_by("recorded"),
)

lineage_facts = sa.Table(
    "lineage_facts",
    metadata,
    sa.Column("node_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    # Short enough for an index; what is longer is content.
    sa.Column("value", sa.String(512), primary_key=True),
    sa.Index("ix_lineage_facts_value", "name", "value", "node_id"),
)

# From what came later to what it came from, as a sentence: version trained_on data.
lineage_edges = sa.Table(
    "lineage_edges",
    metadata,
    sa.Column("source_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("target_id", Id, sa.ForeignKey("lineage_nodes.id"), primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("run_id", Id, sa.ForeignKey("lineage_nodes.id")),
    sa.Index("ix_lineage_edges_target", "target_id", "source_id", "kind"),
)
