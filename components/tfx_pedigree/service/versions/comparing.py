"""Which two versions are compared where only one is named, and the comparison."""

from __future__ import annotations

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.registry import CHAMPION, Reference, VersionDiff, VersionQuestions


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
