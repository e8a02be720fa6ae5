"""From the artifacts of a run to the registry, and to the folder from which models are served."""

from __future__ import annotations

import posixpath
from typing import Any

from absl import logging
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor

from tfx_pedigree.comparison import Comparison
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.registry import Evidence, Reference, Registry, Version
from tfx_pedigree.registry.names import check_model_name
from tfx_pedigree.service.intake import check_bytes
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.registry_pusher import judgement
from tfx_pedigree.tfx_components.registry_pusher.outcome import PushTarget, Result, register_and_promote
from tfx_pedigree.tfx_components.version_comparator.writing import bless
from tfx_pedigree.tfx_components.versioner import record

MODEL_KEY = "model"
VERSION_KEY = "version"
COMPARISON_KEY = "comparison"
MODEL_BLESSING_KEY = "model_blessing"
INFRA_BLESSING_KEY = "infra_blessing"
PUSHED_MODEL_KEY = "pushed_model"
BLESSING_KEY = "blessing"

PROMOTE_TO = "promote_to"
SERVING_BASE = "serving_base"

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
        output = artifacts.single(output_dict, PUSHED_MODEL_KEY)
        found = record_of(artifacts.single(input_dict, VERSION_KEY), exec_properties)
        evidence, comparison = _judged(input_dict, found)
        target = target_of(parameters.text(exec_properties, PROMOTE_TO, PushTarget.PRODUCTION.value))
        model = artifacts.optional_single(input_dict, MODEL_KEY)
        reference = Reference(found["model"], found["digest"])
        with parameters.open_registry(exec_properties) as registry:
            result = register_and_promote(
                registry,
                reference,
                judgement.facts_of(found, comparison),
                evidence,
                target=target,
                check=lambda version: _check_or_heal(registry, version, model),
            )
            logging.info("%s: %s. %s", result.version.name, result.outcome.value, result.reason)
            destination = _push(registry, result, exec_properties, output)
        _mark(output, result, destination)
        bless(artifacts.single(output_dict, BLESSING_KEY), result.serves)


def target_of(word: str) -> PushTarget:
    try:
        return PushTarget(word.lower())
    except ValueError:
        words = ", ".join(one.value for one in PushTarget)
        raise InvalidInputError(f"promote_to is {word!r}, but it must be one of {words}.") from None


def record_of(version: Any, properties: dict[str, Any]) -> dict[str, Any]:
    found = record.check(files.read_json(version.uri, artifacts.MODEL_VERSION_FILE), version.uri)
    name = check_model_name(parameters.text(properties, parameters.MODEL_NAME))
    if found["model"] != name:
        raise InvalidInputError(
            f"The version {found['version']} is one of {found['model']}, but model_name is {name}. "
            "Give both the same name."
        )
    return found


def _judged(inputs: Artifacts, found: dict[str, Any]) -> tuple[Evidence | None, Comparison | None]:
    blessings = _blessings(inputs)
    compared = artifacts.optional_single(inputs, COMPARISON_KEY)
    if compared is None:
        return judgement.without_comparison(found, blessings), None
    evidence = Evidence.from_text(files.read_text(compared.uri, artifacts.EVIDENCE_FILE))
    if evidence.challenger != found["digest"]:
        raise InvalidInputError(
            f"The comparison is about {evidence.challenger[:19]}…, but the version is {found['model']} "
            f"{found['version']} ({found['digest'][:19]}…). Connect the comparison and the version of the same run."
        )
    text = files.read_text(compared.uri, artifacts.COMPARISON_FILE)
    return judgement.with_blessings(evidence, blessings), Comparison.from_text(text, compared.uri)


def _blessings(inputs: Artifacts) -> dict[str, bool]:
    found = {}
    model = artifacts.optional_single(inputs, MODEL_BLESSING_KEY)
    if model is not None:
        found[judgement.EVALUATOR] = bool(model_utils.is_model_blessed(model))
    infra = artifacts.optional_single(inputs, INFRA_BLESSING_KEY)
    if infra is not None:
        found[judgement.INFRA] = bool(model_utils.is_infra_validated(infra))
    return found


def _check_or_heal(registry: Registry, version: Version, model: Any | None) -> None:
    """The model of this run is the same bytes: what the store has lost since the Versioner put it there comes back."""
    try:
        check_bytes(registry.store, version)
    except DamagedError:
        if model is None:
            raise
        logging.warning("The store's bytes of %s are damaged. Storing them again from %s.", version.name, model.uri)
        with files.local_folder(files.serving_folder(model)) as folder:
            registry.store.put(folder, heal=True)
        check_bytes(registry.store, version)


def _push(registry: Registry, result: Result, properties: dict[str, Any], output: Any) -> str | None:
    """Where the version is served from; None if nothing is to be served."""
    base = parameters.text(properties, SERVING_BASE)
    if not result.serves or not base:
        return None
    version = result.version
    destination = posixpath.join(base, version.model, str(version.sequence))
    files.lay_out(registry.store, version.digest, destination)
    files.lay_out(registry.store, version.digest, output.uri)
    return destination


def _mark(output: Any, result: Result, destination: str | None) -> None:
    version = result.version
    properties: dict[str, str | int | None] = {
        PUSHED: int(destination is not None),
        PUSHED_DESTINATION: destination,
        PUSHED_VERSION: str(version.sequence) if destination is not None else None,
        OUTCOME: result.outcome.value,
        REASON: result.reason,
        STATE: str(version.state),
        artifacts.MODEL: version.model,
        artifacts.VERSION: version.version,
        artifacts.DIGEST: version.digest,
    }
    artifacts.set_properties(output, **properties)
