"""Reads what a fragment is made of from a run's artifacts. Inputs that are not connected are left out."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from tfx.types import artifact_utils

from tfx_pedigree.comparison import Comparison, Data
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.run_graph import Deployment, PipelineRun, Seen
from tfx_pedigree.registry import Evidence
from tfx_pedigree.service.runs.lineage import ObservedRun
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.registry_pusher import executor as pushing
from tfx_pedigree.tfx_components.version_comparator.examples import Examples
from tfx_pedigree.tfx_components.versioner.executor import IMAGE, data_of, modules_in

EVAL_SPLIT = "eval_split"
RECIPE = "recipe"
DIFF = "diff"

Artifacts = Mapping[str, list[Any]]


def gather(inputs: Artifacts, properties: Mapping[str, Any], run: PipelineRun) -> ObservedRun:
    record = pushing.record_of(artifacts.single(inputs, "version"), properties)
    if not record.get("data"):  # a Versioner that was not told what the model was made from
        record["data"] = data_of(dict(inputs))
    comparison, evidence = _compared(inputs, record)
    return ObservedRun(
        record,
        *_seen(inputs),
        run,
        modules_in(dict(properties)),
        parameters.text(properties, IMAGE),
        comparison,
        evidence,
        _evaluated_on(inputs, parameters.text(properties, EVAL_SPLIT, "eval")) if comparison is None else (),
        _deployment(artifacts.optional_single(inputs, "pushed_model"), record),
        parameters.table(properties, RECIPE),
        parameters.table(properties, DIFF),
    )


def _compared(inputs: Artifacts, record: Mapping[str, Any]) -> tuple[Comparison | None, Evidence | None]:
    found = artifacts.optional_single(inputs, "comparison")
    if found is None:
        return None, None
    comparison, evidence = pushing.read_compared(found)
    _same_version("comparison", comparison.challenger.digest, record)
    return comparison, evidence


def _evaluated_on(inputs: Artifacts, split: str) -> tuple[Data, ...]:
    """The data of an evaluation without a comparison. TFMA's files do not name them, so the pipeline must."""
    examples = inputs.get("evaluate_on") or inputs.get("examples")
    if not examples or artifacts.optional_single(inputs, "evaluation") is None:
        return ()
    return (Examples.of(examples, split).data(None),)


def _deployment(pushed: Any | None, record: Mapping[str, Any]) -> Deployment | None:
    if pushed is None:
        return None
    digest = pushed.get_string_custom_property(artifacts.DIGEST)
    if digest:
        _same_version("pushed_model", digest, record)
    destination = pushed.get_string_custom_property(pushing.PUSHED_DESTINATION)
    if pushed.get_int_custom_property(pushing.PUSHED) != 1 or not destination:
        return None
    return Deployment(
        destination,
        pushed.get_string_custom_property(pushing.PUSHED_VERSION) or None,
        pushed.get_string_custom_property(pushing.OUTCOME) or None,
    )


def _same_version(key: str, digest: str, record: Mapping[str, Any]) -> None:
    if digest != record["digest"]:
        raise InvalidInputError(
            f"The input `{key}` is about {digest[:19]}…, but the version is {record['model']} {record['version']} "
            f"({record['digest'][:19]}…). Connect both from the same run."
        )


def _seen(inputs: Artifacts) -> tuple[Seen, Seen]:
    """Of what the model was trained on, and of what it was evaluated on, which are often two splits of the same."""
    trained = Seen(_statistics(inputs), _uris(inputs.get("examples")))
    other = inputs.get("evaluate_on")
    return trained, Seen(uris=_uris(other)) if other else trained


def _statistics(inputs: Artifacts) -> dict[str, str]:
    """By split. Which file StatisticsGen writes differs between releases; there is one of it."""
    found = artifacts.optional_single(inputs, "statistics")
    if found is None:
        return {}
    digests = {}
    for split in artifact_utils.decode_split_names(found.split_names):
        uri = artifact_utils.get_split_uri([found], split)
        names = files.list_files(uri)
        parts = [files.digest_of_file(posixpath.join(uri, name)) for name in names]
        if parts:
            digests[split] = parts[0] if len(parts) == 1 else digest_of(canonical_json(parts))
    return digests


def _uris(examples: list[Any] | None) -> dict[str, str]:
    """Where each split lies; nothing where several artifacts have the same splits."""
    if not examples or len(examples) > 1:
        return {}
    splits = artifact_utils.decode_split_names(examples[0].split_names)
    return {split: str(artifact_utils.get_split_uri(examples, split)) for split in splits}
