"""A training that a tracker has seen: its run goes into the version, and TensorBoard itself shows the version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from components_testing import NAME, Place, record
from stock_testing import WarmTrainer
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.components.trainer.component import Trainer
from tfx.proto import trainer_pb2
from tfx.types import standard_artifacts
from tracker_testing import ID, KERAS, WANDB, mlflow_server

from tfx_pedigree.comparison import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_components import add_pedigree

HPARAMS = {"learning_rate": 0.01, "optimizer": "adam", "shuffle": True, "units": 32}


def test_run_of_a_logdir_goes_through_the_pipeline_and_tensorboard_shows_the_version(
    place: Place, local_registry: Registry, tmp_path: Path
) -> None:
    logdir = tmp_path / "logs"
    shutil.copytree(KERAS, logdir)
    given = {"from_run": f"tensorboard:{logdir}", "hyperparameters": json.dumps({"units": 64})}
    version = place.version(place.trained("keras"), given)
    assert record(version)["parameters"] == {**HPARAMS, "units": 64}
    place.push(version, {"promote_to": "none"})
    registered = local_registry.get(f"{NAME}@1.0.0")
    assert registered.metrics["best/auc"] == 0.8125
    assert registered.tags["run"] == "tensorboard:logs"

    [group] = [one for one in sessions(logdir) if one.name == f"{NAME}@1.0.0"]
    told = {name: value.string_value or value.number_value for name, value in group.hparams.items()}
    assert (told["units"], told["optimizer"], told["pedigree.version"]) == (64, "adam", f"{NAME}@1.0.0")
    assert told["pedigree.digest"] == registered.digest
    assert {one.name.tag: one.value for one in group.metric_values}["best/auc"] == 0.8125
    assert group.sessions[0].status == api_pb2.STATUS_SUCCESS


def sessions(logdir: Path) -> list[api_pb2.SessionGroup]:
    """What the tab HPARAMS asks TensorBoard for."""
    events = EventMultiplexer(tensor_size_guidance={"scalars": 100, "hparams": 100})
    events.AddRunsFromDirectory(str(logdir))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(logdir))
    context = Context(TBContext(data_provider=provider, logdir=str(logdir), multiplexer=events))
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10, allowed_statuses=[0, 1, 2, 3])
    return list(list_session_groups.Handler(RequestContext(), context, "x", asked).run().session_groups)


def test_trainers_own_logs_are_its_run_and_stay_as_they_are(place: Place, local_registry: Registry) -> None:
    logs = place.made(standard_artifacts.ModelRun)
    shutil.copytree(KERAS, logs.uri, dirs_exist_ok=True)
    before = sorted(Path(logs.uri).rglob("*"))
    version = place.version(place.trained("keras"), model_run=logs)
    place.push(version, {"promote_to": "none"})
    tags = local_registry.get(f"{NAME}@1.0.0").tags
    assert tags["run_address"] == logs.uri
    assert logs.uri.endswith(tags["run"].removeprefix("tensorboard:"))
    assert sorted(Path(logs.uri).rglob("*")) == before


def test_training_names_its_run_in_a_file(
    place: Place, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server() as mlflow:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
        logs = place.made(standard_artifacts.ModelRun)
        Path(logs.uri, "pedigree_run").write_text(f"mlflow:{ID}\n")
        version = place.version(place.trained("keras"), model_run=logs)
        assert mlflow.marked["pedigree.version"] == f"{NAME}@1.0.0"
    place.push(version, {"promote_to": "none"})
    registered = local_registry.get(f"{NAME}@1.0.0")
    assert registered.metrics["auc"] == 0.91
    assert registered.tags["dataset.flights"] == "2485371048"
    assert registered.parameters == {"learning_rate": 0.01, "shuffle": True}


@pytest.mark.parametrize("named", ["mlflow:0a1b", "wandb:nowhere", "tensorboard:nowhere", "neptune:X", WANDB.name])
def test_tracker_that_cannot_be_reached_fails_no_training_and_is_said_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    found = record(place.version(place.trained("keras"), {"from_run": named}))
    assert (found["version"], found["parameters"], found["tracked_run"]) == ("1.0.0", {}, None)
    assert caplog.text.count("The tracker's run is left out") == 1


def test_pipeline_takes_the_trainers_own_run_or_one_by_its_address() -> None:
    examples = ImportExampleGen("/data")
    inputs = {"examples": examples.outputs["examples"], "model_name": NAME, "policy": Policy("auc")}
    trainer = Trainer(
        run_fn="flights.run",
        examples=examples.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
    )
    own = add_pedigree(trainer, **inputs, from_run="model_run").versioner
    assert own.inputs["model_run"] is trainer.outputs["model_run"]
    assert "from_run" not in own.exec_properties
    named = add_pedigree(trainer, **inputs, from_run="tensorboard:/logs").versioner
    assert (named.exec_properties["from_run"], "model_run" in named.inputs) == ("tensorboard:/logs", False)
    with pytest.raises(InvalidInputError, match="names no run"):
        add_pedigree(trainer, **inputs, from_run="mlflow")
    with pytest.raises(InvalidInputError, match="holds a password"):
        add_pedigree(trainer, **inputs, from_run="mlflow:https://u:pw@host/#/experiments/1/runs/a")
    bare = WarmTrainer(examples.outputs["examples"], "/ready")
    with pytest.raises(InvalidInputError, match="has no output of that name"):
        add_pedigree(bare, **inputs, from_run="model_run")
