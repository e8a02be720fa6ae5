"""All that the registry knows of one version, for a page about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.registry import ChampionPeriod, Evidence, Reference, Version, VersionQuestions
from tfx_pedigree.versioning import ModelDescription


@dataclass(frozen=True)
class VersionSheet(JsonForm):
    """`baseline` is the number of the version that the evidence compares with, where that version is registered."""

    JSON: ClassVar[Layout] = Layout(flat=("version",))

    version: Version
    evidence: Evidence | None
    baseline: str | None
    reigns: tuple[ChampionPeriod, ...]
    description: ModelDescription


def version_sheet(registry: VersionQuestions, reference: str | Reference) -> VersionSheet:
    version = registry.get(reference)
    exact = Reference(version.model, version.version)
    evidence = registry.evidence(exact)
    return VersionSheet(
        version,
        evidence,
        _baseline(registry, version, evidence),
        registry.reigns(version.model, version.version),
        registry.description(exact),
    )


def _baseline(registry: VersionQuestions, version: Version, evidence: Evidence | None) -> str | None:
    if evidence is None or evidence.champion is None:
        return None
    try:
        return registry.get(Reference(version.model, evidence.champion)).version
    except NotFoundError:
        return None
