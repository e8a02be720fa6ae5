"""Decides whether the baseline takes part and what the intervals follow from; the rest is left to TFX's executor."""

from __future__ import annotations

import posixpath
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf
from absl import logging
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs as keys
from tfx.utils import json_utils, proto_utils

from tfx_pedigree.tfx_components import artifacts, files
from tfx_pedigree.tfx_components.evaluator.same_intervals import copies, same_intervals
from tfx_pedigree.tfx_components.version_comparator.examples import files_of
from tfx_pedigree.versioning import ModelDescription, describe_files
from tfx_pedigree.versioning.comparable import why_not_comparable
from tfx_pedigree.versioning.description import LABEL_KEY

# What a model that is fed with the wrong data ends in. Beam's local runner makes all of it a RuntimeError.
_OF_A_MODEL = (RuntimeError, ValueError, TypeError, KeyError, tf.errors.OpError)
_LONGEST = 300
_DEFAULT_SPLIT = "eval"
_NOISE = ("Traceback", "File ", "Graph execution error", "Detected at node", "<stack traces", "[[")

Artifacts = dict[str, list[Any]]


class Executor(tfx_executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        with _steady_intervals(input_dict, exec_properties):
            self._evaluate(input_dict, output_dict, exec_properties)

    def _evaluate(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        champion = artifacts.optional_single(input_dict, keys.BASELINE_MODEL_KEY)
        alone = {key: value for key, value in input_dict.items() if key != keys.BASELINE_MODEL_KEY}
        if artifacts.is_absent(champion):
            super().Do(alone, output_dict, exec_properties)
            return
        reason = _from_interfaces(champion, artifacts.single(input_dict, keys.MODEL_KEY), exec_properties)
        if reason is None:
            reason = self._evaluate_both(input_dict, alone, output_dict, exec_properties)
        else:
            super().Do(alone, output_dict, exec_properties)
        if reason is not None:
            logging.warning("The champion was left out of the evaluation: %s.", reason)
            _mark(artifacts.single(output_dict, keys.EVALUATION_KEY), reason)

    def _evaluate_both(
        self, both: Artifacts, alone: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> str | None:
        """A failure counts as the champion's only if the challenger alone gets through on the same examples."""
        try:
            super().Do(both, output_dict, exec_properties)
        except _OF_A_MODEL as failure:
            logging.exception("The evaluation of challenger and champion failed. Trying the challenger alone.")
            for key in (keys.EVALUATION_KEY, keys.BLESSING_KEY):
                _empty(artifacts.optional_single(output_dict, key))
            try:
                super().Do(alone, output_dict, exec_properties)
            except _OF_A_MODEL:
                raise failure from None
            return f"its evaluation failed: {_told(failure)}"
        return None


def _steady_intervals(input_dict: Artifacts, exec_properties: dict[str, Any]) -> AbstractContextManager[None]:
    config = _config(exec_properties)
    if not config.options.compute_confidence_intervals.value:
        return nullcontext()
    splits = json_utils.loads(exec_properties.get(keys.EXAMPLE_SPLITS_KEY) or "null") or [_DEFAULT_SPLIT]
    paths = [path for split in splits for path in files_of(input_dict[keys.EXAMPLES_KEY], split)]
    return same_intervals(copies(paths, files.open_binary), across_slices=bool(config.cross_slicing_specs))


def _config(exec_properties: dict[str, Any]) -> config_pb2.EvalConfig:
    config = config_pb2.EvalConfig()
    if exec_properties.get(keys.EVAL_CONFIG_KEY):
        proto_utils.json_to_proto(exec_properties[keys.EVAL_CONFIG_KEY], config)
    return config


def _from_interfaces(champion: Any, challenger: Any, exec_properties: dict[str, Any]) -> str | None:
    config = _config(exec_properties)
    spec = config.model_specs[0] if len(config.model_specs) else config_pb2.ModelSpec()
    return why_not_comparable(
        _describe(champion),
        _describe(challenger),
        signature=spec.signature_name or None,
        champion_label=champion.get_string_custom_property(LABEL_KEY) or None,
        label=spec.label_key or None,
    )


def _describe(model: Any) -> ModelDescription:
    folder = files.serving_folder(model)
    return describe_files(lambda path: files.open_binary(posixpath.join(folder, path)), files.list_files(folder))


def _empty(output: Any | None) -> None:
    if output is not None and fileio.exists(output.uri):
        fileio.rmtree(output.uri)
        fileio.makedirs(output.uri)


def _mark(evaluation: Any, reason: str) -> None:
    found: dict[str, str | int | None] = {
        artifacts.BASELINE_INCOMPATIBLE: 1,
        artifacts.BASELINE_INCOMPATIBLE_REASON: reason,
    }
    artifacts.set_properties(evaluation, **found)


def _told(failure: BaseException) -> str:
    """One line of it for a person: TensorFlow's own word where it is known, and never the data that TFMA adds."""
    cause: BaseException | None = failure
    while cause is not None and not isinstance(cause, tf.errors.OpError):
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip() for line in str(cause or failure).splitlines()]
    text = next((line for line in lines if line and not line.startswith(_NOISE)), type(failure).__name__)
    return (text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…").rstrip(".")
