"""From the log to the best champion's bytes, and from these to an evaluation beside the challenger."""

from __future__ import annotations

from typing import Any

from absl import logging
from tensorflow_model_analysis.proto import config_pb2
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs as keys

from tfx_pedigree.comparison import Anchor, Best, Key, Policy, best_of, read_policy
from tfx_pedigree.errors import DamagedError, NotFoundError
from tfx_pedigree.registry import RegistryApi, Version, check_model_name
from tfx_pedigree.service.judging.past import past_of
from tfx_pedigree.service.versions.reserving import find_champion
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.champion_provider.executor import properties_of
from tfx_pedigree.tfx_components.evaluator import executor as evaluator
from tfx_pedigree.tfx_components.version_comparator.tfma_results import read_evaluation

POLICY = "policy"
# Why the best champion's bytes were not given.
MISSING = "missing"

Artifacts = dict[str, list[Any]]


class ProviderExecutor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "model")
        name = check_model_name(parameters.text(exec_properties, parameters.MODEL_NAME))
        policy = read_policy(parameters.structure(exec_properties, POLICY), "the parameter `policy`")
        missing, version = None, None
        with parameters.open_workspace(exec_properties) as workspace:
            best = _best(workspace.registry, name, policy, artifacts.optional_single(input_dict, "champion"))
            if best is not None:
                version = workspace.registry.get(f"{name}@{best.version}")
                try:
                    files.lay_out(workspace.store, version.digest, files.champion_folder(output.uri))
                except (DamagedError, NotFoundError) as error:
                    logging.warning("%s was the best champion, but cannot be measured again: %s", version.name, error)
                    missing = "its bytes cannot be used any more"
        fileio.makedirs(output.uri)
        artifacts.set_properties(output, **_properties(name, version, missing))


def _best(registry: RegistryApi, name: str, policy: Policy, champion: Any | None) -> Best | None:
    if champion is None:
        found = find_champion(registry, name)
        number = found.version if found is not None else None
    else:
        number = champion.get_string_custom_property(artifacts.VERSION) or None
    return best_of(past_of(registry, name), policy, number) if number is not None else None


def _properties(name: str, version: Version | None, missing: str | None) -> dict[str, str | int | None]:
    told = properties_of(name, version)
    return told if missing is None else {**told, artifacts.ABSENT: 1, MISSING: missing}


class EvaluatorExecutor(evaluator.Executor):
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        if artifacts.is_absent(artifacts.optional_single(input_dict, keys.BASELINE_MODEL_KEY)):
            fileio.makedirs(artifacts.single(output_dict, keys.EVALUATION_KEY).uri)
            return
        super().Do(input_dict, output_dict, exec_properties)


def config_of(config: config_pb2.EvalConfig) -> config_pb2.EvalConfig:
    """What of an EvalConfig the best champion is measured by: the same metrics, on all examples, without thresholds."""
    found = config_pb2.EvalConfig()
    found.CopyFrom(config)
    del found.slicing_specs[:]
    for spec in found.metrics_specs:
        for holder in (spec, *spec.metrics):
            for name in ("threshold", "thresholds", "per_slice_thresholds", "cross_slice_thresholds"):
                if name in holder.DESCRIPTOR.fields_by_name:
                    holder.ClearField(name)
    return found


def anchor_of(policy: Policy, best: Any | None, evaluation: Any | None) -> Anchor | None:
    """What was measured of the best champion; None where nobody asked, or where the champion is the best one."""
    version = best.get_string_custom_property(artifacts.VERSION) if best is not None else None
    if best is None or evaluation is None or not version:
        return None
    why = best.get_string_custom_property(MISSING)
    if not why and evaluation.get_int_custom_property(artifacts.BASELINE_INCOMPATIBLE) == 1:
        why = evaluation.get_string_custom_property(artifacts.BASELINE_INCOMPATIBLE_REASON) or "it cannot be evaluated"
    if why:
        return Anchor(version, missing=why)
    found, key = read_evaluation(evaluation.uri, policy.confidence), Key(policy.metric)
    mine, theirs = found.challenger.get(key), (found.champion or {}).get(key)
    if mine is None or theirs is None:
        return Anchor(version, missing=f"its evaluation does not have {policy.metric}")
    return Anchor(version, theirs, mine, found.differences.get(key))
