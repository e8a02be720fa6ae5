"""What a container on open-source Kubeflow runs for a file-based ExampleGen: TFX's driver, and then its executor.

The driver finds the newest span, fills it into the patterns, and notes span and fingerprint of the data. Vertex runs it
as a hook of its own before the task; open-source Kubeflow leaves hooks alone. Arguments are those of TFX's executor.
"""

from __future__ import annotations

from typing import Any

from absl import app
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver


def main(parsed: tuple[Any, list[str]]) -> None:
    arguments, beam = parsed
    driver.main(arguments)
    # The executor itself takes the driver's parameters over, but not what the driver says of the artifact.
    arguments.json_serialized_invocation_args = with_found(arguments.json_serialized_invocation_args)
    kubeflow_v2_run_executor.main((arguments, beam))


def with_found(invocation: str) -> str:
    """The task's ExecutorInput with the properties of the output artifacts that the driver has found."""
    task = pipeline_spec_pb2.ExecutorInput()
    json_format.Parse(invocation, task, ignore_unknown_fields=True)
    found = pipeline_spec_pb2.ExecutorOutput()
    with fileio.open(task.outputs.output_file, "rb") as file:
        json_format.Parse(file.read(), found, ignore_unknown_fields=True)
    for key, made in found.artifacts.items():
        for artifact, properties in zip(task.outputs.artifacts[key].artifacts, made.artifacts, strict=True):
            artifact.metadata.MergeFrom(properties.metadata)
    return str(json_format.MessageToJson(task))


if __name__ == "__main__":
    app.run(main, flags_parser=kubeflow_v2_run_executor._parse_flags)
