"""LineageRecorder: what a version came from and what came of it, in the registry's graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types import channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.lineage_recorder import executor, gathering
from tfx_pedigree.tfx_components.lineage_recorder.policy import OnFailure, on_failure_of
from tfx_pedigree.tfx_components.uncached import UncachedComponent
from tfx_pedigree.tfx_components.versioner.executor import IMAGE, MODULES


class LineageRecorderSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012
        **parameters.registry_parameters(),
        executor.ON_FAILURE: ExecutionParameter(type=str),
        gathering.EVAL_SPLIT: ExecutionParameter(type=str),
        **{key: parameters.optional_text() for key in (MODULES, IMAGE, executor.MLMD)},
    }
    INPUTS = {  # noqa: RUF012
        gathering.VERSION_KEY: ChannelParameter(type=ModelVersion),
        gathering.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        gathering.STATISTICS_KEY: ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
        gathering.SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema, optional=True),
        gathering.TRANSFORM_KEY: ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
        gathering.COMPARISON_KEY: ChannelParameter(type=VersionComparison, optional=True),
        gathering.EVALUATION_KEY: ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        gathering.EVALUATE_ON_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        gathering.PUSHED_MODEL_KEY: ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
    }
    OUTPUTS = {executor.LINEAGE_KEY: ChannelParameter(type=LineageRecord)}  # noqa: RUF012
    TYPE_ANNOTATION = system_executions.Process


class LineageRecorder(UncachedComponent):
    """Records the run behind a version: data, code, environment, parameters, evaluation, decision and deployment.

    What the Versioner wrote counts; `modules` (file name to digest) and `image` fill in what it was not told. With
    `mlmd`, or PEDIGREE_MLMD in the executor's environment, ML Metadata is asked as well, and both views are joined.
    `on_failure` says whether the pipeline goes on ("continue") or stops ("fail") where lineage cannot be recorded.
    """

    SPEC_CLASS = LineageRecorderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        version: channel.BaseChannel,
        model_name: str,
        *,
        examples: channel.BaseChannel | None = None,
        statistics: channel.BaseChannel | None = None,
        schema: channel.BaseChannel | None = None,
        transform_graph: channel.BaseChannel | None = None,
        comparison: channel.BaseChannel | None = None,
        evaluation: channel.BaseChannel | None = None,
        evaluate_on: channel.BaseChannel | None = None,
        eval_split: str = "eval",
        pushed_model: channel.BaseChannel | None = None,
        modules: Mapping[str, str] | str | None = None,
        image: str | None = None,
        mlmd: str | None = None,
        on_failure: Any = OnFailure.CONTINUE.value,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
    ) -> None:
        if isinstance(on_failure, str):
            on_failure_of(on_failure)  # refuses now what would be refused at the end of the run
        spec = LineageRecorderSpec(
            version=version,
            examples=examples,
            statistics=statistics,
            schema=schema,
            transform_graph=transform_graph,
            comparison=comparison,
            evaluation=evaluation,
            evaluate_on=evaluate_on,
            pushed_model=pushed_model,
            lineage=channel.Channel(type=LineageRecord),
            on_failure=on_failure,
            eval_split=eval_split,
            **parameters.given(
                modules=parameters.json_text(dict(modules)) if isinstance(modules, Mapping) else modules,
                image=image,
                mlmd=parameters.without_secret(executor.MLMD, mlmd),
            ),
            **parameters.registry_values(model_name, registry, store, actor),
        )
        super().__init__(spec=spec)
