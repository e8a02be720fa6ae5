"""VersionComparator: whether the new version is really better than what serves today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelBlessing, ModelEvaluation

from tfx_pedigree.comparison import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_components.artifacts import ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.version_comparator import executor
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings


class VersionComparator(base_beam_component.BaseBeamComponent):  # type: ignore[misc]
    """Judges the challenger by the policy and writes comparison.json, report.html and evidence.json.

    Give the output `blessing` to the stock Pusher as `infra_blessing`: it then pushes only what the policy passed, and
    what an InfraValidator blessed, where its `infra_blessing` is given.
    `policy` is a Policy or its JSON. Label, signature and prediction are those that the Evaluator was told, unless they
    are given here. `latency_rounds` = 0 measures no latency. For a policy with `never_below`, `best_champion` is what a
    BestChampionProvider gives, and `best_evaluation` what a BestChampionEvaluator made of it.
    """

    SPEC_CLASS = spec_class(
        "VersionComparatorSpec",
        inputs={
            "model": Model,
            "version": ModelVersion,
            "champion?": Model,
            "evaluation": ModelEvaluation,
            "model_blessing?": ModelBlessing,
            "infra_blessing?": InfraBlessing,
            "examples": Examples,
            "best_champion?": Model,
            "best_evaluation?": ModelEvaluation,
        },
        outputs={"comparison": VersionComparison, "blessing": InfraBlessing},
        parameters={
            "policy": str,
            "eval_split": str,
            "label_key?": str,
            "signature_name?": str,
            "prediction_key?": str,
            "flip_threshold": float,
            "latency_rounds": int,
            "latency_batch_size": int,
        },
        uses_registry=False,
    )
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        model: BaseChannel,
        version: BaseChannel,
        evaluation: BaseChannel,
        examples: BaseChannel,
        policy: Policy | Mapping[str, Any] | str,
        *,
        champion: BaseChannel | None = None,
        model_blessing: BaseChannel | None = None,
        infra_blessing: BaseChannel | None = None,
        best_champion: BaseChannel | None = None,
        best_evaluation: BaseChannel | None = None,
        eval_split: str = "eval",
        label_key: str | None = None,
        signature_name: str | None = None,
        prediction_key: str | None = None,
        flip_threshold: float = 0.5,
        latency_rounds: int = LatencySettings.rounds,
        latency_batch_size: int = LatencySettings.batch_size,
    ) -> None:
        for name, value in {"latency_rounds": latency_rounds, "latency_batch_size": latency_batch_size}.items():
            if value < 0:
                raise InvalidInputError(f"The parameter `{name}` is {value}, but it must be 0 or more.")
        super().__init__(spec=filled(self.SPEC_CLASS, {**locals(), "policy": _policy_text(policy)}))


def _policy_text(policy: Policy | Mapping[str, Any] | str) -> str:
    """Refuses a wrong policy when the pipeline is built, and writes equal policies alike, for the sake of the cache."""
    found = policy if isinstance(policy, Policy) else executor.policy_of(policy)
    return json.dumps(found.to_json(), sort_keys=True)
