"""Kubeflow Pipelines: versions named after digests, runs, and recurring runs as schedules.

A recurring run's description ends in a line of JSON with what it was made of: that is where Pedigree knows its own from
others, and one that somebody made by hand is never touched. When it runs, how many at once, and without catching up are
read from the recurring run itself.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.orchestration.ir import CompiledPipeline
from tfx_pedigree.orchestration.services import kubeflow_client as client_of
from tfx_pedigree.orchestration.services.cron import with_seconds
from tfx_pedigree.orchestration.services.plan import Action, Schedule, ScheduleStep, Traits, Wanted
from tfx_pedigree.orchestration.services.service import ServiceRun, Template, fields_digest, version_name

MARK = "pedigree: "
PAGE = 100
# Beyond so many newer runs nobody looks for one that is still going.
MOST_PAGES = 10
_EQUALS = 1
_GOING = {"PENDING", "RUNNING", "CANCELING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED", None}
_WELL = {"SUCCEEDED", "SKIPPED"}
_LONG_AGO = datetime(1971, 1, 1, tzinfo=timezone.utc)


class Kubeflow:
    traits = Traits(creates_paused=True, deleting_stops_runs=True)

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._host = settings.get("host")
        self._namespace = settings.get("namespace")
        self.where = client_of.address(self._host)
        self._client = client_of.connect(self._host, self._namespace, settings.get("ca"))
        self._namespace = self._namespace or self._client.get_user_namespace() or None

    # Versions

    def has_version(self, compiled: CompiledPipeline) -> bool:
        pipeline = self._pipeline(compiled.name)
        return pipeline is not None and self._version(pipeline, compiled.digest) is not None

    def _uploaded(self, compiled: CompiledPipeline) -> tuple[str, str]:
        """The ids of the pipeline and of its version, which are made where they are not there."""
        pipeline = self._pipeline(compiled.name) or self._made_pipeline(compiled)
        version = self._version(pipeline, compiled.digest)
        if version is None:
            try:
                version = self._upload(pipeline, compiled)
            except ConflictError:
                version = self._version(pipeline, compiled.digest)  # somebody else was quicker
                if version is None:
                    raise
        return pipeline, version

    def _pipeline(self, name: str) -> str | None:
        found = self._call("list_pipelines", filter=_equals("display_name", name), namespace=self._namespace)
        return next((str(one.pipeline_id) for one in found.pipelines or ()), None)

    def _made_pipeline(self, compiled: CompiledPipeline) -> str:
        import kfp_server_api  # noqa: PLC0415  with kfp

        body = kfp_server_api.V2beta1Pipeline(
            display_name=compiled.name, description="Made by Pedigree.", namespace=self._namespace
        )
        # kfp's own upload would make a first version beside it, with a name that says nothing.
        methods = vars(self._client.pipelines)
        create = methods.get("create_pipeline") or methods["pipeline_service_create_pipeline"]
        try:
            with client_of.speaking(self.where):
                return str(create(body).pipeline_id)
        except ConflictError:
            found = self._pipeline(compiled.name)
            if found is None:
                raise
            return found

    def _version(self, pipeline: str, digest: str) -> str | None:
        name = version_name(digest)
        found = self._call("list_pipeline_versions", pipeline_id=pipeline, filter=_equals("display_name", name))
        return next((str(one.pipeline_version_id) for one in found.pipeline_versions or ()), None)

    def _upload(self, pipeline: str, compiled: CompiledPipeline) -> str:
        with tempfile.TemporaryDirectory(prefix="pedigree-") as folder:
            file = Path(folder, "pipeline.yaml")
            file.write_text(compiled.to_text(), "utf-8")
            made = self._call(
                "upload_pipeline_version",
                str(file),
                pipeline_version_name=version_name(compiled.digest),
                pipeline_id=pipeline,
                description="Uploaded by Pedigree; named after the digest of the pipeline.",
            )
        return str(made.pipeline_version_id)

    # Runs

    def submit(self, template: Template, run: str) -> tuple[ServiceRun, bool]:
        compiled = template.compiled
        experiment = self._experiment(self._experiment_name(compiled))
        found = self._run_named(experiment, run)
        if found is not None:
            return found, False
        pipeline, version = self._uploaded(compiled)
        made = self._call(
            "run_pipeline",
            experiment_id=experiment,
            job_name=run,
            pipeline_id=pipeline,
            version_id=version,
            params=dict(template.parameters),
            service_account=self._settings.get("service_account"),
        )
        return self._run(made), True

    def find_run(self, name: str, pipeline: str) -> ServiceRun | None:
        experiment = self._existing_experiment(self._settings.get("experiment") or pipeline)
        return None if experiment is None else self._run_named(experiment, name)

    def _run_named(self, experiment: str, name: str) -> ServiceRun | None:
        found = self._call(
            "list_runs",
            experiment_id=experiment,
            filter=_equals("display_name", name),
            sort_by="created_at desc",
            page_size=1,
        )
        first = next(iter(found.runs or ()), None)
        # What a list leaves out, such as the tasks, the run itself tells.
        return None if first is None else self._run(self._call("get_run", first.run_id))

    def _run(self, one: Any) -> ServiceRun:
        details = getattr(one.run_details, "task_details", None) or () if one.run_details else ()
        failed = tuple(_failure(task) for task in details if task.state == "FAILED")
        ui = client_of.ui_of(self._host)
        return ServiceRun(
            str(one.run_id),
            str(one.display_name),
            str(one.state or "PENDING"),
            one.state not in _GOING,
            one.state in _WELL,
            f"{ui}/#/runs/details/{one.run_id}" if ui else None,
            failed,
        )

    def _experiment_name(self, compiled: CompiledPipeline) -> str:
        return self._settings.get("experiment") or compiled.name

    def _existing_experiment(self, name: str) -> str | None:
        found = self._call("list_experiments", filter=_equals("display_name", name), namespace=self._namespace)
        return next((str(one.experiment_id) for one in found.experiments or ()), None)

    def _experiment(self, name: str) -> str:
        made = self._call("create_experiment", name, namespace=self._namespace)
        return str(made.experiment_id)

    # Schedules

    def wanted(self, name: str, cron: str, timezone: str, template: Template) -> Wanted:
        compiled = template.compiled
        parameters = canonical_json(dict(template.parameters)).decode() if template.parameters else ""
        fields = {
            "pipeline": compiled.digest,
            "pipeline name": compiled.name,
            "experiment": self._experiment_name(compiled),
            "cron": with_seconds(cron),
            "at once": "1",
            "catch up": "no",
            "parameters": parameters,
            "service account": self._settings.get("service_account", ""),
        }
        return Wanted(name, {key: value for key, value in fields.items() if value})

    def schedules(self, name: str | None = None) -> tuple[Schedule, ...]:
        found = self._pages("list_recurring_runs", "recurring_runs", namespace=self._namespace)
        marked = [(one, mark) for one in found if (mark := _mark(one)) is not None]
        ours = [(one, mark) for one, mark in marked if name in (None, mark["schedule"])]
        runs = self._runs_of({str(one.recurring_run_id): one for one, _ in ours})
        return tuple(_schedule(one, mark, runs[str(one.recurring_run_id)]) for one, mark in ours)

    def _runs_of(self, ours: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The runs of each of these, newest first. None is older than the schedule that started it."""
        runs: dict[str, list[Any]] = {key: [] for key in ours}
        for experiment in sorted({str(one.experiment_id) for one in ours.values()}):
            oldest = min(_time(one.created_at) for one in ours.values() if str(one.experiment_id) == experiment)
            found = self._pages("list_runs", "runs", MOST_PAGES, experiment_id=experiment, sort_by="created_at desc")
            for run in found:
                if _time(run.created_at) < oldest:
                    break
                if run.recurring_run_id in runs:
                    runs[run.recurring_run_id].append(run)
        return runs

    def apply(self, step: ScheduleStep, name: str, template: Template | None) -> None:
        if step.action is Action.CREATE:
            self._create(step, name, template)
            return
        methods = {
            Action.ENABLE: "enable_recurring_run",
            Action.DISABLE: "disable_recurring_run",
            Action.DELETE: "delete_recurring_run",
        }
        self._call(methods[step.action], step.id)

    def _create(self, step: ScheduleStep, name: str, template: Template | None) -> None:
        fields = dict(step.fields or {})
        if template is not None and template.compiled.digest == fields["pipeline"]:
            pipeline, version = self._uploaded(template.compiled)
        else:
            pipeline, version = self._kept(fields)
        mark = {"schedule": name, "fields": fields, "digest": fields_digest(fields), "to_pause": step.to_pause}
        self._call(
            "create_recurring_run",
            experiment_id=self._experiment(fields["experiment"]),
            job_name=f"{name}-{fields_digest(fields)[7:15]}",
            description="Made by Pedigree. Change it with `pedigree pipeline schedule`, not here.\n"
            f"{MARK}{canonical_json(mark).decode()}",
            start_time=f"{step.after:%Y-%m-%dT%H:%M:%SZ}" if step.after else None,
            cron_expression=fields["cron"],
            max_concurrency=int(fields["at once"]),
            no_catchup=fields["catch up"] == "no",
            params=parse_json(fields.get("parameters") or "{}", "The schedule's parameters"),
            pipeline_id=pipeline,
            version_id=version,
            enabled=not step.paused,
            service_account=fields.get("service account"),
        )

    def _kept(self, fields: Mapping[str, str]) -> tuple[str, str]:
        pipeline = self._pipeline(fields["pipeline name"])
        version = self._version(pipeline, fields["pipeline"]) if pipeline else None
        if pipeline is None or version is None:
            raise NotFoundError(
                f"Kubeflow at {self.where} has no version {version_name(fields['pipeline'])} of the pipeline "
                f"{fields['pipeline name']} any more. Apply the schedule again with `pedigree pipeline schedule`."
            )
        return pipeline, version

    # Calls

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        work: Callable[..., Any] = getattr(self._client, method)
        with client_of.speaking(self.where):
            return work(*args, **kwargs)

    def _pages(self, method: str, items: str, most: int | None = None, **kwargs: Any) -> Iterator[Any]:
        token, count = "", 0
        while count == 0 or (token and (most is None or count < most)):
            page = self._call(method, page_size=PAGE, page_token=token, **kwargs)
            yield from getattr(page, items) or ()
            token, count = page.next_page_token or "", count + 1


def _equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": _EQUALS, "key": key, "stringValue": value}]})


def _mark(one: Any) -> dict[str, Any] | None:
    line = (one.description or "").rpartition("\n")[2]
    if not line.startswith(MARK):
        return None
    try:
        found = parse_json(line.removeprefix(MARK), "The mark")
        return found if isinstance(found["schedule"], str) and isinstance(found["fields"], dict) else None
    except (InvalidInputError, KeyError, TypeError):
        return None


def _schedule(one: Any, mark: Mapping[str, Any], runs: list[Any]) -> Schedule:
    trigger = one.trigger.cron_schedule if one.trigger else None
    seen = {
        "cron": (trigger.cron if trigger else "") or "",
        "at once": str(one.max_concurrency or ""),
        "catch up": "no" if one.no_catchup else "yes",
    }
    ran = [when for run in runs if (when := _time(run.scheduled_at)) > _LONG_AGO]
    created = _time(one.created_at)
    begins = trigger.start_time if trigger and trigger.start_time else None
    return Schedule(
        str(one.recurring_run_id),
        str(mark["schedule"]),
        {**mark["fields"], **seen},
        one.status == "ENABLED",
        created,
        _time(begins) if begins else created,
        bool(mark.get("to_pause")),
        busy=any(run.state in _GOING for run in runs),
        last_run=max(ran, default=None),
    )


def _time(value: datetime | None) -> datetime:
    if value is None:
        return _LONG_AGO
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _failure(task: Any) -> str:
    message = getattr(task.error, "message", None) if task.error else None
    name = str(task.display_name or task.task_id)
    return f"{name}: {' '.join(message.split())}" if message else name
