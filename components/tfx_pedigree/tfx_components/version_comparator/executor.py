"""From the artifacts of a run to a comparison, its evidence and a blessing."""

from __future__ import annotations

import posixpath
from datetime import datetime, timezone
from functools import partial
from typing import Any

from absl import logging
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio

from tfx_pedigree.comparison import Origin, Policy, Verdict, output_of, parse_policy, read_policy
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.service.judging.comparison import Behaviour, Found, judge
from tfx_pedigree.service.judging.contestants import Contestants, GivenChampion, contestants
from tfx_pedigree.service.versions.version_record import check_record
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.best_champion.executor import anchor_of
from tfx_pedigree.tfx_components.version_comparator.examples import Examples
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums
from tfx_pedigree.tfx_components.version_comparator.predictions import (
    Plan,
    compare_predictions,
    read_sums,
    sums_of,
    write_sums,
)
from tfx_pedigree.tfx_components.version_comparator.running import ComparisonSettings, run_models
from tfx_pedigree.tfx_components.version_comparator.serving import ServingSignature
from tfx_pedigree.tfx_components.version_comparator.tfma_blessing import read_word
from tfx_pedigree.tfx_components.version_comparator.tfma_results import Told, read_evaluation, read_told
from tfx_pedigree.tfx_components.version_comparator.writing import bless, write
from tfx_pedigree.versioning import ModelDescription, describe_files
from tfx_pedigree.versioning.comparable import why_not_comparable
from tfx_pedigree.versioning.description import LABEL_KEY

POLICY = "policy"
EVAL_SPLIT = "eval_split"
SIGNATURE_NAME = "signature_name"
PREDICTION_KEY = "prediction_key"
FLIP_THRESHOLD = "flip_threshold"
LATENCY_ROUNDS = "latency_rounds"
LATENCY_BATCH_SIZE = "latency_batch_size"

# To start Beam takes as long as predicting on so many bytes here.
LARGEST_HERE = 16 << 20
# What Beam's workers hand back. It stays: the exact sums from which the scores follow.
SUMS_FILE = "predictions.json"

Artifacts = dict[str, list[Any]]


class Executor(base_beam_executor.BaseBeamExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "comparison")
        policy = policy_of(parameters.structure(exec_properties, POLICY))
        fileio.makedirs(output.uri)
        compute = partial(self._compute, posixpath.join(output.uri, SUMS_FILE))
        found = find_out(input_dict, exec_properties, policy, compute)
        comparison, evidence = judge(policy, found)
        logging.info("%s: %s", comparison.decision.verdict.value, comparison.decision.reason)
        run = parameters.run_of(exec_properties, self._context)
        write(output, comparison, evidence, Origin(datetime.now(timezone.utc), run.pipeline, run.id))
        infra = artifacts.optional_single(input_dict, "infra_blessing")
        valid = infra is None or bool(model_utils.is_infra_validated(infra))
        bless(artifacts.single(output_dict, "blessing"), valid and comparison.decision.verdict is Verdict.PASS)

    def _compute(self, result: str, paths: tuple[str, ...], plan: Plan) -> PairedSums:
        """The sums are exact: it makes no difference to them where they are computed."""
        if sum(map(files.size_of, paths)) <= LARGEST_HERE:
            write_sums(sums := sums_of(paths, plan), result)
            return sums
        with self._make_beam_pipeline() as pipeline:
            compare_predictions(pipeline, paths, plan, result)
        return read_sums(result)


def policy_of(given: Any) -> Policy:
    """From the parameter's JSON, or what a runner has made of it."""
    if given is None:
        raise InvalidInputError("VersionComparator was given no `policy`. Give it one, such as configs/policy.yaml.")
    return parse_policy(given, "the parameter `policy`") if isinstance(given, str) else read_policy(given)


def find_out(inputs: Artifacts, properties: dict[str, Any], policy: Policy, compute: Any) -> Found:
    """All that is read and measured, before anything is decided."""
    evaluation = artifacts.single(inputs, "evaluation")
    model, champion = artifacts.single(inputs, "model"), artifacts.optional_single(inputs, "champion")
    champion = None if artifacts.is_absent(champion) else champion
    version = artifacts.single(inputs, "version")
    record = check_record(files.read_json(version.uri, artifacts.MODEL_VERSION_FILE), version.uri)
    sides = contestants(record, given_champion(champion) if champion is not None else None)
    evaluated = read_evaluation(evaluation.uri, policy.confidence)
    told = read_told(evaluation.uri, output_of(policy.metric))
    examples = Examples.of(inputs.get("examples") or (), parameters.text(properties, EVAL_SPLIT, "eval"))
    reason = why_not(evaluation, champion, sides, told) if champion is not None else None
    settings = settings_of(properties, told)
    behaviour = run(model, champion, examples, settings, compute, comparable=reason is None)
    return Found(
        sides,
        evaluated,
        behaviour,
        examples.data(evaluated.examples),
        reason,
        read_word(artifacts.optional_single(inputs, "model_blessing"), evaluation.uri),
        anchor_of(policy, *(artifacts.optional_single(inputs, key) for key in ("best_champion", "best_evaluation"))),
    )


def given_champion(champion: Any) -> GivenChampion:
    folder = files.serving_folder(champion)
    digest = files.digest_of_model(champion)
    size = sum(files.size_of(posixpath.join(folder, name)) for name in files.list_files(folder))
    named = champion.get_string_custom_property(artifacts.VERSION) or None
    return GivenChampion(digest, size, named, partial(_described, folder))


def _described(folder: str) -> ModelDescription | None:
    """None for files that are no SavedModel or a damaged one; loading it will tell which."""
    try:
        found = describe_files(lambda path: files.open_binary(posixpath.join(folder, path)), files.list_files(folder))
    except InvalidInputError:
        return None
    return None if found.is_opaque else found


def why_not(evaluation: Any, champion: Any, sides: Contestants, told: Told) -> str | None:
    """What our Evaluator found out, else what the interfaces say: TFX's own Evaluator compares whatever it can call."""
    if evaluation.get_int_custom_property(artifacts.BASELINE_INCOMPATIBLE) == 1:
        why: str = evaluation.get_string_custom_property(artifacts.BASELINE_INCOMPATIBLE_REASON)
        return why or "the Evaluator left it out"
    if sides.champion_description is None or sides.challenger_description is None:
        return None
    return why_not_comparable(
        sides.champion_description,
        sides.challenger_description,
        signature=told.signature or None,
        champion_label=champion.get_string_custom_property(LABEL_KEY) or None,
        label=told.label_key or None,
    )


def settings_of(properties: dict[str, Any], told: Told) -> ComparisonSettings:
    """What TFMA was told holds here as well, where a parameter does not say otherwise."""
    defaults = LatencySettings()
    return ComparisonSettings(
        label_key=parameters.text(properties, LABEL_KEY, told.label_key),
        target=ServingSignature(
            parameters.text(properties, SIGNATURE_NAME, told.signature),
            parameters.text(properties, PREDICTION_KEY, told.prediction_key),
            told.preprocessing,
        ),
        latency=LatencySettings(
            parameters.whole(properties, LATENCY_ROUNDS, defaults.rounds),
            parameters.whole(properties, LATENCY_BATCH_SIZE, defaults.batch_size),
        ),
        threshold=float(parameters.text(properties, FLIP_THRESHOLD, str(ComparisonSettings.threshold))),
    )


def run(
    model: Any,
    champion: Any | None,
    examples: Examples,
    settings: ComparisonSettings,
    compute: Any,
    *,
    comparable: bool,
) -> Behaviour:
    """A champion that cannot be compared is loaded all the same: damage is worth more than a word about it."""
    rival = files.serving_folder(champion) if champion is not None else None
    try:
        return run_models(files.serving_folder(model), rival, examples, settings, compute, comparable=comparable)
    except DamagedError as error:
        raise DamagedError(
            f"The challenger cannot be judged: {error}. Nothing was decided. Train it again, or find out what happened "
            "to its folder since the Trainer wrote it."
        ) from error
