"""VersionComparator: whether the new version is really better than what serves today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_pedigree.comparison import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.version_comparator import executor
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings
from tfx_pedigree.versioning.description import LABEL_KEY


class VersionComparatorSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012
        executor.POLICY: ExecutionParameter(type=str),
        executor.EVAL_SPLIT: ExecutionParameter(type=str),
        **{key: parameters.optional_text() for key in (LABEL_KEY, executor.SIGNATURE_NAME, executor.PREDICTION_KEY)},
        executor.FLIP_THRESHOLD: ExecutionParameter(type=float),
        executor.LATENCY_ROUNDS: ExecutionParameter(type=int),
        executor.LATENCY_BATCH_SIZE: ExecutionParameter(type=int),
        **parameters.library_parameters(),
    }
    INPUTS = {  # noqa: RUF012
        executor.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        executor.VERSION_KEY: ChannelParameter(type=ModelVersion),
        executor.CHAMPION_KEY: ChannelParameter(type=standard_artifacts.Model, optional=True),
        executor.EVALUATION_KEY: ChannelParameter(type=standard_artifacts.ModelEvaluation),
        executor.MODEL_BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        executor.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {  # noqa: RUF012
        executor.COMPARISON_KEY: ChannelParameter(type=VersionComparison),
        executor.BLESSING_KEY: ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    TYPE_ANNOTATION = system_executions.Process


class VersionComparator(base_beam_component.BaseBeamComponent):  # type: ignore[misc]
    """Judges the challenger by the policy and writes comparison.json, report.html and evidence.json.

    Give the output `blessing` to the stock Pusher as `infra_blessing`: it then pushes only what the policy passed.
    `policy` is a Policy or its JSON. Label, signature and prediction are those that the Evaluator was told, unless they
    are given here. `latency_rounds` = 0 measures no latency.
    """

    SPEC_CLASS = VersionComparatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        version: channel.BaseChannel,
        evaluation: channel.BaseChannel,
        examples: channel.BaseChannel,
        policy: Policy | Mapping[str, Any] | str,
        *,
        champion: channel.BaseChannel | None = None,
        model_blessing: channel.BaseChannel | None = None,
        eval_split: str = "eval",
        label_key: str | None = None,
        signature_name: str | None = None,
        prediction_key: str | None = None,
        flip_threshold: float = 0.5,
        latency_rounds: int = LatencySettings.rounds,
        latency_batch_size: int = LatencySettings.batch_size,
    ) -> None:
        spec = VersionComparatorSpec(
            model=model,
            version=version,
            champion=champion,
            evaluation=evaluation,
            model_blessing=model_blessing,
            examples=examples,
            comparison=channel.Channel(type=VersionComparison),
            blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
            policy=_policy_text(policy),
            eval_split=eval_split,
            flip_threshold=float(flip_threshold),
            latency_rounds=_not_negative("latency_rounds", latency_rounds),
            latency_batch_size=_not_negative("latency_batch_size", latency_batch_size),
            **parameters.given(label_key=label_key, signature_name=signature_name, prediction_key=prediction_key),
            **parameters.library_values(),
        )
        super().__init__(spec=spec)


def _policy_text(policy: Policy | Mapping[str, Any] | str) -> str:
    """Refuses a wrong policy when the pipeline is built, and writes equal policies alike, for the sake of the cache."""
    found = policy if isinstance(policy, Policy) else executor.policy_of(policy)
    return json.dumps(found.to_json(), sort_keys=True)


def _not_negative(name: str, value: int) -> int:
    if value < 0:
        raise InvalidInputError(f"The parameter `{name}` is {value}, but it must be 0 or more.")
    return value
