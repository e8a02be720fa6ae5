"""The bytes behind the versions: whether they are as they were stored, and which of them no version needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import LARGEST_PAGE, Action, Version, VersionQuestions, every
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import GcReport, Problem, Store, VerifyReport


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


def collect_garbage(workspace: Workspace, *, delete: bool, grace: timedelta, force: bool = False) -> GcReport:
    """Keeps what any version of any model of this registry refers to, also the reserved and the archived ones."""
    if delete:
        workspace.registry.require(Action.COLLECT_GARBAGE)
    keep = {version.digest for version in _all_versions(workspace.registry)}
    return workspace.store.gc(keep, dry_run=not delete, grace=grace, force=force)


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
    """Registered versions of which the store has nothing at all: a walk through the store does not meet them."""
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
