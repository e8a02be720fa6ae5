"""`pedigree pipeline run` with a pipeline of somebody's own, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tfx_pedigree.registry import Registry

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
def run(tmp_path: Path):
    (tmp_path / "own_pipeline.py").write_text(MODULE)
    Registry.create(tmp_path / "registry", actor="ada").close()

    def run_config(create: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "config.yaml").write_text(
            f"registry: registry\nactor: ada\npipeline:\n  create: {create}\n  prepare: own_pipeline:prepare\n"
            "  log: run.log\n  settings: {root: '${here}/artifacts'}\n"
        )
        words = [str(PEDIGREE), "--config", str(tmp_path / "config.yaml"), "pipeline", "run"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return run_config


def test_own_pipeline_runs_with_a_line_for_each_component(run, tmp_path: Path) -> None:
    done = run("own_pipeline:create")
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
def test_run_that_fails_says_why_and_where_the_rest_is(run, create: str, says: str) -> None:
    done = run(create)
    assert done.returncode == 1
    assert says in done.stderr
    assert "run.log" in done.stderr
    assert "Traceback" not in done.stderr
