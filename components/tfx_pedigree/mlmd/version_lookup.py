"""What the registry knows of a model's bytes, for artifacts of which the store says only where they lie."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from tfx_pedigree.db import schema
from tfx_pedigree.mlmd.artifact_files import Finder
from tfx_pedigree.registry import Registry


def versions_in(registry: Registry) -> Finder:
    """Model and number of each version with a digest."""
    v, m = schema.model_versions.c, schema.models.c

    def find(digest: str) -> Iterable[tuple[str, str | None]]:
        query = sa.select(m.name, v.version).join_from(schema.model_versions, schema.models).where(v.digest == digest)
        with registry.transactions.reading(None) as connection:
            return [(row.name, row.version) for row in connection.execute(query)]

    return find
