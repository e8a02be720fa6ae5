"""Where the options of a Beam runner come from, and that they reach every step that computes with Beam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pipelines.flight_delay.config import FlightDelayConfig
from pipelines.flight_delay.pipeline import create_pipeline

from tfx_pedigree.pipeline_config import load_pipeline
from tfx_pedigree.tfx_runner import compile_pipeline

BEAM_STEPS = {"CsvExampleGen", "StatisticsGen", "Transform", "Evaluator", "VersionComparator"}
CONFIG = """
pipeline:
  create: pipelines.flight_delay.pipeline:create_pipeline
  settings:
    root: ${here}/artifacts
    data: ${here}/data
    beam_args:
      - --runner=PortableRunner
      - --job_endpoint=${JOB_SERVICE}
      - --environment_type=EXTERNAL
      - --environment_config=localhost:50000
      - --sdk_container_image=pedigree:tfx
"""
OPTIONS = [
    "--runner=PortableRunner",
    "--job_endpoint=flink:8099",
    "--environment_type=EXTERNAL",
    "--environment_config=localhost:50000",
    "--sdk_container_image=pedigree:tfx",
]


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG, "utf-8")
    return load_pipeline(file, {"JOB_SERVICE": "flink:8099"}).settings


def test_options_of_a_config_reach_every_beam_step_of_the_compiled_pipeline(settings: Any) -> None:
    order = {
        "create": "pipelines.flight_delay.pipeline:create_pipeline",
        "settings": settings,
        "images": {"default": "pedigree:tfx"},
    }
    executors = compile_pipeline.compiled(order)["job"]["pipelineSpec"]["deploymentSpec"]["executors"]
    found = {name.removesuffix("_executor"): one["container"]["args"] for name, one in executors.items()}
    assert found.keys() >= BEAM_STEPS
    assert {name: args[-len(OPTIONS) :] for name, args in found.items() if name in BEAM_STEPS} == dict.fromkeys(
        BEAM_STEPS, OPTIONS
    )


def test_a_steps_own_options_follow_those_of_the_pipeline_and_so_outrank_them(settings: Any) -> None:
    pipeline = create_pipeline(FlightDelayConfig.from_mapping(settings))
    (comparator,) = [one for one in pipeline.components if one.id == "VersionComparator"]
    comparator.with_beam_pipeline_args(["--runner=DirectRunner"])
    assert comparator.executor_spec.beam_pipeline_args == [*OPTIONS, "--runner=DirectRunner"]
