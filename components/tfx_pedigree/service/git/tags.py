"""Versions in a git repository: a tag for each version, and for each stage what the registry says is in it.

What git shows follows the registry: a version that was archived, or replaced by one that is not in git, leaves its
stage there as well, whichever version was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import LARGEST_PAGE, LATEST, Event, Reference, State, Version, VersionQuestions, every
from tfx_pedigree.versioning import GitTags, Stamp, VersionPointer


@dataclass(frozen=True)
class GitTagging:
    """`tags` tell of `versions` and of their model's stages; those in `new` were not there before."""

    versions: tuple[Version, ...]
    tags: tuple[str, ...]
    new: tuple[str, ...]


def tag_version(registry: VersionQuestions, reference: str, repository: Path) -> GitTagging:
    return _tagged(registry, [registry.get(reference)], repository)


def tag_all_versions(
    registry: VersionQuestions, model: str, repository: Path, progress: Progress = silent
) -> GitTagging:
    """Every registered version of a model, in the order in which they got their numbers."""
    reference = Reference.parse(model)
    if reference.selector != LATEST:
        raise InvalidInputError(f"All versions of a model are meant, so name the model alone: {reference.model}.")
    asked = every(lambda after: registry.versions(reference.model, limit=LARGEST_PAGE, after=after))
    registered = [version for version in asked if version.registered_at is not None]
    return _tagged(registry, registered[::-1], repository, progress)


def _tagged(
    registry: VersionQuestions, versions: Sequence[Version], repository: Path, progress: Progress = silent
) -> GitTagging:
    git = GitTags(repository)
    if not versions:
        return GitTagging((), (), ())
    model = versions[0].model
    before = {tag.name for tag in git.tags(model)}
    names = []
    for number, version in enumerate(versions, 1):
        names.append(git.register(_pointer(version), Stamp(version.created_by, version.created_at)))
        progress(number, len(versions), version.version)
    moves = sorted(_moves(registry, git, model), key=lambda move: move.event.position)
    names += [name for move in moves for name in _write(git, model, move)]
    return GitTagging(tuple(versions), tuple(names), tuple(name for name in names if name not in before))


class _Move(NamedTuple):
    """What has to be written because of an event. Without a version, nothing stays in the stage."""

    event: Event
    stage: State
    version: str | None
    leaves: bool = False


def _moves(registry: VersionQuestions, git: GitTags, model: str) -> Iterator[_Move]:
    """What makes git show the stages as the registry has them now. Only versions that are in git count.

    To GTO, the version that another one has followed in production comes back when the other one leaves. So where the
    registry has no champion, all of them leave.
    """
    known = set(git.versions(model))
    inside = {stage: _versions_in(registry, model, stage) & known for stage in (State.STAGING, State.PRODUCTION)}
    for stage, versions in inside.items():
        for version in versions:
            if arrival := _arrival(registry, model, version, stage):
                yield _Move(arrival, stage, version)
    for version in git.assigned(model, State.STAGING.value):
        if version not in inside[State.STAGING] and (left := _departure(registry, model, version, State.STAGING)):
            yield _Move(left, State.STAGING, version, leaves=True)
    shown = git.assigned(model, State.PRODUCTION.value)
    if shown and not inside[State.PRODUCTION] and (left := _departure(registry, model, shown[-1], State.PRODUCTION)):
        yield _Move(left, State.PRODUCTION, None)


def _write(git: GitTags, model: str, move: _Move) -> tuple[str, ...]:
    event = move.event
    stamp = Stamp(event.actor, event.at, event.reason or "", event.hash)
    if move.version is None:
        return git.vacate(model, move.stage.value, stamp)
    write = git.unassign if move.leaves else git.assign
    return (write(model, move.version, move.stage.value, stamp),)


def _versions_in(registry: VersionQuestions, model: str, stage: State) -> set[str]:
    term = f"state={stage}"
    found = every(lambda after: registry.search(model, [term], limit=LARGEST_PAGE, after=after))
    return {version.version for version in found}


def _arrival(registry: VersionQuestions, model: str, version: str, stage: State) -> Event | None:
    return _newest_event(registry, model, version, lambda event: event.to_state == stage != event.from_state)


def _departure(registry: VersionQuestions, model: str, version: str, stage: State) -> Event | None:
    return _newest_event(registry, model, version, lambda event: event.from_state == stage != event.to_state)


def _newest_event(registry: VersionQuestions, model: str, version: str, fits: Callable[[Event], bool]) -> Event | None:
    """None for a version that git knows from another registry, too."""
    try:
        events = every(lambda after: registry.history(model, version, limit=100, after=after))
        return next(filter(fits, events), None)
    except NotFoundError:
        return None


def _pointer(version: Version) -> VersionPointer:
    return VersionPointer(
        version.model, version.version, version.sequence, version.digest, version.timestamp_tag, version.reasons
    )
