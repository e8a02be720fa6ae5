"""What a policy demands in sentences, and what chance makes of it by simulation: the promises hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfx_pedigree.comparison import (
    Bounds,
    Gap,
    Guardrail,
    LatencyBudget,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Similar,
    TooFew,
)
from tfx_pedigree.comparison.explaining import Situation, in_words, passes, sentences, simulate, situation
from tfx_pedigree.errors import InvalidInputError


def test_a_policy_is_told_in_sentences() -> None:
    rail = Guardrail(
        "auc", Regression(0.05), each_slice_of=("carrier",), min_examples=500, too_few=TooFew.SKIP, point_estimate=True
    )
    policy = Policy(
        "auc",
        confidence=0.95,
        min_examples=1000,
        guardrails=(
            rail,
            Guardrail("calibration", bounds=Bounds(0.8, 1.2)),
            Guardrail("recall", max_gap=Gap(0.1, 0.01), each_slice_of=("sex",)),
            Guardrail("precision", max_gap=Gap(worse_by=0), each_slice_of=("sex",)),
        ),
        latency=LatencyBudget(ratio=2),
    )
    told = list(sentences(policy))
    assert told[0] == (
        "The challenger wins if its auc is higher than the champion's by more than 5 % of the champion's auc."
    )
    assert (
        "Guardrail: auc on each slice of carrier may not get worse by more than 5 % of the champion's; a slice of "
        "fewer than 500 examples is skipped." in told
    )
    assert "Guardrail: calibration must be at least 0.8 and at most 1.2." in told
    assert (
        "Guardrail: recall on each slice of sex may differ between any two of them by at most 0.1 and may not have a "
        "widest gap that is more than 0.01 wider than the champion's." in told
    )
    assert (
        "Guardrail: precision on each slice of sex may not have a widest gap that is wider than the champion's." in told
    )
    assert "A MAJOR change, which breaks those who call the model, waits for a person." in told


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_a_challenger_on_the_line_passes_no_more_often_than_the_confidence_promises(
    threshold: float, correlation: float
) -> None:
    """2.5 %, by 2,000 simulations ± 0.7. With a threshold taken as fixed it was up to 10 %."""
    policy = Policy("r2_score", rule=Rule(RuleKind.RELATIVE, threshold), confidence=0.95)
    where = Situation(0.6, 1000, 0.02, correlation)
    assert passes(policy, where, threshold * 0.6, 2000) <= 0.035


@pytest.mark.system
def test_without_a_confidence_and_a_threshold_equal_models_take_turns() -> None:
    policy = Policy("auc", rule=Rule(RuleKind.RELATIVE, 0.0))
    odds = simulate(policy, situation(policy, 1000, 0.8), 1000)
    assert odds.equal_pass == pytest.approx(0.5, abs=0.05)
    sure = replace(policy, confidence=0.95)
    assert simulate(sure, situation(sure, 1000, 0.8), 1000).equal_pass <= 0.04


def test_more_examples_need_less_of_a_gain() -> None:
    policy = Policy("auc", confidence=0.95)
    few, many = (simulate(policy, situation(policy, count, 0.8), 400).half for count in (1000, 100_000))
    assert few is not None
    assert many is not None
    assert 0.04 < many < few


def test_a_rule_that_nobody_can_satisfy_shows_in_the_simulation() -> None:
    policy = Policy("auc")
    where = situation(policy, 10_000, 0.99)
    odds = simulate(policy, where, 400)
    assert odds.half is None
    assert "No gain that auc leaves room for" in list(in_words(policy, where, odds))[1]


def test_fresher_data_pass_where_both_are_alike() -> None:
    policy = Policy("auc", similar=Similar.PREFER_CHALLENGER)
    odds = simulate(policy, situation(policy, 10_000, 0.8), 400)
    assert (odds.equal_pass, odds.half) == (1.0, 0.0)


def test_a_score_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="No auc is 3: it lies from 0 to 1"):
        situation(Policy("auc"), 100, 3.0)
