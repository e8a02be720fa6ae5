"""The decision, case by case: the documents' rule, its edges, and the cases that TFMA alone decides wrongly."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest
from gate_testing import AUC, FAIL, INSUFFICIENT, PASS, sure_to
from tfma_rule import tfma_blesses

from tfx_pedigree.comparison import (
    Direction,
    GateDecision,
    Guardrail,
    Key,
    MetricValue,
    Policy,
    Recommendation,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Similar,
    Verdict,
    decide,
)
from tfx_pedigree.comparison.margin import Measure, Pair, Spread
from tfx_pedigree.comparison.rule import Contest

CHALLENGER, CHAMPION, SIMILAR = Recommendation.CHALLENGER, Recommendation.CHAMPION, Recommendation.SIMILAR


def by_rule(kind: RuleKind, threshold: float, direction: Direction, **given: Any) -> Policy:
    perfect = None
    if kind is RuleKind.ERROR_REDUCTION:
        perfect = 1.0 if direction is Direction.HIGHER else 0.0
    return Policy("m", direction, Rule(kind, threshold, perfect), **given)


RELATIVE_UP = by_rule(RuleKind.RELATIVE, 0.05, Direction.HIGHER)
RELATIVE_DOWN = by_rule(RuleKind.RELATIVE, 0.05, Direction.LOWER)
ABSOLUTE_UP = by_rule(RuleKind.ABSOLUTE, 0.02, Direction.HIGHER)
ERROR_UP = by_rule(RuleKind.ERROR_REDUCTION, 0.05, Direction.HIGHER)
ERROR_DOWN = by_rule(RuleKind.ERROR_REDUCTION, 0.05, Direction.LOWER)


def one(policy: Policy, champion: float, challenger: float) -> GateDecision:
    return decide(policy, Scores.of(m=challenger), Scores.of(m=champion))


@pytest.mark.parametrize(
    ("policy", "champion", "challenger", "recommendation"),
    [
        (RELATIVE_UP, 0.80, 0.85, CHALLENGER),
        (RELATIVE_UP, 0.80, 0.8401, CHALLENGER),
        (RELATIVE_UP, 0.80, 0.84, SIMILAR),  # exactly 5 % is not more than 5 %
        (RELATIVE_UP, 0.70, 0.735, SIMILAR),  # the same, where the floats come out above
        (RELATIVE_UP, 0.699999988079071, 0.7350000143051147, SIMILAR),  # and as float32
        (RELATIVE_UP, 0.80, 0.80, SIMILAR),
        (RELATIVE_UP, 0.80, 0.77, SIMILAR),
        (RELATIVE_UP, 0.84, 0.80, SIMILAR),  # the champion is exactly 5 % better than the challenger
        (RELATIVE_UP, 0.8401, 0.80, CHAMPION),
        (RELATIVE_UP, 0.80, 0.70, CHAMPION),
        (RELATIVE_UP, -1.0, -0.9, CHALLENGER),  # a negative score that got better
        (RELATIVE_UP, -1.0, -0.95, SIMILAR),
        (RELATIVE_UP, -1.0, -1.2, CHAMPION),
        (RELATIVE_UP, -0.1, 0.1, CHALLENGER),  # through zero
        (RELATIVE_UP, 0.0, 0.1, CHALLENGER),  # from zero every gain is more than 5 % of nothing
        (RELATIVE_UP, 0.0, 0.0, SIMILAR),
        (RELATIVE_UP, 0.0, -0.1, CHAMPION),
        (RELATIVE_UP, 0.1, 0.0, CHAMPION),
        (RELATIVE_UP, 0.99, 0.999, SIMILAR),  # a relative 5 % cannot be reached there
        (RELATIVE_DOWN, 0.40, 0.37, CHALLENGER),
        (RELATIVE_DOWN, 0.40, 0.38, SIMILAR),
        (RELATIVE_DOWN, 0.40, 0.43, CHAMPION),
        (RELATIVE_DOWN, 0.0, 0.1, CHAMPION),  # nothing is better than a loss of zero
        (RELATIVE_DOWN, -1.0, -1.2, CHALLENGER),
        (ABSOLUTE_UP, 0.80, 0.83, CHALLENGER),
        (ABSOLUTE_UP, 0.80, 0.82, SIMILAR),
        (ABSOLUTE_UP, -0.5, -0.45, CHALLENGER),
        (ABSOLUTE_UP, 0.80, 0.77, CHAMPION),
        (ERROR_UP, 0.99, 0.991, CHALLENGER),  # a tenth of what was still wrong
        (ERROR_UP, 0.99, 0.9905, SIMILAR),
        (ERROR_UP, 0.99, 0.989, CHAMPION),
        (ERROR_UP, 1.0, 1.0, SIMILAR),
        (ERROR_UP, 1.0, 1.1, SIMILAR),  # nothing is better than perfect
        (ERROR_DOWN, 0.40, 0.37, CHALLENGER),
        (ERROR_DOWN, 0.0, 0.1, CHAMPION),
    ],
)
def test_who_is_recommended(policy: Policy, champion: float, challenger: float, recommendation: Recommendation) -> None:
    decision = one(policy, champion, challenger)
    assert decision.recommendation is recommendation
    assert decision.verdict is (PASS if recommendation is CHALLENGER else FAIL)


@pytest.mark.parametrize(
    ("policy", "champion", "challenger", "right"),
    [
        (RELATIVE_UP, -1.0, -0.9, True),  # better: TFMA divides by -1 and finds a loss
        (RELATIVE_UP, -1.0, -1.1, False),  # worse: TFMA finds a gain
        (RELATIVE_UP, 0.0, 0.5, True),  # TFMA compares with NaN
        (ERROR_UP, 0.99, 0.995, True),  # half of the errors are gone; TFMA's 5 % would ask for an AUC of 1.04
    ],
)
def test_where_tfma_alone_decides_wrongly_the_gate_decides_right(
    policy: Policy, champion: float, challenger: float, right: bool
) -> None:
    five_percent = {"relative": 0.05, "direction": "HIGHER_IS_BETTER"}
    naive = [{"slicingSpecs": [{}], "threshold": {"changeThreshold": five_percent}}]
    config = {"metricsSpecs": [{"metrics": [], "perSliceThresholds": {"m": {"thresholds": naive}}}]}
    new, old = {Key("m"): challenger}, {Key("m"): champion}
    assert tfma_blesses(config, new, old) is not right
    assert (one(policy, champion, challenger).verdict is PASS) is right


def test_a_rule_that_no_challenger_can_satisfy_is_warned_of() -> None:
    decision = decide(Policy("auc"), Scores.of(auc=0.999), Scores.of(auc=0.96))
    assert decision.verdict is FAIL
    assert "no challenger can win: auc cannot get better than 1" in decision.warnings[0]
    assert not decide(Policy("auc"), Scores.of(auc=0.9), Scores.of(auc=0.95)).warnings


def test_fresher_data_win_where_both_are_alike_if_the_policy_says_so() -> None:
    policy = by_rule(RuleKind.RELATIVE, 0.05, Direction.HIGHER, similar=Similar.PREFER_CHALLENGER)
    decision = one(policy, 0.80, 0.79)
    assert (decision.verdict, decision.recommendation) == (PASS, SIMILAR)
    assert one(policy, 0.80, 0.70).verdict is FAIL


def test_fresher_data_never_cost_more_than_the_threshold_of_the_champions_score() -> None:
    """A loss from 0.400 to 0.4205 is 5.1 % of the champion's but 4.9 % of the challenger's: alike, and yet refused."""
    policy = by_rule(RuleKind.RELATIVE, 0.05, Direction.LOWER, similar=Similar.PREFER_CHALLENGER)
    decision = one(policy, 0.400, 0.4205)
    assert (decision.verdict, decision.recommendation) == (FAIL, SIMILAR)
    assert "more than 5 % of the champion's score is lost" in decision.reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_promotes_and_is_named(value: float) -> None:
    for challenger, champion, whose in ((value, 0.5, "challenger"), (0.9, value, "champion")):
        decision = one(RELATIVE_UP, champion, challenger)
        assert (decision.verdict, decision.recommendation) == (INSUFFICIENT, None)
        assert f"m of the {whose} is" in decision.reason


def test_what_is_missing_never_promotes_and_is_named() -> None:
    decision = decide(RELATIVE_UP, Scores(), Scores.of(m=0.5))
    assert decision.verdict is INSUFFICIENT
    assert decision.reason == "Not decided: m of the challenger is missing."


def confident(
    gain: tuple[float, float], count: int = 5000, own: tuple[float, float] | None = None, **given: Any
) -> GateDecision:
    """A champion at 0.8, so that 0.04 is the threshold. `own`: half the width of each one's own interval."""
    policy = Policy("auc", confidence=0.95, **given)
    middle, half = (gain[0] + gain[1]) / 2, (gain[1] - gain[0]) / 2
    new, old = own or (half, 0.0)
    return decide(
        policy,
        Scores({AUC: sure_to(0.8 + middle, new, count)}),
        Scores({AUC: sure_to(0.8, old, count)}),
        differences={AUC: MetricValue(middle, gain, count)},
    )


@pytest.mark.parametrize(
    ("gain", "similar", "verdict", "recommendation"),
    [
        ((0.045, 0.06), Similar.KEEP_CHAMPION, PASS, CHALLENGER),
        ((0.035, 0.06), Similar.KEEP_CHAMPION, INSUFFICIENT, None),
        ((0.01, 0.02), Similar.KEEP_CHAMPION, FAIL, SIMILAR),
        ((-0.05, -0.02), Similar.KEEP_CHAMPION, FAIL, None),  # surely no winner, whoever else is
        ((-0.08, -0.05), Similar.KEEP_CHAMPION, FAIL, CHAMPION),
        ((0.035, 0.06), Similar.PREFER_CHALLENGER, PASS, None),  # better or alike: both win here
        ((0.01, 0.02), Similar.PREFER_CHALLENGER, PASS, SIMILAR),
        ((-0.05, -0.02), Similar.PREFER_CHALLENGER, INSUFFICIENT, None),
        ((-0.08, -0.05), Similar.PREFER_CHALLENGER, FAIL, CHAMPION),
    ],
)
def test_with_a_confidence_the_whole_paired_interval_decides(
    gain: tuple[float, float], similar: Similar, verdict: Verdict, recommendation: Recommendation | None
) -> None:
    decision = confident(gain, similar=similar)
    assert (decision.verdict, decision.recommendation) == (verdict, recommendation)


def test_a_share_of_the_champions_score_is_as_uncertain_as_the_score() -> None:
    """At t = 0.05 the difference must be beyond 5 % of a champion that is itself known to ± 0.1 only."""
    certain, uncertain = ((0.041, 0.061), None), ((0.041, 0.061), (0.0990, 0.1005))
    assert confident(certain[0], own=certain[1]).verdict is PASS
    decision = confident(uncertain[0], own=uncertain[1])
    assert decision.verdict is INSUFFICIENT
    assert "the interval does not tell whether that is enough" in decision.reason


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("kind", [RuleKind.RELATIVE, RuleKind.ERROR_REDUCTION])
def test_the_interval_is_that_of_the_margin_itself(direction: Direction, kind: RuleKind) -> None:
    """Against the jackknife of new − (1 + t) · old, computed part by part from the same samples."""
    chance = random.Random(5)
    parts = [(0.5 + chance.gauss(0, 0.02), 0.4 + chance.gauss(0, 0.05)) for _ in range(20)]
    new, old = (sum(side) / 20 for side in zip(*parts, strict=True))
    perfect = 0.9 if direction is Direction.HIGHER else 0.1
    rule = Rule(kind, 0.2, perfect if kind is RuleKind.ERROR_REDUCTION else None)
    measure = Contest(rule, direction).measure

    def half(values: list[float]) -> float:
        return 2.093 * math.sqrt(statistics.variance(values) / 20)

    difference = half([a - b for a, b in parts])
    spread = Spread(
        (new - old - difference, new - old + difference), *(half(list(one)) for one in zip(*parts, strict=True))
    )
    low, high = measure.margin(Pair(new, old, spread), 0.2)
    exact = [measure.gain(Pair(a, b)) - 0.2 * measure.unit(b) for a, b in parts]
    assert (high - low) / 2 == pytest.approx(half(exact), rel=1e-9)
    assert (high + low) / 2 == pytest.approx(sum(exact) / 20, rel=1e-9)


def test_a_champion_that_may_be_zero_is_measured_by_either_sign() -> None:
    spread = Spread((0.08, 0.12), 0.02, 0.03)
    low, high = Measure(Direction.HIGHER, RuleKind.RELATIVE).margin(Pair(0.11, 0.01, spread), 0.5)
    assert low < 0.1 - 0.5 * 0.01 < high
    assert Measure(Direction.HIGHER, RuleKind.RELATIVE).shares(Pair(0.11, 0.01, spread)) is None


def test_an_interval_without_width_is_not_trusted() -> None:
    decision = confident((0.06, 0.06))
    assert decision.verdict is INSUFFICIENT
    assert "has no width" in decision.reason
    assert confident((0.0, 0.0), count=20).verdict is INSUFFICIENT
    assert confident((0.0, 0.0), count=5000, own=(0.01, 0.01)).recommendation is SIMILAR  # the same predictions


def test_an_interval_that_the_policy_needs_and_nobody_gave_is_named() -> None:
    decision = decide(Policy("auc", confidence=0.95), Scores.of(auc=0.9), Scores.of(auc=0.8))
    assert decision.verdict is INSUFFICIENT
    assert "the interval of the difference of auc is missing" in decision.reason
    assert confident((math.nan, math.nan)).verdict is INSUFFICIENT


def test_a_number_that_no_such_metric_can_be_never_promotes() -> None:
    decision = decide(Policy("auc"), Scores.of(auc=1.2), Scores.of(auc=0.8))
    assert (decision.verdict, decision.recommendation) == (INSUFFICIENT, None)
    assert "auc of the challenger is 1.2, which no auc can be" in decision.reason
    assert decide(Policy("auc"), Scores.of(auc=1.2), None).verdict is INSUFFICIENT
    rounded = decide(Policy("auc"), Scores.of(auc=1.0000001), Scores.of(auc=0.8))
    assert rounded.verdict is PASS


def test_an_interval_that_does_not_hold_its_own_number_never_promotes() -> None:
    new, old = Scores({AUC: MetricValue(0.9, count=500)}), Scores({AUC: MetricValue(0.8, count=500)})
    absolute = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.01), confidence=0.95)
    for ends, verdict in (((0.05, 0.15), PASS), ((0.2, 0.3), INSUFFICIENT), ((-0.3, 0.05), INSUFFICIENT)):
        decision = decide(absolute, new, old, differences={AUC: MetricValue(0.1, ends, 500)})
        assert decision.verdict is verdict
    assert "does not hold the difference itself" in decision.reason
    outside = Scores({AUC: MetricValue(0.9, (0.7, 0.8), 500)})
    decision = decide(absolute, outside, old, differences={AUC: MetricValue(0.1, (0.05, 0.15), 500)})
    assert "auc of the challenger lies outside its own interval" in decision.reason


def test_a_metric_that_the_evaluation_spells_otherwise_is_named() -> None:
    rail = Guardrail("binary_acuracy", direction=Direction.HIGHER, max_regression=Regression(0.1))
    decision = decide(
        Policy("auc", guardrails=(rail,)), Scores.of(auc=0.9, binary_accuracy=1), Scores.of(auc=0.8, binary_accuracy=1)
    )
    assert "binary_acuracy of the challenger is missing (there is binary_accuracy)" in decision.reason


def test_too_few_examples_decide_nothing() -> None:
    policy = Policy("auc", min_examples=100)
    few, unknown = Scores({AUC: MetricValue(0.9, count=99)}), Scores.of(auc=0.9)
    assert decide(policy, few, Scores.of(auc=0.5)).verdict is INSUFFICIENT
    assert decide(policy, unknown, Scores.of(auc=0.5)).verdict is INSUFFICIENT
    enough = Scores({AUC: MetricValue(0.9, count=100)})
    assert decide(policy, enough, Scores.of(auc=0.5)).verdict is PASS
