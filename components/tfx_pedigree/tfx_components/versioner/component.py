"""Versioner: gives each trained model its version."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.tfx_components.artifacts import ModelVersion
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.uncached import UncachedComponent
from tfx_pedigree.tfx_components.versioner import executor
from tfx_pedigree.tfx_components.versioner.tracking import check_run
from tfx_pedigree.versioning import Request


class Versioner(UncachedComponent):
    """Stores the model to serve, and reserves the number that follows from what changed.

    `hyperparameters` are part of what decides the number (a change is at least MINOR); `training` is only recorded.
    Both, and `git` (what `capture_git(...).to_json()` gives), are dicts or JSON. `label_key` names what is predicted:
    another one than before is a MAJOR change. `tuned_hyperparameters` are a Tuner's best ones, which the run alone
    knows: they outrank given ones of the same name. `base_model` is what the training went on from (warm start).
    `modules` (file name to digest), `image` and the environment's `variables` that are read beside the usual ones say
    more of how the model was made. Of modules whose name for Python is in `module_names`, the digest of what was really
    imported counts. `bump`, `pre` and `version` outrank what the content says.

    `from_run` is a tracker's run, `mlflow:ID`, `wandb:FOLDER` or `tensorboard:LOGDIR`: the version takes its
    parameters, metrics and datasets, and the run learns its version. Where only the training knows its run, give the
    Trainer's `model_run`: the file `pedigree_run` in it names the run, else its own event files are the run.
    """

    SPEC_CLASS = spec_class(
        "VersionerSpec",
        inputs={
            "model": Model,
            "examples?": Examples,
            "schema?": Schema,
            "transform_graph?": TransformGraph,
            "champion?": Model,
            "tuned_hyperparameters?": HyperParameters,
            "base_model?": Model,
            "model_run?": ModelRun,
        },
        outputs={"version": ModelVersion},
        parameters={f"{key}?": str for key in executor.TEXTS},
    )
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: BaseChannel,
        model_name: str,
        *,
        examples: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        transform_graph: BaseChannel | None = None,
        champion: BaseChannel | None = None,
        tuned_hyperparameters: BaseChannel | None = None,
        base_model: BaseChannel | None = None,
        model_run: BaseChannel | None = None,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
        hyperparameters: Mapping[str, Any] | str | None = None,
        training: Mapping[str, Any] | str | None = None,
        git: Mapping[str, Any] | str | None = None,
        label_key: str | None = None,
        modules: Mapping[str, str] | str | None = None,
        module_names: Mapping[str, str] | str | None = None,
        image: str | None = None,
        variables: Sequence[str] | str | None = None,
        bump: str | None = None,
        pre: str | None = None,
        version: str | None = None,
        from_run: str | None = None,
    ) -> None:
        if all(value is None or isinstance(value, str) for value in (bump, pre, version)):
            Request.of(bump, pre, version)  # refuses now what would be refused after the training
        if isinstance(from_run, str):
            check_run(from_run)
        given = {**locals(), executor.VERSION_NUMBER: version}
        # Every runner keeps parameters in clear text.
        given |= {key: _without_secrets(given[key]) for key in ("hyperparameters", "training", "git")}
        super().__init__(spec=filled(self.SPEC_CLASS, given))


def _without_secrets(value: Any) -> Any:
    """What is known only to the run is cleaned there."""
    found = value
    if isinstance(value, str):
        with contextlib.suppress(InvalidInputError):
            found = parse_json(value, "The parameter", words=True)
    return clean_values(found) if isinstance(found, Mapping) else value
