"""MLflow's own client against our server, and what nobody's client sends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mlflow_testing import Client, RefusedError, client_process
from pedigree_testing import candidate
from server_testing import Switch
from tfx_pedigree.integrations.mlflow import ENDPOINTS, PREFIX
from tfx_pedigree.registry import Evidence, Facts, Registry, Role, State, TokenText, Verdict
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.authentication import authenticator_for
from tfx_pedigree.service.tokens import make_token
from tfx_pedigree.service.versions.describing import description_of
from tfx_pedigree.service.versions.registering import register_model
from tfx_pedigree.service.workspace import Workspace

MODELS = Path(__file__).parents[2] / "goldens" / "saved_models"
NAME = "flight-delay"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_process(tmp_path_factory.mktemp("mlflow")) as client:
        yield client


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions: one serves, one has an alias, and the bytes of two are here."""
    folder = tmp_path_factory.mktemp("filled") / "registry"
    with Registry.create(folder, actor="ada") as registry:
        workspace = Workspace(registry)
        register_model(workspace, NAME, MODELS / "keras", facts=Facts({"auc": 0.8}, {"team": "ops"}))
        register_model(workspace, NAME, MODELS / "keras_wider", facts=Facts({"auc": 0.9}, {"team": "ops"}))
        registry.add(NAME, candidate("c"), facts=Facts({"auc": 0.7}, {"team": "lab"}))
        registry.promote(f"{NAME}@1")
        registry.set_alias("probe", f"{NAME}@2")
    return folder


@pytest.fixture
def registry(filled: Path, tmp_path: Path) -> Iterator[Registry]:
    shutil.copytree(filled, tmp_path / "registry")
    with Registry.open(tmp_path / "registry", actor="ada") as registry:
        yield registry


@pytest.fixture
def at(registry: Registry, switch: Switch) -> Iterator[str]:
    with switch.registry(registry, "sqlite") as address:
        yield address


@pytest.fixture
def mlflow(process: Client, at: str) -> Client:
    """Acts as ada, who is admin."""
    process.at, process.tracking, process.environ = at, "", {"MLFLOW_TRACKING_TOKEN": "ada"}
    return process


@pytest.fixture
def http(at: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=at, headers={"authorization": "Bearer ada"}) as client:
        yield client


def as_somebody(mlflow: Client, registry: Registry, role: Role) -> None:
    registry.grant("bob", role, NAME)
    mlflow.environ = {"MLFLOW_TRACKING_TOKEN": "bob"}


# MLflow's client


def test_client_sees_versions_with_their_numbers_and_stages(mlflow: Client, registry: Registry) -> None:
    served = mlflow(f"dict(client.get_model_version_by_alias('{NAME}', 'champion'))")
    version = registry.get(f"{NAME}@champion")
    assert (served["version"], served["current_stage"], served["user_id"]) == ("1", "Production", "ada")
    assert served["tags"] == {
        "team": "ops",
        "pedigree.version": "1.0.0",
        "pedigree.digest": version.digest,
        "pedigree.state": "production",
    }
    assert served["creation_timestamp"] == int(version.created_at.timestamp() * 1000)
    assert mlflow(f"dict(client.get_model_version('{NAME}', '2'))")["aliases"] == "['probe']"
    model = mlflow(f"dict(client.get_registered_model('{NAME}'))")
    assert model["aliases"] == {"champion": "1", "probe": "2"}
    newest = mlflow(f"[(v.version, v.current_stage) for v in client.get_latest_versions('{NAME}')]")
    assert newest == [["3", "None"], ["1", "Production"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("name = 'flight-delay'", ["3", "2", "1"]),
        ("name = 'flight-delay' AND tags.team = 'ops'", ["2", "1"]),
        ("name LIKE 'flight%' and tag.`team` != 'ops'", ["3"]),
        ("version_number > 1 AND name ILIKE '%DELAY'", ["3", "2"]),
        ("name IN ('other', 'flight-delay') AND tags.team LIKE '_ab'", ["3"]),
        ("run_id = 'abc'", []),
        ("name = 'nobody-has-it'", []),
        ("name = 'NO NAME'", []),
    ],
)
def test_client_searches_versions(mlflow: Client, asked: str, found: list[str]) -> None:
    assert mlflow(f"[v.version for v in client.search_model_versions({asked!r})]") == found


def test_client_searches_page_by_page(mlflow: Client, registry: Registry) -> None:
    for name in ("aardvark", "zebra"):
        registry.add(name, candidate(name))
    walk = (
        "(lambda walk: walk(walk, None))(lambda walk, token: (lambda page: [one.{what} for one in page] + "
        "(walk(walk, page.token) if page.token else []))(client.{search}(max_results=1, page_token=token)))"
    )
    assert mlflow(walk.format(what="name", search="search_registered_models")) == ["aardvark", NAME, "zebra"]
    versions = mlflow(walk.format(what="name+one.version", search="search_model_versions"))
    assert versions == ["aardvark1", f"{NAME}3", f"{NAME}2", f"{NAME}1", "zebra1"]


def test_client_downloads_what_was_registered(mlflow: Client, registry: Registry, tmp_path: Path) -> None:
    folder = Path(mlflow(f"mlflow.artifacts.download_artifacts('models:/{NAME}@champion', dst_path={str(tmp_path)!r})"))
    registry.store.materialise(registry.get(f"{NAME}@1").digest, tmp_path / "ours")
    theirs, ours = folder / "tf2model", tmp_path / "ours"
    files = [path.relative_to(ours) for path in ours.rglob("*") if path.is_file()]
    assert files and {path: (theirs / path).read_bytes() for path in files} == {
        path: (ours / path).read_bytes() for path in files
    }
    made = json.loads((folder / "MLmodel").read_text())  # JSON is YAML
    assert made["flavors"]["tensorflow"]["signature_def_key"] == "serving_default"
    assert json.loads(made["signature"]["inputs"])[0]["tensor-spec"]["dtype"] == "float32"


def test_alias_champion_is_a_promotion(mlflow: Client, registry: Registry) -> None:
    mlflow(f"client.set_registered_model_alias('{NAME}', 'champion', '2')")
    assert registry.get(f"{NAME}@champion").sequence == 2
    event = registry.history(NAME, limit=1).items[0]
    assert (event.action, event.actor) == ("promote", "ada")


def test_gate_refuses_the_alias_champion(mlflow: Client, registry: Registry) -> None:
    version, champion = registry.get(f"{NAME}@2"), registry.get(f"{NAME}@champion")
    failed = Evidence(version.digest, champion.digest, Verdict.FAIL, "worse at night")
    registry.attach_evidence(f"{NAME}@2", failed)
    with pytest.raises(RefusedError, match=r"the gate's verdict is FAIL \(worse at night\)") as refused:
        mlflow(f"client.set_registered_model_alias('{NAME}', 'champion', '2')")
    assert refused.value.code == "INVALID_STATE"
    with pytest.raises(RefusedError, match="the gate's verdict is FAIL"):
        mlflow(f"client.transition_model_version_stage('{NAME}', '2', 'Production')")
    assert registry.get(f"{NAME}@champion").sequence == 1


def test_roles_and_approvals_hold_for_mlflow_too(mlflow: Client, registry: Registry) -> None:
    promote = f"client.set_registered_model_alias('{NAME}', 'champion', '2')"
    as_somebody(mlflow, registry, Role.REVIEWER)
    with pytest.raises(RefusedError, match="bob may not promote to production on flight-delay") as refused:
        mlflow(promote)
    assert refused.value.code == "PERMISSION_DENIED"
    registry.grant("bob", Role.RELEASER, NAME)
    registry.protect(NAME, 1)
    with pytest.raises(RefusedError, match="pedigree request flight-delay@1.1.0") as refused:
        mlflow(promote)
    assert refused.value.code == "INVALID_STATE"
    registry.request_promotion(f"{NAME}@2")
    registry.acting_as(type(registry.transactions.identity)("bob")).approve(NAME, 1)
    mlflow(promote)
    assert registry.get(f"{NAME}@champion").sequence == 2


def test_damaged_bytes_are_neither_promoted_nor_sent(mlflow: Client, registry: Registry, tmp_path: Path) -> None:
    graph = registry.store.manifest(registry.get(f"{NAME}@2").digest).file("saved_model.pb")
    assert graph is not None
    for path in (tmp_path / "registry").rglob(graph.sha256[2:]):
        path.chmod(0o644)
        path.write_bytes(bytes(graph.size))
    with pytest.raises(RefusedError) as refused:
        mlflow(f"client.set_registered_model_alias('{NAME}', 'champion', '2')")
    assert refused.value.code == "DATA_LOSS"
    with pytest.raises(RefusedError):
        mlflow(f"mlflow.artifacts.download_artifacts('models:/{NAME}/2')")


def test_client_changes_tags_aliases_stages_and_descriptions(mlflow: Client, registry: Registry) -> None:
    mlflow(f"client.set_model_version_tag('{NAME}', '2', 'note', 'for *autumn*')")
    mlflow(f"client.delete_model_version_tag('{NAME}', '2', 'team')")
    described = mlflow(f"client.update_model_version('{NAME}', '2', 'trained on November').description")
    told = mlflow(f"client.update_registered_model('{NAME}', 'Delays of *flights*.').description")
    assert told == mlflow(f"client.get_registered_model('{NAME}').description") == "Delays of *flights*."
    assert description_of(registry, NAME).text == told  # type: ignore[union-attr]
    mlflow(f"client.set_registered_model_alias('{NAME}', 'canary', '2')")
    mlflow(f"client.delete_registered_model_alias('{NAME}', 'probe')")
    version = registry.get(f"{NAME}@canary")
    assert described == "trained on November"
    assert (version.tags, version.aliases) == (
        {"note": "for *autumn*", "description": "trained on November"},
        ("canary",),
    )
    mlflow(f"client.transition_model_version_stage('{NAME}', '2', 'Staging')")
    assert registry.get(f"{NAME}@2").state is State.STAGING
    mlflow(f"client.delete_model_version('{NAME}', '2')")
    assert registry.get(f"{NAME}@2").state is State.ARCHIVED
    mlflow(f"client.transition_model_version_stage('{NAME}', '2', 'None')")
    assert registry.get(f"{NAME}@2").state is State.DEVELOPMENT


def test_client_copies_a_version_to_another_model(mlflow: Client, registry: Registry) -> None:
    registry.add("flight-delay-production", candidate("p"))
    copied = mlflow(f"client.copy_model_version('models:/{NAME}@champion', 'flight-delay-production').version")
    assert copied == "2"
    assert registry.get("flight-delay-production@2").digest == registry.get(f"{NAME}@1").digest


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (f"client.rename_registered_model('{NAME}', 'x')", "NOT_IMPLEMENTED", "A model keeps its name"),
        (f"client.delete_registered_model('{NAME}')", "NOT_IMPLEMENTED", "never deleted"),
        (f"client.set_registered_model_tag('{NAME}', 'a', 'b')", "NOT_IMPLEMENTED", "Tag a version"),
        (f"client.delete_registered_model_tag('{NAME}', 'a')", "NOT_IMPLEMENTED", "no tags"),
        ("client.create_registered_model('new')", "NOT_IMPLEMENTED", "pedigree register new FOLDER"),
        (f"client.create_registered_model('{NAME}')", "RESOURCE_ALREADY_EXISTS", "is there already"),
        (f"client.create_model_version('{NAME}', 'http://169.254.169.254/x')", "INVALID_PARAMETER_VALUE", "fetches"),
        (f"client.delete_registered_model_alias('{NAME}', 'champion')", "INVALID_STATE", "pedigree rollback"),
        (f"client.get_model_version_by_alias('{NAME}', 'nobody')", "RESOURCE_DOES_NOT_EXIST", "alias"),
        (f"client.get_model_version('{NAME}', '99')", "RESOURCE_DOES_NOT_EXIST", "99"),
        (f"client.set_model_version_tag('{NAME}', '1', 'pedigree.digest', 'x')", "INVALID_PARAMETER_VALUE", "own"),
        (f"client.transition_model_version_stage('{NAME}', '1', 'None')", "INVALID_STATE", "pedigree archive"),
        ("client.search_runs(['0'])", "ENDPOINT_NOT_FOUND", "MLFLOW_REGISTRY_URI"),
    ],
)
def test_refusals_say_why_in_mlflows_form(mlflow: Client, call: str, code: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        mlflow(call)
    assert refused.value.code == code
    assert said in str(refused.value)


def test_tokens_work_as_bearer_and_as_password(process: Client, registry: Registry, switch: Switch) -> None:
    secret = make_token(registry, "mlflow").text

    settings = ServerSettings("sqlite")
    server = Server(settings, registry, authenticator_for(settings, registry, ()))
    call = f"client.get_model_version_by_alias('{NAME}', 'champion').version"
    with switch.serving(application(server)) as address:
        process.at = address
        for given in (
            {"MLFLOW_TRACKING_TOKEN": secret},
            {"MLFLOW_TRACKING_USERNAME": "anybody", "MLFLOW_TRACKING_PASSWORD": secret},
        ):
            process.environ = {"MLFLOW_TRACKING_TOKEN": "", "MLFLOW_TRACKING_USERNAME": "", **given}
            assert process(call) == "1"
        process.environ = {"MLFLOW_TRACKING_PASSWORD": "", "MLFLOW_TRACKING_USERNAME": ""}
        process.environ["MLFLOW_TRACKING_TOKEN"] = TokenText.new().text
        with pytest.raises(RefusedError) as refused:
            process(call)
    assert refused.value.code == "UNAUTHENTICATED"


# Every endpoint, and hostile requests


def test_there_are_mlflows_21_endpoints(mlflow: Client) -> None:
    theirs = mlflow(
        "[[e.method, e.path, m.name] for m in __import__('mlflow.protos.model_registry_pb2', fromlist=['x'])"
        ".DESCRIPTOR.services_by_name['ModelRegistryService'].methods for e in m.GetOptions().Extensions["
        "__import__('mlflow.protos.databricks_pb2', fromlist=['x']).rpc].endpoints]"
    )
    ours = [[method, f"/mlflow{one.path}", one.name] for one in ENDPOINTS for method in one.methods]
    assert sorted(theirs) == sorted(ours)
    assert len(ENDPOINTS) == 21


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_every_endpoint_answers_nobody_without_a_credential(at: str, endpoint: Any) -> None:
    for method in endpoint.methods:
        answer = httpx.request(method, f"{at}{PREFIX}{endpoint.path}")
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


HOSTILE: tuple[Any, ...] = ("", " ", "../..", "a\r\nx-evil: 1", "\0", "a@b", "x" * 200_001, "ü\u202e", "1e9", "-1", "0")


# A model's description may be any text that a registry can hold: it is shown as what it is.
FREE = ("updateRegisteredModel", "description")


@pytest.mark.parametrize("text", ["a\0", "x" * 20_001, "x" * 200_001, 7, ["a"]])
def test_a_description_that_no_registry_can_hold_is_refused(
    http: httpx.Client, registry: Registry, text: object
) -> None:
    before = registry.history(NAME, limit=1).items[0].position
    answer = http.patch(f"{PREFIX}/registered-models/update", json={"name": NAME, "description": text})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert registry.history(NAME, limit=1).items[0].position == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_hostile_values_are_refused_in_mlflows_form(http: httpx.Client, endpoint: Any, registry: Registry) -> None:
    before = registry.history(NAME, limit=1).items[0].position
    good = {"name": NAME, "version": "1", "key": "k", "value": "v", "alias": "x", "stage": "Staging", "source": "a"}
    bodies: tuple[Any, ...] = (
        *({one.name: value} for one in endpoint.fields if (endpoint.name, one.name) != FREE for value in HOSTILE),
        [],
        7,
        {"name": {}},
    )
    for method in endpoint.methods:
        for bad in bodies:
            if method != "GET":
                sent = {**good, "version": "99", **bad} if isinstance(bad, dict) else bad
                answer = http.request(method, f"{PREFIX}{endpoint.path}", json=sent)
            elif isinstance(bad, dict) and all(len(str(one)) < 50_000 for one in bad.values()):
                answer = http.get(f"{PREFIX}{endpoint.path}", params={**good, **bad})
            assert answer.status_code in (200, 400, 404, 409, 501), answer.text
            assert answer.status_code == 200 or set(answer.json()) == {"error_code", "message"}
            assert "x-evil" not in answer.headers
    assert registry.history(NAME, limit=1).items[0].position == before


@pytest.mark.parametrize(
    "asked",
    [
        {"filter": "name = 'a' OR name = 'b'"},
        {"filter": "name = 'a' AND"},
        {"filter": "name LIKE 5"},
        {"filter": "1 = 1"},
        {"filter": "name = 'a'; DROP TABLE models"},
        {"filter": "tags.a IN ('b')"},
        {"filter": "name = 'a" + "%" * 20_000 + "'"},
        {"filter": " AND ".join(["name = 'a'"] * 30)},
        {"order_by": "version_number ASC"},
        {"order_by": "nonsense DESC"},
        {"max_results": "0"},
        {"max_results": "many"},
        {"page_token": f"{NAME}:not-a-place"},
    ],
)
def test_what_is_not_understood_is_refused(http: httpx.Client, asked: dict[str, str]) -> None:
    answer = http.get(f"{PREFIX}/model-versions/search", params=asked)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("path", ["", "..", f"{NAME}", f"{NAME}/x", f"{NAME}/1/../../2", f"{NAME}/9", "%00/1", "a@b/1"])
def test_paths_lead_to_files_of_versions_alone(http: httpx.Client, path: str) -> None:
    listed = http.get(ARTIFACTS, params={"path": path})
    assert listed.status_code in (400, 404) or listed.json() == {"files": []}
    got = http.get(f"{ARTIFACTS}/{quote(path, safe='')}")
    assert got.status_code in (400, 404)
    assert set(got.json()) == {"error_code", "message"}


def test_who_may_not_read_gets_neither_lists_nor_bytes(at: str, registry: Registry) -> None:
    registry.revoke("*")
    for path in (f"{ARTIFACTS}?path={NAME}/1", f"{ARTIFACTS}/{NAME}/1/MLmodel", f"{PREFIX}/registered-models/search"):
        answer = httpx.get(f"{at}{path}", headers={"authorization": "Bearer eve"})
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")


def test_page_about_mlflow_lists_the_endpoints_as_they_are() -> None:
    text = (Path(__file__).parents[3] / "docs" / "mlflow.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count(" | ") == 2]
    assert rows == [f"| `{one.name}` | {'refused' if one.refused else 'yes'} | {one.here} |" for one in ENDPOINTS]
