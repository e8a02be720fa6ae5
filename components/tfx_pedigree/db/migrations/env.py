"""Run by Alembic. The transaction is the caller's, so that a migration happens whole or not at all."""

from alembic import context

from tfx_pedigree.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
    transactional_ddl=False,
    compare_type=True,
)
context.run_migrations()
