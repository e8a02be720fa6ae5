"""`pedigree pipeline run`: what a config may say, and what is said of one that is wrong. No TFX is loaded here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.extras import install_command
from tfx_pedigree.pipeline_config import load_pipeline
from tfx_pedigree.registry import Registry
from tfx_pedigree.settings import load

PIPELINE = """\
registry: registry
pipeline:
  create: mine.pipeline:create
  prepare: mine.data:write
  path: ..
  log: logs/run.log
  settings:
    name: m
    root: ${here}/artifacts
    bucket: gs://$BUCKET/x
    layers: [1, 2]
    price: 5$$
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "local.yaml"
    path.write_text(text)
    return path


def test_config_is_filled_in_and_its_paths_are_its_own(tmp_path: Path) -> None:
    found = load_pipeline(written(tmp_path, PIPELINE), {"BUCKET": "b"})
    assert (found.create, found.prepare) == ("mine.pipeline:create", "mine.data:write")
    assert (found.path, found.log) == (str(tmp_path / ".."), str(tmp_path / "logs/run.log"))
    settings = {"name": "m", "root": f"{tmp_path}/artifacts", "bucket": "gs://b/x", "layers": [1, 2], "price": "5$"}
    assert found.settings == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("registry: x\n", "names no pipeline"),
        ("pipeline: [1]\n", "must be names with values, not "),
        ("pipeline: {settings: {}}\n", "`pipeline.create` is missing"),
        ("pipeline: {create: mine}\n", "write it as package.module:function"),
        ("pipeline: {create: 'mine:a b'}\n", "write it as package.module:function"),
        ("pipeline: {create: 'm:f', prepar: 'm:f'}\n", "no setting `prepar`. Did you mean `prepare`"),
        ("pipeline: {create: 'm:f', settings: 7}\n", "must be names with values"),
        ("pipeline: m:f\n", "`pipeline` must be names with values, not 'm:f'"),
        ("pipeline: {create: 'm:f', settings: {a: '${NOWHERE_SET}'}}\n", "NOWHERE_SET} is not set"),
        ("pipeline: {create: 'm:f', settings: {a: '$'}}\n", "Write \\$\\$ for a dollar"),
        ("pipeline: {\n", "is not YAML"),
    ],
)
def test_config_that_is_wrong_says_where_and_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        load_pipeline(written(tmp_path, text), {})


def test_config_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        load_pipeline(tmp_path / "none.yaml")


def test_reference_config_names_the_reference_pipeline() -> None:
    file = Path(__file__).parents[3] / "configs" / "local.yaml"
    found = load_pipeline(file)
    assert found.create == "pipelines.flight_delay.pipeline:create_pipeline"
    assert Path(load(config=file, environ={}).registry).resolve() == file.parents[1] / ".pedigree"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be started, instead of starting it."""
    orders: list[Any] = []

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        orders.append((module, json.loads(json.dumps(order))))
        return subprocess.CompletedProcess(module, 0)

    monkeypatch.setattr("tfx_pedigree.service.pipelines.tfx_process.start", start)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    return orders


@pytest.mark.system
def test_run_hands_on_the_span_and_where_the_registry_is(tmp_path: Path, started: list[Any]) -> None:
    from click.testing import CliRunner

    from tfx_pedigree.cli.main import cli

    Registry.create(tmp_path / "registry", actor="ada").close()
    config = written(tmp_path, PIPELINE)
    words = ["--config", str(config), "--actor", "ada", "pipeline", "run", "--span", "3", "--json"]
    done = CliRunner(env={"BUCKET": "b"}).invoke(cli, words)
    assert done.exit_code == 0, done.output
    ((module, order),) = started
    assert module == "tfx_pedigree.tfx_runner.run_pipeline"
    assert order["settings"]["span"] == 3
    given = order["settings"]["pedigree"]
    recipe = given.pop("recipe")
    assert given == {"registry": str(tmp_path / "registry"), "store": None, "actor": "ada"}
    assert (recipe["create"], recipe["span"], recipe["writes"]) == ("mine.pipeline:create", 3, ["root"])


def test_run_without_a_config_or_without_tfx_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    from click.testing import CliRunner

    from tfx_pedigree.cli.main import cli

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["pipeline", "run"])
    assert (done.exit_code, "pedigree --config configs/local.yaml pipeline run" in done.output) == (2, True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    Registry.create(tmp_path / "registry", actor="ada").close()
    words = ["--config", str(written(tmp_path, PIPELINE)), "pipeline", "run"]
    done = CliRunner(env={"BUCKET": "b"}).invoke(cli, words)
    assert (done.exit_code, install_command("tfx") in done.output) == (8, True)
    assert started == []
