"""`pedigree pipeline run` with a pipeline of somebody's own, as a user runs it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.cli.main import cli
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_runner import run_pipeline

PEDIGREE = Path(sys.executable).with_name("pedigree")
MODULE = """
from pathlib import Path

def prepare(settings):
    Path(settings["root"]).mkdir(parents=True, exist_ok=True)
    Path(settings["root"], "schema.pbtxt").write_text("")

def create(settings):
    from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
    from tfx.orchestration.metadata import sqlite_metadata_connection_config
    from tfx.orchestration.pipeline import Pipeline

    schema = ImportSchemaGen(schema_file=settings["root"] + "/schema.pbtxt")
    connection = sqlite_metadata_connection_config(settings["root"] + "/mlmd.db")
    return Pipeline("own", settings["root"], components=[schema], metadata_connection_config=connection)

def broken(settings):
    from tfx_pedigree.errors import ConflictError
    raise ConflictError("The data of span 3 are not there yet. Wait for them.")

def crashing(settings):
    raise RuntimeError("something else")
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "own_pipeline.py").write_text(MODULE)
    Registry.create(tmp_path / "registry", actor="ada").close()

    def write(create: str) -> Path:
        file = tmp_path / "config.yaml"
        file.write_text(
            f"registry: registry\nactor: ada\npipeline:\n  create: {create}\n  prepare: own_pipeline:prepare\n"
            "  log: run.log\n  settings: {root: '${here}/artifacts'}\n"
        )
        return file

    return write


def test_own_pipeline_runs_with_a_line_for_each_component(config: Callable[[str], Path], tmp_path: Path) -> None:
    words = [str(PEDIGREE), "--config", str(config("own_pipeline:create")), "pipeline", "run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ImportSchemaGen" in done.stderr
    assert "WARNING" not in done.stderr
    assert "ImportSchemaGen is finished" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize(
    ("create", "says"),
    [
        ("own_pipeline:broken", "Error: The data of span 3 are not there yet. Wait for them."),
        ("own_pipeline:crashing", "Error: something else"),
        ("own_pipeline:nothing", "Error: The module own_pipeline has no function nothing."),
        ("no_such_module:create", "Error: There is no module no_such_module. Set `pipeline.path`"),
    ],
)
def test_run_that_fails_says_why_and_where_the_rest_is(
    config: Callable[[str], Path],
    create: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What the command starts is done in this process, where TensorFlow is loaded already."""

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(order)))
        return subprocess.CompletedProcess(module, run_pipeline.main())

    monkeypatch.setattr("tfx_pedigree.service.pipelines.tfx_process.start", start)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_pipeline", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["--config", str(config(create)), "pipeline", "run"])
    said = capfd.readouterr().err
    assert ended.value.code == 1
    assert says in said
    assert "run.log" in said
    assert "Traceback" not in said
