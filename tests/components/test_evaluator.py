"""TFX's own evaluation, for a baseline that is there, absent, or of no use on the new data."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from components_testing import Place, through_kubeflow
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.evaluator import component as tfx_component
from tfx.types import channel, standard_artifacts
from tfx.utils import proto_utils

from tfx_pedigree.comparison import Key, ModelInputs, Policy, evaluator_plan
from tfx_pedigree.tfx_components import artifacts
from tfx_pedigree.tfx_components.evaluation import evaluation
from tfx_pedigree.tfx_components.evaluator.component import Evaluator
from tfx_pedigree.tfx_components.evaluator.executor import Executor
from tfx_pedigree.tfx_components.version_comparator.tfma_results import Evaluated, read_evaluation

ROWS = [{"x": n / 20, "label": float(n % 3 == 0)} for n in range(20)]


def config(label: str = "label") -> config_pb2.EvalConfig:
    plan = evaluator_plan(Policy("mean_absolute_error"), ModelInputs(label_key=label, signature_name="serving_default"))
    return json_format.ParseDict(plan.config, config_pb2.EvalConfig())


def model(place: Place, feature: str = "x", factor: float = 1.0) -> Any:
    """A model that reads one feature, without which it cannot work, from serialised examples."""

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> Any:
            parsed = tf.io.parse_example(examples, {feature: tf.io.FixedLenFeature([1], tf.float32)})
            return {"score": parsed[feature] * factor}

    found = place.made(standard_artifacts.Model)
    reader = Reader()
    tf.saved_model.save(reader, str(Path(found.uri, "Format-Serving")), signatures={"serving_default": reader.serve})
    return found


def evaluate(place: Place, challenger: Any, champion: Any | None, label: str = "label") -> dict[str, Any]:
    inputs = {"examples": place.examples(ROWS), "model": challenger, "baseline_model": champion}
    outputs = {
        "evaluation": place.made(standard_artifacts.ModelEvaluation),
        "blessing": place.made(standard_artifacts.ModelBlessing),
    }
    properties = {"eval_config": proto_utils.proto_to_json(config(label)), "example_splits": "null"}
    return place.run(Executor, inputs, outputs, **properties)


def models_of(outputs: dict[str, Any]) -> list[str]:
    """Whose metrics were computed."""
    text = Path(outputs["evaluation"].uri, "eval_config.json").read_text()
    specs = json_format.Parse(text, config_pb2.EvalRun()).eval_config.model_specs
    return sorted("baseline" if spec.is_baseline else "candidate" for spec in specs)


def test_an_absent_champion_is_no_baseline(place: Place) -> None:
    absent = place.champion()
    assert artifacts.is_absent(absent)
    outputs = evaluate(place, model(place), through_kubeflow(absent))
    assert models_of(outputs) == ["candidate"]
    assert not outputs["evaluation"].has_custom_property("baseline_incompatible")
    assert not outputs["blessing"].has_custom_property("baseline_model_id")
    assert outputs["blessing"].get_int_custom_property("blessed") == 1


def test_a_champion_that_is_there_is_the_baseline(place: Place) -> None:
    outputs = evaluate(place, model(place, factor=0.5), model(place, factor=3.0))
    assert models_of(outputs) == ["baseline", "candidate"]
    assert outputs["blessing"].has_custom_property("baseline_model_id")
    assert outputs["blessing"].get_int_custom_property("blessed") == 1
    result = tfma.load_eval_result(outputs["evaluation"].uri, model_name="candidate")
    assert "mean_absolute_error_diff" in str(result.slicing_metrics)


def test_a_champion_of_another_label_is_left_out_and_the_evaluation_says_so(place: Place) -> None:
    champion = model(place)
    champion.set_string_custom_property("label_key", "cancelled")
    outputs = evaluate(place, model(place), champion)
    assert models_of(outputs) == ["candidate"]
    evaluation = through_kubeflow(outputs["evaluation"])
    assert evaluation.get_int_custom_property("baseline_incompatible") == 1
    assert "'cancelled'" in evaluation.get_string_custom_property("baseline_incompatible_reason")


def test_a_champion_that_fails_on_the_new_data_is_left_out_and_the_evaluation_says_so(place: Place) -> None:
    outputs = evaluate(place, model(place), model(place, feature="gone"))
    assert models_of(outputs) == ["candidate"]
    assert outputs["evaluation"].get_int_custom_property("baseline_incompatible") == 1
    reason = outputs["evaluation"].get_string_custom_property("baseline_incompatible_reason")
    assert reason.startswith("its evaluation failed: ")
    assert "gone" in reason
    assert not list(Path(outputs["evaluation"].uri).rglob("*temp*"))


def test_a_challenger_that_fails_is_an_error_of_the_run_and_not_of_the_champion(place: Place) -> None:
    with pytest.raises(ValueError, match="Fail to call signature"):
        evaluate(place, model(place, feature="gone"), model(place))


def weighted_rows(count: int = 40) -> list[dict[str, float]]:
    return [{"x": n / 40, "label": float(n % 3 == 0), "hours": 1.0 + n % 4} for n in range(count)]


def evaluate_with(place: Place, rows: list[Any], policy: Policy, inputs: ModelInputs, shards: int = 1) -> Evaluated:
    plan = evaluation(policy, None, inputs)
    found = {
        "examples": place.examples(rows, shards=shards),
        "model": model(place, factor=0.8),
        "baseline_model": model(place, factor=0.5),
    }
    outputs = {
        "evaluation": place.made(standard_artifacts.ModelEvaluation),
        "blessing": place.made(standard_artifacts.ModelBlessing),
    }
    properties = {"eval_config": proto_utils.proto_to_json(plan.config), "example_splits": "null"}
    return read_evaluation(place.run(Executor, found, outputs, **properties)["evaluation"].uri)


def test_weighted_examples_are_counted_and_not_their_weights(place: Place) -> None:
    inputs = ModelInputs("label", "serving_default", example_weight_key="hours")
    found = evaluate_with(place, weighted_rows(), Policy("mean_absolute_error"), inputs)
    assert found.examples == 40
    assert {value.count for key, value in found.challenger.items()} == {40}
    weights = [row["hours"] for row in weighted_rows()]
    errors = [abs(row["label"] - 0.8 * row["x"]) for row in weighted_rows()]
    expected = sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
    assert found.challenger[Key("mean_absolute_error")].value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kinds", [40, 3], ids=["rows of their own", "three kinds of rows"])
def test_the_same_rows_give_the_same_intervals_in_any_order_and_number_of_files(place: Place, kinds: int) -> None:
    rows = [weighted_rows()[n % kinds] for n in range(120)]
    inputs = ModelInputs("label", "serving_default")
    policy = Policy("mean_absolute_error", confidence=0.95)
    found = [
        evaluate_with(place, given, policy, inputs, shards)
        for given, shards in ((rows, 1), (rows, 1), (list(reversed(rows)), 3))
    ]
    score = Key("mean_absolute_error")
    ends = [one.differences[score].interval for one in found]
    assert ends[0] is not None
    assert ends[0][0] < ends[0][1]
    for other in ends[1:]:
        assert other == pytest.approx(ends[0], rel=1e-6)


def test_intervals_of_repeated_rows_are_as_wide_as_those_of_as_many_others(place: Place) -> None:
    """Of 3 kinds of rows, 40 each, the standard error is known. Parts by content alone would have one far too large,
    copies that are dealt out evenly one of 0."""
    rows = [weighted_rows()[n % 3] for n in range(120)]
    found = evaluate_with(
        place, rows, Policy("mean_absolute_error", confidence=0.95), ModelInputs("label", "serving_default")
    )
    value = found.challenger[Key("mean_absolute_error")]
    errors = [abs(row["label"] - 0.8 * row["x"]) for row in rows]
    known = 2.093 * statistics.stdev(errors) / math.sqrt(len(errors))
    assert value.interval is not None
    assert 0.6 * known < (value.interval[1] - value.interval[0]) / 2 < 1.5 * known


def test_it_is_tfxs_evaluator_in_all_but_the_executor() -> None:
    examples, trained = (channel.Channel(type=kind) for kind in (standard_artifacts.Examples, standard_artifacts.Model))
    ours = Evaluator(examples=examples, model=trained, baseline_model=trained, eval_config=config())
    theirs = tfx_component.Evaluator(examples=examples, model=trained, baseline_model=trained, eval_config=config())
    assert ours.id == theirs.id == "Evaluator"
    assert ours.exec_properties == theirs.exec_properties
    assert issubclass(Executor, tfx_component.Evaluator.EXECUTOR_SPEC.executor_class)
