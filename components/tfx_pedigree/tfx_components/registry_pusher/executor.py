"""From the artifacts of a run to the registry, and to the folder from which models are served."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from absl import logging
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor

from tfx_pedigree.comparison import Comparison
from tfx_pedigree.json_form import read
from tfx_pedigree.registry import Evidence, Reference, check_model_name
from tfx_pedigree.service.runs.judgement import (
    EVALUATOR,
    INFRA,
    best_of_candidates,
    facts_of,
    judged,
)
from tfx_pedigree.service.runs.observing import observe_baseline
from tfx_pedigree.service.runs.push import Move, Pushed, PushTarget, register_and_promote
from tfx_pedigree.service.runs.push_rollout import ByRollout, PipelineRollout
from tfx_pedigree.service.versions.version_record import check_record
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import Store
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.version_comparator.writing import bless

PROMOTE_TO = "promote_to"
# Separate inputs: Kubeflow knows no union of channels.
RIVALS = tuple(f"rival_{number}" for number in range(1, 8))
SERVING_BASE = "serving_base"
ROLLOUT = "rollout"

# What TFX's Pusher says of a PushedModel, and those who read one look for.
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"
OUTCOME = "outcome"
REASON = "reason"
STATE = "state"

Artifacts = dict[str, list[Any]]


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "pushed_model")
        found = record_of(artifacts.single(input_dict, "version"), exec_properties)
        evidence, comparison = _judged(input_dict, found)
        target = parameters.choice(PushTarget, exec_properties, PROMOTE_TO, PushTarget.PRODUCTION)
        model = artifacts.optional_single(input_dict, "model")
        reference, facts = Reference(found["model"], found["digest"]), facts_of(found, comparison)
        with parameters.open_workspace(exec_properties) as workspace:
            result = register_and_promote(
                workspace.registry,
                workspace.store,
                reference,
                facts,
                evidence,
                target=target,
                files=_folder_of(model),
                move=_move(workspace, exec_properties),
            )
            if result.healed:
                logging.warning("The store's bytes of %s were damaged. This run's model healed them.", reference)
            logging.info("%s: %s. %s", result.version.name, result.outcome.value, result.reason)
            if unobserved := observe_baseline(workspace.registry, reference.model, evidence, facts.tags):
                logging.warning("%s", unobserved)
            destination = _push(workspace.store, result, exec_properties, output)
        _mark(output, result, destination)
        bless(artifacts.single(output_dict, "blessing"), result.serves)


def record_of(version: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    name = check_model_name(parameters.text(properties, parameters.MODEL_NAME))
    return check_record(files.read_json(version.uri, artifacts.MODEL_VERSION_FILE), version.uri, name)


def _judged(inputs: Artifacts, found: dict[str, Any]) -> tuple[Evidence | None, Comparison | None]:
    compared = artifacts.optional_single(inputs, "comparison")
    comparison, evidence = (None, None) if compared is None else read_compared(compared)
    evidence = judged(found, evidence, _blessings(inputs))
    if comparison is None or evidence is None:
        return evidence, comparison
    rivals = [read_compared(one) for key in RIVALS if (one := artifacts.optional_single(inputs, key)) is not None]
    return best_of_candidates(comparison, evidence, rivals), comparison


def read_compared(compared: Any) -> tuple[Comparison, Evidence]:
    """What a VersionComparator wrote."""
    text = files.read_text(compared.uri, artifacts.COMPARISON_FILE)
    evidence = Evidence.from_text(files.read_text(compared.uri, artifacts.EVIDENCE_FILE))
    return Comparison.from_text(text, compared.uri), evidence


def _blessings(inputs: Artifacts) -> dict[str, bool]:
    found = {}
    model = artifacts.optional_single(inputs, "model_blessing")
    if model is not None:
        found[EVALUATOR] = bool(model_utils.is_model_blessed(model))
    infra = artifacts.optional_single(inputs, "infra_blessing")
    if infra is not None:
        found[INFRA] = bool(model_utils.is_infra_validated(infra))
    return found


def _folder_of(model: Any | None) -> Callable[[], AbstractContextManager[Path]] | None:
    """The model of this run is the same bytes: what the store has lost since the Versioner put it there comes back."""
    return partial(files.local_folder, files.serving_folder(model)) if model is not None else None


def _move(workspace: Workspace, properties: Mapping[str, Any]) -> Move | None:
    """None: a promotion at once."""
    order = parameters.structure(properties, ROLLOUT)
    if order is None:
        return None
    return ByRollout(workspace.rollouts, read(PipelineRollout, order, f"The parameter `{ROLLOUT}`"))


def _push(store: Store, result: Pushed, properties: dict[str, Any], output: Any) -> str | None:
    """Where the version is served from; None if nothing is to be served."""
    base = parameters.text(properties, SERVING_BASE)
    if not result.serves or not base:
        return None
    version = result.version
    destination = posixpath.join(base, version.model, str(version.sequence))
    files.lay_out(store, version.digest, destination)
    files.lay_out(store, version.digest, output.uri)
    return destination


def _mark(output: Any, result: Pushed, destination: str | None) -> None:
    version = result.version
    properties: dict[str, str | int | None] = {
        PUSHED: int(destination is not None),
        PUSHED_DESTINATION: destination,
        PUSHED_VERSION: str(version.sequence) if destination is not None else None,
        OUTCOME: result.outcome.value,
        REASON: result.reason,
        STATE: str(version.state),
        ROLLOUT: str(result.rollout) if result.rollout is not None else None,
        artifacts.MODEL: version.model,
        artifacts.VERSION: version.version,
        artifacts.DIGEST: version.digest,
    }
    artifacts.set_properties(output, **properties)
