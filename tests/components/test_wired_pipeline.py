"""A pipeline that Pedigree was added to by one call, run by the local runner from the examples to what is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tfx")

import tensorflow as tf
from components_testing import NAME, Place, write_rows
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import channel, component_spec, standard_artifacts

from tfx_pedigree.comparison import ModelInputs, Policy
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_components.wiring import add_pedigree


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


@pytest.fixture
def run(place: Place, local_registry: Registry, tmp_path: Path) -> Callable[[str], Any]:
    """Runs the pipeline with a model that is ready; gives what was pushed."""
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "rows.gz", [{"x": n / 40, "y": n / 20} for n in range(1, 200)])
    where = {key: place.properties[key] for key in ("registry", "store", "actor")}

    def run_once(ready: str) -> Any:
        examples = ImportExampleGen(str(data))
        trainer = Train(examples.outputs["examples"], ready)
        pedigree = add_pedigree(
            trainer,
            examples.outputs["examples"],
            NAME,
            Policy("mean_absolute_error"),
            inputs=ModelInputs(label_key="y", signature_name="serving_default"),
            comparator_options={"latency_rounds": 0},
            serving_base=str(tmp_path / "serving"),
            **where,
        )
        found = tfx_pipeline.Pipeline(
            "flights",
            str(tmp_path / "root"),
            components=[examples, trainer, *pedigree.components],
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.db")),
        )
        local_dag_runner.LocalDagRunner().run(found)
        with metadata.Metadata(found.metadata_connection_config) as handle:
            pushed = max(handle.store.get_artifacts_by_type("PushedModel"), key=lambda one: one.id)
        return {key: value.string_value or value.int_value for key, value in pushed.custom_properties.items()}

    return run_once


def test_versions_follow_one_another_through_the_gate(
    run: Callable[[str], Any], local_registry: Registry, tmp_path: Path
) -> None:
    models = {
        "first": ready_model(tmp_path / "first", 1.0),
        "worse": ready_model(tmp_path / "worse", 0.5),
        "better": ready_model(tmp_path / "better", 1.9, weights=2),
    }
    first = run(models["first"])
    assert (first["pushed"], first["version"], first["outcome"]) == (1, "1.0.0", "promoted")
    assert local_registry.evidence(f"{NAME}@1.0.0").champion is None

    worse = run(models["worse"])
    assert (worse["pushed"], worse["version"], worse["outcome"]) == (0, "1.0.1", "refused")
    assert local_registry.get(f"{NAME}@1.0.1").refusal.startswith("FAIL")

    better = run(models["better"])
    assert (better["pushed"], better["version"], better["outcome"]) == (1, "1.1.0", "promoted")
    evidence = local_registry.evidence(f"{NAME}@1.1.0")
    assert evidence.champion == local_registry.get(f"{NAME}@1.0.0").digest
    assert sorted(path.name for path in (tmp_path / "serving" / NAME).iterdir()) == ["1", "3"]

    before = local_registry.history(NAME)
    again = run(models["better"])
    assert (again["pushed"], again["version"], again["outcome"]) == (1, "1.1.0", "there already")
    assert local_registry.history(NAME) == before

    local_registry.rollback(NAME, reason="a complaint")
    third = run(ready_model(tmp_path / "third", 0.9))
    assert third["outcome"] == "refused"
    judged = local_registry.evidence(f"{NAME}@{third['version']}")
    assert judged.champion == local_registry.get(f"{NAME}@1.0.0").digest
    written = [json.loads(path.read_text()) for path in (tmp_path / "root").rglob("comparison.json")]
    assert {one["format"] for one in written} == {"pedigree.comparison/1"}
