"""The way back from git: what somebody assigned with GTO is asked of the registry, which decides as it always does.

Tags that Pedigree wrote name their event, and say nothing new. Of the others, those count that are newer than what the
registry did: whoever spoke last is followed. What the registry did because of a tag counts from the tag's time, and not
from when it was followed: else whoever is killed between two tags would not follow the second one any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.errors import PedigreeError, UnavailableError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import PromotionRequest, Reference, RegistryApi, State, check_model_name
from tfx_pedigree.service.promotion import promote
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.versioning import GitTags

_BECAUSE_OF = "assigned in git: "


@dataclass(frozen=True)
class Assignment(JsonForm):
    """A version that git has in a stage, by the tag of this name, and the registry has not."""

    version: str
    stage: State
    tag: str


@dataclass(frozen=True)
class Followed(JsonForm):
    """What came of an assignment; `refusal` is empty where the registry has it now."""

    assignment: Assignment
    refusal: str


def new_assignments(registry: RegistryApi, model: str, repository: Path) -> tuple[Assignment, ...]:
    """The oldest first; of several in production, the one that GTO shows."""
    check_model_name(model)
    git = GitTags(repository)
    times = {f"{_BECAUSE_OF}{tag.name}": tag.when for tag in git.tags(model)}
    found = []
    for stage in (State.STAGING, State.PRODUCTION):
        here = list(git.assignments(model, stage.value).items())
        for number, tag in here[-1:] if stage is State.PRODUCTION else here:
            if not tag.event and _is_newer(registry, model, number, stage, tag.when, times=times):
                found.append((tag.when, tag.counter, Assignment(number, stage, tag.name)))
    return tuple(assignment for _, _, assignment in sorted(found, key=lambda one: one[:2]))


def follow_git(workspace: Workspace, model: str, repository: Path, progress: Progress = silent) -> tuple[Followed, ...]:
    """Promotes what git says, one after the other; to a version that was champion before, it goes back. What the
    registry refuses is told, and keeps nothing back."""
    git = GitTags(repository)
    return tuple(
        Followed(one, _carry_out(workspace, git, model, one, progress))
        for one in new_assignments(workspace.registry, model, repository)
    )


def _carry_out(workspace: Workspace, git: GitTags, model: str, one: Assignment, progress: Progress) -> str:
    try:
        version = workspace.registry.get(Reference(model, one.version))
        pointer = git.pointer(model, one.version)
        if pointer.digest != version.digest:
            return f"{version.name} has other bytes in git ({pointer.digest}) than in the registry."
        reason = f"{_BECAUSE_OF}{one.tag}"
        if one.stage is State.PRODUCTION and workspace.registry.reigns(model, one.version, limit=1):
            workspace.registry.rollback(model, reason=reason, to=one.version)
        else:
            request = PromotionRequest(one.stage, reason=reason)
            promote(workspace, f"{model}@{one.version}", request, progress=progress)
    except UnavailableError:
        raise
    except PedigreeError as error:
        return str(error)
    return ""


def _is_newer(
    registry: RegistryApi, model: str, number: str, stage: State, when: int, *, times: Mapping[str, int]
) -> bool:
    """Whether the tag was made after the last word of the registry, and says something else."""
    try:
        version = registry.get(Reference(model, number))
    except PedigreeError:
        return True  # refused with its name when it is carried out
    if version.state is State.PRODUCTION or version.state is stage:
        return False
    champion = registry.model(model).champion if stage is State.PRODUCTION else None
    spoken = (max(_words(registry, model, one, times), default=0) for one in (number, champion) if one)
    return all(at < when + 1 for at in spoken)


def _words(registry: RegistryApi, model: str, number: str, times: Mapping[str, int]) -> Iterator[float]:
    """When each move of a version was decided: here, or in git, where a tag is its reason."""
    for event in registry.history(model, number, limit=100).items:
        if event.from_state is not event.to_state:
            yield times.get(event.reason or "", event.at.timestamp())
