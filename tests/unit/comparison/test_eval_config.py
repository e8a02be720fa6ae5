"""TFMA decides the part of the policy that it decides soundly, and never refuses what the gate passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tfma_rule import tfma_blesses

from tfx_pedigree.comparison import (
    OVERALL,
    Bounds,
    Direction,
    ExtraMetric,
    Guardrail,
    Key,
    MetricValue,
    MissingSlice,
    ModelInputs,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Share,
    Similar,
    Slice,
    TooFew,
    Verdict,
    decide,
    evaluator_plan,
)
from tfx_pedigree.errors import InvalidInputError

JFK = Slice((("origin", "JFK"),))
LGA = Slice((("origin", "LGA"),))
M = ExtraMetric("m", "M", module="my.metrics")
THRESHOLDS = st.sampled_from([0.0, 0.05, 0.3]) | st.floats(0, 0.9)


def names(config: Any) -> list[str]:
    return [one["className"] for spec in config["metricsSpecs"] for one in spec["metrics"]]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    metric = draw(st.sampled_from(["auc", "recall", "loss", "m"]))
    direction = draw(st.sampled_from(Direction)) if metric == "m" else None
    kind = draw(st.sampled_from(RuleKind))
    rule = Rule(kind, draw(THRESHOLDS), 1.0 if kind is RuleKind.ERROR_REDUCTION else None)
    rails = [
        Guardrail(
            draw(st.sampled_from(["auc", "recall"])),
            max_regression=Regression(draw(THRESHOLDS), draw(st.booleans())),
            bounds=draw(st.sampled_from([None, Bounds(at_least=0.3)])),
            slice=place if place == JFK else None,
            each_slice_of=("origin",) if place == "each" else (),
            min_examples=draw(st.sampled_from([None, 100])),
            too_few=draw(st.sampled_from(TooFew)),
        )
        for place in draw(st.lists(st.sampled_from(["overall", JFK, "each"]), max_size=2))
    ]
    return Policy(
        metric,
        direction,
        rule,
        similar=draw(st.sampled_from(Similar)),
        guardrails=tuple(rails),
        first_version={"auc": Bounds(at_least=0.5)},
        missing_slice=draw(st.sampled_from(MissingSlice)),
    )


# Of the numbers next to zero that have fewer digits than all others, half may be as much as the whole.
values = st.integers(0, 20).map(lambda step: step / 20) | st.floats(0, 1, allow_subnormal=False)
counts = st.sampled_from([5, 5000])


@st.composite
def results(draw: st.DrawFn) -> tuple[dict[Key, MetricValue], dict[Key, MetricValue]]:
    """Of both models on the same data: the same slices with the same counts. `m` may be negative."""
    new, old = {}, {}
    slices = [OVERALL, *draw(st.sampled_from([(), (JFK,), (JFK, LGA)]))]
    for where in slices:
        count = draw(counts)
        for metric in ("auc", "recall", "loss", "m"):
            sign = draw(st.sampled_from([1, -1])) if metric == "m" else 1
            new[Key(metric, where)] = MetricValue(sign * draw(values), count=count)
            old[Key(metric, where)] = MetricValue(sign * draw(values), count=count)
    return new, old


def plain(found: dict[Key, MetricValue]) -> dict[Key, float]:
    return {key: value.value for key, value in found.items()}


@given(policies(), results())
@settings(max_examples=250, deadline=None)
def test_tfma_blesses_whatever_the_gate_passes(
    policy: Policy, found: tuple[dict[Key, MetricValue], dict[Key, MetricValue]]
) -> None:
    """Except for a champion with an AUC or loss of exactly 0, as docs/policy.md says."""
    new, old = found
    assume(all(value.value for key, value in old.items() if key.metric in ("auc", "loss")))
    plan = evaluator_plan(policy, metrics=[M] if policy.metric == "m" else ())
    if decide(policy, Scores(new), Scores(old)).verdict is Verdict.PASS:
        assert tfma_blesses(plan.config, plain(new), plain(old))
    if decide(policy, Scores(new), None).verdict is Verdict.PASS:
        assert tfma_blesses(plan.config, plain(new), None)
        alone = evaluator_plan(policy, metrics=[M] if policy.metric == "m" else (), first_version=True)
        assert tfma_blesses(alone.config, plain(new), None)


@given(policies(), values, values)
@settings(max_examples=250, deadline=None)
def test_where_tfma_has_the_same_rule_it_refuses_what_the_gate_refuses(
    policy: Policy, challenger: float, champion: float
) -> None:
    assume(champion > 0)
    alone = Policy(policy.metric, policy.direction, policy.rule, similar=policy.similar)
    plan = evaluator_plan(alone, metrics=[M] if alone.metric == "m" else ())
    new, old = {Key(alone.metric): challenger}, {Key(alone.metric): champion}
    verdict = decide(alone, Scores.of(**{alone.metric: challenger}), Scores.of(**{alone.metric: champion})).verdict
    # In the last hundred-thousandth of the threshold the two may differ; nobody's metric is that exact.
    assume(abs(abs(challenger - champion) / alone.rule.threshold - 1) > 1e-4 if alone.rule.threshold else True)
    if plan.share is Share.SAME_RULE and not _near(alone, challenger, champion):
        assert tfma_blesses(plan.config, new, old) is (verdict is Verdict.PASS)


def _near(policy: Policy, challenger: float, champion: float) -> bool:
    threshold = policy.rule.threshold
    edges = (1 + threshold, 1 - threshold, 1 / (1 + threshold))
    return any(abs(challenger - champion * edge) <= 1e-4 * champion for edge in edges if edge != 1)


def test_the_default_rule_reaches_tfma_with_the_sign_that_it_needs() -> None:
    plan = evaluator_plan(Policy("auc"), ModelInputs(label_key="delayed", signature_name="serving_default"))
    assert plan.share is Share.SAME_RULE
    assert plan.config == {
        "modelSpecs": [{"labelKey": "delayed", "signatureName": "serving_default"}],
        "slicingSpecs": [{}],
        "metricsSpecs": [
            {"metrics": [{"className": "ExampleCount"}], "exampleWeights": {"unweighted": True}},
            {
                "metrics": [
                    {
                        "className": "AUC",
                        "perSliceThresholds": [
                            {
                                "slicingSpecs": [{}],
                                "threshold": {
                                    "valueThreshold": {"lowerBound": 0.0},
                                    "changeThreshold": {
                                        "relative": pytest.approx(0.05, rel=1e-4),
                                        "direction": "HIGHER_IS_BETTER",
                                    },
                                },
                            }
                        ],
                    },
                ]
            },
        ],
    }
    loss = evaluator_plan(Policy("binary_crossentropy")).config["metricsSpecs"][1]["metrics"][0]
    change = loss["perSliceThresholds"][0]["threshold"]["changeThreshold"]
    assert change["direction"] == "LOWER_IS_BETTER"
    assert change["relative"] == pytest.approx(-0.05, rel=1e-4)


@pytest.mark.parametrize(
    ("policy", "share", "kind"),
    [
        (Policy("auc"), Share.SAME_RULE, "relative"),
        (Policy("recall"), Share.NECESSARY_PART, "absolute"),  # a recall of 0 is honest, and TFMA's is NaN there
        (Policy("r2_score"), Share.NECESSARY_PART, "absolute"),  # may be negative
        (Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.01)), Share.SAME_RULE, "absolute"),
        (Policy("auc", rule=Rule(RuleKind.ERROR_REDUCTION, 0.05, 1.0)), Share.NECESSARY_PART, "absolute"),
        (Policy("r2_score", similar=Similar.PREFER_CHALLENGER), Share.NECESSARY_PART, None),
    ],
)
def test_tfma_gets_what_is_sound_and_the_plan_says_how_much(policy: Policy, share: Share, kind: str | None) -> None:
    plan = evaluator_plan(policy)
    threshold = plan.config["metricsSpecs"][1]["metrics"][0]["perSliceThresholds"][0]["threshold"]
    assert plan.share is share
    assert (kind in threshold["changeThreshold"]) if kind else ("changeThreshold" not in threshold)
    assert bool(plan.notes) is (share is Share.NECESSARY_PART)


def test_guardrails_are_given_with_their_slices_and_what_cannot_be_given_is_said() -> None:
    policy = Policy(
        "auc",
        guardrails=(
            Guardrail("auc", max_regression=Regression(0.02, relative=False), slice=JFK),
            Guardrail("calibration", bounds=Bounds(0.8, 1.2)),
            Guardrail("auc", bounds=Bounds(at_least=0.5), each_slice_of=("carrier",), too_few=TooFew.SKIP),
        ),
    )
    plan = evaluator_plan(policy, slices=[LGA], slice_features=[("month",)])
    assert plan.config["slicingSpecs"] == [
        {},
        {"featureValues": {"origin": "JFK"}},
        {"featureKeys": ["carrier"]},
        {"featureValues": {"origin": "LGA"}},
        {"featureKeys": ["month"]},
    ]
    metrics = {one["className"]: one.get("perSliceThresholds", []) for one in plan.config["metricsSpecs"][1]["metrics"]}
    assert [one["slicingSpecs"] for one in metrics["AUC"]] == [[{}], [{"featureValues": {"origin": "JFK"}}]]
    bounds = {"valueThreshold": {"lowerBound": 0.8, "upperBound": 1.2}}
    assert metrics["Calibration"] == [{"slicingSpecs": [{}], "threshold": bounds}]
    assert plan.notes == (
        "the guardrail on auc (each slice of carrier) is the gate's alone: TFMA does not skip what has too few "
        "examples",
    )


def test_floors_are_tfmas_only_where_there_is_certainly_no_baseline() -> None:
    policy = Policy("auc", first_version={"auc": Bounds(at_least=0.6)})
    new, old = {Key("auc"): 0.55}, {Key("auc"): 0.5}
    assert tfma_blesses(evaluator_plan(policy).config, new, old)
    assert not tfma_blesses(evaluator_plan(policy, first_version=True).config, new, None)


def test_there_is_always_a_threshold_or_nothing_would_ever_be_pushed() -> None:
    for policy in (Policy("auc"), Policy("r2_score", similar=Similar.PREFER_CHALLENGER)):
        config = evaluator_plan(policy).config
        assert tfma_blesses(config, {Key("auc"): 0.5, Key("r2_score"): 0.5}, None)
        assert not tfma_blesses(config, {Key("auc"): float("nan"), Key("r2_score"): float("nan")}, None)


def test_metrics_that_pedigree_does_not_know_need_a_class() -> None:
    with pytest.raises(InvalidInputError, match="not known how TFMA computes `revenue`"):
        evaluator_plan(Policy("revenue", Direction.HIGHER))
    plan = evaluator_plan(
        Policy("revenue", Direction.HIGHER),
        metrics=[ExtraMetric("revenue", "Revenue", "shop.metrics", {"currency": "EUR"})],
    )
    found = plan.config["metricsSpecs"][1]["metrics"][0]
    assert (found["className"], found["module"]) == ("Revenue", "shop.metrics")
    assert json.loads(found["config"]) == {"name": "revenue", "currency": "EUR"}


def test_examples_are_counted_without_their_weights() -> None:
    rail = Guardrail("example_count", bounds=Bounds(at_least=1000))
    plan = evaluator_plan(Policy("auc", guardrails=(rail,)), ModelInputs(example_weight_key="hours"))
    counting = plan.config["metricsSpecs"][0]
    assert counting["exampleWeights"] == {"unweighted": True}
    assert counting["metrics"][0]["perSliceThresholds"][0]["threshold"] == {"valueThreshold": {"lowerBound": 1000}}


def test_a_metric_that_is_spelt_wrong_is_refused_with_the_right_spelling() -> None:
    rail = Guardrail("binary_acuracy", direction=Direction.HIGHER, max_regression=Regression(0.1))
    with pytest.raises(InvalidInputError, match="Did you mean `binary_accuracy`"):
        evaluator_plan(Policy("auc", guardrails=(rail,)))


def test_metrics_that_the_model_brings_are_named_in_the_spec() -> None:
    spec = evaluator_plan(Policy("loss")).config["metricsSpecs"][1]
    assert names(evaluator_plan(Policy("loss")).config) == ["ExampleCount"]
    assert list(spec["perSliceThresholds"]) == ["loss"]


def test_a_confidence_asks_for_intervals() -> None:
    options = evaluator_plan(Policy("auc", confidence=0.95)).config["options"]
    assert options["computeConfidenceIntervals"] is True
    assert "options" not in evaluator_plan(Policy("auc")).config
