"""Where TFMA's own threshold decides wrongly, by TFMA's own code, and the gate decides right."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import config_pb2

from tfx_pedigree.comparison import Direction, Key, MetricValue, Policy, Rule, RuleKind, Scores, Verdict, decide


def tfma_blesses(new: float, old: float, relative: float) -> bool:
    """TFMA's answer to "at least so much better, as a share of the baseline", for a metric where higher is better."""
    change = {"direction": "HIGHER_IS_BETTER", "relative": relative}
    config = json_format.ParseDict(
        {
            "model_specs": [{"name": "candidate"}, {"name": "baseline", "is_baseline": True}],
            "metrics_specs": [
                {
                    "model_names": ["candidate"],
                    "thresholds": {"score": {"change_threshold": change}},
                }
            ],
            "slicing_specs": [{}],
        },
        config_pb2.EvalConfig(),
    )
    (asked,) = metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    candidate = asked._replace(is_diff=False)
    metrics = {asked: new - old, candidate: new, candidate._replace(model_name="baseline"): old}
    return bool(metrics_validator.validate_metrics(((), metrics), config).validation_ok)


def gate_passes(new: float, old: float, rule: Rule | None = None) -> bool:
    policy = Policy("score", direction=Direction.HIGHER, **({"rule": rule} if rule else {}))
    scores = [Scores({Key("score"): MetricValue(value, None, 1000)}, 1) for value in (new, old)]
    return decide(policy, *scores).verdict is Verdict.PASS


@pytest.mark.parametrize(("new", "old", "better"), [(0.9, 0.8, True), (0.82, 0.8, False), (0.7, 0.8, False)])
def test_on_ordinary_scores_both_agree(new: float, old: float, better: bool) -> None:
    assert tfma_blesses(new, old, 0.05) is better
    assert gate_passes(new, old) is better


def test_negative_baseline_turns_tfmas_sign_around() -> None:
    better, worse, champion = -0.5, -2.0, -1.0
    assert not tfma_blesses(better, champion, 0.05), "TFMA refuses what is better"
    assert tfma_blesses(worse, champion, 0.05), "and blesses what is worse"
    assert gate_passes(better, champion)
    assert not gate_passes(worse, champion)


def test_baseline_of_zero_is_not_a_number_to_tfma() -> None:
    assert not tfma_blesses(0.5, 0.0, 0.05)
    assert gate_passes(0.5, 0.0)
    assert not gate_passes(0.0, 0.0)
    assert not gate_passes(-0.5, 0.0)


def test_baseline_of_099_can_never_be_beaten_by_a_share_of_itself() -> None:
    assert not tfma_blesses(1.0, 0.99, 0.05), "not even perfection is 5 % better"
    assert not gate_passes(1.0, 0.99)
    of_what_was_wrong = Rule(RuleKind.ERROR_REDUCTION, 0.05, perfect=1.0)
    assert gate_passes(0.9911, 0.99, of_what_was_wrong), "11 % of what was still wrong"
    assert not gate_passes(0.9902, 0.99, of_what_was_wrong)
