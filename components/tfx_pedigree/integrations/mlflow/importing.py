"""An MLflow registry becomes versions here.

Each is one transaction that also says which of MLflow's it is, so an import that ended anywhere goes on from there, and
one that is repeated changes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, DamagedError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.integrations.mlflow import records
from tfx_pedigree.integrations.mlflow.bytes_of import download
from tfx_pedigree.integrations.mlflow.records import VERSIONS, RemoteModel, RemoteVersion, Source, mark, marked
from tfx_pedigree.integrations.mlflow.rest import MlflowServer
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import (
    CHAMPION,
    LATEST,
    Action,
    Candidate,
    Facts,
    PromotionRequest,
    Reference,
    Registry,
    RegistryApi,
    State,
    Version,
)
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.promotion import promote
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import plain
from tfx_pedigree.versioning import ModelDescription, Request
from tfx_pedigree.versioning.description import OPAQUE

_WHY = "archived in MLflow"
# Of what is brought without bytes, in one transaction.
_AT_ONCE = 100
_REFUSALS = (ConflictError, DamagedError, ForbiddenError, InvalidInputError, NotFoundError)


@dataclass(frozen=True)
class ImportPlan:
    """`models` are names at MLflow, all if there are none. `artifacts` is where MLflow keeps its files, a folder
    or the address of a bucket, to be read there. Without bytes, versions have MLflow's facts and cannot be promoted."""

    models: tuple[str, ...] = ()
    artifacts: str | None = None
    without_bytes: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class ImportedModel(JsonForm):
    """`versions` are those at MLflow, `added` those that were not here, `aliases` what was set. `notes` say what could
    not be brought over, and why."""

    name: str
    model: str
    versions: int
    added: int
    without_bytes: int
    aliases: tuple[str, ...]
    champion: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ImportReport(JsonForm):
    server: str
    dry_run: bool
    models: tuple[ImportedModel, ...]


@contextlib.contextmanager
def opened(address: str) -> Iterator[Source]:
    """An MLflow registry by the address of its server or of its database."""
    if re.match(r"(sqlite|postgres(ql)?)(\+\w+)?:", address):
        from tfx_pedigree.integrations.mlflow.database import MlflowDatabase  # noqa: PLC0415  only for those who have one

        with MlflowDatabase.open(address) as database:
            yield database
    else:
        yield MlflowServer.of(address)


def import_registry(
    workspace: Workspace, source: Source, plan: ImportPlan, progress: Progress = silent
) -> ImportReport:
    """Reads all that is to be done, then does it, the oldest version first."""
    imports = [_Import(workspace, source, plan, one) for one in records.models(source, plan.models)]
    for one in imports:
        if not plan.dry_run:
            workspace.registry.require(Action.REGISTER, one.model.ours)
    total, done = sum(len(one.missing) for one in imports), 0
    for one in imports if not plan.dry_run else ():
        for version in one.run():
            done += 1
            progress(done, total, f"{one.model.ours} {version}")
    return ImportReport(source.base, plan.dry_run, tuple(one.report() for one in imports))


class _Import:
    """Of one model."""

    def __init__(self, workspace: Workspace, source: Source, plan: ImportPlan, model: RemoteModel) -> None:
        self._workspace = workspace
        self._registry: RegistryApi = workspace.registry
        self._source, self._plan, self.model = source, plan, model
        self._there = list(records.versions(source, model))
        # Which version here is which of MLflow's, and which of MLflow's are the same bytes.
        self._known: dict[int, str] = {}
        self._marks: dict[str, frozenset[int]] = {}
        for version in self._imported():
            self._remember(version)
        self.missing = [one for one in self._there if one.number not in self._known]
        self._bare, self._notes = 0, list[str]()
        self._aliases: list[str] = []
        self._champion: str | None = None

    def _imported(self) -> Iterator[Version]:
        try:
            yield from self._registry.newest_by_tag(self.model.ours, VERSIONS).values()
        except NotFoundError:
            return

    def _remember(self, version: Version) -> None:
        numbers = marked(version.tags.get(VERSIONS, ""), self._source)
        self._marks[version.digest] = numbers
        self._known |= dict.fromkeys(numbers, version.version)

    def run(self) -> Iterator[str]:
        """The number of each version as it is there."""
        found = records.runs(self._source, (one.run for one in self.missing if one.run))
        many = _AT_ONCE if self._plan.without_bytes else 1
        for begin in range(0, len(self.missing), many):
            brought: list[str] = []
            with self._together():
                for one in self.missing[begin : begin + many]:
                    metrics, parameters = found.get(one.run, ({}, {}))
                    version = self._bring(dataclasses.replace(one, metrics=metrics, parameters=parameters))
                    self._remember(version)
                    brought.append(version.version)
            yield from brought
        self._name_versions()

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """One transaction, where the registry is a database: waiting for its disk is most of what a version takes."""
        outer = self._workspace
        if not isinstance(self._registry, Registry) or not self._plan.without_bytes:
            yield
            return
        with self._registry.as_one() as inner:
            self._workspace, self._registry = Workspace(inner), inner
            try:
                yield
            finally:
                self._workspace, self._registry = outer, outer.registry

    def report(self) -> ImportedModel:
        return ImportedModel(
            self.model.name,
            self.model.ours,
            len(self._there),
            len(self.missing),
            self._bare,
            tuple(self._aliases),
            self._champion,
            tuple(self._notes),
        )

    def _bring(self, remote: RemoteVersion) -> Version:
        """What says that it was imported is written last: with the version, or after it has moved to its stage."""
        candidate, facts = self._candidate(remote), remote.facts()
        marks = mark(self._source, {*self._marks.get(candidate.digest, ()), remote.number})
        moves = {"Staging": self._stage, "Archived": self._archive}.get(remote.stage)
        if moves is None:
            return self._added(candidate, Facts(facts.metrics, {**facts.tags, **marks}))
        version = self._added(candidate, facts)
        moves(version)
        return self._registry.annotate(_exact(version), Facts(tags=marks)).version

    def _added(self, candidate: Candidate, facts: Facts) -> Version:
        """Where two models cannot be compared, nobody is there to say how large the step is: a minor one."""
        minor = Request.of("minor", None, None)
        if candidate.description.kind == OPAQUE:
            return self._registry.add(self.model.ours, candidate, minor, facts).version
        try:
            return self._registry.add(self.model.ours, candidate, facts=facts).version
        except InvalidInputError:  # the one before cannot be compared with it
            return self._registry.add(self.model.ours, candidate, minor, facts).version

    def _candidate(self, remote: RemoteVersion) -> Candidate:
        parameters = {**remote.parameters}
        if not self._plan.without_bytes:
            try:
                with tempfile.TemporaryDirectory(prefix="pedigree-mlflow-") as folder:
                    files = download(self._source, self.model.name, remote.number, Path(folder), self._plan.artifacts)
                    return candidate_of(self._workspace.store_to_fill, files, parameters=parameters)
            except NotFoundError:
                self._notes.append(f"{self.model.name} {remote.number} has no bytes at MLflow any more.")
        self._bare += 1
        told = {"mlflow": self._source.base, "name": self.model.name, "version": remote.number}
        return Candidate(digest_of(canonical_json(told)), ModelDescription(kind=OPAQUE, parameters=parameters))

    def _stage(self, version: Version) -> None:
        if version.state is State.DEVELOPMENT:
            self._try(f"{version.name} was not staged", lambda: self._promoted(version, State.STAGING))

    def _archive(self, version: Version) -> None:
        if version.state in (State.DEVELOPMENT, State.STAGING):
            self._try(
                f"{version.name} was not archived", lambda: bool(self._registry.archive(_exact(version), reason=_WHY))
            )

    def _name_versions(self) -> None:
        """Aliases and the champion, where there is none of that name here: what was decided here since stays."""
        held = self._registry.aliases(self.model.ours) if self._known else {}
        for alias, number in self.model.aliases.items():
            ours = alias.lower().replace("_", "-")
            if ours in (CHAMPION, LATEST) or number not in self._known:
                continue
            if ours in held:
                if held[ours] != self._known[number]:
                    self._notes.append(f"The alias {ours} stays at {held[ours]}, where it is here.")
                continue
            move = functools.partial(self._aliased, ours, Reference(self.model.ours, self._known[number]))
            if self._try(f"The alias {plain(alias)} was not set", move):
                self._aliases.append(ours)
        self._crown()

    def _crown(self) -> None:
        serving = [one.number for one in self._there if one.stage == "Production" and one.number in self._known]
        wanted = self.model.aliases.get(CHAMPION, max(serving, default=0))
        if wanted not in self._known:
            return
        number, champion = self._known[wanted], self._registry.model(self.model.ours).champion
        if champion is None:
            version = self._registry.get(Reference(self.model.ours, number))
            if self._try(f"{version.name} did not become champion", lambda: self._promoted(version, State.PRODUCTION)):
                self._champion = number
        elif champion != number:
            self._notes.append(f"The champion stays {champion}, as it is here; at MLflow it is version {wanted}.")

    def _aliased(self, alias: str, exact: Reference) -> bool:
        return self._registry.set_alias(alias, exact).changed

    def _promoted(self, version: Version, target: State) -> bool:
        return promote(
            self._workspace, _exact(version), PromotionRequest(target, reason="imported from MLflow")
        ).changed

    def _try(self, otherwise: str, work: Callable[[], bool]) -> bool:
        """What is refused is noted, and the rest goes on."""
        try:
            return work()
        except _REFUSALS as error:
            self._notes.append(f"{otherwise}: {error}")
            return False


def _exact(version: Version) -> Reference:
    return Reference(version.model, version.version)
