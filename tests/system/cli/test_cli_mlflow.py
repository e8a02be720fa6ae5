"""`import-mlflow` and `export-mlflow` against MLflow's own server, and against one that ends or lies at any point."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS

from mlflow_testing import Client, client_process, server_process
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.integrations.mlflow.database import REVISIONS, MlflowDatabase
from tfx_pedigree.integrations.mlflow.exporting import export_registry
from tfx_pedigree.integrations.mlflow.importing import ImportPlan, import_registry
from tfx_pedigree.integrations.mlflow.rest import MlflowServer, _PassingError
from tfx_pedigree.registry import Facts, Registry, State
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.versioning import Request


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server has its database and its artifacts."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(kept: Path) -> Iterator[str]:
    with server_process(kept) as at:
        yield at


@pytest.fixture(scope="module")
def mlflow(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """MLflow's client on that server, which has a model with a run, stages, aliases and bytes."""
    folder = tmp_path_factory.mktemp("client")
    with client_process(folder) as client:
        client.at = client.tracking = server
        client("client.create_registered_model('Taxi Fare')")
        run = client("client.create_run('0').info.run_id")
        client(f"client.log_metric({run!r}, 'auc', 0.75)")
        client(f"client.log_param({run!r}, 'epochs', 3)")
        for name in ("keras", "keras_wider", "keras_deeper"):
            client(f"client.log_artifacts({run!r}, {str(MODELS / name)!r}, {name!r})")
            source = f"client.get_run({run!r}).info.artifact_uri + '/{name}'"
            made = f"client.create_model_version('Taxi Fare', {source}, run_id={run!r}, tags={{'team': '{name}'}})"
            client(f"{made}.version")
        client("client.transition_model_version_stage('Taxi Fare', '1', 'Archived')")
        client("client.set_registered_model_alias('Taxi Fare', 'champion', '2')")
        client("client.set_registered_model_alias('Taxi Fare', 'Best_Yet', '3')")
        client("client.update_model_version('Taxi Fare', '3', 'for autumn')")
        client.run = run  # type: ignore[attr-defined]
        yield client


@pytest.fixture
def pedigree(tmp_path: Path) -> Pedigree:
    """With a registry of its own, in which nothing is yet."""
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    return pedigree


@pytest.fixture
def registry(pedigree: Pedigree) -> Iterator[Registry]:
    with Registry.open(pedigree.registry, actor=pedigree.actor) as registry:
        yield registry


def test_run_of_mlflows_own_server_gives_all_and_is_told_its_version(
    pedigree: Pedigree, mlflow: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.at)
    run = mlflow("client.create_run('0').info.run_id")
    for code in (
        "log_param({!r}, 'rate', 0.01)", "log_param({!r}, 'shuffle', True)", "log_param({!r}, 'optimizer', 'adam')",
        "log_metric({!r}, 'auc', 0.7, step=1)", "log_metric({!r}, 'auc', 0.8, step=2)",
        "log_metric({!r}, 'far', float('inf'))", "log_metric({!r}, 'bad', float('nan'))",
    ):  # fmt: skip
        mlflow(f"client.{code.format(run)}")
    dataset = "mlflow.entities.Dataset('flights', 'abc123', 'http', '{}')"
    mlflow(f"client.log_inputs({run!r}, [mlflow.entities.DatasetInput({dataset})])")
    said = pedigree("register", "m", MODELS / "keras", "--from-run", f"mlflow:{run}", "--json")
    version = said.json["version"]
    assert version["parameters"] == {"rate": 0.01, "shuffle": True, "optimizer": "adam"}
    assert version["metrics"] == {"auc": 0.8, "far": "Infinity"}
    assert "1 metric without a number: bad" in said.err
    assert version["tags"]["dataset.flights"] == "abc123"
    assert version["tags"]["run_address"].startswith(f"{mlflow.at}/#/experiments/0/runs/")
    told = mlflow(f"client.get_run({run!r}).data.tags")
    assert (told["pedigree.version"], told["pedigree.digest"]) == ("m@1.0.0", version["digest"])
    assert "answers 404" in pedigree("register", "m", MODELS / "keras", "--from-run", "mlflow:ffff", code=3).err


def state(registry: Registry, model: str = "taxi-fare") -> dict[str, Any]:
    """All that an import makes, without times."""
    versions = registry.versions(model).items
    return {
        "versions": [(one.version, one.digest, one.state, one.tags, one.metrics, one.parameters) for one in versions],
        "aliases": registry.aliases(model),
        "champion": registry.model(model).champion,
    }


def test_import_brings_versions_with_bytes_facts_aliases_and_stages(
    pedigree: Pedigree, mlflow: Client, server: str, registry: Registry
) -> None:
    assert (
        "3 versions at MLflow, 3 of them new. Nothing was written."
        in pedigree("import-mlflow", server, "--dry-run").out
    )
    said = pedigree("import-mlflow", server).out
    assert "Taxi Fare (here taxi-fare): 3 versions at MLflow, 3 of them new; set: best-yet and champion 1.1.0." in said
    one, two, three = (registry.get(f"taxi-fare@{number}") for number in (1, 2, 3))
    assert (one.state, two.state, three.state) == (State.ARCHIVED, State.PRODUCTION, State.DEVELOPMENT)
    assert (three.tags["team"], three.tags["description"]) == ("keras_deeper", "for autumn")
    assert three.tags["run"] == f"mlflow:{mlflow.run}"  # type: ignore[attr-defined]
    assert (two.metrics, two.parameters["epochs"]) == ({"auc": 0.75}, "3")
    registered = pedigree("register", "keras", MODELS / "keras_wider", "--json").json["version"]
    assert two.digest == registered["digest"]
    before = [event.position for event in registry.history("taxi-fare", limit=1).items]
    again = pedigree("import-mlflow", server, "--model", "Taxi Fare").out
    assert "0 of them new." in again
    assert [event.position for event in registry.history("taxi-fare", limit=1).items] == before


def test_what_was_decided_here_since_stays(pedigree: Pedigree, mlflow: Client, server: str, registry: Registry) -> None:
    pedigree("import-mlflow", server)
    pedigree("promote", "taxi-fare@3")
    pedigree("alias", "set", "best-yet", "taxi-fare@2")
    said = pedigree("import-mlflow", server).out
    assert "The champion stays" in said
    assert "The alias best-yet stays" in said
    assert registry.get("taxi-fare@champion").sequence == 3


def test_facts_alone_make_versions_that_cannot_serve(
    pedigree: Pedigree, mlflow: Client, server: str, registry: Registry
) -> None:
    said = pedigree("import-mlflow", server, "--without-bytes").out
    assert "3 of them new (3 without bytes)" in said
    assert "did not become champion" in said
    assert registry.model("taxi-fare").champion is None


def test_the_database_gives_what_the_server_gives(mlflow: Client, server: str, kept: Path, tmp_path: Path) -> None:
    mlflow("client.create_registered_model('both ways')")
    mlflow("mlflow.genai.register_prompt('a-prompt', 'Say {{word}}')")
    run = mlflow("client.create_run('0').info.run_id")
    for name, value in {"far": "float('inf')", "none": "float('nan')", "deep": "-1e308", "third": "1/3"}.items():
        mlflow(f"client.log_metric({run!r}, {name!r}, {value})")
    mlflow(f"client.log_param({run!r}, 'long', 'x' * 55)")
    for name in ("keras", "keras", "keras_wider", "keras_deeper"):
        mlflow(f"client.log_artifacts({run!r}, {str(MODELS / name)!r}, {name!r})")
        source = f"client.get_run({run!r}).info.artifact_uri + '/{name}'"
        mlflow(f"client.create_model_version('both ways', {source}, run_id={run!r}, tags={{'ä': 'ö' * 20}}).version")
    mlflow("client.delete_model_version('both ways', '1')")
    mlflow("client.transition_model_version_stage('both ways', '2', 'Production')")
    mlflow("client.set_registered_model_alias('both ways', 'next', '4')")
    found = []
    for address, options in ((server, ()), (f"sqlite:///{kept}/mlflow.db", ("--artifacts", kept / "artifacts"))):
        pedigree = Pedigree(tmp_path / str(len(found)))
        pedigree("init")
        said = pedigree("import-mlflow", address, *options, "--json").json
        base = said.pop("server")
        assert base in (server, f"sqlite:///{kept}/mlflow.db")
        with Registry.open(pedigree.registry, actor="ada") as registry:
            here = {one["model"]: state(registry, one["model"]) for one in said["models"]}
        found.append((said, json.loads(json.dumps(here, default=str).replace(base, "BASE"))))
        assert "0 of them new" in pedigree("import-mlflow", address, *options).out
    assert found[0] == found[1]
    assert "a-prompt" not in found[0][1]
    assert len(found[0][1]["both-ways"]["versions"]) == 3


def test_a_database_of_mlflow_on_postgresql(
    pedigree: Pedigree, registry: Registry, new_postgres: Callable[[], str], tmp_path: Path
) -> None:
    """Made by MLflow itself, whose client writes there; bytes in a folder whose rows name it as `file://`."""
    address, root = new_postgres(), tmp_path / "artifacts"
    with client_process(tmp_path, sys.executable) as client:
        client.at = client.tracking = address.replace("postgresql://", "postgresql+psycopg://")
        experiment = client(f"client.create_experiment('e', 'file://{root}')")
        run = client(f"client.create_run({experiment!r}).info.run_id")
        client(f"client.log_metric({run!r}, 'auc', 0.75)")
        client(f"client.log_param({run!r}, 'epochs', 3)")
        client(f"client.log_artifacts({run!r}, {str(MODELS / 'keras')!r}, 'model')")
        client("client.create_registered_model('m')")
        client(f"client.create_model_version('m', 'file://{root}/{run}/artifacts/model', {run!r}).version")
        client("client.set_registered_model_alias('m', 'champion', '1')")
        client("client.set_model_version_tag('m', '1', 'team', 'ops')")
    assert "--artifacts PLACE" in pedigree("import-mlflow", address, code=2).err
    assert "--artifacts PLACE" in pedigree("import-mlflow", address, "--artifacts", tmp_path / "other", code=2).err
    assert "1 of them new; set: champion 1.0.0." in pedigree("import-mlflow", address, "--artifacts", root).out
    version = registry.get("m@champion")
    assert (version.metrics, version.parameters, version.tags["team"]) == ({"auc": 0.75}, {"epochs": "3"}, "ops")
    assert "0 of them new." in pedigree("import-mlflow", address).out


@pytest.fixture
def copy(mlflow: Client, kept: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """MLflow's database, to be changed by hand."""
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db", isolation_level=None)) as made:
        with contextlib.closing(sqlite3.connect(kept / "mlflow.db")) as own:
            own.backup(made)
        made.execute("DELETE FROM registered_models WHERE name <> 'Taxi Fare'")
        yield made


def test_the_newest_schema_of_mlflow_is_known(copy: sqlite3.Connection) -> None:
    [[revision]] = copy.execute("SELECT version_num FROM alembic_version")
    assert revision == REVISIONS[-1]


@pytest.mark.parametrize(
    "case",
    [
        (
            "UPDATE alembic_version SET version_num = 'ffff'",
            "`mlflow server --port 5000 --backend-store-uri sqlite:",
            2,
        ),
        ("DROP TABLE alembic_version", "is no database of MLflow", 2),
        ("DROP TABLE model_versions", "no such table: model_versions", 8),
        ("UPDATE model_versions SET version = 'one' WHERE version = 1", "names a version 'one'", 8),
        ("UPDATE model_versions SET storage_location = 'file:///etc', source = x'00'", "are at file:///etc", 2),
        ("UPDATE model_versions SET storage_location = 'mlflow-artifacts:/../etc'", "--artifacts PLACE", 2),
        ("UPDATE model_versions SET storage_location = 's3://bucket/other'", "--artifacts PLACE", 2),
        ("UPDATE model_versions SET storage_location = NULL, source = NULL", "does not say where the bytes", 8),
        ("UPDATE model_version_tags SET value = x'ff00ff', key = CAST(x'c3' || key AS TEXT)", "", 0),
        ("UPDATE params SET value = x'ff'", "", 0),
        ("UPDATE latest_metrics SET value = 'much'", "", 0),
        ("UPDATE registered_model_aliases SET version = 'none', alias = x'00' || alias", "", 0),
        ("UPDATE model_version_tags SET value = printf('%.*c', 10000000, 'x')", "", 0),
    ],
)
def test_rows_that_mlflow_would_not_write_do_no_harm(
    pedigree: Pedigree, copy: sqlite3.Connection, kept: Path, tmp_path: Path, case: tuple[str, str, int]
) -> None:
    change, said, code = case
    copy.execute("PRAGMA foreign_keys = OFF")
    copy.execute(change)
    before = (tmp_path / "copy.db").read_bytes()
    address, options = f"sqlite:///{tmp_path}/copy.db", ("--artifacts", kept / "artifacts")
    told = pedigree("import-mlflow", address, *options, code=code)
    assert (said or "3 of them new") in " ".join(f"{told.out} {told.err}".split())
    assert (tmp_path / "copy.db").read_bytes() == before


def test_what_is_no_database_of_mlflow_is_refused(pedigree: Pedigree, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 1000)
    cases = {
        f"sqlite:///{tmp_path}/none.db": ("There is no file", 3),
        f"sqlite:///{tmp_path}": ("There is no file", 3),
        "sqlite://": ("names no file", 2),
        f"sqlite:///{tmp_path}/text.db": ("file is not a database", 8),
        "postgresql://ada:secret@127.0.0.1:9/mlflow": ("cannot be read", 8),
        "postgresql://ada:secret@127.0.0.1:nine/mlflow": ("is no address of a database", 2),
        f"sqlite:///{pedigree.registry}/registry.db": ("has the schema", 2),
    }
    for address, (said, code) in cases.items():
        refused = pedigree("import-mlflow", address, code=code).err
        assert said in " ".join(refused.split())
        assert "secret" not in refused


class _Ended(BaseException):
    """The process is killed here: nothing catches this."""


def test_an_import_that_ends_anywhere_goes_on_from_there(
    mlflow: Client, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each transaction, with the bytes stored: the next import makes what one import in a whole makes."""
    plan = ImportPlan(("Taxi Fare",), str(kept / "artifacts"))

    def fresh(name: str) -> Workspace:
        return Workspace(Registry.create(tmp_path / name, actor="ada"))

    def steps(target: type, names: tuple[str, ...], left: list[int]) -> None:
        for name in names:
            original = getattr(target, name)

            def step(self: Any, *arguments: Any, _original: Callable[..., Any] = original, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise _Ended
                return _original(self, *arguments, **named)

            monkeypatch.setattr(target, name, step)

    at = MlflowDatabase(f"sqlite:///{kept}/mlflow.db")
    with fresh("whole").registry as registry:
        import_registry(Workspace(registry), at, plan)
        wanted = state(registry)  # type: ignore[arg-type]
    left = [0]
    steps(Registry, ("add", "annotate", "archive", "set_alias", "promote"), left)
    ended = 0
    for point in range(1, 1000):
        left[0] = point
        workspace = fresh(f"point{point}")
        try:
            import_registry(workspace, at, plan)
        except _Ended:
            ended += 1
            left[0] = 0
            import_registry(workspace, at, plan)
            assert state(workspace.registry) == wanted, point  # type: ignore[arg-type]
        else:
            break
        finally:
            workspace.close()
    assert ended == point - 1 >= 7


def test_export_is_what_mlflows_client_loads(
    pedigree: Pedigree, mlflow: Client, server: str, registry: Registry, tmp_path: Path
) -> None:
    pedigree("register", "exported", MODELS / "keras", "--metric", "auc=0.5", "--tag", "team=ops")
    pedigree("register", "exported", MODELS / "keras_wider")
    pedigree("promote", "exported@1")
    assert "2 of them new" in pedigree("export-mlflow", server, "--model", "exported", "--dry-run").out
    assert "2 of them new at MLflow; aliases champion." in pedigree("export-mlflow", server, "--model", "exported").out
    assert "0 of them new" in pedigree("export-mlflow", server, "--model", "exported").out
    served = "client.get_model_version_by_alias('exported', 'champion')"
    tags, metrics = mlflow(f"{served}.tags"), mlflow(f"client.get_run({served}.run_id).data.metrics")
    version = registry.get("exported@champion")
    assert (tags["pedigree.digest"], tags["team"], metrics) == (version.digest, "ops", {"auc": 0.5})
    folder = Path(
        mlflow(f"mlflow.artifacts.download_artifacts('models:/exported@champion', dst_path={str(tmp_path)!r})")
    )
    assert (folder / "tf2model/saved_model.pb").read_bytes() == (MODELS / "keras/saved_model.pb").read_bytes()
    assert "tf1-estimator" in (folder / "MLmodel").read_text()


@pytest.fixture
def exported(mlflow: Client, server: str, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Two versions of a new model are exported, once more if that ends: what MLflow has of them then."""
    folder, at = tmp_path / "model", dataclasses.replace(MlflowServer.of(server), patience=RetryPolicy(0.01))
    folder.mkdir()
    minor = Request.of("minor", None, None)

    def export(model: str) -> Any:
        for text in ("one", "two"):
            (folder / "weights").write_text(text)
            candidate = candidate_of(workspace.store_to_fill, folder, parameters={"epochs": text})
            workspace.registry.add(model, candidate, minor, Facts({"auc": 0.5}, {"team": "ops"}))
        workspace.registry.promote(f"{model}@1")
        try:
            export_registry(workspace, at, (model,))
        except _Ended:
            export_registry(workspace, at, (model,))
        named, ours = f"name = '{model}'", f"tags.`pedigree.model` = '{model}'"
        run, files = "client.get_run(one.run_id).data", "client.list_artifacts(one.run_id, 'model')"
        told = mlflow(
            f"[[one.version, one.tags, {run}.metrics, {run}.params, one.aliases, [file.path for file in {files}]] "
            f"for one in client.search_model_versions({named!r})] + [len(client.search_runs(['1'], {ours!r}))]"
        )
        return json.loads(json.dumps(told).replace(model, "MODEL"))

    with Workspace(Registry.create(tmp_path / "registry", actor="ada")) as workspace:
        yield export


def _is_write(method: str, path: str) -> bool:
    return method != "GET" and not path.endswith("/search")


def test_an_export_that_ends_at_any_write_makes_what_a_whole_one_makes(
    exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, left = MlflowServer._once, [0]

    def ending(self: MlflowServer, method: str, path: str, *arguments: Any) -> Any:
        left[0] -= _is_write(method, path)
        if left[0] == 0:
            left[0] = -1
            raise _Ended
        return once(self, method, path, *arguments)

    monkeypatch.setattr(MlflowServer, "_once", ending)
    wanted = exported("whole")
    assert (wanted[0][0], wanted[2:]) == ("2", [2])
    for point in range(1, 100):
        left[0] = point
        assert exported(f"point{point}") == wanted, point
        if left[0] > 0:
            break
    assert point >= 12


def test_a_write_whose_answer_does_not_come_is_not_done_twice(
    exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, lost = MlflowServer._once, set[tuple[Any, ...]]()

    def losing(self: MlflowServer, method: str, path: str, body: Any, *arguments: Any) -> Any:
        answer = once(self, method, path, body, *arguments)
        if _is_write(method, path) and (path, body if method == "POST" else "") not in lost:
            lost.add((path, body if method == "POST" else ""))
            raise _PassingError(UnavailableError("the connection broke off"))
        return answer

    wanted = exported("whole")
    monkeypatch.setattr(MlflowServer, "_once", losing)
    assert exported("lost") == wanted
    assert len(lost) >= 12


def test_what_came_from_there_is_not_sent_back(pedigree: Pedigree, mlflow: Client, server: str, tmp_path: Path) -> None:
    pedigree("register", "there-and-back", MODELS / "keras")
    pedigree("export-mlflow", server, "--model", "there-and-back")
    other = Pedigree(tmp_path / "other")
    other("init")
    other("import-mlflow", server, "--model", "there-and-back")
    assert "0 of them new at MLflow" in other("export-mlflow", server).out


@pytest.mark.parametrize(
    ("source", "said", "code"),
    [
        ("mlruns", "`mlflow server --port 5000 --backend-store-uri mlruns`", 2),
        ("https://user:secret@", "is no address of an MLflow server", 2),
        ("http://127.0.0.1:9", "cannot be reached", 8),
    ],
)
def test_an_address_that_is_none_is_refused(pedigree: Pedigree, source: str, said: str, code: int) -> None:
    refused = pedigree("import-mlflow", source, code=code, PEDIGREE_PATIENCE="0")
    assert said in refused.err
    assert "secret" not in refused.err


def test_page_about_mlflow_runs_as_it_is_printed(pedigree: Pedigree, mlflow: Client, server: str, kept: Path) -> None:
    pedigree("register", "flight-delay", MODELS / "keras")
    text = (DOCS / "mlflow.md").read_text()
    commands = re.findall(r"^\$ pedigree (.*)$", text, re.M)
    assert len(commands) == 6
    for command in commands:
        given = command.replace("https://mlflow.example.com", server)
        given = given.replace("sqlite:///mlflow.db", f"sqlite:///{kept}/mlflow.db")
        pedigree(*shlex.split(given.replace("mlartifacts", str(kept / "artifacts"))))
