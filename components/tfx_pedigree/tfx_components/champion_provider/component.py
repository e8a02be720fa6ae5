"""ChampionProvider: the baseline of an evaluation, asked of the registry in each run."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types import channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.champion_provider import executor
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class ChampionProviderSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = parameters.registry_parameters()
    INPUTS: dict[str, Any] = {}  # noqa: RUF012
    OUTPUTS = {executor.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model)}  # noqa: RUF012
    TYPE_ANNOTATION = system_executions.Process


class ChampionProvider(UncachedComponent):
    """Gives the model that is in production now; give its output `model` to Evaluator as `baseline_model`.

    Where there is none, the artifact says so (custom property `absent` = 1) and holds no files: the Evaluator of
    this package then sees no baseline.
    """

    SPEC_CLASS = ChampionProviderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self, model_name: str, registry: str | None = None, store: str | None = None, actor: str | None = None
    ) -> None:
        spec = ChampionProviderSpec(
            model=channel.Channel(type=standard_artifacts.Model),
            **parameters.registry_values(model_name, registry, store, actor),
        )
        super().__init__(spec=spec)
