"""RegistryPusher: registers a version, promotes it if the verdict allows, and lays it out for serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types import system_executions
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.service.runs.push import PushTarget
from tfx_pedigree.service.runs.push_rollout import PipelineRollout
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.registry_pusher import executor
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class RegistryPusher(UncachedComponent):
    """Registers the version with what judged it, and promotes it as far as `promote_to` says (none, staging or
    production) if the verdict is PASS and every given blessing is there.

    With `serving_base`, a version that was promoted is laid out in `<serving_base>/<model>/<sequence>`, where TF
    Serving finds it. Give the output `blessing` to the stock Pusher, if that serves, as `infra_blessing`: it is
    there only if the version really was promoted, which a verdict alone does not say. `model` is only needed to
    heal the store, should the bytes in it be damaged. `infra_blessing` is an InfraValidator's, `rivals` are the
    comparisons of other candidates of the run: only the best of those that pass is promoted.

    With `rollout`, a rollout.yaml or a table with its keys, what passes is rolled out step by step: the rollout is
    ordered and not waited for, and `pushed_model` says where to look. The first version of a model is promoted, and the
    traffic brought to it.
    """

    SPEC_CLASS = spec_class(
        "RegistryPusherSpec",
        inputs={
            "version": ModelVersion,
            "model?": Model,
            "comparison?": VersionComparison,
            "model_blessing?": ModelBlessing,
            "infra_blessing?": InfraBlessing,
            **{f"{name}?": VersionComparison for name in executor.RIVALS},
        },
        outputs={"pushed_model": PushedModel, "blessing": InfraBlessing},
        parameters={"promote_to": str, "serving_base?": str, "rollout?": str},
        annotation=system_executions.Deploy,
    )
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        version: BaseChannel,
        model_name: str,
        *,
        model: BaseChannel | None = None,
        comparison: BaseChannel | None = None,
        model_blessing: BaseChannel | None = None,
        infra_blessing: BaseChannel | None = None,
        rivals: Sequence[BaseChannel] = (),
        promote_to: Any = PushTarget.PRODUCTION.value,
        serving_base: str | None = None,
        rollout: PipelineRollout | str | Path | Mapping[str, Any] | None = None,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
    ) -> None:
        judged = comparison or model_blessing or infra_blessing
        if (
            isinstance(promote_to, str)
            and parameters.one_of(PushTarget, executor.PROMOTE_TO, promote_to) is not PushTarget.NONE
            and not judged
        ):
            raise InvalidInputError(
                f"A RegistryPusher that promotes to {promote_to} needs something that judged the model: a comparison, "
                "a model_blessing or an infra_blessing. Connect one of them, or give promote_to='none'."
            )
        if len(rivals) > len(executor.RIVALS):
            raise InvalidInputError(
                f"A RegistryPusher knows up to {len(executor.RIVALS)} rivals of its candidate, but was given "
                f"{len(rivals)}. Train fewer candidates in one run."
            )
        given = {**locals(), **dict(zip(executor.RIVALS, rivals, strict=False))}
        given["rollout"] = _ordered(rollout, promote_to, serving_base)
        super().__init__(spec=filled(self.SPEC_CLASS, given))


def _ordered(rollout: Any, promote_to: Any, serving_base: str | None) -> dict[str, Any] | None:
    """The order in full: the pipeline's host need not see the file when it runs."""
    if rollout is None:
        return None
    order = PipelineRollout.of(rollout)
    if promote_to == PushTarget.STAGING.value:
        raise InvalidInputError("A rollout leads to production: leave promote_to='staging' out, or the rollout.")
    if serving_base:
        raise InvalidInputError(
            "Both `rollout` and `serving_base` say how the version comes to be served. Leave `serving_base` out: the "
            "controller of the rollout brings the files to where they are served."
        )
    return to_json(order)
