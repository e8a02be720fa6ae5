"""What a policy may call a metric, and the EvalConfig that makes TFMA compute it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.comparison import (
    Bounds,
    Direction,
    ExtraMetric,
    Guardrail,
    MetricName,
    ModelInputs,
    Policy,
    evaluator_plan,
    known,
    parse_policy,
    read_policy,
)
from tfx_pedigree.comparison.metric_names import AVERAGES
from tfx_pedigree.comparison.metrics import KNOWN
from tfx_pedigree.errors import InvalidInputError

TWO = ModelInputs(label_keys={"late": "late", "kind": "kind"}, classes=3)

names = st.builds(
    MetricName,
    st.sampled_from(["auc", "my metric", "precision_at_recall"]),
    st.none() | st.floats(0, 1).filter(lambda x: "e" not in repr(x)),
    st.sampled_from(["", "late", "a/b"]),
    st.none() | st.integers(0, 99),
    st.none() | st.integers(0, 99),
    st.none() | st.integers(0, 99),
    st.sampled_from(["", *AVERAGES]),
)


@given(names)
def test_a_name_is_read_as_it_is_written(name: MetricName) -> None:
    assert MetricName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    ["", "auc@", "auc@class=3", "auc@class_id", "auc@class_id=-1", "auc@macro_average=2", "a@k=1@k=2", "a(1.2.3)"],
)
def test_what_is_no_name_is_refused_with_examples_of_one(text: str) -> None:
    with pytest.raises(InvalidInputError, match="Write it as `auc`"):
        MetricName.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "metric: auc@class=3",
        "metric: auc\nguardrails: [{metric: late/recall@top_k, at_least: 0.5}]",
        "metric: auc\nfirst_version: {auc@class_id=x: {at_least: 0.5}}",
    ],
)
def test_a_known_metric_that_is_named_wrongly_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"p.yaml, line \d: .*cannot be read.*Write it as `auc`"):
        parse_policy(text, "p.yaml")


def test_metrics_that_only_the_user_knows_may_be_called_anything() -> None:
    policy = parse_policy("metric: 'revenue @ 5 %'\ndirection: higher")
    spec = evaluator_plan(policy, metrics=[ExtraMetric("revenue @ 5 %", "Revenue", "shop")]).config["metricsSpecs"][1]
    assert json.loads(spec["metrics"][0]["config"]) == {"name": "revenue @ 5 %"}
    with pytest.raises(InvalidInputError, match="give an ExtraMetric"):
        evaluator_plan(policy)


def test_what_is_known_of_a_metric_is_known_of_it_in_each_class_and_output() -> None:
    assert known("late/auc@class_id=3").direction is Direction.HIGHER
    assert known("precision_at_recall(0.8)").high == 1
    assert known("auc@nonsense").direction is None
    assert Policy("kind/auc@macro_average").direction is Direction.HIGHER


def test_a_bound_on_a_class_keeps_the_digest_that_it_had_before_its_direction_was_known() -> None:
    rail = Guardrail("auc@class_id=3", bounds=Bounds(at_least=0.5))
    assert "direction" not in rail.to_json()
    policy = Policy("auc", guardrails=(rail,))
    assert policy.digest == "sha256:a3115293aa3fdb170f5b88df4f2937dffcedb93cbcc5023965fd724917639a79"
    assert read_policy(policy.to_json()) == policy


def specs_of(policy: Policy, inputs: ModelInputs, **more: Any) -> list[dict[str, Any]]:
    """All but the count of the examples."""
    return evaluator_plan(policy, inputs, **more).config["metricsSpecs"][1:]


@pytest.mark.parametrize(
    ("name", "inputs", "head"),
    [
        ("auc@class_id=2", ModelInputs(), {"binarize": {"classIds": {"values": [2]}}}),
        ("auc@k=2", ModelInputs(), {"binarize": {"kList": {"values": [2]}}}),
        ("recall@top_k=5", ModelInputs(), {"binarize": {"topKList": {"values": [5]}}}),
        ("auc@micro_average", ModelInputs(), {"aggregate": {"microAverage": True}}),
        ("late/auc", TWO, {"outputNames": ["late"]}),
        (
            "kind/auc@weighted_macro_average",
            TWO,
            {
                "outputNames": ["kind"],
                "aggregate": {"weightedMacroAverage": True, "classWeights": {"0": 1.0, "1": 1.0, "2": 1.0}},
            },
        ),
        (
            "recall@top_k=2@macro_average",
            ModelInputs(),
            {"aggregate": {"macroAverage": True, "topKList": {"values": [2]}}},
        ),
        (
            "ndcg@top_k=5",
            ModelInputs("grade", query_key="search"),
            {"binarize": {"topKList": {"values": [5]}}, "queryKey": "search"},
        ),
    ],
)
def test_each_name_has_the_spec_that_makes_tfma_compute_it(
    name: str, inputs: ModelInputs, head: dict[str, Any]
) -> None:
    (spec,) = specs_of(Policy(name), inputs)
    (metric,) = spec.pop("metrics")
    assert spec == head
    assert metric["perSliceThresholds"]


def test_metrics_of_one_output_and_class_share_a_spec() -> None:
    rails = [Guardrail(f"kind/{name}@class_id=1", bounds=Bounds(at_least=0.1)) for name in ("recall", "precision")]
    found = specs_of(Policy("kind/auc@class_id=1", guardrails=tuple(rails)), TWO)
    assert [[metric["className"] for metric in spec["metrics"]] for spec in found] == [["AUC", "Recall", "Precision"]]


def test_a_metric_with_a_parameter_is_called_by_its_whole_name() -> None:
    ((metric,),) = (spec["metrics"] for spec in specs_of(Policy("precision_at_recall(0.8)"), ModelInputs()))
    assert json.loads(metric["config"]) == {"name": "precision_at_recall(0.8)", "recall": 0.8}


def test_a_gain_is_the_label_where_no_feature_is_given() -> None:
    for inputs, gain in (
        (ModelInputs("grade", query_key="search"), "grade"),
        (ModelInputs("grade", query_key="search", gain_key="clicks"), "clicks"),
    ):
        ((metric,),) = (spec["metrics"] for spec in specs_of(Policy("ndcg@top_k=3"), inputs))
        assert json.loads(metric["config"]) == {"gain_key": gain}


def test_a_loss_of_one_output_is_the_models_own() -> None:
    (spec,) = specs_of(Policy("late/loss"), TWO)
    assert list(spec["perSliceThresholds"]) == ["loss"]
    assert spec["outputNames"] == ["late"]


def test_counts_of_a_class_are_without_weights() -> None:
    rail = Guardrail("positives@class_id=1", bounds=Bounds(at_least=50))
    spec = specs_of(Policy("auc", guardrails=(rail,)), ModelInputs(example_weight_key="hours"))[1]
    assert spec["exampleWeights"] == {"unweighted": True}


def test_how_to_make_a_metric_that_only_the_user_knows_holds_for_its_classes() -> None:
    own = ExtraMetric("revenue", "Revenue", module="shop")
    first = specs_of(Policy("revenue@class_id=1", Direction.HIGHER), ModelInputs(), metrics=[own])[0]
    assert first["binarize"] == {"classIds": {"values": [1]}}
    assert json.loads(first["metrics"][0]["config"]) == {"name": "revenue"}


@pytest.mark.parametrize(
    ("name", "inputs", "said"),
    [
        ("ndcg@top_k=5", ModelInputs("grade"), r"Give ModelInputs\(query_key="),
        ("ndcg", ModelInputs("grade", query_key="q"), "Write `ndcg@top_k=10`"),
        ("ndcg@top_k=5", ModelInputs(query_key="q"), r"Give ModelInputs\(gain_key="),
        ("auc@macro_average", ModelInputs(), r"Give ModelInputs\(classes="),
        ("auc@class_id=3", ModelInputs(classes=3), "the last of which is 2"),
        ("auc@class_id=1@top_k=2", ModelInputs(), "names its classes twice"),
        ("auc@class_id=1@micro_average", ModelInputs(), "names its classes twice"),
        ("recall@top_k=0", ModelInputs(), "from 1 on"),
        ("precision_at_recall", ModelInputs(), r"such as `precision_at_recall\(0.8\)`"),
        ("precision_at_recall(80)", ModelInputs(), "from 0 to 1"),
        ("auc(0.8)", ModelInputs(), "Write `auc`"),
        ("lade/auc", TWO, "Did you mean `late`"),
        ("auc", TWO, "such as `kind/auc`"),
        ("auk@class_id=1", ModelInputs(), "Did you mean `auc`"),
    ],
)
def test_what_tfma_cannot_compute_is_refused_when_the_pipeline_is_built(
    name: str, inputs: ModelInputs, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        evaluator_plan(Policy(name, Direction.HIGHER), inputs)


def test_inputs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="one label to all"):
        ModelInputs(label_key="late", label_keys={"late": "late"})
    with pytest.raises(InvalidInputError, match="two are the fewest"):
        ModelInputs(classes=1)


DOCUMENT = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()


def test_refusals_in_the_documents_are_said_as_they_stand_there() -> None:
    for name in ("auc@macro_average", "ndcg", "auk@class_id=1"):
        with pytest.raises(InvalidInputError) as refused:
            evaluator_plan(Policy(name, Direction.HIGHER), ModelInputs("grade", query_key="search"))
        assert f"{refused.value}\n" in DOCUMENT


def test_every_metric_that_is_known_stands_in_the_documents() -> None:
    table = DOCUMENT.split("## Metrics that are known")[1].split("\n\n")[1]
    assert set(re.findall(r"`([a-z0-9_]+)", table)) == set(KNOWN)
