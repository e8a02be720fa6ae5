"""What a policy may name, computed by TFMA itself on models with several outputs, classes and queries."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from components_testing import Place
from sklearn import metrics as sk
from tensorflow_model_analysis.metrics import metric_specs
from tfx.types import standard_artifacts
from tfx.utils import proto_utils
from version_comparator_testing import as_champion, compare, write_version

from tfx_pedigree.comparison import Bounds, Guardrail, Key, ModelInputs, Policy, Regression, Utility
from tfx_pedigree.tfx_components.evaluation import evaluation
from tfx_pedigree.tfx_components.evaluator.executor import Executor
from tfx_pedigree.tfx_components.version_comparator.tfma_results import read_evaluation

HEADS = ModelInputs(
    signature_name="serving_default",
    label_keys={"late": "late", "kind": "kind"},
    query_key="query",
    gain_key="late",
    classes=3,
)


def rows(count: int = 120) -> list[dict[str, float]]:
    chance = random.Random(4)
    found = []
    for number in range(count):
        x, z = chance.random(), chance.random()
        late = float(chance.random() < x)
        kind = float(chance.choices(range(3), (x, z, 0.6))[0])
        found.append({"x": x, "z": z, "late": late, "kind": kind, "query": float(number // 6)})
    return found


def said(row: dict[str, float]) -> tuple[float, list[float]]:
    """What the better model below says, in plain Python."""
    scores = np.exp([3 * row["x"], row["z"], 0.6])
    return 1 / (1 + np.exp(-3 * (row["x"] - 0.5))), list(scores / scores.sum())


def heads(place: Place, misled: float = 0.0) -> Any:
    """One probability, and one for each of three classes."""

    class Heads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> Any:
            spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("x", "z")}
            parsed = tf.io.parse_example(examples, spec)
            x, z = parsed["x"], parsed["z"]
            seen = x + misled * z
            kinds = tf.concat([3 * seen, z, tf.fill(tf.shape(x), 0.6)], axis=1)
            return {"late": tf.sigmoid(3 * (seen - 0.5)), "kind": tf.nn.softmax(kinds)}

    found, module = place.made(standard_artifacts.Model), Heads()
    tf.saved_model.save(module, str(Path(found.uri, "Format-Serving")), signatures={"serving_default": module.serve})
    return found


NAMES = (
    "late/precision_at_recall(0.8)",
    "late/brier_score",
    "late/expected_calibration_error",
    "late/positives",
    "late/negatives",
    "late/ndcg@top_k=3",
    "late/min_label_position",
    "kind/auc@class_id=1",
    "kind/positives@class_id=1",
    "kind/auc@macro_average",
    "kind/auc@micro_average",
    "kind/recall@top_k=2",
)
KEPT = Guardrail("kind/auc@class_id=0", max_regression=Regression(0.05))
EACH = Guardrail("kind/auc@macro_average", max_regression=Regression(0.05), min_positives=5)
WEIGHTS = {"late/recall": 2.0, "late/fall_out": -1.0, "kind/auc@macro_average": 0.5, "kind/recall@top_k=2": 1.0}
WORTH = {"true_positive": 10.0, "false_positive": -1.0, "false_negative": -5.0}
UTILITIES = {"value": Utility(WEIGHTS), "money": Utility(outcomes=WORTH, threshold=0.3)}
POLICY = Policy(
    "late/auc",
    guardrails=(
        *(Guardrail(name, bounds=Bounds(at_least=0.0)) for name in NAMES),
        KEPT,
        EACH,
        Guardrail("value", bounds=Bounds(at_least=0.0)),
        Guardrail("late/money", bounds=Bounds(at_least=-5.0)),
    ),
    utilities=UTILITIES,
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both models, the examples and what TFMA says of them."""
    place = Place(tmp_path_factory.mktemp("heads"), "", "")
    found = {"examples": place.examples(rows()), "model": heads(place), "baseline_model": heads(place, misled=1.0)}
    outputs = {
        "evaluation": place.made(standard_artifacts.ModelEvaluation),
        "blessing": place.made(standard_artifacts.ModelBlessing),
    }
    plan = evaluation(POLICY, None, HEADS)
    properties = {"eval_config": proto_utils.proto_to_json(plan.config), "example_splits": "null"}
    made = place.run(Executor, found, outputs, **properties)
    return {**found, "evaluation": made["evaluation"], "model_blessing": made["blessing"]}


def test_outputs_classes_averages_and_queries_are_computed_as_they_are_named(inputs: dict[str, Any]) -> None:
    found = read_evaluation(inputs["evaluation"].uri)
    assert inputs["model_blessing"].get_int_custom_property("blessed") == 1
    assert {*POLICY.metrics} <= {key.metric for key in found.challenger}
    assert {Key(name) for name in NAMES} <= {*(found.champion or ())}
    value = {key.metric: one.value for key, one in found.challenger.items()}
    late, kinds = zip(*(said(row) for row in rows()), strict=True)
    truth, kind = ([row[name] for row in rows()] for name in ("late", "kind"))
    classes = [sk.roc_auc_score([one == number for one in kind], [k[number] for k in kinds]) for number in range(3)]
    assert value["late/auc"] == pytest.approx(sk.roc_auc_score(truth, late), abs=1e-3)
    assert value["late/brier_score"] == pytest.approx(sk.brier_score_loss(truth, late), abs=1e-6)
    assert value["late/positives"] == sum(truth)
    assert value["late/negatives"] == len(truth) - sum(truth)
    assert value["kind/positives@class_id=1"] == kind.count(1.0)
    counts = [value[f"kind/positives@class_id={at}"] for at in range(3)]
    assert counts == [kind.count(float(at)) for at in range(3)]
    assert value["kind/auc@class_id=1"] == pytest.approx(classes[1], abs=1e-3)
    assert value["kind/auc@macro_average"] == pytest.approx(sum(classes) / 3, abs=1e-3)
    assert value["value"] == pytest.approx(sum(weight * value[name] for name, weight in WEIGHTS.items()))
    assert value["late/money"] == pytest.approx(mean_worth(truth, late))
    assert value["late/expected_calibration_error"] == pytest.approx(calibration_error(truth, late), abs=1e-6)


def test_of_several_outputs_the_predictions_of_the_judged_one_are_compared(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    given = {**inputs, "champion": as_champion(inputs["baseline_model"])}
    given["version"] = write_version(tmp_path / "version", inputs["model"])
    del given["baseline_model"]
    late = compare(tmp_path / "late", given, POLICY).comparison
    assert late.performance_delta is not None
    assert late.performance_delta.count == len(rows())
    assert late.flips is not None and late.flips.classes == 0
    kind = compare(tmp_path / "kind", given, Policy("kind/auc@class_id=1")).comparison
    assert kind.flips is not None
    assert (kind.flips.classes, kind.flips.count) == (3, len(rows()))


def test_a_utility_has_a_paired_interval_of_its_own(tmp_path: Path) -> None:
    """It is narrower than what the intervals of its terms would allow, as they vary together."""
    place = Place(tmp_path, "", "")
    policy = Policy(
        "value", utilities={"value": Utility({"late/recall": 1.0, "late/specificity": 1.0})}, confidence=0.95
    )
    found = {"examples": place.examples(rows()), "model": heads(place), "baseline_model": heads(place, misled=1.0)}
    outputs = {
        "evaluation": place.made(standard_artifacts.ModelEvaluation),
        "blessing": place.made(standard_artifacts.ModelBlessing),
    }
    config = proto_utils.proto_to_json(evaluation(policy, None, HEADS).config)
    made = place.run(Executor, found, outputs, eval_config=config, example_splits="null")
    differences = read_evaluation(made["evaluation"].uri, 0.95).differences
    widths = {key.metric: one.interval[1] - one.interval[0] for key, one in differences.items() if one.interval}
    assert 0 < widths["value"] < widths["late/recall"] + widths["late/specificity"]
    whole = sum(differences[Key(name)].value for name in ("late/recall", "late/specificity"))
    assert differences[Key("value")].value == pytest.approx(whole)


def test_the_terms_of_a_sum_have_the_weights_that_they_have_by_themselves() -> None:
    inputs = ModelInputs(label_keys={"late": "late", "kind": "kind"}, example_weight_keys={"late": "hours"})
    policy = Policy("value", utilities={"value": Utility({"late/recall": 1.0, "kind/recall@class_id=1": 1.0})})
    config = evaluation(policy, None, inputs).config
    computed = metric_specs.to_computations(config.metrics_specs, eval_config=config)
    weighted = {(key.name, key.output_name): key.example_weighted for one in computed for key in one.keys}
    assert (weighted["recall", "late"], weighted["recall", "kind"]) == (True, False)
    keys = [key for one in computed for key in one.keys if key.name == "recall"]
    assert len({(key.output_name, key.example_weighted) for key in keys}) == 2  # not once more without weights


def mean_worth(truth: list[float], predicted: list[float]) -> float:
    """At a threshold of 0.3."""
    worth = {(1.0, True): 10.0, (0.0, True): -1.0, (1.0, False): -5.0, (0.0, False): 0.0}
    return sum(worth[y, p > 0.3] for y, p in zip(truth, predicted, strict=True)) / len(truth)


def calibration_error(truth: list[float], predicted: list[float]) -> float:
    bins: dict[int, list[float]] = {}
    for y, p in zip(truth, predicted, strict=True):
        bins.setdefault(int(p * 10), []).append(y - p)
    return sum(abs(sum(one)) for one in bins.values()) / len(truth)
