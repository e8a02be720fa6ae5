"""LineageRecorder: what a version came from and what came of it, in the registry's graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import (
    Examples,
    ExampleStatistics,
    ModelEvaluation,
    PushedModel,
    Schema,
    TransformGraph,
)

from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.lineage_recorder import executor
from tfx_pedigree.tfx_components.uncached import UncachedComponent
from tfx_pedigree.versioning import GitDiff


class LineageRecorder(UncachedComponent):
    """Records the run behind a version: data, code, environment, parameters, evaluation, decision and deployment.

    What the Versioner wrote counts; `modules` (file name to digest) and `image` fill in what it was not told. With
    `mlmd`, or PEDIGREE_MLMD in the executor's environment, ML Metadata is asked as well, and both views are joined.
    `recipe` is how the run was started, which `pedigree reproduce` repeats; `pedigree pipeline run` gives it. `diff` is
    what lay uncommitted on the commit (`capture_diff(FOLDER)`), for who wants to repeat runs of such code.
    `on_failure` says whether the pipeline goes on ("continue") or stops ("fail") where lineage cannot be recorded.
    """

    SPEC_CLASS = spec_class(
        "LineageRecorderSpec",
        inputs={
            "version": ModelVersion,
            "examples?": Examples,
            "statistics?": ExampleStatistics,
            "schema?": Schema,
            "transform_graph?": TransformGraph,
            "comparison?": VersionComparison,
            "evaluation?": ModelEvaluation,
            "evaluate_on?": Examples,
            "pushed_model?": PushedModel,
        },
        outputs={"lineage": LineageRecord},
        parameters={
            "on_failure": str,
            "eval_split": str,
            "modules?": str,
            "image?": str,
            "mlmd?": str,
            "recipe?": str,
            "diff?": str,
        },
    )
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        version: BaseChannel,
        model_name: str,
        *,
        examples: BaseChannel | None = None,
        statistics: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        transform_graph: BaseChannel | None = None,
        comparison: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        evaluate_on: BaseChannel | None = None,
        eval_split: str = "eval",
        pushed_model: BaseChannel | None = None,
        modules: Mapping[str, str] | str | None = None,
        image: str | None = None,
        mlmd: str | None = None,
        recipe: Mapping[str, Any] | str | None = None,
        diff: GitDiff | Mapping[str, Any] | str | None = None,
        on_failure: Any = executor.OnFailure.CONTINUE.value,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
    ) -> None:
        if isinstance(on_failure, str):
            parameters.one_of(
                executor.OnFailure, executor.ON_FAILURE, on_failure
            )  # refuses now what would be refused at the end of the run
        diff = diff.to_json() if isinstance(diff, GitDiff) else diff
        super().__init__(spec=filled(self.SPEC_CLASS, locals()))
