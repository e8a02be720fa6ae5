"""An EvalConfig that somebody brings along: what the gate needs is added, and what is missing is told at once."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from tensorflow_model_analysis.proto import config_pb2

from tfx_pedigree.comparison import Bounds, Direction, Guardrail, Policy
from tfx_pedigree.tfx_components.evaluation import evaluation

STOCK = """
model_specs { signature_name: "serving_default" label_key: "tips" preprocessing_function_names: ["transform_features"] }
slicing_specs {} slicing_specs { feature_keys: ["trip_start_hour"] }
metrics_specs {
  metrics {
    class_name: "BinaryAccuracy"
    threshold { value_threshold { lower_bound { value: 0.6 } } }
  }
}
"""


def config(text: str = STOCK) -> config_pb2.EvalConfig:
    return text_format.Parse(text, config_pb2.EvalConfig())


def test_a_config_that_counts_no_examples_is_given_a_count() -> None:
    given = config()
    found = evaluation(Policy("binary_accuracy"), given)
    added = found.config.metrics_specs[-1]
    assert [metric.class_name for metric in added.metrics] == ["ExampleCount"]
    assert added.example_weights.unweighted
    assert given == config()  # the user's own stays as it was
    assert found.notes == ()


@pytest.mark.parametrize(("weight", "added"), [("", 0), ('example_weight_key: "hours"', 1)])
def test_a_count_of_weights_is_none_of_examples(weight: str, added: int) -> None:
    text = STOCK.replace("model_specs {", f"model_specs {{ {weight} ")
    given = config(text + 'metrics_specs { metrics { class_name: "ExampleCount" } }')
    assert len(evaluation(Policy("binary_accuracy"), given).config.metrics_specs) == len(given.metrics_specs) + added


def test_a_metric_that_only_the_given_config_knows_is_no_reason_to_refuse() -> None:
    own = STOCK + """metrics_specs { metrics { class_name: "Revenue" module: "shop" config: '{"name": "revenue"}' } }"""
    assert evaluation(Policy("revenue", Direction.HIGHER), config(own)).notes == ()


def test_what_the_policy_needs_and_the_config_lacks_is_told_when_the_pipeline_is_built() -> None:
    rail = Guardrail("binary_acuracy", bounds=Bounds(at_least=0.5))
    (note,) = evaluation(Policy("binary_accuracy", guardrails=(rail,)), config()).notes
    assert "does not compute `binary_acuracy`" in note
    assert "Did you mean `binary_accuracy`" in note


def test_a_config_without_thresholds_is_told_when_the_pipeline_is_built() -> None:
    bare = config(STOCK.replace("threshold { value_threshold { lower_bound { value: 0.6 } } }", ""))
    (note,) = evaluation(Policy("binary_accuracy"), bare).notes
    assert note.startswith("it has no thresholds, so TFX's Evaluator gives no blessing")


SEVERAL = """
model_specs { label_keys { key: "kind" value: "kind" } label_keys { key: "late" value: "late" } }
metrics_specs {
  metrics {
    class_name: "AUC"
    threshold { value_threshold { lower_bound { value: 0.6 } } }
  }
  metrics { class_name: "Recall" config: '{"top_k": 2}' }
  output_names: ["kind"]
  binarize { class_ids { values: [0, 3] } }
  aggregate { macro_average: true class_weights { key: 0 value: 1 } }
}
metrics_specs { metrics { class_name: "NDCG" config: '{"gain_key": "late", "top_k_list": [5]}' } query_key: "search" }
"""


@pytest.mark.parametrize(
    "name", ["kind/auc@class_id=3", "kind/auc@macro_average", "kind/recall@top_k=2", "ndcg@top_k=5"]
)
def test_metrics_of_classes_and_outputs_that_the_config_computes_are_no_reason_for_a_word(name: str) -> None:
    assert evaluation(Policy(name), config(SEVERAL)).notes == ()


@pytest.mark.parametrize("name", ["auc", "kind/auc@class_id=1", "late/auc@class_id=3"])
def test_a_class_or_output_that_the_config_does_not_compute_is_told(name: str) -> None:
    (note,) = evaluation(Policy(name), config(SEVERAL)).notes
    assert f"does not compute `{name}`" in note
    assert "kind/auc@class_id" in note
