"""Versioner: gives each trained model its version."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types import channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from tfx_pedigree.lineage.secrets import clean_values
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import ModelVersion
from tfx_pedigree.tfx_components.uncached import UncachedComponent
from tfx_pedigree.tfx_components.versioner import executor
from tfx_pedigree.versioning import Request


class VersionerSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012
        **parameters.registry_parameters(),
        **{key: parameters.optional_text() for key in executor.TEXTS},
    }
    INPUTS = {  # noqa: RUF012
        executor.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        executor.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        executor.SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema, optional=True),
        executor.TRANSFORM_KEY: ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
        executor.CHAMPION_KEY: ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {executor.VERSION_KEY: ChannelParameter(type=ModelVersion)}  # noqa: RUF012
    TYPE_ANNOTATION = system_executions.Process


class Versioner(UncachedComponent):
    """Stores the model to serve, and reserves the number that follows from what changed.

    `hyperparameters` are part of what decides the number (a change is at least MINOR); `training` is only recorded.
    Both, and `git` (what `capture_git(...).to_json()` gives), are dicts or JSON. `label_key` names what is predicted:
    another one than before is a MAJOR change. `modules` (file name to digest), `image` and the environment's
    `variables` that are read beside the usual ones say more of how the model was made. `bump`, `pre` and `version`
    outrank what the content says.
    """

    SPEC_CLASS = VersionerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        model_name: str,
        *,
        examples: channel.BaseChannel | None = None,
        schema: channel.BaseChannel | None = None,
        transform_graph: channel.BaseChannel | None = None,
        champion: channel.BaseChannel | None = None,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
        hyperparameters: Mapping[str, Any] | str | None = None,
        training: Mapping[str, Any] | str | None = None,
        git: Mapping[str, Any] | str | None = None,
        label_key: str | None = None,
        modules: Mapping[str, str] | str | None = None,
        image: str | None = None,
        variables: Sequence[str] | str | None = None,
        bump: str | None = None,
        pre: str | None = None,
        version: str | None = None,
    ) -> None:
        if all(value is None or isinstance(value, str) for value in (bump, pre, version)):
            Request.of(bump, pre, version)  # refuses now what would be refused after the training
        values = parameters.given(
            **{key: _json(value) for key, value in _structures(hyperparameters, training, git, modules).items()},
            variables=_json(variables),
            label_key=label_key,
            image=image,
            bump=bump,
            pre=pre,
            version_number=version,
        )
        spec = VersionerSpec(
            model=model,
            examples=examples,
            schema=schema,
            transform_graph=transform_graph,
            champion=champion,
            version=channel.Channel(type=ModelVersion),
            **parameters.registry_values(model_name, registry, store, actor),
            **values,
        )
        super().__init__(spec=spec)


def _structures(hyperparameters: Any, training: Any, git: Any, modules: Any) -> dict[str, Any]:
    """Secrets stay out of parameters, which every runner keeps in clear text. Names of modules are no secrets."""
    return {
        executor.HYPERPARAMETERS: _without_secrets(hyperparameters),
        executor.TRAINING: _without_secrets(training),
        executor.GIT: _without_secrets(git),
        executor.MODULES: modules,
    }


def _without_secrets(value: Any) -> Any:
    """What is known only to the run is cleaned there."""
    found = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            found = json.loads(value)
    return clean_values(found) if isinstance(found, Mapping) else value


def _json(value: Any) -> Any:
    """What is text already, or known only to the run, stays as it is."""
    if isinstance(value, Mapping):
        return parameters.json_text(dict(value))
    return parameters.json_text(list(value)) if isinstance(value, list | tuple) else value
