"""Questions whose answer takes more than one question to the registry."""

from __future__ import annotations

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import Evidence, Reference, Version, VersionQuestions


def versions_by_alias(registry: VersionQuestions, model: str) -> dict[str, Version]:
    """By the aliases that people gave."""
    return {name: registry.get(Reference(model, number)) for name, number in registry.aliases(model).items()}


def newest_evidence(registry: VersionQuestions, reference: str) -> tuple[Version, Evidence]:
    """With the version that it judges. NotFoundError for a version without evidence."""
    version = registry.get(reference)
    exact = Reference(version.model, version.version)
    found = registry.evidence(exact)
    if found is None:
        raise NotFoundError(
            f"{version.name} has no evidence. Attach some with `pedigree evidence attach {exact} FILE`."
        )
    return version, found
