"""Kubeflow Pipelines' REST API (v2beta1) on loopback, as far as pipelines are submitted and scheduled through it.

It keeps state, and refuses what the real one refuses: unknown ids, duplicate names, cron expressions without seconds,
filters on fields that cannot be filtered on, namespaces that are missing or not allowed, requests without the token.
Its controller runs occurrences as the real one does; see `occur`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Json = dict[str, Any]

_FIELDS = {
    "pipelines": {"pipeline_id", "display_name", "created_at", "namespace", "description"},
    "versions": {"pipeline_version_id", "display_name", "created_at", "description"},
    "experiments": {"experiment_id", "display_name", "created_at", "namespace", "storage_state"},
    "runs": {"run_id", "display_name", "created_at", "scheduled_at", "state", "storage_state", "experiment_id"},
    "recurringruns": {"recurring_run_id", "display_name", "created_at", "status", "experiment_id"},
}
_ENDED = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Fault:
    """What happens to the next `times` requests that fit: a status, `page` for a page to log in, or `drop before` /
    `drop after` for a connection that breaks before the request is done or before its answer is sent."""

    fits: str
    what: int | str
    times: int = 1


@dataclass
class Kubeflow:
    """The service's state. Each thing that is made is made a second after the one before."""

    multi_user: bool = False
    token: str | None = None
    login_page: bool = False
    now: datetime = datetime(2026, 11, 20, 14, 0, tzinfo=timezone.utc)
    pipelines: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, Json] = field(default_factory=dict)
    experiments: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    recurring: dict[str, Json] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    occurrences: list[datetime] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    most_enabled: int = 0
    kill_after: tuple[int, Callable[[], int]] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    # What tests ask and do

    @property
    def changes(self) -> list[str]:
        return [line for line in self.log if not line.startswith("GET")]

    def enabled(self) -> list[Json]:
        return [one for one in self.recurring.values() if one["status"] == "ENABLED"]

    def finish(self, state: str = "SUCCEEDED", failed: str | None = None) -> None:
        for run in self.runs.values():
            if run["state"] not in _ENDED:
                run["state"] = state
                if failed:
                    task = {"display_name": failed, "state": "FAILED", "error": {"code": 2, "message": "exit code 1"}}
                    run["run_details"] = {"task_details": [task]}

    def occur(self, after: timedelta = timedelta(hours=1)) -> None:
        """The time of an occurrence has come, for every recurring run."""
        with self.lock:
            self.now += after
            self.occurrences.append(self.now)
            self._controller()

    def _controller(self) -> None:
        """Runs for each enabled one the latest occurrence since its last, its start time, or its creation."""
        for one in self.enabled():
            mine = [run for run in self.runs.values() if run.get("recurring_run_id") == one["recurring_run_id"]]
            if sum(run["state"] not in _ENDED for run in mine) >= int(one["max_concurrency"]):
                continue
            start = one["trigger"]["cron_schedule"].get("start_time") or one["created_at"]
            reached = max([start, *(run["scheduled_at"] for run in mine)])
            due = [when for when in self.occurrences if _text(when) > reached and when <= self.now]
            if due:
                self._add_run(
                    {**one, "display_name": f"{one['display_name']}-{len(mine) + 1}"},
                    scheduled_at=_text(due[-1]),
                    recurring_run_id=one["recurring_run_id"],
                )

    # Requests

    def answer(self, method: str, path: str, query: Json, body: Json) -> Json:
        for pattern, work in self._routes():
            found = re.fullmatch(pattern, f"{method} {path}")
            if found:
                answer = work(query, body, *found.groups())
                self.most_enabled = max(self.most_enabled, len(self.enabled()))
                return answer
        raise RefusedError(404, f"Not Found: {method} {path}")

    def _routes(self) -> list[tuple[str, Callable[..., Json]]]:
        one = "([^/:]+)"
        return [
            ("GET /healthz", lambda q, b: {"multi_user": self.multi_user}),
            ("GET /pipelines", lambda q, b: self._list("pipelines", self.pipelines, q, spaced=True)),
            ("POST /pipelines", self._create_pipeline),
            (f"GET /pipelines/{one}/versions", self._list_versions),
            ("POST /pipelines/upload_version", self._upload_version),
            ("GET /experiments", lambda q, b: self._list("experiments", self.experiments, q, spaced=True)),
            ("POST /experiments", self._create_experiment),
            ("GET /runs", self._list_runs),
            ("POST /runs", self._create_run),
            (f"GET /runs/{one}", lambda q, b, key: _known(self.runs, key, "Run")),
            ("GET /recurringruns", lambda q, b: self._list("recurringruns", self.recurring, q, spaced=True)),
            ("POST /recurringruns", self._create_recurring),
            (f"POST /recurringruns/{one}:enable", lambda q, b, key: self._switch(key, "ENABLED")),
            (f"POST /recurringruns/{one}:disable", lambda q, b, key: self._switch(key, "DISABLED")),
            (f"DELETE /recurringruns/{one}", self._delete_recurring),
        ]

    def _create_pipeline(self, query: Json, body: Json) -> Json:
        return self._add_pipeline(_name(body), body.get("namespace"))

    def _add_pipeline(self, name: str, namespace: str | None) -> Json:
        if any(one["display_name"] == name and one.get("namespace") == namespace for one in self.pipelines.values()):
            raise RefusedError(409, f"Already exist error: pipeline {name} already exists")
        return self._add(self.pipelines, "pipeline_id", {"display_name": name, "namespace": namespace})

    def _list_versions(self, query: Json, body: Json, pipeline: str) -> Json:
        _known(self.pipelines, pipeline, "Pipeline")
        mine = {key: one for key, one in self.versions.items() if one["pipeline_id"] == pipeline}
        answer = self._list("versions", mine, query)
        return {"pipeline_versions": answer["versions"], "next_page_token": answer["next_page_token"]}

    def _upload_version(self, query: Json, body: Json) -> Json:
        pipeline = _known(self.pipelines, query.get("pipelineid", ""), "Pipeline")
        name = query.get("name") or ""
        if not name or len(name) > 127:
            raise RefusedError(400, "the version needs a name of at most 127 characters")
        mine = [one for one in self.versions.values() if one["pipeline_id"] == pipeline["pipeline_id"]]
        if any(one["display_name"] == name for one in mine):
            raise RefusedError(409, f"Already exist error: version {name} already exists")
        spec = next(iter(yaml.safe_load_all(body["uploadfile"])))
        if not isinstance(spec, dict) or not spec.get("pipelineInfo", {}).get("name"):
            raise RefusedError(400, "Invalid input error: unknown template format: pipeline spec is invalid")
        if spec.get("schemaVersion") != "2.1.0":
            raise RefusedError(400, f"unexpected schema version {spec.get('schemaVersion')}")
        made = {"pipeline_id": pipeline["pipeline_id"], "display_name": name, "pipeline_spec": spec}
        return self._add(self.versions, "pipeline_version_id", made)

    def _create_experiment(self, query: Json, body: Json) -> Json:
        self._check_namespace(body.get("namespace"))
        name, space = _name(body), body.get("namespace") or ""
        if any((one["display_name"], one["namespace"]) == (name, space) for one in self.experiments.values()):
            raise RefusedError(409, f"Already exist error: experiment {name} already exists")
        return self._add(self.experiments, "experiment_id", {"display_name": name, "namespace": space})

    def _list_runs(self, query: Json, body: Json) -> Json:
        if "experiment_id" in query:
            _known(self.experiments, query["experiment_id"], "Experiment")
            mine = {key: run for key, run in self.runs.items() if run["experiment_id"] == query["experiment_id"]}
            return self._list("runs", mine, query)
        return self._list("runs", self.runs, query, spaced=True)

    def _create_run(self, query: Json, body: Json) -> Json:
        self._check_reference(body)
        return self._add_run(body, scheduled_at="1970-01-01T00:00:00Z")

    def _add_run(self, body: Json, **more: Any) -> Json:
        _known(self.experiments, body["experiment_id"], "Experiment")
        kept = {key: body.get(key) for key in ("experiment_id", "pipeline_version_reference", "runtime_config")}
        made = {**kept, "display_name": _name(body), "state": "RUNNING", "storage_state": "AVAILABLE", **more}
        if body.get("service_account"):
            made["service_account"] = body["service_account"]
        return self._add(self.runs, "run_id", made)

    def _create_recurring(self, query: Json, body: Json) -> Json:
        self._check_reference(body)
        experiment = _known(self.experiments, body.get("experiment_id") or "", "Experiment")
        cron = ((body.get("trigger") or {}).get("cron_schedule") or {}).get("cron") or ""
        if len(cron.split()) != 6:
            raise RefusedError(400, f"Invalid input error: schedule cron is not supported: expected 6 fields: {cron}")
        if not 1 <= int(body.get("max_concurrency") or 0) <= 10:
            raise RefusedError(400, "Invalid input error: the max concurrency must be between 1 and 10")
        if body.get("mode") not in ("ENABLE", "DISABLE"):
            raise RefusedError(400, f"Invalid input error: unknown mode {body.get('mode')}")
        status = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        # Left out, the service account is the server's: what was asked for and what is answered differ.
        account = body.get("service_account") or "pipeline-runner"
        keep = ("display_name", "description", "trigger", "no_catchup", "experiment_id", "mode", "runtime_config")
        made = {key: body[key] for key in keep if key in body}
        made |= {"pipeline_version_reference": body["pipeline_version_reference"], "namespace": experiment["namespace"]}
        made |= {"status": status, "service_account": account, "max_concurrency": str(body["max_concurrency"])}
        _name(made)
        return self._add(self.recurring, "recurring_run_id", made)

    def _switch(self, key: str, status: str) -> Json:
        _known(self.recurring, key, "RecurringRun")["status"] = status
        self._controller()
        return {}

    def _delete_recurring(self, query: Json, body: Json, key: str) -> Json:
        """Kubernetes collects what the recurring run owned: its runs in progress end with it."""
        _known(self.recurring, key, "RecurringRun")
        going = [r for r in self.runs.values() if r.get("recurring_run_id") == key and r["state"] not in _ENDED]
        self.stopped += [run["run_id"] for run in going]
        del self.recurring[key]
        return {}

    def _check_reference(self, body: Json) -> None:
        reference = body.get("pipeline_version_reference") or {}
        version = _known(self.versions, reference.get("pipeline_version_id", ""), "PipelineVersion")
        if version["pipeline_id"] != reference.get("pipeline_id"):
            raise RefusedError(400, "Invalid input error: the version belongs to another pipeline")
        declared = version["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
        for name in (body.get("runtime_config") or {}).get("parameters") or {}:
            if name not in declared:
                raise RefusedError(400, f"Invalid input error: parameter {name} is not in the pipeline")

    def _check_namespace(self, namespace: str | None) -> None:
        if self.multi_user and not namespace:
            raise RefusedError(400, "Invalid input error: a namespace is required in multi-user mode")
        if not self.multi_user and namespace:
            raise RefusedError(400, "Invalid input error: in single-user mode, the namespace must be empty")

    def _add(self, table: dict[str, Json], key: str, made: Json) -> Json:
        self.now += timedelta(seconds=1)
        made = {**made, key: str(uuid.uuid4()), "created_at": _text(self.now)}
        table[made[key]] = made
        self._controller()
        return made

    def _list(self, kind: str, table: dict[str, Json], query: Json, spaced: bool = False) -> Json:
        if spaced:
            if kind != "pipelines":
                self._check_namespace(query.get("namespace"))
            space = query.get("namespace")
            table = {key: one for key, one in table.items() if not space or one.get("namespace", space) == space}
        found = list(_filtered(kind, table.values(), query.get("filter")))
        order, _, way = (query.get("sort_by") or "created_at").partition(" ")
        if order not in _FIELDS[kind]:
            raise RefusedError(400, f"Invalid input error: cannot sort by {order}")
        found.sort(key=lambda one: str(one.get(order)), reverse=way == "desc")
        begin, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
        end = begin + size
        name = {"recurringruns": "recurringRuns"}.get(kind, kind)
        return {name: found[begin:end], "next_page_token": str(end) if end < len(found) else ""}


def _filtered(kind: str, found: Any, text: str | None) -> Iterator[Json]:
    predicates = json.loads(text)["predicates"] if text else []
    for one in predicates:
        if one["key"] not in _FIELDS[kind] or one["operation"] != 1:
            raise RefusedError(400, f"Invalid input error: cannot filter {kind} by {one['key']}")
    for item in found:
        if all(item.get(one["key"]) == one["stringValue"] for one in predicates):
            yield item


def _known(table: dict[str, Json], key: str, kind: str) -> Json:
    if key not in table:
        raise RefusedError(404, f"ResourceNotFoundError: {kind} {key} not found")
    return table[key]


def _name(body: Json) -> str:
    name = body.get("display_name")
    if not name:
        raise RefusedError(400, "Invalid input error: the display name is empty")
    return str(name)


def _text(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


class _Handler(BaseHTTPRequestHandler):
    server: KubeflowServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        service, url = self.server.service, urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = url.path.removeprefix("/apis/v2beta1")
        line = f"{self.command} {path}"
        with service.lock:
            fault = next((one for one in service.faults if one.times and re.search(one.fits, line)), None)
            if fault is not None:
                fault.times -= 1
            if fault is not None and isinstance(fault.what, int):
                self._send(fault.what, {"error": "upstream connect error", "code": 14, "message": "upstream"})
                return
            if fault is not None and fault.what == "page":
                self._send(200, "<html>Log in</html>")
                return
            if fault is not None and fault.what == "drop before":
                self._drop()
                return
            service.log.append(line)
            status, answer = self._answered(path, {k: v[0] for k, v in parse_qs(url.query).items()}, raw)
            self._maybe_kill()
        if fault is not None and fault.what == "drop after":
            self._drop()
        else:
            self._send(status, answer)

    def _answered(self, path: str, query: Json, raw: bytes) -> tuple[int, Json | str]:
        service = self.server.service
        if service.login_page:
            return 200, "<html>Log in</html>"
        if service.token and self.headers.get("Authorization") != f"Bearer {service.token}":
            return 401, {"error": "Unauthenticated", "code": 16, "message": "Request header error: no token"}
        try:
            return 200, service.answer(self.command, path, query, self._body(raw))
        except RefusedError as error:
            return error.status, {"error": str(error), "code": 5, "message": str(error)}

    def _body(self, raw: bytes) -> Json:
        kind = self.headers.get("Content-Type") or ""
        if kind.startswith("multipart/form-data"):
            header = Message()
            header["Content-Type"] = kind
            boundary = str(header.get_param("boundary")).encode()
            part = raw.split(b"--" + boundary)[1]
            return {"uploadfile": part.partition(b"\r\n\r\n")[2].rstrip(b"\r\n").decode()}
        found = json.loads(raw) if raw else {}
        return found if isinstance(found, dict) else {}

    def _maybe_kill(self) -> None:
        service = self.server.service
        if service.kill_after and len(service.changes) >= service.kill_after[0]:
            os.kill(service.kill_after[1](), signal.SIGKILL)
            service.kill_after = None
            time.sleep(0.05)

    def _send(self, status: int, answer: Json | str) -> None:
        page = isinstance(answer, str)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()


class KubeflowServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Kubeflow) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or a connection that was dropped on purpose."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> KubeflowServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
