"""VersionComparator in a pipeline: its parameters, its outputs, and what it refuses before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts
from version_comparator_testing import (  # noqa: F401  `world` is a fixture
    World,
    artifact,
    compare,
    world,
)

from tfx_pedigree.comparison import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_components.artifacts import ModelVersion
from tfx_pedigree.tfx_components.version_comparator import executor
from tfx_pedigree.tfx_components.version_comparator.component import VersionComparator


def _channels() -> dict[str, Any]:
    kinds = {
        "model": standard_artifacts.Model,
        "version": ModelVersion,
        "evaluation": standard_artifacts.ModelEvaluation,
        "examples": standard_artifacts.Examples,
    }
    return {key: channel.Channel(type=kind) for key, kind in kinds.items()}


def test_the_component_has_portable_parameters_and_a_blessing_for_the_pusher() -> None:
    made = VersionComparator(**_channels(), policy=Policy("auc"), label_key="late", latency_rounds=0)
    assert set(made.outputs) == {"comparison", "blessing"}
    assert made.outputs["blessing"].type is standard_artifacts.InfraBlessing
    assert all(isinstance(value, str | int | float) for value in made.exec_properties.values())
    assert made.exec_properties["latency_rounds"] == 0
    assert made.exec_properties["library"]
    as_text = VersionComparator(**_channels(), policy="metric: auc", label_key="late", latency_rounds=0)
    assert as_text.exec_properties == made.exec_properties


def test_a_wrong_policy_is_refused_when_the_pipeline_is_built() -> None:
    with pytest.raises(InvalidInputError, match="the parameter `policy`, line 1"):
        VersionComparator(**_channels(), policy="metrik: auc")
    with pytest.raises(InvalidInputError, match="`latency_rounds` is -1"):
        VersionComparator(**_channels(), policy="metric: auc", latency_rounds=-1)


def test_parameters_are_understood_as_kubeflow_hands_them_over(world: World, tmp_path: Path) -> None:  # noqa: F811
    judged = compare(
        tmp_path, world.inputs, latency_rounds=2.0, latency_batch_size=8.0, flip_threshold=0.0, label_key=""
    )
    assert judged.comparison.challenger.latency is not None
    assert judged.comparison.challenger.latency.batch_size == 8
    assert judged.comparison.flips is not None and judged.comparison.flips.threshold == 0


def test_an_executor_without_its_inputs_names_what_is_missing(tmp_path: Path) -> None:
    outputs = {"comparison": [artifact(standard_artifacts.Model, tmp_path)], "blessing": []}
    with pytest.raises(InvalidInputError, match="was given no `policy`"):
        executor.Executor().Do({}, outputs, {})
    with pytest.raises(InvalidInputError, match="`evaluation` has no artifact"):
        executor.Executor().Do({}, outputs, {"policy": '{"metric": "auc"}'})
