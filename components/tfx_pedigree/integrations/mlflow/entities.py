"""Models and versions as MLflow's clients read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tfx_pedigree.registry import Model, State, Version

# What `register --from-run mlflow:ID` and an import write, and the tags that every version shows.
RUN, OF_MLFLOW = "run", "mlflow:"
DESCRIPTION = "description"
OURS = "pedigree."
STAGES = {State.PRODUCTION: "Production", State.STAGING: "Staging", State.ARCHIVED: "Archived"}
NO_STAGE = "None"


def stage_of(version: Version) -> str:
    return STAGES.get(version.state, NO_STAGE)


def model_entity(
    model: Model, description: str, aliases: Mapping[str, int], newest: Sequence[Version], source: str
) -> dict[str, Any]:
    """`aliases` give sequences; `source` is the address below which the bytes of versions are."""
    at = _milliseconds(model.created_at)
    return {
        "name": model.name,
        "creation_timestamp": at,
        "last_updated_timestamp": max([at, *(_changed(one) for one in newest)]),
        "user_id": model.created_by,
        "description": description,
        "latest_versions": [version_entity(one, source) for one in newest],
        "tags": [],
        "aliases": [{"alias": name, "version": str(sequence)} for name, sequence in aliases.items()],
    }


def version_entity(version: Version, source: str) -> dict[str, Any]:
    """MLflow knows whole numbers only, so the sequence is the version's name there, and the number a tag."""
    ours = {
        "pedigree.version": version.version,
        "pedigree.digest": version.digest,
        "pedigree.state": version.state.value,
    }
    at = _changed(version)
    metrics = [
        {"key": name, "value": _number(value), "timestamp": at, "step": 0} for name, value in version.metrics.items()
    ]
    return {
        "name": version.model,
        "version": str(version.sequence),
        "creation_timestamp": _milliseconds(version.created_at),
        "last_updated_timestamp": at,
        "user_id": version.created_by,
        "current_stage": stage_of(version),
        "description": version.tags.get(DESCRIPTION, ""),
        "source": source_of(version, source),
        "run_id": run_of(version),
        "status": "PENDING_REGISTRATION" if version.state is State.RESERVED else "READY",
        "tags": [{"key": key, "value": value} for key, value in {**version.tags, **ours}.items()],
        "aliases": list(version.aliases),
        "model_params": [{"name": name, "value": str(value)} for name, value in version.parameters.items()],
        "model_metrics": metrics,
    }


def source_of(version: Version, source: str) -> str:
    return f"{source}/{version.model}/{version.sequence}"


def run_of(version: Version) -> str:
    """The id of the run of MLflow that it comes from; empty where it comes from none."""
    named = version.tags.get(RUN, "")
    return named.removeprefix(OF_MLFLOW) if named.startswith(OF_MLFLOW) else ""


def _changed(version: Version) -> int:
    return _milliseconds(version.registered_at or version.created_at)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _number(value: float) -> float | str:
    """Numbers that JSON has none for, as protocol buffers write them."""
    if value != value:  # noqa: PLR0124  not a number
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value
