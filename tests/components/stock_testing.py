"""Stand-ins for what pipelines hold beside a Trainer, for tests that run small pipelines in this process."""

import shutil
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import channel, component_spec, standard_artifacts


class WarmExecutor(base_executor.BaseExecutor):
    """Its model is there already. It says of itself what it was given to go on from."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        output = output_dict["model"][0]
        shutil.copytree(exec_properties["ready"], Path(output.uri, "Format-Serving"))
        for name in ("hyperparameters", "base_model"):
            output.set_int_custom_property(name, len(input_dict.get(name) or ()))


class WarmSpec(component_spec.ComponentSpec):
    PARAMETERS = {"ready": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "hyperparameters": component_spec.ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
        "base_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}  # noqa: RUF012


class WarmTrainer(base_component.BaseComponent):
    """With the inputs that TFX's Trainer has, by their names."""

    SPEC_CLASS = WarmSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(WarmExecutor)

    def __init__(self, examples: Any, ready: str, **inputs: Any) -> None:
        model = channel.Channel(type=standard_artifacts.Model)
        super().__init__(spec=WarmSpec(examples=examples, ready=ready, model=model, **inputs))


@component
def Validate(well: Parameter[int], blessing: OutputArtifact[standard_artifacts.InfraBlessing]) -> None:  # noqa: N802
    """What an InfraValidator says, which needs a TF Serving to say it."""
    blessing.set_int_custom_property("blessed", well)


def run_pipeline(folder: Path, components: list[Any], name: str = "flights", options: Any = None) -> Any:
    """Gives the connection to what ML Metadata knows of it. `options` may name the part that runs."""
    config = metadata.sqlite_metadata_connection_config(str(folder / "mlmd.db"))
    found = tfx_pipeline.Pipeline(
        name, str(folder / "root"), components=components, enable_cache=True, metadata_connection_config=config
    )
    local_dag_runner.LocalDagRunner().run(found, run_options=options)
    return config
