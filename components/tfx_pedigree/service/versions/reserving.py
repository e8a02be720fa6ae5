"""From a trained model to its version: stored, described, numbered, and the record of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import CHAMPION, Reference, RegistryApi, Version, VersionQuestions
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.judging.gate import slices_judged_on
from tfx_pedigree.service.judging.past import past_of
from tfx_pedigree.service.versions.version_record import Making, champion_record, record_of
from tfx_pedigree.store import Store
from tfx_pedigree.versioning import Request


@dataclass(frozen=True)
class Reserved:
    """`record` is version.json."""

    version: Version
    record: Mapping[str, Any]


def find_champion(registry: VersionQuestions, model: str) -> Version | None:
    """None also for a model of which nothing is registered yet."""
    try:
        return registry.get(Reference(model, CHAMPION))
    except NotFoundError:
        return None


def reserve_trained(
    registry: RegistryApi,
    store: Store,
    model: str,
    folder: Path,
    making: Making,
    *,
    request: Request,
    champion: Version | None,
) -> Reserved:
    """`folder` holds the model to serve and nothing else. The same bytes are the same version again.

    Schema and transform graph count for the number by their structure, which `making.data` tells.
    """
    candidate = candidate_of(store, folder, parameters=making.parameters)
    description = replace(
        candidate.description,
        schema_digest=making.data.get("schema", {}).get("structure"),
        transform_digest=making.data.get("transform", {}).get("structure"),
    )
    version = registry.reserve(model, replace(candidate, description=description), request).version
    # The same bytes may have been described before, with other hyperparameters: the registry's word counts.
    description = registry.description(Reference(model, version.digest))
    rival = _rival(registry, champion) if champion else None
    past = past_of(registry, model)
    making = replace(making, champion=rival, past=past, parameters=description.parameters)
    return Reserved(version, record_of(version, description, making))


def _rival(registry: RegistryApi, champion: Version) -> dict[str, Any]:
    reference = Reference(champion.model, champion.digest)
    return champion_record(champion, registry.description(reference), slices_judged_on(registry.evidence(reference)))
