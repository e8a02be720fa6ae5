"""Scores of a policy's own, and how many examples of each class a number must stand on."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.comparison import (
    Bounds,
    CheckOutcome,
    Direction,
    GateDecision,
    Guardrail,
    Key,
    MetricValue,
    ModelInputs,
    Policy,
    Rule,
    RuleKind,
    Scores,
    Slice,
    TooFew,
    Utility,
    Verdict,
    decide,
    evaluator_plan,
    parse_policy,
    read_policy,
)
from tfx_pedigree.comparison.explaining import sentences, simulate, situation
from tfx_pedigree.errors import InvalidInputError

MONEY = Utility(outcomes={"true_positive": 10, "false_positive": -1, "false_negative": -5}, threshold=0.3)
VALUE = Utility({"recall": 2, "late/fall_out@class_id=1": -1})

FILE = """
metric: value
rule: {absolute: 0.1}
min_positives: 50
utilities:
  value: {weights: {recall: 2, fall_out: -1}}
  money: {outcomes: {true_positive: 10, false_negative: -5}, threshold: 0.3}
guardrails:
  - {metric: money@class_id=1, min_gain: {absolute: 0}, min_negatives: 20}
"""


def test_the_file_says_it_and_the_json_form_says_it_again() -> None:
    policy = parse_policy(FILE)
    assert policy.utilities["value"] == Utility({"recall": 2.0, "fall_out": -1.0})
    assert policy.utilities["money"].threshold == 0.3
    assert policy.better is Direction.HIGHER
    assert policy.guardrails[0].direction is Direction.HIGHER
    again = read_policy(json.loads(json.dumps(policy.to_json())))
    assert (again, again.digest) == (policy, policy.digest)
    assert "utilities" not in Policy("auc").to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("utilities: {value: {}}", "either `weights` of metrics, or what each of `outcomes`"),
        ("utilities: {value: {weights: {auc: 1}, outcomes: {true_positive: 1}}}", "either `weights`"),
        ("utilities: {value: {outcomes: {hit: 1}}}", "`hit` is no outcome"),
        ("utilities: {value: {weights: {auc: 0}}}", "is worth the same"),
        ("utilities: {value: {weights: {auc: 1}, threshold: 0.5}}", "belongs to `outcomes`"),
        ("utilities: {recall: {weights: {auc: 1}}}", "cannot name a utility"),
        ("utilities: {a: {weights: {auc: 1}}, b: {weights: {a: 1}}}", "which is a utility itself"),
        ("utilities: {value: {weights: {fall_out: 1}}}", "it rises as fall_out gets worse"),
        ("utilities: {value: {weights: {auc: 1}}}\nguardrails: [{metric: late/value, at_least: 1}]", "write `value`"),
        ("min_positives: 5\nguardrails: [{metric: ndcg@top_k=5, at_least: 0.5}]", "`min_positives: 0` here"),
        ("format: pedigree.policy/1\nmin_positives: 5", "pedigree.policy/2"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=r"line \d") as refused:
        parse_policy(f"metric: auc\n{text}", "p.yaml")
    assert said in str(refused.value)


def test_tfma_is_told_how_to_compute_a_sum_and_its_terms() -> None:
    inputs = ModelInputs(label_keys={"late": "late", "kind": "kind"}, classes=2)
    policy = Policy("value", utilities={"value": Utility({"late/recall": 2, "kind/auc@macro_average": 1})})
    specs = evaluator_plan(policy, inputs).config["metricsSpecs"]
    ((value,),) = [spec["metrics"] for spec in specs if spec["metrics"][0]["className"] == "WeightedSum"]
    auc, recall = json.loads(value["config"])["terms"]
    assert (recall["name"], recall["weight"], recall["output"]) == ("recall", 2, "late")
    assert auc["average"] == "macro_average"
    assert auc["spec"]["aggregate"]["classWeights"] == {"0": 1.0, "1": 1.0}
    # The terms stand in the results as well, for whoever reads them.
    assert {"Recall", "AUC"} <= {metric["className"] for spec in specs for metric in spec["metrics"]}


@pytest.mark.parametrize("term", ["loss", "ndcg@top_k=3"])
def test_what_tfma_computes_apart_cannot_be_weighed(term: str) -> None:
    policy = Policy("value", utilities={"value": Utility({term: 1})})
    with pytest.raises(InvalidInputError, match=f"cannot weigh `{term}`"):
        evaluator_plan(policy, ModelInputs("grade", query_key="q"))


def test_outcomes_are_told_to_tfma_with_their_worth_and_threshold() -> None:
    spec = evaluator_plan(Policy("money@class_id=1", utilities={"money": MONEY})).config["metricsSpecs"][1]
    assert spec["binarize"] == {"classIds": {"values": [1]}}
    told = json.loads(spec["metrics"][0]["config"])
    assert (told["name"], told["thresholds"], told["worth"]) == ("money", [0.3], dict(MONEY.outcomes))


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 10))
def test_a_utility_wins_as_any_score_does(new: float, old: float, asked: float) -> None:
    policy = Policy("value", rule=Rule(RuleKind.ABSOLUTE, asked), utilities={"value": VALUE})
    found = decide(policy, Scores.of(value=new), Scores.of(value=old))
    assert (found.verdict is Verdict.PASS) is (new - old - asked * (1 + 1e-5) > 0)


JFK = Slice((("origin", "JFK"),))


def counted(policy: Policy, positives: float | None, where: Slice | None = None) -> GateDecision:
    """Both models on the same rows, of which so many are positive."""

    def side(auc: float) -> Scores:
        found = {Key("auc"): MetricValue(auc, count=1000), Key("positives"): MetricValue(900.0)}
        if where is not None:
            found[Key("auc", where)] = MetricValue(auc, count=100)
        if positives is None:
            del found[Key("positives")]
        else:
            found[Key("positives", where) if where else Key("positives")] = MetricValue(positives)
        return Scores(found)

    return decide(policy, side(0.9), side(0.8))


@pytest.mark.parametrize(
    ("positives", "verdict"),
    [(50, Verdict.PASS), (49, Verdict.INSUFFICIENT), (None, Verdict.INSUFFICIENT), (math.nan, Verdict.INSUFFICIENT)],
)
def test_a_score_of_too_few_positives_decides_nothing(positives: float | None, verdict: Verdict) -> None:
    found = counted(Policy("auc", min_positives=50), positives)
    assert found.verdict is verdict
    if positives == 49:
        assert "auc was measured on 49 positives, fewer than the 50 that the policy asks for" in found.reason
    if positives is None:
        assert "does not say how many positives" in found.reason


@pytest.mark.parametrize(
    ("positives", "too_few", "outcome"),
    [
        (3, TooFew.SKIP, CheckOutcome.SKIPPED),
        (3, TooFew.INSUFFICIENT, CheckOutcome.UNKNOWN),
        (30, TooFew.SKIP, CheckOutcome.HOLDS),
        (math.nan, TooFew.SKIP, CheckOutcome.UNKNOWN),
    ],
)
def test_a_slice_of_too_few_positives_is_skipped_only_where_that_is_known(
    positives: float, too_few: TooFew, outcome: CheckOutcome
) -> None:
    rail = Guardrail("auc", bounds=Bounds(at_least=0.5), slice=JFK, min_positives=10, too_few=too_few)
    (check,) = counted(Policy("auc", guardrails=(rail,)), positives, JFK).checks[1:]
    assert check.outcome is outcome


def test_the_counts_are_those_of_the_metrics_own_output_and_class_and_tfma_computes_them() -> None:
    rail = Guardrail("kind/recall@class_id=2", bounds=Bounds(at_least=0.1), min_negatives=5)
    policy = Policy("late/auc", min_positives=50, guardrails=(rail,))
    assert policy.metrics[2:] == (
        "late/positives",
        "kind/positives@class_id=2",
        "kind/negatives@class_id=2",
    )
    specs = evaluator_plan(policy, ModelInputs(label_keys={"late": "a", "kind": "b"})).config["metricsSpecs"]
    assert [one["exampleWeights"] for one in specs if "exampleWeights" in one] == [{"unweighted": True}] * 3
    off = Guardrail("kind/recall@class_id=2", bounds=Bounds(at_least=0.1), min_positives=0)
    assert Policy("late/auc", min_positives=50, guardrails=(off,)).metrics[2:] == ("late/positives",)


AVERAGES = ("auc@macro_average", "recall@top_k=3", "auc@k=2", "sparse_categorical_accuracy")


@pytest.mark.parametrize("metric", AVERAGES)
@pytest.mark.parametrize(
    ("counts", "verdict", "said"),
    [
        ((50, 60, 70), Verdict.PASS, ""),
        (
            (50, 49, 70),
            Verdict.INSUFFICIENT,
            "on 49 positives of class 1, fewer than the 50 that the",
        ),
        ((), Verdict.INSUFFICIENT, "does not say how many positives of each class"),
    ],
)
def test_what_rests_on_each_class_needs_so_many_of_each(
    metric: str, counts: tuple[int, ...], verdict: Verdict, said: str
) -> None:
    policy = Policy(f"kind/{metric}", min_positives=50)
    numbers = {Key(f"kind/positives@class_id={at}"): MetricValue(one) for at, one in enumerate(counts)}
    others = {Key("late/positives@class_id=0"): MetricValue(1), Key("positives"): MetricValue(1)}
    sides = [Scores({Key(policy.metric): MetricValue(one), **numbers, **others}) for one in (0.9, 0.8)]
    found = decide(policy, *sides)
    assert found.verdict is verdict and said in found.reason
    assert verdict is Verdict.PASS or "each class" in found.reason


@pytest.mark.parametrize("metric", AVERAGES)
def test_tfma_is_asked_for_the_counts_of_each_class(metric: str) -> None:
    policy = Policy(f"kind/{metric}", min_positives=50, min_negatives=5)
    plan = evaluator_plan(policy, ModelInputs(label_keys={"kind": "b"}, classes=3))
    counts = [
        (metric["className"], spec["binarize"]["classIds"]["values"][0], spec["outputNames"])
        for spec in plan.config["metricsSpecs"]
        for metric in spec["metrics"]
        if metric["className"] in ("Positives", "Negatives")
    ]
    assert sorted(counts) == [(name, at, ["kind"]) for name in ("Negatives", "Positives") for at in range(3)]
    with pytest.raises(InvalidInputError, match=r"classes"):
        evaluator_plan(policy, ModelInputs(label_keys={"kind": "b"}))


def test_a_ranking_has_no_classes() -> None:
    with pytest.raises(InvalidInputError, match="is of no class"):
        parse_policy("metric: ndcg@top_k=5\nmin_positives: 5")


def test_a_policy_explains_all_of_it() -> None:
    said = " ".join(sentences(parse_policy(FILE)))
    for part in (
        "value is the sum of −1 · fall_out and 2 · recall.",
        "money is the mean worth of a prediction: −5 for a false negative and 10 for a true positive",
        "Fewer than 50 positives decide nothing.",
        "must be better by more than 0; one of fewer than 20 negatives leaves it undecided.",
    ):
        assert part in said


def test_the_simulation_is_of_the_score_and_not_of_the_classes() -> None:
    policy = Policy("auc", min_positives=50)
    where = situation(policy, 1000, 0.8)
    assert simulate(policy, where, 50) == simulate(Policy("auc"), where, 50)


def test_numbers_that_are_none_are_no_worth() -> None:
    values: dict[str, Any] = {"auc": math.inf}
    with pytest.raises(InvalidInputError):
        Utility(values)


def test_policies_in_the_documents_are_read() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    found = [parse_policy(one) for one in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    assert len(found) >= 4
    assert any(one.utilities for one in found)
