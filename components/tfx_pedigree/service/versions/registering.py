"""A folder with a trained model becomes a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Action, Evidence, Facts, VersionChange, check_model_name
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.versions.tracked_run import TrackedRun
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.versioning import ModelDescription, Request
from tfx_pedigree.versioning.description import Scalar


@dataclass(frozen=True)
class RegisteredModel:
    """`ignored` names parameters that were given, while the version keeps the values with which it got its number. Of
    `is_opaque` files, no SavedModel told anything."""

    change: VersionChange
    ignored: tuple[str, ...]
    is_opaque: bool

    @property
    def is_new(self) -> bool:
        """Whether these files got their version now, or the number that was reserved for them."""
        before = self.change.before
        return before is None or before.registered_at is None


def register_model(
    workspace: Workspace,
    model: str,
    folder: str | Path,
    request: Request | None = None,
    *,
    facts: Facts | None = None,
    evidence: Evidence | None = None,
    parameters: Mapping[str, Scalar] | None = None,
    description: ModelDescription | None = None,
    run: TrackedRun | None = None,
    progress: Progress = silent,
) -> RegisteredModel:
    """Stores the files, describes them and gives them a number. Who may not register is told so before gigabytes are
    read. What is given here outranks what the `run` of a tracker says of the same name."""
    check_model_name(model)
    workspace.registry.require(Action.REGISTER, model)
    given = dict(parameters or {})
    if run is not None:
        given, facts = {**run.parameters, **given}, run.facts(facts)
    candidate = candidate_of(
        workspace.store_to_fill, folder, parameters=given, description=description, progress=progress
    )
    change = workspace.registry.add(model, candidate, request, facts, evidence)
    held = change.version.parameters
    ignored = (name for name, value in clean_values(given).items() if held.get(name) != value)
    return RegisteredModel(change, tuple(ignored), candidate.description.is_opaque)
