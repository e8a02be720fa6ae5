"""A small pipeline that Pedigree was added to by one call, for tests that run it whole, in this process or another,
in which it can be told to die, as by kill -9, at the end of one component.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import tensorflow as tf
from components_testing import NAME
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import channel, component_spec, standard_artifacts

from tfx_pedigree.comparison import ModelInputs, Policy
from tfx_pedigree.tfx_components.wiring import add_pedigree

PEDIGREES = ("champion_provider", "versioner", "evaluator", "version_comparator", "registry_pusher", "lineage_recorder")


class TrainExecutor(base_executor.BaseExecutor):
    """A training that is over at once: its model is there already."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        shutil.copytree(exec_properties["ready"], Path(output_dict["model"][0].uri, "Format-Serving"))


class TrainSpec(component_spec.ComponentSpec):
    PARAMETERS = {"ready": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}  # noqa: RUF012
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}  # noqa: RUF012


class Train(base_component.BaseComponent):
    SPEC_CLASS = TrainSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TrainExecutor)

    def __init__(self, examples: Any, ready: str) -> None:
        model = channel.Channel(type=standard_artifacts.Model)
        super().__init__(spec=TrainSpec(examples=examples, ready=ready, model=model))


class TrainThere(Train):
    """The same for TFX's cache as another trainer: what it has left behind is not taken over, but made again."""


DEFAULT = Policy("mean_absolute_error")


def ready_model(folder: Path, factor: float, weights: int = 1) -> str:
    """Predicts `factor` times x, reading x from serialised examples."""

    class Reader(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([factor / weights] * weights)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> Any:
            parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})
            return {"score": parsed["x"] * tf.reduce_sum(self.weights)}

    reader = Reader()
    tf.saved_model.save(reader, str(folder), signatures={"serving_default": reader.serve})
    return str(folder)


def wired(
    folder: Path,
    ready: str,
    registry: str | None,
    store: str | None,
    train: type[Train] = Train,
    *,
    rollout: Any = None,
    policy: Policy = DEFAULT,
    **lineage: Any,
) -> tfx_pipeline.Pipeline:
    """On the rows in `folder`/data, with a model that is ready. Without a registry, the environment says which one it
    is, and who acts there."""
    examples = ImportExampleGen(str(folder / "data"))
    trainer = train(examples.outputs["examples"], ready)
    pedigree = add_pedigree(
        trainer,
        examples.outputs["examples"],
        NAME,
        policy,
        inputs=ModelInputs(label_key="y", signature_name="serving_default"),
        comparator_options={"latency_rounds": 0},
        serving_base=None if rollout else str(folder / "serving"),
        rollout=rollout,
        lineage_options=lineage,
        registry=registry,
        store=store,
        actor=None if registry is None else "ada",
    )
    return tfx_pipeline.Pipeline(
        "flights",
        str(folder / "root"),
        components=[examples, trainer, *pedigree.components],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(folder / "mlmd.db")),
    )


def run_wired(
    folder: Path, ready: str, registry: str | None, store: str | None, train: type[Train] = Train, **lineage: Any
) -> dict[str, Any]:
    """Runs it; gives what was pushed."""
    found = wired(folder, ready, registry, store, train, **lineage)
    local_dag_runner.LocalDagRunner().run(found)
    with metadata.Metadata(found.metadata_connection_config) as handle:
        pushed = max(handle.store.get_artifacts_by_type("PushedModel"), key=lambda one: one.id)
    return {key: value.string_value or value.int_value for key, value in pushed.custom_properties.items()}


def create(settings: dict[str, Any]) -> tfx_pipeline.Pipeline:
    """For `pedigree pipeline retrain`: the model of each span is there already."""
    folder = Path(settings["folder"])
    return wired(folder, str(folder / f"model-{settings['span']}"), None, None, mlmd=str(folder / "mlmd.db"))


def run_and_die(component: str, folder: str, ready: str, registry: str, store: str) -> None:
    """The process is killed when this component's work is done, before the runner hears of it."""
    module = importlib.import_module(f"tfx_pedigree.tfx_components.{component}.executor")
    work = module.Executor.Do

    def do(self: Any, *arguments: Any) -> None:
        work(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    module.Executor.Do = do
    run_wired(Path(folder), ready, registry, store, TrainThere)
