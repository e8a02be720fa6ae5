"""The first schema

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

from tfx_pedigree.db.types import Id, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chains",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(length=71), nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chains")),
    )
    op.create_table(
        "descriptions",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_descriptions")),
    )
    op.create_table(
        "models",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("highest_version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
    )
    op.create_table(
        "registry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registry_id", sa.String(length=36), nullable=False),
        sa.Column("store_url", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_registry_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry")),
    )
    op.create_table(
        "role_bindings",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("granted_at", UtcDateTime, nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "role IN ('viewer', 'contributor', 'reviewer', 'releaser', 'admin')",
            name=op.f("ck_role_bindings_role"),
        ),
        sa.PrimaryKeyConstraint("principal", "scope", name=op.f("pk_role_bindings")),
    )
    op.create_table(
        "events",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=71), nullable=False),
        sa.Column("hash", sa.String(length=71), nullable=False),
        sa.ForeignKeyConstraint(["chain"], ["chains.name"], name=op.f("fk_events_chain")),
        sa.PrimaryKeyConstraint("chain", "position", name=op.f("pk_events")),
    )
    op.create_index("ix_events_subject", "events", ["chain", "subject", "position"], unique=False)
    op.create_table(
        "model_versions",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("timestamp_tag", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("bump", sa.Text(), nullable=True),
        sa.Column("reasons", Json, nullable=False),
        sa.Column("predecessor", sa.Text(), nullable=True),
        sa.Column("description_digest", sa.String(length=71), nullable=False),
        sa.Column("metrics", Json, nullable=False),
        sa.Column("parameters", Json, nullable=False),
        sa.Column("tags", Json, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("files", sa.Integer(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("registered_at", UtcDateTime, nullable=True),
        sa.CheckConstraint(
            "state IN ('reserved', 'development', 'staging', 'production', 'archived')",
            name=op.f("ck_model_versions_state"),
        ),
        sa.ForeignKeyConstraint(
            ["description_digest"], ["descriptions.digest"], name=op.f("fk_model_versions_description_digest")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_versions_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("model_id", "digest", name=op.f("uq_model_versions_model_id_digest")),
        sa.UniqueConstraint("model_id", "sequence", name=op.f("uq_model_versions_model_id_sequence")),
        sa.UniqueConstraint("model_id", "version", name=op.f("uq_model_versions_model_id_version")),
    )
    op.create_index("ix_model_versions_created", "model_versions", ["model_id", "created_at", "sequence"], unique=False)
    op.create_index("ix_model_versions_state", "model_versions", ["model_id", "state", "sequence"], unique=False)
    op.create_index("ix_model_versions_timestamp_tag", "model_versions", ["model_id", "timestamp_tag"], unique=False)
    op.create_index(
        "uq_model_versions_champion",
        "model_versions",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("state = 'production'"),
        postgresql_where=sa.text("state = 'production'"),
    )
    op.create_table(
        "aliases",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("set_at", UtcDateTime, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_aliases_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_aliases_version_id")),
        sa.PrimaryKeyConstraint("model_id", "name", name=op.f("pk_aliases")),
    )
    op.create_index("ix_aliases_version", "aliases", ["version_id"], unique=False)
    op.create_table(
        "evidence",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_evidence_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_evidence_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("version_id", "digest", name=op.f("uq_evidence_version_id_digest")),
    )
    op.create_index("ix_evidence_version", "evidence", ["version_id", "id"], unique=False)
    op.create_table(
        "reigns",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version_id", Id, nullable=False),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.Column("back_to", Id, nullable=True),
        sa.ForeignKeyConstraint(["back_to"], ["reigns.id"], name=op.f("fk_reigns_back_to")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_reigns_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_reigns_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reigns")),
    )
    op.create_index("ix_reigns_began", "reigns", ["model_id", "began_at"], unique=False)
    op.create_index("ix_reigns_version", "reigns", ["version_id"], unique=False)
    op.create_index(
        "uq_reigns_open",
        "reigns",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "version_metrics",
        sa.Column("version_id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_version_metrics_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_version_metrics_version_id")),
        sa.PrimaryKeyConstraint("version_id", "name", name=op.f("pk_version_metrics")),
    )
    op.create_index(
        "ix_version_metrics_value", "version_metrics", ["model_id", "name", "value", "sequence"], unique=False
    )
    op.create_table(
        "version_tags",
        sa.Column("version_id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_version_tags_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=op.f("fk_version_tags_version_id")),
        sa.PrimaryKeyConstraint("version_id", "key", name=op.f("pk_version_tags")),
    )
    op.create_index("ix_version_tags_value", "version_tags", ["model_id", "key", "value", "sequence"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_version_tags_value", table_name="version_tags")
    op.drop_table("version_tags")
    op.drop_index("ix_version_metrics_value", table_name="version_metrics")
    op.drop_table("version_metrics")
    op.drop_index(
        "uq_reigns_open",
        table_name="reigns",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("ix_reigns_version", table_name="reigns")
    op.drop_index("ix_reigns_began", table_name="reigns")
    op.drop_table("reigns")
    op.drop_index("ix_evidence_version", table_name="evidence")
    op.drop_table("evidence")
    op.drop_index("ix_aliases_version", table_name="aliases")
    op.drop_table("aliases")
    op.drop_index(
        "uq_model_versions_champion",
        table_name="model_versions",
        sqlite_where=sa.text("state = 'production'"),
        postgresql_where=sa.text("state = 'production'"),
    )
    op.drop_index("ix_model_versions_timestamp_tag", table_name="model_versions")
    op.drop_index("ix_model_versions_state", table_name="model_versions")
    op.drop_index("ix_model_versions_created", table_name="model_versions")
    op.drop_table("model_versions")
    op.drop_index("ix_events_subject", table_name="events")
    op.drop_table("events")
    op.drop_table("role_bindings")
    op.drop_table("registry")
    op.drop_table("models")
    op.drop_table("descriptions")
    op.drop_table("chains")
