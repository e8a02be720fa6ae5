"""`pedigree pipeline compile`: the reference pipeline for both services, and a pipeline of somebody's own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tfx_pedigree.cli.main import cli
from tfx_pedigree.orchestration.ir import SpecKind, load_ir
from tfx_pedigree.tfx_runner import compile_pipeline

CONFIGS = Path(__file__).parents[2] / "configs"
PEDIGREE = Path(sys.executable).with_name("pedigree")
ENVIRONMENT = {
    "PEDIGREE_IMAGE": f"registry.example/flight-delay:1@sha256:{'0' * 64}",
    "PEDIGREE_BUCKET": "bucket",
    "PEDIGREE_ROOT": "gs://bucket/flight-delay/artifacts",
    "PEDIGREE_DATA": "gs://bucket/flight-delay/data",
    "PEDIGREE_REGISTRY": "postgresql://pedigree@db/pedigree",
    "PEDIGREE_ACTOR": "somebody",
}
OWN = """
import mine_types
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.pipeline import Pipeline

@component
def Make(password: Parameter[str], made: OutputArtifact[mine_types.Mine]) -> None:
    pass

def create(settings):
    print("noise on standard output")
    return Pipeline(settings["name"], settings["root"], components=[Make(password=settings["password"])])
"""
OWN_TYPES = """
from tfx.types.artifact import Artifact

class Mine(Artifact):
    TYPE_NAME = "elsewhere.Mine"
"""


@pytest.fixture
def compile_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The command, with the process that it starts run here: TensorFlow is loaded already."""

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(order)))
        return subprocess.CompletedProcess(module, compile_pipeline.main(), stderr="")

    monkeypatch.setattr("tfx_pedigree.service.pipelines.tfx_process.start", start)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def compile_config(name: str, *words: str) -> Any:
        file = tmp_path / f"{name}{''.join(words)}"
        arguments = ["--config", str(CONFIGS / f"{name}.yaml"), "pipeline", "compile", "--output", str(file), "--json"]
        done = CliRunner(env=ENVIRONMENT).invoke(cli, [*arguments, *words])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout), file

    return compile_config


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
def test_reference_pipeline_compiles_clean_and_twice_to_the_same_bytes(kind: SpecKind, compile_here) -> None:
    told, file = compile_here(str(kind))
    assert told["findings"] == []
    assert (told["kind"], told["name"]) == (str(kind), "flight-delay")
    assert {"CsvExampleGen", "ChampionProvider", "Versioner", "RegistryPusher", "Pusher"} < set(told["tasks"])
    before = file.read_bytes()
    again, file = compile_here(str(kind))
    assert (file.read_bytes(), again["digest"]) == (before, told["digest"])
    compiled = load_ir(file)
    assert (compiled.kind, compiled.digest, compiled.root) == (kind, told["digest"], told["root"])
    schema = compiled.tasks["ImportSchemaGen"].constant("schema_file")
    assert schema == "/opt/flight-delay/pipelines/flight_delay/schema/schema.pbtxt"


def test_nothing_of_this_machine_gets_into_it(compile_here) -> None:
    """Neither its folders nor who is at it; the containers have an environment of their own."""
    _, file = compile_here("vertex")
    text = file.read_text()
    assert str(CONFIGS.parent) not in text
    assert "somebody" not in text
    environment = {one["name"]: one["value"] for one in load_ir(file).tasks["Versioner"].container["env"]}
    assert environment["PEDIGREE_ACTOR"] == "pipeline"


def test_span_can_be_fixed(compile_here) -> None:
    _, file = compile_here("kubeflow", "--span=3")
    task = load_ir(file).tasks["CsvExampleGen"]
    found = json.loads(task.constant("range_config"))["static_range"]
    assert found == {"start_span_number": 3, "end_span_number": 3}
    assert task.node["cachingOptions"] == {"enableCache": True}


def test_image_and_modules_of_the_containers_travel_to_where_the_version_is_recorded(compile_here) -> None:
    task = load_ir(compile_here("kubeflow")[1]).tasks["Versioner"]
    assert task.constant("image") == ENVIRONMENT["PEDIGREE_IMAGE"]
    assert json.loads(task.constant("modules")).keys() == {"flight_model.py", "flight_features.py"}


@pytest.fixture
def own(tmp_path: Path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "mine_types.py").write_text(OWN_TYPES)

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        whole = {"name": "own", "root": "gs://bucket/own", "password": "hunter2", **settings}
        config = {
            "pipeline": {"create": "own:create", "log": "own.log", "settings": whole},
            "target": {"kind": "kubeflow", "image": "own", "output": "own.yaml"},
        }
        (tmp_path / "config.yaml").write_text(json.dumps(config))
        command = [str(PEDIGREE), "--config", str(tmp_path / "config.yaml"), "pipeline", "compile", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_pipeline_of_ones_own_is_looked_through_and_not_written(own, tmp_path: Path) -> None:
    done = own()
    assert done.returncode == 1, done.stderr
    assert "error: Make: the image own has neither tag nor digest" in done.stdout
    assert "error: Make: the artifact type elsewhere.Mine cannot be imported" in done.stdout
    assert "error: Make: its parameter `password` holds what is called a password" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert "noise" not in done.stdout
    assert "noise" in (tmp_path / "own.log").read_text()
    assert not (tmp_path / "own.yaml").exists()
    assert "--force" in done.stderr


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """What is said of somebody's function that cannot be compiled, where there is one task, `Make`."""
    (tmp_path / "mine_types.py").write_text(OWN_TYPES)
    place = {"path": str(tmp_path), "log": str(tmp_path / "log"), "result": str(tmp_path / "result.json")}
    monkeypatch.setattr(sys, "path", list(sys.path))

    def told(body: str, images: Any) -> str:
        own = OWN.partition("def create")[0]
        (tmp_path / "theirs.py").write_text(f"{own}made = Make(password='')\n\ndef create(settings):\n    {body}\n")
        order = {"create": "theirs:create", "settings": {}, "images": {"default": "i:1", **images}, **place}
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(order)))
        assert compile_pipeline.main() == 1
        assert not (tmp_path / "result.json").exists()
        return capsys.readouterr().err

    yield told
    for module in ("theirs", "mine_types"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("body", "images", "says"),
    [
        ("return None", {}, "theirs:create returns nothing, but it must return a pipeline of TFX"),
        ("return [made]", {}, "theirs:create returns a list, but"),
        ("return Pipeline('My_Pipe', '/root', components=[made])", {}, "names its pipeline 'My_Pipe', which neither"),
        ("raise KeyError('ARR_DELAY')", {}, "theirs:create could not be compiled: KeyError: 'ARR_DELAY'"),
        ("raise SystemExit(3)", {}, "theirs:create could not be compiled: SystemExit: 3"),
        ("return Pipeline('own', '/r', components=[made])", {"Maker": "i:2"}, "`Maker`, which the pipeline does not"),
    ],
)
def test_pipeline_that_cannot_be_compiled_is_told_by_whose_it_is(body: str, images: Any, says: str, theirs) -> None:
    assert says in theirs(body, images)
