"""`pipeline submit` with the unmodified clients: a run is started once, followed to its end, and troubles are told."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import kubeflow_testing
import pytest
import vertex_testing
from asking_testing import Asking
from compiled_testing import kubeflow_pipeline, spec, vertex_pipeline, write_compiled, write_config
from kubeflow_testing import Kubeflow
from vertex_testing import VertexServer

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import parse_ir
from tfx_pedigree.orchestration.services.settings import run_parameters, schedule_parameters

TOKEN = "letmein"  # noqa: S105  of no service


def test_kubeflow_gets_a_version_named_after_the_digest_and_a_run_of_it(
    ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    said = ask_kubeflow.submit("monday", "--json").json

    digest = kubeflow_pipeline().digest
    (version,) = kubeflow.versions.values()
    (run,) = kubeflow.runs.values()
    assert said["digest"] == digest
    assert said["run"] == run["display_name"] == "monday"
    assert version["display_name"] == digest.replace(":", "-")
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert version["pipeline_spec"] == kubeflow_pipeline().spec


def test_run_on_kubeflow_is_started_once_under_its_name(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.submit("monday")

    again = ask_kubeflow.submit("monday", "--json").json

    assert again["changed"] is False
    assert len(kubeflow.runs) == len(kubeflow.versions) == len(kubeflow.pipelines) == 1


def test_run_on_vertex_is_started_once_under_its_name(ask_vertex: Asking, vertex_server: VertexServer) -> None:
    first = ask_vertex.submit("monday", "--param", "steps=3", "--json").json
    again = ask_vertex.submit("monday", "--json").json

    (job,) = vertex_server.service.jobs.values()
    assert (first["changed"], again["changed"]) == (True, False)
    assert first["run"] == again["run"] == "monday"
    assert job.runtime_config.parameters["steps"].int_value == 3
    assert job.runtime_config.gcs_output_directory == "gs://bucket/root"
    assert vertex_pipeline().digest.replace(":", "-").startswith(job.labels["pedigree-pipeline"])


def test_run_without_a_name_is_a_new_one(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    named = ask_kubeflow("submit", "--compiled", ask_kubeflow.compiled(), "--json").json["run"]

    digits = kubeflow_pipeline().digest.removeprefix("sha256:")[:8]
    assert named.startswith(f"flight-delay-{digits}-")


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
def test_dry_run_changes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    ask: Asking = request.getfixturevalue(f"ask_{kind}")

    said = ask.submit("monday", "--dry-run", "--json").json

    assert said["changed"] is True
    assert said["upload"] is (kind == "kubeflow")
    service = request.getfixturevalue(f"{kind}_server").service
    assert service.changes == []
    ask.submit("monday")
    assert ask.submit("monday", "--dry-run", "--json").json["changed"] is False


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1)])
def test_waiting_tells_how_the_run_ended(kind: str, state: str, code: int, request: pytest.FixtureRequest) -> None:
    ask: Asking = request.getfixturevalue(f"ask_{kind}")
    service: Any = request.getfixturevalue(f"{kind}_server").service

    def end() -> None:
        deadline = time.monotonic() + 10
        while not (service.runs if kind == "kubeflow" else service.jobs) and time.monotonic() < deadline:
            time.sleep(0.01)
        service.finish(state, failed="trainer" if code else None)

    thread = threading.Thread(target=end)
    thread.start()
    said = ask.submit("monday", "--wait", "--every", "0.05", code=code)
    thread.join()

    assert ("trainer: exit code 1" in said.out) is bool(code)
    assert f"The run monday {'ended as failed' if code else 'succeeded'}." in said.out


def test_waiting_ends_when_its_time_is_up_and_the_run_goes_on(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    said = ask_kubeflow.submit("monday", "--wait", "--every", "0.05", "--timeout", "0.00002", "--json", code=8)

    assert "still running" in said.error["message"]
    assert "--run-name monday --wait" in said.error["message"]
    assert [run["state"] for run in kubeflow.runs.values()] == ["RUNNING"]


def test_waiting_outlives_a_service_that_fails_now_and_then(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.submit("monday")
    kubeflow.finish()
    kubeflow.faults += [kubeflow_testing.Fault("GET /runs", 503, 2), kubeflow_testing.Fault("GET /runs", "drop before")]

    ask_kubeflow.submit("monday", "--wait", "--every", "0.05")


@pytest.mark.parametrize("what", [503, "drop before", "drop after"])
@pytest.mark.parametrize(
    "fits", ["POST /pipelines$", "POST /pipelines/upload_version", "POST /experiments", "POST /runs"]
)
def test_answer_that_is_lost_starts_no_second_run(
    fits: str, what: int | str, ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    kubeflow.faults.append(kubeflow_testing.Fault(fits, what))

    ask_kubeflow.submit("monday")

    assert [len(kubeflow.pipelines), len(kubeflow.versions), len(kubeflow.runs)] == [1, 1, 1]


@pytest.mark.parametrize("after", [False, True])
def test_answer_of_vertex_that_is_lost_starts_no_second_run(
    after: bool, ask_vertex: Asking, vertex_server: VertexServer
) -> None:
    fault = vertex_testing.Fault("CreatePipelineJob", grpc.StatusCode.UNAVAILABLE, after=after)
    vertex_server.service.faults.append(fault)

    ask_vertex.submit("monday")

    assert len(vertex_server.service.jobs) == 1


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
def test_service_that_is_not_there_is_told_soon_and_by_name(kind: str, request: pytest.FixtureRequest) -> None:
    ask: Asking = request.getfixturevalue(f"ask_{kind}")
    nowhere = {"host": "http://127.0.0.1:9", "endpoint": "localhost:9"}
    service = {key: nowhere.get(key, value) for key, value in ask.service.items()}
    config = write_config(ask.folder, kind, **service)

    begun = time.monotonic()
    said = ask.pedigree("--config", config, "pipeline", "submit", "--compiled", ask.compiled(), "--json", code=8)

    assert time.monotonic() - begun < 5
    assert ("127.0.0.1:9" if kind == "kubeflow" else "flights, europe-west4") in said.error["message"]
    assert "run the command again" in said.error["message"]


def test_token_from_the_environment_reaches_kubeflow(
    ask_kubeflow: Asking, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = TOKEN

    refused = ask_kubeflow.submit("monday", "--json", code=6).error
    assert "PEDIGREE_KUBEFLOW_TOKEN" in refused["message"]

    monkeypatch.setenv("PEDIGREE_KUBEFLOW_TOKEN", TOKEN)
    assert TOKEN not in ask_kubeflow.submit("monday").out
    assert len(kubeflow.runs) == 1


def test_token_from_a_mounted_file_reaches_kubeflow(
    ask_kubeflow: Asking, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = TOKEN
    file = ask_kubeflow.folder / "token"
    file.write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))

    ask_kubeflow.submit("monday")

    assert len(kubeflow.runs) == 1


def test_login_page_is_not_taken_for_an_empty_kubeflow(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    kubeflow.login_page = True

    assert "log in" in ask_kubeflow.submit("monday", "--json", code=6).error["message"]


def test_kubeflow_with_users_kept_apart_needs_a_namespace(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    kubeflow.multi_user = True
    assert "target.namespace" in ask_kubeflow.submit("monday", "--json", code=2).error["message"]

    config = write_config(ask_kubeflow.folder, "kubeflow", namespace="ada", **ask_kubeflow.service)
    compiled = ask_kubeflow.compiled()
    ask_kubeflow.pedigree("--config", config, "pipeline", "submit", "--compiled", compiled, "--run-name", "monday")
    assert [one["namespace"] for one in kubeflow.experiments.values()] == ["ada"]


def test_missing_credentials_for_vertex_are_told(
    ask_vertex: Asking, vertex_server: VertexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(ask_vertex.folder / "nothing.json"))

    said = ask_vertex.submit("monday", "--json", code=2).error

    assert "GOOGLE_APPLICATION_CREDENTIALS" in said["message"]
    assert vertex_server.service.changes == []


def test_project_that_may_not_be_used_is_told_as_forbidden(ask_vertex: Asking) -> None:
    config = write_config(ask_vertex.folder, "vertex", **{**ask_vertex.service, "project": "others"})
    compiled = ask_vertex.compiled()

    said = ask_vertex.pedigree("--config", config, "pipeline", "submit", "--compiled", compiled, "--json", code=6)

    assert "docs/vertex.md" in said.error["message"]


def test_pipeline_that_was_compiled_for_the_other_service_is_refused(ask_kubeflow: Asking) -> None:
    file = write_compiled(ask_kubeflow.folder, vertex_pipeline())

    assert "compiled for vertex" in ask_kubeflow("submit", "--compiled", file, "--json", code=2).error["message"]


@pytest.mark.parametrize(
    ("word", "told"),
    [("step=3", "no parameter `step`"), ("steps=many", "NUMBER_INTEGER"), ("steps", "Write it as name=value")],
)
def test_parameter_that_does_not_fit_is_refused_before_anything_is_asked(
    word: str, told: str, ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    said = ask_kubeflow.submit("monday", "--param", word, "--json", code=2).error

    assert told in said["message"]
    assert kubeflow.log == []


def test_kubeflow_that_only_the_environment_names_is_told_by_its_address(
    ask_kubeflow: Asking, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ask_kubeflow.service["host"]
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", host)
    config = write_config(ask_kubeflow.folder, "kubeflow")

    said = ask_kubeflow.pedigree("--config", config, "pipeline", "submit", "--compiled", ask_kubeflow.compiled())

    assert f"is started at {host}" in said.out
    assert len(kubeflow.runs) == 1


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
def test_run_without_a_name_that_may_be_going_is_told_by_its_name(kind: str, request: pytest.FixtureRequest) -> None:
    """The same command again would start another one."""
    ask: Asking = request.getfixturevalue(f"ask_{kind}")
    service: Any = request.getfixturevalue(f"{kind}_server").service
    if kind == "kubeflow":
        service.faults.append(kubeflow_testing.Fault("GET /runs", 503, 1000))
    else:
        service.faults.append(vertex_testing.Fault("CreatePipelineJob", grpc.StatusCode.UNAVAILABLE, 1000))

    message = ask("submit", "--compiled", ask.compiled(), "--json", code=8).error["message"]
    assert "--run-name flight-delay-" in message
    name = message.rstrip(".").rpartition("--run-name ")[2]
    service.faults.clear()

    assert ask.submit(name, "--json").json["run"] == name
    assert ask.submit(name, "--json").json["changed"] is False


def test_name_that_vertex_takes_for_no_run_is_refused_by_a_dry_run_as_well(ask_vertex: Asking) -> None:
    for word in ("--dry-run", "--wait"):
        assert "--run-name" in ask_vertex.submit("Monday_1", word, "--json", code=2).error["message"]


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
def test_pipeline_with_the_longest_name_can_be_run(kind: str, request: pytest.FixtureRequest) -> None:
    ask: Asking = request.getfixturevalue(f"ask_{kind}")
    document: dict[str, Any] = spec(name="p" * 128)
    if kind == "vertex":
        document = {"pipelineSpec": document, "runtimeConfig": {"gcsOutputDirectory": "gs://bucket/root"}}
    file = write_compiled(ask.folder, parse_ir(json.dumps(document)), "long")

    assert len(ask("submit", "--compiled", file, "--json").json["run"]) <= 128


def test_secret_among_the_parameters_is_refused_and_not_repeated(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    document = spec()
    document["root"]["inputDefinitions"]["parameters"]["db_password"] = {"parameterType": "STRING", "isOptional": True}
    file = write_compiled(ask_kubeflow.folder, parse_ir(json.dumps(document)), "secret")

    said = ask_kubeflow("submit", "--compiled", file, "--param", "db_password=hunter2", "--json", code=2)

    assert "`db_password` holds what is called a password" in said.error["message"]
    assert "hunter2" not in said.err
    assert kubeflow.log == []


def test_parameters_of_a_schedule_that_are_no_table_are_a_mistake_of_the_config() -> None:
    with pytest.raises(InvalidInputError, match="must be names with values"):
        schedule_parameters(Path("config.yaml"), {"parameters": 7})


def test_list_and_table_come_from_the_command_line_as_json() -> None:
    document = spec()
    document["root"]["inputDefinitions"]["parameters"] |= {
        "days": {"parameterType": "LIST"},
        "units": {"parameterType": "STRUCT"},
    }
    pipeline = parse_ir(json.dumps(document))

    found = run_parameters(pipeline, {"days": "[1, 2]", "units": {"dense": 4}})

    assert found == {"days": [1, 2], "units": {"dense": 4}}
    for wrong in ("1, 2", '"text"', '{"a": 1}'):
        with pytest.raises(InvalidInputError, match="must be a LIST"):
            run_parameters(pipeline, {"days": wrong, "units": "{}"})


@pytest.mark.parametrize("fits", ["GET /experiments", "GET /runs", "POST /runs", "POST /pipelines/upload_version"])
def test_login_page_in_the_middle_is_told_as_one(fits: str, ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    """The health of a Kubeflow is often open to everybody, and a token may expire."""
    kubeflow.faults.append(kubeflow_testing.Fault(fits, "page"))

    assert "log in" in ask_kubeflow.submit("monday", "--json", code=6).error["message"]
    assert kubeflow.runs == {}


def test_token_with_a_line_break_is_cut_or_refused_and_never_shown(
    ask_kubeflow: Asking, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = TOKEN
    monkeypatch.setenv("PEDIGREE_KUBEFLOW_TOKEN", f"{TOKEN}\n")
    ask_kubeflow.submit("monday")

    monkeypatch.setenv("PEDIGREE_KUBEFLOW_TOKEN", f"{TOKEN}\n{TOKEN}")
    said = ask_kubeflow.submit("monday", "--json", code=2)
    assert "PEDIGREE_KUBEFLOW_TOKEN" in said.error["message"]
    assert TOKEN not in said.err


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ({"host": "not an address"}, "`target.host`"),
        ({"host": "ftp://kubeflow.example"}, "`target.host`"),
        ({"host": "https://kubeflow.example", "ca": "/nowhere/roots.pem"}, "`target.ca` names /nowhere/roots.pem"),
    ],
)
def test_address_that_cannot_be_one_is_told_as_a_mistake(
    service: dict[str, str], told: str, ask_kubeflow: Asking
) -> None:
    config = write_config(ask_kubeflow.folder, "kubeflow", **service)
    words = ("pipeline", "submit", "--compiled", ask_kubeflow.compiled(), "--json")

    assert told in ask_kubeflow.pedigree("--config", config, *words, code=2).error["message"]


def test_address_of_something_else_than_kubeflows_pipelines_is_told_as_that(ask_kubeflow: Asking) -> None:
    config = write_config(ask_kubeflow.folder, "kubeflow", host=f"{ask_kubeflow.service['host']}/elsewhere")
    words = ("pipeline", "submit", "--compiled", ask_kubeflow.compiled(), "--json")

    assert "`target.host`" in ask_kubeflow.pedigree("--config", config, *words, code=3).error["message"]


def test_password_in_kubeflows_address_is_not_shown_with_the_runs(ask_kubeflow: Asking) -> None:
    host = ask_kubeflow.service["host"].replace("://", "://mia:hunter2@")
    config = write_config(ask_kubeflow.folder, "kubeflow", host=host)

    said = ask_kubeflow.pedigree("--config", config, "pipeline", "submit", "--compiled", ask_kubeflow.compiled())

    assert "/#/runs/details/" in said.err
    assert "hunter2" not in said.out + said.err


def test_secret_in_a_compiled_pipeline_is_told_of_and_not_repeated(ask_kubeflow: Asking) -> None:
    document = spec()
    container = document["deploymentSpec"]["executors"]["exec-trainer"]["container"]
    container["env"] = [{"name": "DB_PASSWORD", "value": "hunter2"}]
    file = write_compiled(ask_kubeflow.folder, parse_ir(json.dumps(document)), "secret")

    said = ask_kubeflow("submit", "--compiled", file)

    assert "trainer: the environment's DB_PASSWORD holds what is called a password" in said.err
    assert "hunter2" not in said.out + said.err
