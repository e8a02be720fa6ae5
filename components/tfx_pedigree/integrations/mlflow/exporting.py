"""Versions from here become versions of an MLflow registry, with bytes that MLflow's clients can load.

MLflow wants a version's files within a run, and keeps metrics there, so each version gets one in the experiment
`pedigree`. The version is created after all of it is there, in one request that also says which digest it is: an export
that ended anywhere goes on from there, and one that is repeated changes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tfx_pedigree.errors import ConflictError, NotFoundError, UnavailableError
from tfx_pedigree.integrations.mlflow import records
from tfx_pedigree.integrations.mlflow.entities import DESCRIPTION
from tfx_pedigree.integrations.mlflow.files import File, files_of
from tfx_pedigree.integrations.mlflow.records import RemoteModel, RemoteVersion
from tfx_pedigree.integrations.mlflow.rest import API, MlflowServer, file_path
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import CHAMPION, LARGEST_PAGE, Reference, State, Version, every
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import plain

DIGEST = "pedigree.digest"
_EXPERIMENT = "pedigree"
# MLflow's own limits: of a text, and of what is logged at once.
_LONGEST_TAG, _AT_ONCE = 5000, 100


@dataclass(frozen=True)
class ExportedModel(JsonForm):
    """`versions` are those here, `added` those that were not there yet. `notes` say what was left out, and why."""

    model: str
    versions: int
    added: int
    aliases: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ExportReport(JsonForm):
    server: str
    dry_run: bool
    models: tuple[ExportedModel, ...]


def export_registry(
    workspace: Workspace,
    server: MlflowServer,
    models: tuple[str, ...] = (),
    *,
    dry_run: bool = False,
    progress: Progress = silent,
) -> ExportReport:
    registry = workspace.registry
    names = models or tuple(one.name for one in every(lambda after: registry.models(limit=LARGEST_PAGE, after=after)))
    exports = [_Export(workspace, server, registry.model(name).name) for name in names]
    total, done = sum(len(one.missing) for one in exports), 0
    for one in exports if not dry_run else ():
        for version in one.run():
            done += 1
            progress(done, total, version)
    return ExportReport(server.base, dry_run, tuple(one.report() for one in exports))


class _Export:
    """Of one model."""

    def __init__(self, workspace: Workspace, server: MlflowServer, model: str) -> None:
        self._workspace, self._registry, self._server, self._model = workspace, workspace.registry, server, model
        found = every(lambda after: self._registry.versions(model, limit=LARGEST_PAGE, after=after))
        self._here = [one for one in found if one.state is not State.RESERVED][::-1]
        # By digest, the version there: those that went from here, and those that came from there.
        there = list(self._versions_there())
        self._there = {one.tags[DIGEST]: one.number for one in there if DIGEST in one.tags}
        numbers = {one.number for one in there}
        for one in self._here:
            if came := records.marked(one.tags.get(records.VERSIONS, ""), server) & numbers:
                self._there.setdefault(one.digest, max(came))
        self.missing = [one for one in self._here if one.digest not in self._there]
        self._runs = _Runs(server)
        self._added, self._notes, self._aliases = 0, list[str](), list[str]()

    def _versions_there(self) -> Iterator[RemoteVersion]:
        return records.versions(self._server, RemoteModel(self._model, self._model, {}))

    def report(self) -> ExportedModel:
        added = self._added or len(self.missing) - len(self._notes)
        return ExportedModel(self._model, len(self._here), added, tuple(self._aliases), tuple(self._notes))

    def run(self) -> Iterator[str]:
        """The name of each version as it is there."""
        with contextlib.suppress(ConflictError):  # it is there
            self._server.post(f"{API}/registered-models/create", {"name": self._model})
        for version in self.missing:
            try:
                files = self._files(version)
            except NotFoundError:
                self._notes.append(f"{version.name} has no bytes in the store, so it was left out.")
            else:
                self._create(version, files)
                self._added += 1
            yield version.name
        self._name_versions()

    def _files(self, version: Version) -> tuple[File, ...]:
        description = self._registry.description(Reference(version.model, version.version))
        return files_of(version, description, self._workspace.store.manifest(version.digest).files)

    def _create(self, version: Version, files: tuple[File, ...]) -> None:
        run, folder = self._runs.of(version)
        for one in files:
            content = functools.partial(self._content, version, one)
            self._server.put(file_path(f"{folder}/{one.path}"), content, one.size)
        body = {"name": self._model, "source": f"mlflow-artifacts:/{folder}", "run_id": run, "tags": _tags(version)}
        body["description"] = version.tags.get(DESCRIPTION, "")
        answer = self._server.create(f"{API}/model-versions/create", body, lambda: self._made_already(version))
        made = answer.get("model_version")
        self._there[version.digest] = int(made.get("version", 0)) if isinstance(made, dict) else 0

    def _made_already(self, version: Version) -> Mapping[str, Any] | None:
        """As MLflow's answer has it."""
        numbers = (one.number for one in self._versions_there() if one.tags.get(DIGEST) == version.digest)
        number = next(numbers, None)
        return None if number is None else {"model_version": {"version": str(number)}}

    def _content(self, version: Version, file: File) -> Any:
        """A file of bytes, verified before the first of them leaves."""
        if file.stored is None:
            return io.BytesIO(file.made)
        return self._workspace.store.open_file(version.digest, file.stored)

    def _name_versions(self) -> None:
        numbers = {one.version: self._there.get(one.digest, 0) for one in self._here}
        champion = self._registry.model(self._model).champion
        wanted = {**self._registry.aliases(self._model), **({CHAMPION: champion} if champion else {})}
        for alias, number in wanted.items():
            if numbers.get(number):
                body = {"name": self._model, "alias": alias, "version": str(numbers[number])}
                self._server.post(f"{API}/registered-models/alias", body)
                self._aliases.append(alias)


def _tags(version: Version) -> list[Mapping[str, str]]:
    found = {**version.tags, "pedigree.version": version.version, DIGEST: version.digest}
    return [{"key": key, "value": value[:_LONGEST_TAG]} for key, value in found.items()]


class _Runs:
    """Of the experiment in which exported versions have their runs."""

    def __init__(self, server: MlflowServer) -> None:
        self._server = server

    def of(self, version: Version) -> tuple[str, str]:
        """The id of the version's run, with its metrics and parameters, and the folder of its artifacts."""
        run = self._found(version) or self._made(version)
        info = run.get("info")
        found = info if isinstance(info, dict) else {}
        number, uri = str(found.get("run_id")), str(found.get("artifact_uri"))
        if not uri.startswith("mlflow-artifacts:"):
            raise UnavailableError(
                f"The MLflow server {self._server.base} keeps artifacts at {plain(uri, 100)} and does not take them "
                "itself. Start it with `--serve-artifacts`."
            )
        self._log(number, version)
        return number, f"{urlsplit(uri).path.strip('/')}/model"

    @functools.cached_property
    def _experiment(self) -> str:
        found = self._experiment_there()
        if found is None:
            found = self._server.create(f"{API}/experiments/create", {"name": _EXPERIMENT}, self._experiment_there)
        return str(found.get("experiment_id"))

    def _experiment_there(self) -> Mapping[str, Any] | None:
        try:
            answer = self._server.get(f"{API}/experiments/get-by-name", experiment_name=_EXPERIMENT)
        except NotFoundError:
            return None
        found = answer.get("experiment")
        return found if isinstance(found, dict) else {}

    def _found(self, version: Version) -> Mapping[str, Any] | None:
        asked = {
            "experiment_ids": [self._experiment],
            "filter": f"tags.`{DIGEST}` = '{version.digest}' AND tags.`pedigree.model` = '{version.model}'",
            "max_results": 1,
        }
        runs = self._server.post(f"{API}/runs/search", asked).get("runs")
        return next((one for one in runs if isinstance(one, dict)), None) if isinstance(runs, list) else None

    def _made(self, version: Version) -> Mapping[str, Any]:
        tags = {DIGEST: version.digest, "pedigree.model": version.model, "mlflow.runName": version.name}
        body = {
            "experiment_id": self._experiment,
            "start_time": int(version.created_at.timestamp() * 1000),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        found = self._server.create(f"{API}/runs/create", body, lambda: self._found(version))
        made = found.get("run", found)
        return made if isinstance(made, dict) else {}

    def _log(self, run: str, version: Version) -> None:
        at = int(version.created_at.timestamp() * 1000)
        finite = ((name, float(value)) for name, value in version.metrics.items() if math.isfinite(value))
        metrics = [{"key": name, "value": value, "timestamp": at, "step": 0} for name, value in finite]
        parameters = [{"key": name, "value": str(value)[:_LONGEST_TAG]} for name, value in version.parameters.items()]
        for begin in range(0, max(len(metrics), len(parameters)), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            body = {"run_id": run, "metrics": metrics[part], "params": parameters[part]}
            self._server.post(f"{API}/runs/log-batch", body)
        self._server.post(f"{API}/runs/update", {"run_id": run, "status": "FINISHED", "end_time": at})
