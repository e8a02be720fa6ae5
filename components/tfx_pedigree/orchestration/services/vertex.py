"""Vertex AI: pipeline jobs as runs, and its schedules.

Vertex keeps no versions of a pipeline: each job and each schedule holds the whole one, and carries its digest as a
label. A schedule's display name ends in what Pedigree made it of. When it runs, how many at once, and whether runs
queue are read from the schedule itself, and can be changed in it; all else makes a new one.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.orchestration.ir import CompiledPipeline
from tfx_pedigree.orchestration.services import vertex_client as client_of
from tfx_pedigree.orchestration.services.cron import with_timezone
from tfx_pedigree.orchestration.services.plan import Action, Schedule, ScheduleStep, Traits, Wanted
from tfx_pedigree.orchestration.services.service import ServiceRun, Template, fields_digest, version_name

LABEL = "pedigree-pipeline"
SCHEDULE_LABEL = "pedigree-schedule"
RETIRED, TO_PAUSE = "replaced", "paused"
_LONGEST_LABEL = 63
_DIGITS = 24
_DISPLAY = re.compile(
    rf"(?P<name>[a-z][a-z0-9-]*) pedigree:(?P<pipeline>[0-9a-f]{{{_DIGITS}}})"
    rf":(?P<job>[0-9a-f]{{{_DIGITS}}})(?::(?P<flag>\w+))?"
)
_JOB_ID = re.compile(r"[a-z][a-z0-9-]{0,127}")
_CRON, _AT_ONCE, _QUEUE = "cron", "at once", "queue"
_PIPELINE, _JOB = "pipeline", "job"
_LONG_AGO = datetime(1971, 1, 1, tzinfo=timezone.utc)


class Vertex:
    traits = Traits(creates_paused=False, deleting_stops_runs=False, updatable=frozenset({_CRON, _AT_ONCE, _QUEUE}))

    def __init__(self, settings: Mapping[str, str]) -> None:
        for key in ("project", "location"):
            if not settings.get(key):
                raise InvalidInputError(
                    f"Set `target.{key}` in the config: Vertex AI is asked in a project and a region."
                )
        self._settings = settings
        self._project, self._location = settings["project"], settings["location"]
        self._parent = f"projects/{self._project}/locations/{self._location}"
        self.where = f"Vertex AI in {self._project}, {self._location}"
        endpoint = settings.get("endpoint") or f"{self._location}-aiplatform.googleapis.com"
        self._clients = client_of.connect(self.where, endpoint)

    # Runs

    def has_version(self, compiled: CompiledPipeline) -> bool:
        """Vertex keeps no versions of a pipeline. A document that cannot be a job is refused here too."""
        self._job(Template(compiled), {})
        return True

    def submit(self, template: Template, run: str) -> tuple[ServiceRun, bool]:
        _check_job_id(run)
        job = self._job(template, {})
        try:
            with client_of.speaking(self.where):
                made = self._clients.pipelines.create_pipeline_job(
                    parent=self._parent, pipeline_job=job, pipeline_job_id=run, timeout=client_of.TIMEOUT
                )
        except ConflictError:
            found = self.find_run(run, template.compiled.name)
            if found is None:
                raise
            return found, False
        return self._run(made), True

    def find_run(self, name: str, pipeline: str) -> ServiceRun | None:
        _check_job_id(name)
        try:
            with client_of.speaking(self.where):
                found = self._clients.pipelines.get_pipeline_job(
                    name=f"{self._parent}/pipelineJobs/{name}", timeout=client_of.TIMEOUT
                )
        except NotFoundError:
            return None
        return self._run(found)

    def _job(self, template: Template, labels: Mapping[str, str]) -> Any:
        """The compiled job with this run's parameters. Vertex copies its labels to all that it makes for it."""
        from google.cloud.aiplatform_v1.types import PipelineJob  # noqa: PLC0415  with the client
        from google.protobuf import json_format  # noqa: PLC0415

        compiled, parameters = template.compiled, template.parameters
        document = copy.deepcopy(compiled.document)
        if not compiled.root:
            raise InvalidInputError(
                f"The pipeline {compiled.name} does not say where its artifacts lie. Give it a root, as gs://bucket/folder."
            )
        runtime = {**document.get("runtimeConfig", {}), "gcsOutputDirectory": compiled.root}
        if parameters:
            runtime.update(_runtime_parameters(compiled, parameters, runtime))
        own = {LABEL: version_name(compiled.digest)[:_LONGEST_LABEL], **labels}
        optional = {"serviceAccount": self._settings.get("service_account"), "network": self._settings.get("network")}
        body = {
            "displayName": document.get("displayName") or compiled.name,
            "labels": {**document.get("labels", {}), **own},
            "runtimeConfig": runtime,
            "pipelineSpec": document["pipelineSpec"],
            **{key: value for key, value in optional.items() if value},
        }
        job = PipelineJob()
        try:
            json_format.ParseDict(body, PipelineJob.pb(job))
        except json_format.ParseError as error:
            raise InvalidInputError(
                f"The pipeline {compiled.name} is not a valid job of Vertex AI: {error}."
            ) from error
        return job

    def _run(self, job: Any) -> ServiceRun:
        name = str(job.name).rpartition("/")[2]
        state = job.state.name.removeprefix("PIPELINE_STATE_")
        failed = tuple(
            f"{task.task_name}: {' '.join(task.error.message.split())}".removesuffix(": ")
            for task in job.job_detail.task_details
            if task.state.name == "FAILED"
        )
        general = () if failed or not job.error.message else (" ".join(job.error.message.split()),)
        return ServiceRun(
            str(job.name),
            name,
            state,
            state in ("SUCCEEDED", "FAILED", "CANCELLED"),
            state == "SUCCEEDED",
            f"https://console.cloud.google.com/vertex-ai/locations/{self._location}/pipelines/runs/{name}"
            f"?project={self._project}",
            failed or general,
        )

    # Schedules

    def wanted(self, name: str, cron: str, timezone: str, template: Template) -> Wanted:
        compiled = template.compiled
        self._job(template, {SCHEDULE_LABEL: name})  # refuses what can be no job before the old one is touched
        job = {
            "root": compiled.root or "",
            "parameters": canonical_json(dict(template.parameters)).decode(),
            "service account": self._settings.get("service_account", ""),
            "network": self._settings.get("network", ""),
        }
        fields = {
            _PIPELINE: f"sha256:{_hex(compiled.digest)}",
            _JOB: f"sha256:{_hex(fields_digest(job))}",
            _CRON: with_timezone(cron, timezone),
            _AT_ONCE: "1",
            _QUEUE: "no",
        }
        return Wanted(name, fields)

    def schedules(self, name: str | None = None) -> tuple[Schedule, ...]:
        with client_of.speaking(self.where):
            found = list(self._clients.schedules.list_schedules(parent=self._parent, timeout=client_of.TIMEOUT))
        ours = [(one, match) for one in found if (match := _DISPLAY.fullmatch(one.display_name))]
        return tuple(_schedule(one, match) for one, match in ours if name in (None, match["name"]))

    def apply(self, step: ScheduleStep, name: str, template: Template | None) -> None:
        schedules, more = self._clients.schedules, {"timeout": client_of.TIMEOUT}
        with client_of.speaking(self.where):
            if step.action is Action.CREATE:
                schedules.create_schedule(parent=self._parent, schedule=self._made(step, name, template), **more)
            elif step.action is Action.UPDATE:
                self._update(step)
            elif step.action in (Action.RETIRE, Action.RESTORE):
                self._rename(step)
            elif step.action is Action.DISABLE:
                schedules.pause_schedule(name=step.id, **more)
            elif step.action is Action.ENABLE:
                # What was missed while it was paused is not made up for.
                schedules.resume_schedule(request={"name": step.id, "catch_up": False}, **more)
            else:
                schedules.delete_schedule(name=step.id, **more).result(timeout=client_of.TIMEOUT)

    def _made(self, step: ScheduleStep, name: str, template: Template | None) -> Any:
        from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest, Schedule  # noqa: PLC0415

        fields = dict(step.fields or {})
        if template is None:
            raise ConflictError(f"The schedule {name} must be created again. Run `pedigree pipeline schedule`.")
        job = self._job(template, {SCHEDULE_LABEL: name})
        return Schedule(
            display_name=_display(name, fields, TO_PAUSE if step.to_pause else None),
            cron=fields[_CRON],
            max_concurrent_run_count=int(fields[_AT_ONCE]),
            allow_queueing=fields[_QUEUE] == "yes",
            create_pipeline_job_request=CreatePipelineJobRequest(parent=self._parent, pipeline_job=job),
        )

    def _update(self, step: ScheduleStep) -> None:
        from google.cloud.aiplatform_v1.types import Schedule  # noqa: PLC0415

        changed = Schedule(name=step.id)
        for field, value in (step.fields or {}).items():
            setattr(changed, _NAMES[field], _VALUES[field](value))
        mask = {"paths": [_NAMES[field] for field in step.fields or {}]}
        self._clients.schedules.update_schedule(schedule=changed, update_mask=mask, timeout=client_of.TIMEOUT)

    def _rename(self, step: ScheduleStep) -> None:
        found = self._clients.schedules.get_schedule(name=step.id, timeout=client_of.TIMEOUT)
        match = _DISPLAY.fullmatch(found.display_name)
        if match is None:
            raise NotFoundError(f"The schedule {step.id} was renamed by somebody else.")
        flag = RETIRED if step.action is Action.RETIRE else None
        found.display_name = _display(match["name"], {_PIPELINE: match["pipeline"], _JOB: match["job"]}, flag)
        self._clients.schedules.update_schedule(
            schedule=found, update_mask={"paths": ["display_name"]}, timeout=client_of.TIMEOUT
        )


_NAMES = {_CRON: "cron", _AT_ONCE: "max_concurrent_run_count", _QUEUE: "allow_queueing"}
_VALUES: dict[str, Any] = {_CRON: str, _AT_ONCE: int, _QUEUE: lambda text: text == "yes"}


def _schedule(one: Any, match: re.Match[str]) -> Schedule:
    fields = {
        _PIPELINE: f"sha256:{match['pipeline']}",
        _JOB: f"sha256:{match['job']}",
        _CRON: one.cron,
        _AT_ONCE: str(one.max_concurrent_run_count),
        _QUEUE: "yes" if one.allow_queueing else "no",
    }
    state = one.state.name
    if state == "COMPLETED":
        fields["state"] = "completed"  # such a one never runs again, and cannot be resumed
    created = _time(one.create_time) or _LONG_AGO
    return Schedule(
        str(one.name),
        match["name"],
        fields,
        state == "ACTIVE",
        created,
        _time(one.start_time) or created,
        to_pause=match["flag"] == TO_PAUSE,
        retired=match["flag"] == RETIRED,
        last_run=_time(one.last_scheduled_run_response.scheduled_run_time),
        next_run=_time(one.next_run_time) if state == "ACTIVE" else None,
    )


def _check_job_id(name: str) -> None:
    if not _JOB_ID.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} cannot name a run on Vertex AI: it takes small letters, digits and dashes, beginning with a "
            "letter, 128 at the most. Give another one with --run-name."
        )


def _time(value: Any) -> datetime | None:
    """Timestamps that are not set come as None, or as the year 1970."""
    if value is None:
        return None
    found: datetime = value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return found if found > _LONG_AGO else None


def _display(name: str, fields: Mapping[str, str], flag: str | None) -> str:
    parts = [f"{name} pedigree", _hex(fields[_PIPELINE]), _hex(fields[_JOB]), *([flag] if flag else [])]
    return ":".join(parts)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]


def _runtime_parameters(
    compiled: CompiledPipeline, given: Mapping[str, Any], runtime: Mapping[str, Any]
) -> dict[str, Any]:
    """Schema 2.0.0, which TFX writes, has typed values; 2.1.0 has plain ones."""
    if compiled.spec.get("schemaVersion") == "2.1.0":
        return {"parameterValues": {**runtime.get("parameterValues", {}), **given}}
    typed = {name: _typed(value) for name, value in given.items()}
    return {"parameters": {**runtime.get("parameters", {}), **typed}}


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"stringValue": json.dumps(value)}
    if isinstance(value, int):
        return {"intValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}
