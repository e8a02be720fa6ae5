"""The bytes behind the versions: whether they are as they were stored, and which of them no version needs."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import LARGEST_PAGE, Action, Registry, Version, VersionQuestions, every
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import GcReport, Problem, Store, StoreUser, VerifyReport
from tfx_pedigree.text import listed


@dataclass(frozen=True)
class ContentProblem(JsonForm):
    """What is wrong with stored bytes, and the names of the registered versions that cannot be used because of it."""

    kind: str
    name: str
    state: str
    versions: tuple[str, ...]
    names: tuple[str, ...]
    paths: tuple[str, ...]
    set_aside: bool


@dataclass(frozen=True)
class ContentReport(JsonForm):
    JSON: ClassVar[Layout] = Layout(also=("ok",))

    versions: int
    objects: int
    size: int
    problems: tuple[ContentProblem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_content(workspace: Workspace, asked: str | None = None, progress: Progress = silent) -> ContentReport:
    """Reads the bytes of one version (`MODEL@VERSION`), of all versions of a model, or of the whole store."""
    names = _names(workspace.registry, asked)
    report = workspace.store.verify(None if asked is None else names, progress=progress)
    problems = [_named(problem, names) for problem in report.problems]
    if asked is None:
        problems += _lost(workspace.store, names, report)
    return ContentReport(report.versions, report.objects, report.size, tuple(problems))


def collect_garbage(
    workspace: Workspace, others: Sequence[Registry] = (), *, delete: bool, grace: timedelta, force: bool = False
) -> GcReport:
    """Keeps what any version of any model in these registries needs, also the reserved and archived versions.
    `others` are those that share the store; it is refused where the store knows one more."""
    registry = workspace.database("Looking for garbage")
    if delete:
        registry.require(Action.COLLECT_GARBAGE)
    registries = (registry, *others)
    _check_known(workspace.store, {one.identity for one in registries})
    keep = {version.digest for one in registries for version in _all_versions(one)}
    return workspace.store.gc(keep, dry_run=not delete, grace=grace, force=force)


def _check_known(store: Store, known: Collection[str]) -> None:
    strangers = [user for user in store.users() if user.name not in known]
    if strangers:
        options = " ".join(f"--also {shlex.quote(user.address)}" for user in strangers)
        raise ConflictError(
            f"Nothing was deleted: the store {store.url} is also used by {_told(strangers)}. Give all that use it: "
            f"`pedigree gc {options}`. If one is gone for good, remove its file from the store's folder "
            f"`users/` ({listed([user.name for user in strangers])})."
        )


def _told(users: Sequence[StoreUser]) -> str:
    registries = "the registry" if len(users) == 1 else "the registries"
    return f"{registries} {listed([user.address for user in users])}"


def _names(registry: VersionQuestions, asked: str | None) -> dict[str, str]:
    """By digest. The same bytes under two models are one digest with both names."""
    if asked is None:
        versions = _all_versions(registry)
    else:
        versions = iter([registry.get(asked)]) if "@" in asked else _versions_of(registry, asked)
    names: dict[str, str] = {}
    for version in versions:
        names[version.digest] = f"{names[version.digest]} = {version.name}" if version.digest in names else version.name
    return names


def _versions_of(registry: VersionQuestions, model: str) -> Iterator[Version]:
    return every(lambda after: registry.versions(model, limit=LARGEST_PAGE, after=after))


def _all_versions(registry: VersionQuestions) -> Iterator[Version]:
    for model in every(lambda after: registry.models(limit=LARGEST_PAGE, after=after)):
        yield from _versions_of(registry, model.name)


def _lost(store: Store, names: Mapping[str, str], report: VerifyReport) -> Iterator[ContentProblem]:
    """Registered versions that the store does not have: reading the whole store does not find them."""
    told = {digest for problem in report.problems for digest in problem.versions}
    for digest, name in names.items():
        if digest not in told and not store.has(digest):
            yield ContentProblem("manifest", digest, "missing", (digest,), (name,), (), set_aside=False)


def _named(problem: Problem, names: Mapping[str, str]) -> ContentProblem:
    return ContentProblem(
        kind=problem.kind,
        name=problem.name,
        state=problem.state,
        versions=problem.versions,
        names=tuple(names[digest] for digest in problem.versions if digest in names),
        paths=problem.paths,
        set_aside=problem.set_aside,
    )
