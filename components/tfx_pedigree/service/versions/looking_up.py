"""Questions whose answer takes more than one question to the registry."""

from __future__ import annotations

from tfx_pedigree.errors import ConflictError, NotFoundError
from tfx_pedigree.registry import CHAMPION, Evidence, Reference, Version, VersionDiff, VersionQuestions


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


def compare_versions(registry: VersionQuestions, reference: str, other: str | None = None) -> VersionDiff:
    """The first is the old one. One alone is compared with its model's champion."""
    return registry.compare(*pair(registry, reference, other, verb="compare"))


def pair(registry: VersionQuestions, reference: str, other: str | None, *, verb: str) -> tuple[Reference, Reference]:
    """The old and the new one. The champion that one alone is compared with is named by its number: it may change.

    `verb` is the command that a refusal suggests.
    """
    first = Reference.parse(reference)
    if other is not None:
        return first, Reference.parse(other)
    champion, version = registry.get(Reference(first.model, CHAMPION)), registry.get(first)
    if champion.version == version.version:
        raise ConflictError(
            f"{version.name} is the champion itself. Name the version to compare it with: "
            f"`pedigree {verb} {first.model}@{version.version} {first.model}@VERSION`."
        )
    return Reference(first.model, champion.version), Reference(first.model, version.version)
