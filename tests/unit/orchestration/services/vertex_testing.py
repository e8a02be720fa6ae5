"""Vertex AI's pipeline and schedule services on loopback: gRPC with TLS, and the messages of Google's own client.

It keeps state, and refuses what the real one refuses: calls without a token, other projects, unknown ids, job ids that
are taken, cron expressions with seconds or unknown timezones, and changes of what cannot be changed in a schedule.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

PARENT = "projects/flights/locations/europe-west4"
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_CHANGEABLE = {"display_name", "cron", "max_concurrent_run_count", "allow_queueing", "start_time", "end_time"}


class RefusedError(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Fault:
    """What the next `times` calls of a method end with; `after` means that they were carried out all the same."""

    method: str
    code: grpc.StatusCode
    times: int = 1
    after: bool = False


@dataclass
class Vertex:
    """The service's state. Each thing that is made is made a second after the one before."""

    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    until_next: timedelta = timedelta(hours=12)
    jobs: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    most_enabled: int = 0
    kill_after: tuple[int, Callable[[], int]] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def enabled(self) -> list[Any]:
        return [one for one in self.schedules.values() if one.state == types.Schedule.State.ACTIVE]

    def runs_of(self, schedule: Any) -> list[Any]:
        return [job for job in self.jobs.values() if job.schedule_name == schedule.name]

    def occur(self) -> None:
        """The time of an occurrence has come, for every schedule: those that are active start a run."""
        with self.lock:
            for one in self.enabled():
                job = types.PipelineJob(one.create_pipeline_job_request.pipeline_job)
                job.schedule_name = one.name
                self._add_job(job, f"scheduled-{len(self.jobs)}")
                one.last_scheduled_run_response.scheduled_run_time = self.now

    def finish(self, state: str = "SUCCEEDED", failed: str | None = None) -> None:
        for job in self.jobs.values():
            job.state = types.PipelineState[f"PIPELINE_STATE_{state}"]
            if failed:
                task = types.PipelineTaskDetail(
                    task_name=failed, state="FAILED", error={"code": 9, "message": "exit code 1"}
                )
                job.job_detail.task_details.append(task)

    # Calls

    def create_pipeline_job(self, request: Any) -> Any:
        _parent(request.parent)
        name = f"{PARENT}/pipelineJobs/{request.pipeline_job_id}"
        if not re.fullmatch("[a-z][-a-z0-9]{0,127}", request.pipeline_job_id):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "the job id is not valid")
        if name in self.jobs:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, f"PipelineJob {name} already exists")
        return self._add_job(request.pipeline_job, request.pipeline_job_id)

    def get_pipeline_job(self, request: Any) -> Any:
        return _known(self.jobs, request.name)

    def create_schedule(self, request: Any) -> Any:
        _parent(request.parent)
        made = types.Schedule(request.schedule)
        self._check(made)
        job = made.create_pipeline_job_request.pipeline_job
        _check_job(job)
        self.now += timedelta(seconds=1)
        made.name = f"{PARENT}/schedules/{1000 + len(self.changes)}"
        made.create_time, made.start_time = self.now, made.start_time or self.now
        made.state = types.Schedule.State.ACTIVE
        self._plan(made)
        self.schedules[made.name] = made
        return made

    def get_schedule(self, request: Any) -> Any:
        return _known(self.schedules, request.name)

    def list_schedules(self, request: Any) -> Any:
        _parent(request.parent)
        begin, size = int(request.page_token or 0), request.page_size or 2
        found = list(self.schedules.values())
        more = str(begin + size) if begin + size < len(found) else ""
        return types.ListSchedulesResponse(schedules=found[begin : begin + size], next_page_token=more)

    def update_schedule(self, request: Any) -> Any:
        found = _known(self.schedules, request.schedule.name)
        paths = list(request.update_mask.paths)
        if not paths or not set(paths) <= _CHANGEABLE:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"the mask {paths} cannot be applied")
        changed = types.Schedule(found)
        for path in paths:
            setattr(changed, path, getattr(request.schedule, path))
        self._check(changed)
        self._plan(changed)
        self.schedules[found.name] = changed
        return changed

    def pause_schedule(self, request: Any) -> Any:
        return self._switch(request.name, types.Schedule.State.ACTIVE, types.Schedule.State.PAUSED)

    def resume_schedule(self, request: Any) -> Any:
        if request.catch_up:
            raise RefusedError(grpc.StatusCode.INTERNAL, "no test asks for catching up")
        return self._switch(request.name, types.Schedule.State.PAUSED, types.Schedule.State.ACTIVE)

    def delete_schedule(self, request: Any) -> Any:
        del self.schedules[_known(self.schedules, request.name).name]
        operation = operations_pb2.Operation(name=f"{PARENT}/operations/1", done=True)
        operation.response.Pack(empty_pb2.Empty())
        return operation

    def _switch(self, name: str, before: Any, after: Any) -> Any:
        found = _known(self.schedules, name)
        if found.state != before:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, f"the schedule is {found.state.name}")
        found.state = after
        self._plan(found)
        return empty_pb2.Empty()

    def _check(self, schedule: Any) -> None:
        found = re.fullmatch(r"(?:(?:CRON_)?TZ=(\S+) )?(.*)", schedule.cron)
        fields = found[2].split() if found else []
        if len(fields) != 5:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"invalid cron expression: {schedule.cron}")
        if found and found[1]:
            try:
                ZoneInfo(found[1])
            except (KeyError, ValueError):
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"unknown timezone {found[1]}") from None
        if not 0 < len(schedule.display_name) <= 128:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "the display name must have 1 to 128 characters")
        if schedule.max_concurrent_run_count < 1:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "max_concurrent_run_count is required")

    def _plan(self, schedule: Any) -> None:
        active = schedule.state == types.Schedule.State.ACTIVE
        schedule.next_run_time = self.now + self.until_next if active else None

    def _add_job(self, job: Any, key: str) -> Any:
        _check_job(job)
        self.now += timedelta(seconds=1)
        made = types.PipelineJob(job)
        made.name, made.create_time = f"{PARENT}/pipelineJobs/{key}", self.now
        made.state = types.PipelineState.PIPELINE_STATE_RUNNING
        self.jobs[made.name] = made
        return made


def _parent(parent: str) -> None:
    if parent != PARENT:
        raise RefusedError(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied on resource {parent}")


def _known(table: dict[str, Any], name: str) -> Any:
    _parent(name.rpartition("/")[0].rpartition("/")[0])
    if name not in table:
        raise RefusedError(grpc.StatusCode.NOT_FOUND, f"{name} is not found")
    return table[name]


def _check_job(job: Any) -> None:
    if not job.runtime_config.gcs_output_directory.startswith("gs://"):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "gcs_output_directory must begin with gs://")
    if "pipelineInfo" not in job.pipeline_spec or job.pipeline_spec["schemaVersion"] not in ("2.0.0", "2.1.0"):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "the pipeline spec is not valid")
    if any(not _LABEL.fullmatch(text) for pair in job.labels.items() for text in pair):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"a label of {dict(job.labels)} is not valid")


_CALLS = {
    "PipelineService": {
        "CreatePipelineJob": (types.CreatePipelineJobRequest, types.PipelineJob),
        "GetPipelineJob": (types.GetPipelineJobRequest, types.PipelineJob),
    },
    "ScheduleService": {
        "CreateSchedule": (types.CreateScheduleRequest, types.Schedule),
        "GetSchedule": (types.GetScheduleRequest, types.Schedule),
        "ListSchedules": (types.ListSchedulesRequest, types.ListSchedulesResponse),
        "UpdateSchedule": (types.UpdateScheduleRequest, types.Schedule),
        "PauseSchedule": (types.PauseScheduleRequest, None),
        "ResumeSchedule": (types.ResumeScheduleRequest, None),
        "DeleteSchedule": (types.DeleteScheduleRequest, None),
    },
}


class VertexServer:
    """Listens on `endpoint`. `service` may be exchanged between tests."""

    def __init__(self, key: bytes, certificate: bytes) -> None:
        self.service = Vertex()
        self._server = grpc.server(ThreadPoolExecutor(4))
        for name, calls in _CALLS.items():
            handlers = {method: self._handler(method, *forms) for method, forms in calls.items()}
            service = f"google.cloud.aiplatform.v1.{name}"
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        self.endpoint = f"localhost:{self._server.add_secure_port('localhost:0', credentials)}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0)

    def _handler(self, method: str, request: Any, response: Any) -> Any:
        work = functools.partial(self._call, method)
        serialize = response.serialize if response else lambda message: message.SerializeToString()
        return grpc.unary_unary_rpc_method_handler(work, request.deserialize, serialize)

    def _call(self, method: str, request: Any, context: Any) -> Any:
        service = self.service
        if not dict(context.invocation_metadata()).get("authorization", "").startswith("Bearer "):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request is missing required authentication credential")
        with service.lock:
            fault = next((one for one in service.faults if one.method == method and one.times), None)
            if fault is not None:
                fault.times -= 1
                if not fault.after:
                    context.abort(fault.code, "the service is not available")
            answer = self._answer(method, request, context)
        if fault is not None:
            context.abort(fault.code, "the service is not available")
        return answer

    def _answer(self, method: str, request: Any, context: Any) -> Any:
        service = self.service
        if not method.startswith(("Get", "List")):
            service.changes.append(method)
        try:
            answer = getattr(service, re.sub("(?<!^)(?=[A-Z])", "_", method).lower())(request)
        except RefusedError as error:
            context.abort(error.code, str(error))
        service.most_enabled = max(service.most_enabled, len(service.enabled()))
        if service.kill_after and len(service.changes) >= service.kill_after[0]:
            os.kill(service.kill_after[1](), signal.SIGKILL)
            service.kill_after = None
            time.sleep(0.05)
        return answer


def write_identity(folder: Path) -> tuple[bytes, bytes]:
    """A key and a certificate for localhost, and beside them a service account's file. All are made here and trusted
    nowhere else."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = datetime.now(timezone.utc) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "roots.pem").write_bytes(public)
    account = {
        "type": "service_account",
        "project_id": "flights",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "trainer@flights.example",
        "token_uri": "https://localhost/token",
    }
    (folder / "account.json").write_text(json.dumps(account))
    return private, public
