"""RegistryPusher: registers a version, promotes it if the verdict allows, and lays it out for serving."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types import channel, standard_artifacts, system_executions
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.registry_pusher import executor
from tfx_pedigree.tfx_components.registry_pusher.outcome import PushTarget
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class RegistryPusherSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012
        **parameters.registry_parameters(),
        executor.PROMOTE_TO: ExecutionParameter(type=str),
        executor.SERVING_BASE: parameters.optional_text(),
    }
    INPUTS = {  # noqa: RUF012
        executor.VERSION_KEY: ChannelParameter(type=ModelVersion),
        executor.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model, optional=True),
        executor.COMPARISON_KEY: ChannelParameter(type=VersionComparison, optional=True),
        executor.MODEL_BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        executor.INFRA_BLESSING_KEY: ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        executor.PUSHED_MODEL_KEY: ChannelParameter(type=standard_artifacts.PushedModel),
        executor.BLESSING_KEY: ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    TYPE_ANNOTATION = system_executions.Deploy


class RegistryPusher(UncachedComponent):
    """Registers the version with what judged it, and promotes it as far as `promote_to` says (none, staging or
    production) if the verdict is PASS and every given blessing is there.

    With `serving_base`, a version that was promoted is laid out in `<serving_base>/<model>/<sequence>`, where TF
    Serving finds it. Give the output `blessing` to the stock Pusher, if that serves, as `infra_blessing`: it is
    there only if the version really was promoted, which a verdict alone does not say. `model` is only needed to
    heal the store, should the bytes in it be damaged.
    """

    SPEC_CLASS = RegistryPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        version: channel.BaseChannel,
        model_name: str,
        *,
        model: channel.BaseChannel | None = None,
        comparison: channel.BaseChannel | None = None,
        model_blessing: channel.BaseChannel | None = None,
        infra_blessing: channel.BaseChannel | None = None,
        promote_to: Any = PushTarget.PRODUCTION.value,
        serving_base: str | None = None,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
    ) -> None:
        judged = comparison or model_blessing or infra_blessing
        if isinstance(promote_to, str) and executor.target_of(promote_to) is not PushTarget.NONE and not judged:
            raise InvalidInputError(
                f"A RegistryPusher that promotes to {promote_to} needs something that judged the model: a comparison, "
                "a model_blessing or an infra_blessing. Connect one of them, or give promote_to='none'."
            )
        spec = RegistryPusherSpec(
            version=version,
            model=model,
            comparison=comparison,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
            blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
            promote_to=promote_to,
            **parameters.given(serving_base=serving_base),
            **parameters.registry_values(model_name, registry, store, actor),
        )
        super().__init__(spec=spec)
